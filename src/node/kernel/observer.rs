//! `observer_backend`: what `observer`, `etop` and their kin ask a node for (`runtime_tools`, `observer_backend`; the records
//! in its `observer_backend.hrl`). The same from OTP 25 to 29.

use std::future::pending;
use std::time::Duration;

use super::{answer, atom_text, badarg, process, reader};
use crate::limits;
use crate::node::control::{self, Target};
use crate::node::processes::Seen;
use crate::node::{Body, CallResult, Context, Module, Raise, pair};
use crate::term::{Pid, Term, atom, charlist, list, tuple};

pub(super) fn module() -> Module {
    Module::new("observer_backend")
        .immediate("vsn", 0..=0, |context, _| Ok(pair(Term::OK, charlist(context.node.0.settings.application.1))))
        .immediate("sys_info", 0..=0, sys_info)
        // Nothing here is a port, a socket of Erlang's, or a table.
        .immediate("get_port_list", 0..=0, |_, _| Ok(list([])))
        .immediate("get_socket_list", 0..=0, |_, _| Ok(list([])))
        .immediate("socket_info", 0..=0, |_, _| Ok(list([])))
        .immediate("get_table_list", 2..=2, get_table_list)
        .waiting("procs_info", 1..=1, |context, args| async move {
            let collector = pid(&args, 0)?;
            let message = tuple([atom("procs_info"), Term::from(context.this.clone()), processes(&context)]);
            tell(&context, &collector, message).await
        })
        .waiting("etop_collect", 1..=1, |context, args| async move {
            let collector = pid(&args, 0)?;
            let message = pair(Term::from(context.this.clone()), etop(&context)?);
            tell(&context, &collector, message).await
        })
        .waiting("fetch_stats", 2..=2, fetch_stats)
}

pub(super) fn pid(args: &[Term], at: usize) -> Result<Pid, Raise> {
    reader(args, at, "pid")?.pid().map_err(|_| badarg())
}

/// A message that goes before the end of the process that sends it.
pub(super) async fn tell(context: &Context, to: &Pid, message: Term) -> CallResult {
    let node = &context.node;
    if node.0.processes.is_own(to) {
        node.deliver_here(&Target::Pid(to.clone()), &message);
    } else {
        node.send_to(&to.node, &control::send(&context.this, to, None), &message).await;
    }
    Ok(Term::OK)
}

/// A function of `erlang` of this node.
fn erlang(context: &Context, function: &str, args: &[Term]) -> CallResult {
    match context.node.0.modules.lookup("erlang", function, args.len()) {
        Some(Body::Immediate(body)) => body(context, args),
        _ => Err(badarg()),
    }
}

/// The figures of observer's tab "System"; what there is no figure for is `undefined`, which it shows as not available.
fn sys_info(context: &Context, _: &[Term]) -> CallResult {
    let info = |name: &'static str| erlang(context, "system_info", &[atom(name)]);
    let wordsize = |side: &'static str| erlang(context, "system_info", &[pair(atom("wordsize"), atom(side))]);
    let first = |pair: Term| pair.as_tuple().and_then(|parts| parts.first().cloned()).ok_or_else(badarg);
    let (read, written) = crate::node::transport::traffic();
    let schedulers = info("schedulers_online")?;
    let none = || atom("undefined");
    let mut all = vec![
        ("uptime", first(erlang(context, "statistics", &[atom("wall_clock")])?)?),
        ("run_queue", erlang(context, "statistics", &[atom("run_queue")])?),
        ("io_input", Term::from(read)),
        ("io_output", Term::from(written)),
    ];
    for name in ["logical_processors", "logical_processors_online", "logical_processors_available", "schedulers"] {
        all.push((name, info(name)?));
    }
    all.extend([("schedulers_online", schedulers.clone()), ("schedulers_available", schedulers)]);
    for name in ["otp_release", "version", "system_architecture", "kernel_poll", "smp_support", "threads"] {
        all.push((name, info(name)?));
    }
    all.extend([
        ("thread_pool_size", info("thread_pool_size")?),
        ("wordsize_internal", wordsize("internal")?),
        ("wordsize_external", wordsize("external")?),
        // No allocator of Erlang's is there: `false`, as of one that is turned off.
        ("alloc_info", list([pair(atom("sys_alloc"), Term::from(false))])),
        ("process_count", info("process_count")?),
        // Atoms are kept where they are used, not in a table.
        ("atom_limit", none()),
        ("atom_count", none()),
        ("process_limit", info("process_limit")?),
        ("process_count", info("process_count")?),
        ("port_limit", none()),
        ("port_count", info("port_count")?),
        ("ets_limit", none()),
        ("ets_count", info("ets_count")?),
        ("dist_buf_busy_limit", info("dist_buf_busy_limit")?),
    ]);
    let mut all: Vec<Term> = all.into_iter().map(|(name, value)| pair(atom(name), value)).collect();
    all.extend(erlang(context, "memory", &[])?.as_list().unwrap_or_default().iter().cloned());
    Ok(Term::List(all))
}

