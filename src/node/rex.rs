//! `rex`: the older way of calling functions, by messages (kernel, `rpc`). `rpc:block_call` and C nodes use it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use futures::FutureExt;

use super::call::{self, From};
use super::control::{self, Target};
use super::dispatch::Mailbox;
use super::link::Link;
use super::processes::{Kill, Kind, Process};
use super::rpc::{self, Call, exit_reason, named_call};
use super::{Body, CallResult, Context, Node, Raise, pair};
use crate::term::{Atom, Pid, Term, atom, budget, codec, list, tuple};

/// How an answer goes back.
enum Reply {
    /// To a `$gen_call`: the bare value.
    Call(From),
    /// To a C node: `{rex, value}`.
    Message(Pid),
    /// A cast wants none.
    None,
}

/// A message to `rex`.
pub(super) fn receive(to: &Mailbox<'_>, message: Term) {
    let Term::Tuple(parts) = message else { return };
    let parts: [Term; 3] = match parts.len() {
        3 => match parts.try_into() {
            Ok(parts) => parts,
            Err(_) => return,
        },
        _ => return receive_pair(to, &parts),
    };
    let [tag, from, request] = parts;
    if !tag.is_atom("$gen_call") {
        return;
    }
    if let (Some(from), Some((call, group_leader))) = (From::read(&from), request_call(&request)) {
        let caller = from.pid.clone();
        run(to, call, (caller, group_leader), Reply::Call(from));
    }
}

fn receive_pair(to: &Mailbox<'_>, parts: &[Term]) {
    match parts {
        [Term::Pid(from), request] if request.is_atom("features_request") => {
            let features = list([atom("erpc")]);
            let answer = tuple([atom("features_reply"), Term::Atom(to.node.name().clone()), features]);
            answer_message(to.link, &to.pid, from, &answer);
        }
        [Term::Pid(from), request] => match (request.as_tuple(), request_call(request)) {
            (_, Some((call, group_leader))) => {
                run(to, call, ((**from).clone(), group_leader), Reply::Message((**from).clone()));
            }
            (Some([verb, Term::Atom(name), message]), None) if verb.is_atom("sbcast") => {
                let (target, node) = (Target::Name(name.clone()), Term::Atom(to.node.name().clone()));
                let known = to.node.0.processes.kind(&target).is_some();
                to.node.deliver(to.link, &target, (message.clone(), None));
                let missing = || pair(atom("nonexisting_name"), Term::Atom(name.clone()));
                let said = if known { node.clone() } else { missing() };
                answer_message(to.link, &to.pid, from, &tuple([atom("rex"), node, said]));
            }
            _ => {}
        },
        [tag, request] if tag.is_atom("$gen_cast") => {
            if let Some((call, group_leader)) = request_call(request) {
                run(to, call, (to.pid.clone(), group_leader), Reply::None);
            }
        }
        _ => {}
    }
}

/// `{call | block_call | cast, module, function, args, group_leader}`.
fn request_call(request: &Term) -> Option<(Call, Term)> {
    let [verb, module, function, args, group_leader] = request.as_tuple()? else { return None };
    let known = matches!(verb.as_atom(), Some("call" | "block_call" | "cast"));
    let known = known && matches!(group_leader, Term::Pid(_) | Term::Atom(_));
    let call = named_call(module.clone(), function.clone(), args.clone()).filter(|_| known)?;
    Some((call, group_leader.clone()))
}

fn run(to: &Mailbox<'_>, call: Call, (caller, group_leader): (Pid, Term), reply: Reply) {
    let node = to.node;
    let context = |this| Context { node: node.clone(), this, caller, group_leader };
    let Some(body) = node.0.modules.lookup(call.module.as_str(), call.function.as_str(), call.args.len()) else {
        let undef = Err(rpc::undef(&call));
        return answer(&Way { node, link: to.link, rex: &to.pid }, &reply, value(undef, &call));
    };
    match body.clone() {
        Body::Immediate(body) => {
            let context = context(to.pid.clone());
            let result = catch_unwind(AssertUnwindSafe(|| body(&context, &call.args)));
            let result = result.unwrap_or_else(|panic| Err(Raise::Exit(rpc::panic_reason(&*panic))));
            answer(&Way { node, link: to.link, rex: &to.pid }, &reply, value(result, &call));
        }
        Body::Waiting(body) => {
            let kill = Arc::new(Kill::default());
            let initial_call = (Atom::from_static("rpc"), Atom::from_static("call"), 4);
            let mut process = Process::new(node.0.processes.new_pid(), Kind::Task(kill.clone()), initial_call);
            process.account = (Some(to.link.id), memory(&call.args));
            let this = process.pid.clone();
            if node.0.processes.insert(process, None, None).is_err() {
                let full = Err(Raise::error(atom("system_limit")));
                return answer(&Way { node, link: to.link, rex: &to.pid }, &reply, value(full, &call));
            }
            let (context, args) = (context(this.clone()), call.args.clone());
            // A link that ends meanwhile is not held on to: much may wait in its queue.
            let (of, link, rex) = (node.clone(), Arc::downgrade(to.link), to.pid.clone());
            let running = async move {
                let result = body(context, args).await;
                if let Some(link) = link.upgrade() {
                    answer(&Way { node: &of, link: &link, rex: &rex }, &reply, value(result, &call));
                    link.queue.flush();
                }
                atom("normal")
            };
            node.run(this, kill, running.boxed());
        }
    }
}

/// Bytes of memory that arguments take.
fn memory(args: &[Term]) -> usize {
    let mut encoded = Vec::new();
    let measured = codec::encode(&Term::List(args.to_vec()), &mut encoded)
        .ok()
        .and_then(|()| budget::measure(&encoded, usize::MAX).ok());
    measured.map_or(usize::MAX, |size| size.memory)
}

/// The value of a call, or `{badrpc, {'EXIT', Reason}}`; a thrown value is a value.
fn value(result: CallResult, call: &Call) -> Term {
    match result {
        Ok(value) | Err(Raise::Throw(value)) => value,
        Err(raise) => pair(atom("badrpc"), pair(atom("EXIT"), exit_reason(raise, call))),
    }
}

/// The way back of an answer.
struct Way<'a> {
    node: &'a Node,
    link: &'a Arc<Link>,
    rex: &'a Pid,
}

fn answer(way: &Way<'_>, reply: &Reply, value: Term) {
    match reply {
        Reply::Call(from) => {
            let to = Mailbox { node: way.node, link: way.link, pid: way.rex.clone(), token: None };
            call::reply(&to, from, &value);
        }
        Reply::Message(to) => answer_message(way.link, way.rex, to, &pair(atom("rex"), value)),
        Reply::None => {}
    }
}

fn answer_message(link: &Link, rex: &Pid, to: &Pid, message: &Term) {
    rpc::send_or_say(link, &control::send(rex, to, None), message);
}
