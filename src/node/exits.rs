//! Ends: of processes, of links, and who hears of them.

use super::control::{self, Incoming, Target};
use super::link::Link;
use super::processes::{Bound, Kind, Linked, Mourners, Watcher};
use super::{Node, remarks, rpc};
use crate::term::{Inspect, Pid, Term, atom};

/// What an exit signal comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    /// `exit/2`: `kill` cannot be refused.
    Exit,
    /// The end of a linked process.
    Linked,
}

impl Node {
    /// A process ended: who watches it and who is linked to it is told.
    pub(super) fn ended(&self, pid: &Pid, reason: &Term) {
        if let Some(mourners) = self.0.processes.remove(pid) {
            tell(pid, mourners, reason);
        }
    }

    /// A registered server ended: its supervisor starts it anew at once, under its name, with a pid of its own.
    pub(super) fn server_ended(&self, pid: &Pid, reason: &Term) {
        let process = match self.0.processes.kind(&Target::Pid(pid.clone())) {
            Some((_, Kind::Server(process))) => Some(process),
            _ => None,
        };
        let Some(mourners) = self.0.processes.replace(pid) else { return };
        let why = || Inspect::short(reason, 200);
        remarks::say(|| tracing::warn!("a registered server ended and was started anew: {}", why()));
        tell(pid, mourners, reason);
        if let Some(process) = process {
            process.server.ended(self, reason);
        }
    }

    /// An exit signal to a process of this node.
    pub(super) fn exit_signal(&self, to: &Pid, reason: Term, signal: Signal) {
        if reason.is_atom("normal") {
            return;
        }
        let kill = signal == Signal::Exit && reason.is_atom("kill");
        let reason = if kill { atom("killed") } else { reason };
        match self.0.processes.kind(&Target::Pid(to.clone())) {
            Some((_, Kind::Task(kill))) => kill.kill(reason),
            Some((_, Kind::Server(process))) if process.server.traps_exits() && !kill => {}
            Some((pid, _)) => self.server_ended(&pid, &reason),
            None => {}
        }
    }

    /// A link is gone: what depended on it ends with `noconnection`.
    pub(super) fn link_lost(&self, link: &Link) {
        for orphan in self.0.processes.link_lost(link.id) {
            self.exit_signal(&orphan, atom("noconnection"), Signal::Linked);
        }
    }

    /// A peer's process watches one of this node.
    pub(super) fn watch(&self, watcher: &Watcher) {
        match self.0.processes.watch(watcher) {
            Bound::Done => {}
            Bound::NoProcess => send_down(watcher, &control::noproc()),
            Bound::TooMany => too_many_bonds(&watcher.link),
        }
    }

    /// A peer's process links itself to one of this node.
    pub(super) fn link_processes(&self, to: &Pid, linked: Linked) {
        let (link, from) = (linked.link.clone(), linked.pid.clone());
        match self.0.processes.link(to, linked) {
            Bound::Done => {}
            Bound::NoProcess => rpc::send_or_say(&link, &control::exit(to, &from), &control::noproc()),
            Bound::TooMany => too_many_bonds(&link),
        }
    }
}

/// A monitor that is not kept would be a lie later: the connection ends, which tells the peer the truth of all of them.
fn too_many_bonds(link: &Link) {
    if !link.closed.is_cancelled() {
        tracing::warn!(peer = %link.peer, "it has more monitors and links here than are left for others");
        link.closed.cancel();
    }
}

/// Tells of a process's end.
fn tell(pid: &Pid, mourners: Mourners, reason: &Term) {
    for Linked { link, pid: to } in &mourners.linked {
        rpc::send_or_say(link, &control::exit(pid, to), reason);
        link.queue.flush();
    }
    for watcher in &mourners.watchers {
        send_down(watcher, reason);
        watcher.link.queue.flush();
    }
    for waiting in mourners.waiting {
        // Whoever waited may have gone.
        waiting.send(reason.clone()).unwrap_or_default();
    }
}

/// Tells a watcher; the reader, or whoever calls this, flushes.
pub(super) fn send_down(watcher: &Watcher, reason: &Term) {
    let control = control::down(&watcher.target, &watcher.pid, &watcher.reference);
    rpc::send_or_say(&watcher.link, &control, reason);
}

/// The signals of a peer, and what they do here.
pub(super) fn receive(node: &Node, link: &std::sync::Arc<Link>, incoming: Incoming) {
    match incoming {
        Incoming::Link { from, to } => node.link_processes(&to, Linked { link: link.clone(), pid: from }),
        Incoming::Unlink { from, to, id } => {
            node.0.processes.unlink(&to, &from);
            if let Some(id) = id {
                link.send(&control::unlink_ack(&id, &to, &from), None).unwrap_or_default();
            }
        }
        Incoming::Exit { from, to, reason } if node.0.processes.unlink(&to, &from) => {
            node.exit_signal(&to, reason, Signal::Linked);
        }
        Incoming::Exit2 { to, reason, .. } => node.exit_signal(&to, reason, Signal::Exit),
        Incoming::Monitor { from, target, reference } => {
            node.watch(&Watcher { link: link.clone(), pid: from, reference, target });
        }
        Incoming::Demonitor { target, reference } => node.0.processes.unwatch(link.id, &target, &reference),
        Incoming::Lead { leader, of } => node.0.processes.lead(&of, leader.into()),
        Incoming::Down { reference, reason } => node.0.processes.remote_down(&reference, reason),
        _ => {}
    }
}