fn get_table_list(context: &Context, args: &[Term]) -> CallResult {
    match atom_text(args, 0)? {
        "ets" => Ok(list([])),
        "mnesia" => {
            let text = charlist(&format!("Mnesia is not running on: {}", context.node.name()));
            Err(Raise::Throw(pair(atom("error"), text)))
        }
        _ => Err(Raise::error(atom("function_clause"))),
    }
}

/// All processes but the one that asks, as `#etop_proc_info{}`.
fn processes(context: &Context) -> Term {
    let all = context.node.0.processes.look_at_all().into_iter();
    list(all.filter(|seen| seen.pid != context.this).map(etop_proc_info))
}

fn etop_proc_info(seen: Seen) -> Term {
    let name = seen.name.map_or_else(|| process::function(seen.initial_call.clone()), Term::Atom);
    tuple([
        atom("etop_proc_info"),
        Term::from(seen.pid),
        Term::from(seen.memory),
        Term::from(seen.turns),
        name,
        Term::Int(0),
        process::current_function(seen.is_server, Some(seen.initial_call)),
        Term::from(seen.waiting),
    ])
}

/// `#etop_info{}`.
fn etop(context: &Context) -> CallResult {
    let processes = processes(context);
    let memory = |kind: &'static str| Ok(pair(atom(kind), erlang(context, "memory", &[atom(kind)])?));
    let kinds = ["total", "processes", "ets", "atom", "code", "binary"];
    let memory = Term::List(kinds.into_iter().map(memory).collect::<Result<_, Raise>>()?);
    answer(tuple([
        atom("etop_info"),
        timestamp(),
        Term::from(processes.as_list().map_or(0, <[Term]>::len)),
        atom("undefined"),
        erlang(context, "statistics", &[atom("scheduler_wall_time")])?,
        erlang(context, "statistics", &[atom("run_queue")])?,
        list([]),
        memory,
        processes,
    ]))
}

/// `erlang:timestamp/0`.
fn timestamp() -> Term {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let seconds = now.as_secs();
    tuple([Term::from(seconds / 1_000_000), Term::from(seconds % 1_000_000), Term::from(now.subsec_micros())])
}

/// Sends figures to a process at the interval that it asks for, until it sends something or ends.
async fn fetch_stats(context: Context, args: Vec<Term>) -> CallResult {
    let parent = pid(&args, 0)?;
    let interval = reader(&args, 1, "time")?.integer(0..=i64::from(u32::MAX)).map_err(|_| badarg())?;
    let interval = Duration::from_millis(u64::try_from(interval).map_err(|_| badarg())?).max(limits::OBSERVER_INTERVAL);
    let (node, this) = (context.node.clone(), context.this.clone());
    let told = node.open_inbox(&this);
    let stats = async {
        loop {
            tokio::time::sleep(interval).await;
            let Ok(message) = stats(&context) else { return pending::<()>().await };
            // Whose node is gone has ended, which is told as well.
            node.send(&this, &parent, message).await.unwrap_or_default();
        }
    };
    let until_told = async {
        tokio::select! {
            _ = told.next() => {}
            () = stats => {}
            () = node.closing() => {}
        }
    };
    node.while_alive(&this, &parent, until_told).await;
    Ok(Term::OK)
}

fn stats(context: &Context) -> CallResult {
    Ok(tuple([
        atom("stats"),
        Term::Int(1),
        erlang(context, "statistics", &[atom("scheduler_wall_time")])?,
        erlang(context, "statistics", &[atom("io")])?,
        erlang(context, "memory", &[])?,
    ]))
}
