//! System messages to registered servers: what `sys` asks of any OTP process (stdlib, `sys`).

use std::sync::Arc;

use super::call::{From, reply, take};
use super::dispatch::Mailbox;
use super::link::Link;
use super::processes::ServerProcess;
use super::{Node, pair};
use crate::term::{Atom, Pid, Term, atom, charlist, list, tuple};

/// A system message.
pub(super) fn receive(to: &Mailbox<'_>, process: &Arc<ServerProcess>, (from, request): (&From, &Term)) {
    let ended = match request.as_tuple() {
        Some([verb, reason]) if verb.is_atom("terminate") => Some(reason),
        _ => None,
    };
    if let Some([verb, option]) = request.as_tuple()
        && verb.is_atom("debug")
    {
        return reply(to, from, &debug(process, option));
    }
    let answer = match request.as_atom() {
        // OTP 25 hands out whatever comes, later ones want it tagged.
        Some("get_state") if from.is_since_26() => pair(Term::OK, process.server.state()),
        Some("get_state") => process.server.state(),
        Some("get_status") => status(to.node, &to.pid, process),
        Some("suspend" | "resume") => Term::OK,
        _ if ended.is_some() => Term::OK,
        _ => pair(atom("error"), pair(atom("unknown_system_msg"), request.clone())),
    };
    if request.is_atom("suspend") {
        process.suspend();
    }
    reply(to, from, &answer);
    if request.is_atom("resume") {
        catch_up(to, process);
    }
    if let Some(reason) = ended {
        to.node.server_ended(&to.pid, reason);
    }
}

/// Does what came while the server was suspended; what came over a link whose replies pile up, when they do not any more.
fn catch_up(to: &Mailbox<'_>, process: &Arc<ServerProcess>) {
    let (node, pid, server) = (to.node.clone(), to.pid.clone(), process.clone());
    let take_up = move |(link, message): (Arc<Link>, Term)| {
        take(&Mailbox { node: &node, link: &link, pid: pid.clone(), token: None }, &server, &message);
        link.queue.flush();
    };
    let mut later = Vec::new();
    for letter in process.resume() {
        match letter.open() {
            Some((link, _)) if link.queue.is_crowded() => later.push(letter),
            Some(opened) => take_up(opened),
            None => {}
        }
    }
    if later.is_empty() {
        return;
    }
    to.node.spawn(("gen_server", "loop", 7), |_| async move {
        for letter in later {
            if let Some(opened) = letter.open() {
                opened.0.queue.uncrowded().await;
                take_up(opened);
            }
        }
        atom("normal")
    });
}

/// Debug options of `sys`: there is nothing to be traced or logged here; statistics count messages.
fn debug(process: &ServerProcess, option: &Term) -> Term {
    match option.as_tuple() {
        Some([name, what]) if name.is_atom("statistics") => match what.as_atom() {
            Some("true") => process.count(true),
            Some("false") => process.count(false),
            Some("get") => return pair(Term::OK, process.statistics().unwrap_or(atom("no_statistics"))),
            _ => return unknown(option),
        },
        Some([name, what]) if name.is_atom("log") && what.is_atom("get") => return pair(Term::OK, list([])),
        Some([name, what]) if name.is_atom("log") && what.is_atom("false") => {}
        None if option.is_atom("no_debug") => process.count(false),
        _ => return unknown(option),
    }
    Term::OK
}

fn unknown(option: &Term) -> Term {
    pair(atom("error"), pair(atom("unknown_debug"), option.clone()))
}

/// What `sys:get_status` shows of a `gen_server`.
pub(super) fn status(node: &Node, pid: &Pid, process: &ServerProcess) -> Term {
    let module = process.server.module();
    let name = node.0.processes.with(pid, |_, name| name.cloned()).flatten();
    let name = name.unwrap_or(Atom::from_static(module));
    let parent = node.whereis(node.0.settings.supervisor).map_or(Term::NIL, Term::from);
    let state = atom(if process.is_suspended() { "suspended" } else { "running" });
    let entry = |key: &str, value: Term| pair(charlist(key), value);
    let data = |entries: Vec<Term>| pair(atom("data"), Term::List(entries));
    let facts = vec![entry("Status", state.clone()), entry("Parent", parent.clone()), entry("Logged events", list([]))];
    let header = pair(atom("header"), charlist(&format!("Status for generic server {name}")));
    let shown = list([header, data(facts), data(vec![entry("State", process.server.state())])]);
    let parts = list([dictionary(node, process), state, parent, list([]), shown]);
    tuple([atom("status"), Term::from(pid.clone()), pair(atom("module"), atom("gen_server")), parts])
}

/// The dictionary of a server's process.
pub(super) fn dictionary(node: &Node, process: &ServerProcess) -> Term {
    let initial_call = tuple([atom(process.server.module()), atom("init"), Term::Int(1)]);
    let ancestors = list([atom(node.0.settings.supervisor)]);
    list([pair(atom("$initial_call"), initial_call), pair(atom("$ancestors"), ancestors)])
}
