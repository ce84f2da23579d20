//! What a link's reader read goes to whom it concerns. Nothing here waits.

use std::sync::Arc;

use super::call::From;
use super::control::{Incoming, Target};
use super::link::{Link, Receiver};
use super::processes::Kind;
use super::{Node, call, exits, remarks, rex, rpc};
use crate::term::{Pid, Term};

impl Receiver for Node {
    fn receive(&self, link: &Arc<Link>, incoming: Incoming) {
        match incoming {
            Incoming::Spawn(request) => rpc::spawn(self, link, *request),
            Incoming::Send { to, message, token } => self.deliver(link, &Target::Pid(to), (message, token)),
            Incoming::SendNamed { name, message, token } => self.deliver(link, &Target::Name(name), (message, token)),
            Incoming::TooMuch { request, why } => {
                remarks::say(|| tracing::warn!(peer = %link.peer, "a message was dropped: {why}"));
                if let Some(request) = request {
                    rpc::refuse(link, &request, "system_limit");
                }
            }
            Incoming::Unknown(op) => {
                remarks::say(|| tracing::info!(peer = %link.peer, op, "an unknown control message was ignored"));
            }
            Incoming::Nothing => {}
            signal => exits::receive(self, link, signal),
        }
    }
}

impl Node {
    /// A message to a process of this node; to an unknown one it is dropped, as everywhere in Erlang.
    pub(super) fn deliver(&self, link: &Arc<Link>, target: &Target, (message, token): (Term, Option<Term>)) {
        let Some((pid, kind)) = self.0.processes.kind(target) else {
            tracing::debug!(?target, "a message to nobody was dropped");
            return;
        };
        let to = Mailbox { node: self, link, pid, token };
        match kind {
            Kind::Server(process) => call::receive(&to, &process, message),
            Kind::NetKernel(turns) => {
                turns.count();
                call::receive_ping(&to, &message);
            }
            Kind::Rex(turns) => {
                turns.count();
                rex::receive(&to, message);
            }
            Kind::Task(_) => {
                if let Some(inbox) = self.0.processes.inbox(&to.pid) {
                    inbox.put(&message);
                } else {
                    tracing::debug!("a message to a process that takes none was dropped");
                }
            }
        }
    }
}

impl Node {
    /// A message that a function of this node sends to one of its processes: who is to hear the answer is a peer's.
    pub(super) fn deliver_here(&self, target: &Target, message: &Term) {
        let found = self.0.processes.kind(target);
        if let Some((pid, Kind::Task(_))) = found {
            if let Some(inbox) = self.0.processes.inbox(&pid) {
                inbox.put(message);
            }
            return;
        }
        let from = match message.as_tuple() {
            Some([_, from, _]) => From::read(from),
            _ => None,
        };
        let link = match from {
            Some(from) => self.0.links.get(&from.pid.node),
            // Any will do: nobody is answered.
            None => self.0.links.all().into_iter().next(),
        };
        if let Some(link) = link {
            self.deliver(&link, target, (message.clone(), None));
            link.queue.flush();
        }
    }
}

/// To whom a message went, and over which link it came.
pub(super) struct Mailbox<'a> {
    pub(super) node: &'a Node,
    pub(super) link: &'a Arc<Link>,
    pub(super) pid: Pid,
    /// Of a sequential trace (kernel, `seq_trace`); an answer carries it back.
    pub(super) token: Option<Term>,
}
