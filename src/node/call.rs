//! Calls of registered servers: the `gen_server` protocol and the system messages of `sys`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::control::{self, Target};
use super::dispatch::Mailbox;
use super::exits::send_down;
use super::{Context, GenServer, Raise, pair, rpc};
use crate::term::{Pid, Reference, Term, atom, charlist, list, tuple};

/// Words of an alias of OTP 26 and later; OTP 25 has three.
const WORDS_SINCE_26: usize = 5;

/// Who called, and how the answer finds the way back: `{pid, tag}`.
pub(super) struct From {
    pub(super) pid: Pid,
    tag: Term,
}

impl From {
    pub(super) fn read(term: &Term) -> Option<Self> {
        match term.as_tuple()? {
            [Term::Pid(pid), tag] => Some(Self { pid: (**pid).clone(), tag: tag.clone() }),
            _ => None,
        }
    }

    /// The alias in `[alias | Ref]` or `[[alias | Ref] | _]`.
    fn alias(&self) -> Option<&Reference> {
        let improper = |term: &Term| match term {
            Term::Improper(list) => Some(list.0.first()?.clone()),
            _ => None,
        };
        let head = improper(&self.tag)?;
        if head.is_atom("alias") {
            return match &self.tag {
                Term::Improper(list) => list.1.as_ref_term(),
                _ => None,
            };
        }
        match &self.tag {
            Term::Improper(list) => match list.0.first()? {
                Term::Improper(inner) if inner.0.first()?.is_atom("alias") => inner.1.as_ref_term(),
                _ => None,
            },
            _ => None,
        }
    }

    fn is_since_26(&self) -> bool {
        self.alias().is_some_and(|alias| alias.words().len() >= WORDS_SINCE_26)
    }
}

/// A message to a registered server.
pub(super) fn receive(to: &Mailbox<'_>, server: &Arc<dyn GenServer>, message: &Term) {
    let parts = message.as_tuple().unwrap_or_default();
    match parts {
        [tag, from, request] if tag.is_atom("$gen_call") => {
            if let Some(from) = From::read(from) {
                return call(to, server, &from, request);
            }
        }
        [tag, request] if tag.is_atom("$gen_cast") && server.cast(request) => return,
        [tag, from, request] if tag.is_atom("system") => {
            if let Some(from) = From::read(from) {
                return system(to, server, &from, request);
            }
        }
        _ => {}
    }
    tracing::debug!(server = server.module(), "a message that is not known was dropped: {message:?}");
}

fn call(to: &Mailbox<'_>, server: &Arc<dyn GenServer>, from: &From, request: &Term) {
    let context = Context {
        node: to.node.clone(),
        this: to.pid.clone(),
        caller: from.pid.clone(),
        group_leader: Term::from(from.pid.clone()),
    };
    let answered = catch_unwind(AssertUnwindSafe(|| server.call(&context, request)));
    let stack = || list([tuple([atom(server.module()), atom("handle_call"), Term::Int(3), list([])])]);
    let reason = match answered {
        Ok(Ok(Some(answer))) => return reply(to, from, &answer),
        Ok(Ok(None)) => pair(atom("function_clause"), stack()),
        Ok(Err(Raise::Error(error, _))) => pair(error, stack()),
        Ok(Err(Raise::Exit(reason))) => reason,
        Ok(Err(Raise::Throw(value))) => pair(pair(atom("nocatch"), value), stack()),
        Err(panic) => rpc::panic_reason(&*panic),
    };
    fail(to, from, &reason);
}

/// Sends an answer to a call; one that cannot be sent fails the call.
pub(super) fn reply(to: &Mailbox<'_>, from: &From, answer: &Term) {
    let message = pair(from.tag.clone(), answer.clone());
    let control = match from.alias() {
        Some(alias) => control::alias_send(&to.pid, alias),
        None => control::send(&to.pid, &from.pid),
    };
    if let Err(e) = to.link.send(&control, Some(&message)) {
        fail(to, from, &pair(atom("badarg"), crate::term::binary(e.to_string())));
    }
}

/// A call that has no answer: its caller sees the server go down with the reason. The server lives on for the others.
fn fail(to: &Mailbox<'_>, from: &From, reason: &Term) {
    let own = to.node.0.processes.take_watchers_of(&to.pid, |watcher| {
        watcher.pid == from.pid && from.alias().is_none_or(|alias| *alias == watcher.reference)
    });
    for watcher in &own {
        send_down(watcher, reason);
    }
}

/// `sys` messages.
fn system(to: &Mailbox<'_>, server: &Arc<dyn GenServer>, from: &From, request: &Term) {
    let answer = match request.as_atom() {
        // OTP 25 hands out whatever comes, later ones want it tagged.
        Some("get_state") if from.is_since_26() => pair(Term::OK, server.state()),
        Some("get_state") => server.state(),
        Some("get_status") => status(to, server.as_ref()),
        Some("suspend" | "resume") => Term::OK,
        _ => pair(atom("error"), pair(atom("unknown_system_msg"), request.clone())),
    };
    reply(to, from, &answer);
}

/// What `sys:get_status` shows of a `gen_server`.
pub(super) fn status(to: &Mailbox<'_>, server: &dyn GenServer) -> Term {
    status_of(&to.pid, server)
}

/// As [`status`], for a server that was not called by a message.
pub(super) fn status_of(pid: &Pid, server: &dyn GenServer) -> Term {
    let module = atom(server.module());
    let header = charlist(&format!("Status for generic server {}", server.module()));
    let entry = |key: &str, value: Term| pair(charlist(key), value);
    let data = |pairs: Vec<Term>| pair(atom("data"), Term::List(pairs));
    let facts = vec![
        entry("Status", atom("running")),
        entry("Parent", Term::from(pid.clone())),
        entry("Logged events", list([])),
    ];
    let shown = list([pair(atom("header"), header), data(facts), data(vec![entry("State", server.state())])]);
    let parts = list([list([]), atom("running"), Term::from(pid.clone()), list([]), shown]);
    tuple([atom("status"), Term::from(pid.clone()), pair(atom("module"), module), parts])
}

/// `net_kernel`: `{is_auth, Node}` is how nodes ping.
pub(super) fn receive_ping(to: &Mailbox<'_>, message: &Term) {
    let Some([tag, from, request]) = message.as_tuple() else { return };
    let asked = tag.is_atom("$gen_call") && matches!(request.as_tuple(), Some([verb, _]) if verb.is_atom("is_auth"));
    if let Some(from) = From::read(from).filter(|_| asked) {
        reply(to, &from, &atom("yes"));
    }
}

/// The state of a server that a term names, as `sys:get_state/1,2` called through `rpc` gives it.
pub(super) fn server_of(node: &super::Node, named: &Term) -> Option<(Pid, Arc<dyn GenServer>)> {
    let target: Target = super::named_target(named, node)?;
    match node.0.processes.kind(&target)? {
        (pid, super::processes::Kind::Server(server)) => Some((pid, server)),
        _ => None,
    }
}
