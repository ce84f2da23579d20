//! Calls of registered servers: the `gen_server` protocol.
//!
//! An error in a call is its server's exit reason, as on a BEAM node: who watches the server hears of it, and the server is
//! started anew. What it holds is the domain's, and stays.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use futures::future::BoxFuture;

use super::control::{self, Target};
use super::dispatch::Mailbox;
use super::processes::{Kind, ServerProcess};
use super::{Context, GenServer, Raise, pair, rpc, sys};
use crate::term::{Pid, Reference, Term, atom, charlist, elixir, list, tuple};

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

    /// Whether the caller runs OTP 26 or later.
    pub(super) fn is_since_26(&self) -> bool {
        self.alias().is_some_and(|alias| alias.words().len() >= WORDS_SINCE_26)
    }
}

/// A message to a registered server.
pub(super) fn receive(to: &Mailbox<'_>, process: &Arc<ServerProcess>, message: Term) {
    if let Some([tag, from, request]) = message.as_tuple()
        && tag.is_atom("system")
        && let Some(from) = From::read(from)
    {
        return sys::receive(to, process, (&from, request));
    }
    if !process.is_suspended() {
        return take(to, process, &message);
    }
    // It may have been resumed in between.
    if let Some(message) = process.keep(to.link, message) {
        take(to, process, &message);
    }
}

/// Does what a message asks for.
pub(super) fn take(to: &Mailbox<'_>, process: &ServerProcess, message: &Term) {
    let server = &process.server;
    process.took();
    match message.as_tuple().unwrap_or_default() {
        [tag, from, request] if tag.is_atom("$gen_call") => {
            if let Some(from) = From::read(from) {
                return call(to, server.as_ref(), &from, request);
            }
        }
        [tag, request] if tag.is_atom("$gen_cast") => return cast(to, server.as_ref(), request),
        _ => {}
    }
    tracing::debug!(server = server.module(), "a message that is not known was dropped: {message:?}");
}

/// A cast that no clause takes ends the server, as that of an Elixir server does which has no such clause.
fn cast(to: &Mailbox<'_>, server: &dyn GenServer, request: &Term) {
    if server.cast(request) || server.traps_exits() {
        return;
    }
    let name = atom(server.module());
    let text = format!("attempted to cast GenServer {name:?} but no handle_cast/2 clause was provided");
    let stack = list([tuple([name, atom("handle_cast"), Term::Int(2), location()])]);
    to.node.server_ended(&to.pid, &pair(elixir::runtime_error(text), stack));
}

/// Where in a stack: shells print no error without it.
fn location() -> Term {
    list([pair(atom("file"), charlist("otturnaut"))])
}

fn call(to: &Mailbox<'_>, server: &dyn GenServer, from: &From, request: &Term) {
    let context = Context {
        node: to.node.clone(),
        this: to.pid.clone(),
        caller: from.pid.clone(),
        group_leader: Term::from(from.pid.clone()),
    };
    if let Some(later) = server.call_later(&context, request) {
        return answer_later(to, from, later);
    }
    let caller = pair(Term::from(from.pid.clone()), from.tag.clone());
    match answer(&context, server, (&caller, request)) {
        Ok(answer) => reply(to, from, &answer),
        Err(reason) => to.node.server_ended(&to.pid, &reason),
    }
}

/// What a server answers to a caller's request, or the reason that it ends with.
fn answer(context: &Context, server: &dyn GenServer, (caller, request): (&Term, &Term)) -> Result<Term, Term> {
    let answered = catch_unwind(AssertUnwindSafe(|| server.call(context, request)));
    let frame = |args| list([tuple([atom(server.module()), atom("handle_call"), args, location()])]);
    let stack = || frame(Term::Int(3));
    Err(match answered {
        Ok(Ok(Some(answer))) => return Ok(answer),
        Ok(Ok(None)) => pair(atom("function_clause"), frame(list([request.clone(), caller.clone(), server.state()]))),
        Ok(Err(Raise::Error(error, _))) => pair(error, stack()),
        Ok(Err(Raise::Exit(reason))) => reason,
        Ok(Err(Raise::Throw(value))) => pair(pair(atom("nocatch"), value), stack()),
        Err(panic) => rpc::panic_reason(&*panic),
    })
}

impl super::Node {
    /// Calls a registered server of this node from one of its processes.
    ///
    /// # Errors
    /// There is no such server, or it ended with what the call raised.
    pub async fn call_server(&self, context: &Context, named: &Term, request: &Term) -> Result<Term, Raise> {
        let call = || tuple([atom("Elixir.GenServer"), atom("call"), list([named.clone(), request.clone()])]);
        let Some((pid, process)) = server_of(self, named) else {
            return Err(Raise::Exit(pair(atom("noproc"), call())));
        };
        if process.is_suspended() {
            return Err(Raise::Exit(pair(atom("suspended"), call())));
        }
        process.took();
        if let Some(later) = process.server.call_later(context, request) {
            return Ok(later.await);
        }
        match answer(context, process.server.as_ref(), (&Term::NIL, request)) {
            Ok(answer) => Ok(answer),
            Err(reason) => {
                self.server_ended(&pid, &reason);
                Err(Raise::Exit(pair(reason, call())))
            }
        }
    }
}

/// Answers when the answer is there, and serves others meanwhile.
fn answer_later(to: &Mailbox<'_>, from: &From, later: BoxFuture<'static, Term>) {
    let (node, link, pid, token) = (to.node.clone(), Arc::downgrade(to.link), to.pid.clone(), to.token.clone());
    let from = From { pid: from.pid.clone(), tag: from.tag.clone() };
    to.node.spawn(("gen_server", "reply", 2), |_| async move {
        let answer = later.await;
        if let Some(link) = link.upgrade() {
            reply(&Mailbox { node: &node, link: &link, pid, token }, &from, &answer);
            link.queue.flush();
        }
        atom("normal")
    });
}

/// Sends an answer to a call; one that cannot be sent ends the server, as an error in it does.
pub(super) fn reply(to: &Mailbox<'_>, from: &From, answer: &Term) {
    let message = pair(from.tag.clone(), answer.clone());
    let control = match from.alias() {
        Some(alias) => control::alias_send(&to.pid, alias, to.token.as_ref()),
        None => control::send(&to.pid, &from.pid, to.token.as_ref()),
    };
    if let Err(e) = to.link.send(&control, Some(&message)) {
        to.node.server_ended(&to.pid, &pair(atom("badarg"), crate::term::binary(e.to_string())));
    }
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
pub(super) fn server_of(node: &super::Node, named: &Term) -> Option<(Pid, Arc<ServerProcess>)> {
    let target: Target = super::named_target(named, node)?;
    match node.0.processes.kind(&target)? {
        (pid, Kind::Server(process)) => Some((pid, process)),
        _ => None,
    }
}
