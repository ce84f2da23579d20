//! `erlang`: time, this node and its processes.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

use super::{answer, atom_text, badarg, code, distinct, reader};
use crate::node::control::{self, Target};
use crate::node::{CallResult, Context, Module, Raise};
use crate::term::elixir::date_and_time;
use crate::term::{Atom, Pid, Term, atom, list, tuple};

pub(super) fn module() -> Module {
    let module = Module::new("erlang")
        .immediate("node", 0..=1, |context, args| match args {
            [] => answer(context.node.name().clone()),
            [Term::Pid(pid)] => answer(pid.node.clone()),
            [Term::Ref(reference)] => answer(reference.node.clone()),
            [Term::Port(port)] => answer(port.node.clone()),
            _ => Err(badarg()),
        })
        .immediate("nodes", 0..=1, nodes)
        .immediate("self", 0..=0, |context, _| answer(context.this.clone()))
        .immediate("group_leader", 0..=0, |context, _| Ok(context.group_leader.clone()))
        .immediate("date", 0..=0, |_, _| Ok(now()[0].clone()))
        .immediate("time", 0..=0, |_, _| Ok(now()[1].clone()))
        .immediate("localtime", 0..=0, |_, _| Ok(tuple(now())))
        .immediate("universaltime", 0..=0, |_, _| Ok(tuple(now())))
        .immediate("system_time", 0..=1, |_, args| in_unit(since_epoch(), args))
        .immediate("monotonic_time", 0..=1, |context, args| {
            in_unit(context.node.0.started.1.elapsed().as_nanos(), args)
        })
        .immediate("function_exported", 3..=3, function_exported)
        .immediate("module_loaded", 1..=1, |context, args| answer(code::is_known(context, atom_text(args, 0)?)))
        .immediate("apply", 2..=2, |_, args| match args {
            [Term::Fun(_), Term::List(_)] => Err(Raise::error(atom("undef"))),
            [other, _] => Err(Raise::error(tuple([atom("badfun"), other.clone()]))),
            _ => Err(badarg()),
        })
        .immediate("throw", 1..=1, |_, args| Err(Raise::Throw(args.first().cloned().ok_or_else(badarg)?)))
        .immediate("exit", 1..=1, |_, args| Err(Raise::Exit(args.first().cloned().ok_or_else(badarg)?)))
        .immediate("error", 1..=2, |_, args| Err(Raise::error(args.first().cloned().ok_or_else(badarg)?)))
        // Nobody hears back from a node that halted.
        .waiting("halt", 0..=2, |context, _| async move {
            context.node.0.settings.stop.cancel();
            std::future::pending().await
        });
    with_processes(module)
}

fn with_processes(module: Module) -> Module {
    module
        .immediate("registered", 0..=0, |context, _| {
            Ok(list(context.node.0.processes.registered().into_iter().map(Term::Atom)))
        })
        .immediate("whereis", 1..=1, |context, args| {
            let found = context.node.whereis(atom_text(args, 0)?);
            Ok(found.map_or(atom("undefined"), Term::from))
        })
        .immediate("processes", 0..=0, |context, _| {
            Ok(list(context.node.0.processes.pids().into_iter().map(Term::from)))
        })
        .immediate("is_process_alive", 1..=1, |context, args| {
            let pid = own_pid(context, args)?;
            answer(context.node.is_alive(&pid) || pid == context.this)
        })
        .waiting("send", 2..=3, |context, args| async move { send(&context, &args).await })
        .waiting("exit", 2..=2, |context, args| async move {
            let pid = reader(&args, 0, "pid")?.pid().map_err(|_| badarg())?;
            let reason = args.get(1).cloned().ok_or_else(badarg)?;
            context.node.exit(&context.this, &pid, reason).await;
            answer(true)
        })
}

/// A pid of this node; other nodes' are `badarg`, as on a BEAM node.
pub(super) fn own_pid(context: &Context, args: &[Term]) -> Result<Pid, Raise> {
    let pid = reader(args, 0, "pid")?.pid().map_err(|_| badarg())?;
    if context.node.0.processes.is_own(&pid) { Ok(pid) } else { Err(badarg()) }
}

/// Links are hidden to the peers as this node is: all peers are hidden ones.
fn nodes(context: &Context, args: &[Term]) -> CallResult {
    let all = || context.node.0.links.all().into_iter().map(|link| Term::Atom(link.peer.clone()));
    let own = || Term::Atom(context.node.name().clone());
    let one = |kind: &Term| match kind.as_atom() {
        Some("connected" | "hidden") => Ok(all().collect::<Vec<_>>()),
        Some("known") => Ok(all().chain([own()]).collect()),
        Some("this") => Ok(vec![own()]),
        Some("visible") => Ok(Vec::new()),
        _ => Err(badarg()),
    };
    match args {
        [] => Ok(list([])),
        [Term::List(kinds)] => {
            let mut found: Vec<Term> = Vec::new();
            for kind in distinct(kinds)? {
                one(kind)?.into_iter().for_each(|node| {
                    if !found.contains(&node) {
                        found.push(node);
                    }
                });
            }
            Ok(Term::List(found))
        }
        [kind] => one(kind).map(Term::List),
        _ => Err(badarg()),
    }
}

fn function_exported(context: &Context, args: &[Term]) -> CallResult {
    let [module, function] = [atom_text(args, 0)?, atom_text(args, 1)?];
    let arity = reader(args, 2, "arity")?.integer(0..=255).map_err(|_| badarg())?;
    let arity = usize::try_from(arity).map_err(|_| badarg())?;
    answer(context.node.0.modules.lookup(module, function, arity).is_some())
}

/// The node that a receiver is on, if it says so.
fn place(to: &Term) -> Option<&Atom> {
    match to {
        Term::Pid(pid) => Some(&pid.node),
        Term::Ref(alias) => Some(&alias.node),
        Term::Tuple(parts) => match parts.as_slice() {
            [_, Term::Atom(at)] => Some(at),
            _ => None,
        },
        _ => None,
    }
}

/// To a process, an alias or a name of any node; names that nobody has here are `badarg`.
async fn send(context: &Context, args: &[Term]) -> CallResult {
    let (to, message) = (args.first().ok_or_else(badarg)?, args.get(1).cloned().ok_or_else(badarg)?);
    let known = |option: &Term| matches!(option.as_atom(), Some("noconnect" | "nosuspend"));
    let options = args.get(2).map_or(Some([].as_slice()), Term::as_list).ok_or_else(badarg)?;
    if !options.iter().all(known) {
        return Err(badarg());
    }
    let node = &context.node;
    let away = place(to).is_some_and(|at| at != node.name() && node.0.links.get(at).is_none());
    if away && options.iter().any(|option| option.is_atom("noconnect")) {
        return Ok(atom("noconnect"));
    }
    match to {
        Term::Pid(pid) if node.0.processes.is_own(pid) => {
            node.deliver_here(&Target::Pid((**pid).clone()), &message);
        }
        // What is gone takes no message, and nobody is told, as everywhere in Erlang.
        Term::Pid(pid) => node.send(&context.this, pid, message.clone()).await.unwrap_or_default(),
        Term::Ref(alias) => node.send_to(&alias.node, &control::alias_send(&context.this, alias, None), &message).await,
        Term::Atom(name) if node.whereis(name.as_str()).is_none() => return Err(badarg()),
        Term::Atom(name) => node.deliver_here(&Target::Name(name.clone()), &message),
        Term::Tuple(parts) => match parts.as_slice() {
            [Term::Atom(name), Term::Atom(at)] if at == node.name() => {
                node.deliver_here(&Target::Name(name.clone()), &message);
            }
            [Term::Atom(name), Term::Atom(at)] => {
                node.send_to(at, &control::send_named(&context.this, name), &message).await;
            }
            _ => return Err(badarg()),
        },
        _ => return Err(badarg()),
    }
    Ok(if args.len() == 3 { Term::OK } else { message })
}

fn since_epoch() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos()
}

/// Nanoseconds in the unit asked for: `second`, `millisecond`, ..., or parts a second.
fn in_unit(nanoseconds: u128, args: &[Term]) -> CallResult {
    let parts: u128 = match args.first() {
        None => 1_000_000_000,
        Some(Term::Int(parts)) if *parts > 0 => u128::try_from(*parts).map_err(|_| badarg())?,
        Some(unit) => match unit.as_atom() {
            Some("second" | "seconds") => 1,
            Some("millisecond" | "milli_seconds") => 1_000,
            Some("microsecond" | "micro_seconds") => 1_000_000,
            Some("nanosecond" | "nano_seconds" | "native") => 1_000_000_000,
            _ => return Err(badarg()),
        },
    };
    let value = nanoseconds.checked_mul(parts).ok_or_else(badarg)? / 1_000_000_000;
    answer(u64::try_from(value).map_err(|_| badarg())?)
}

/// The date and the time of day.
fn now() -> [Term; 2] {
    date_and_time(Timestamp::now())
}
