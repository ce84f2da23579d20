//! `erlang`: what the node tells about itself and its processes.

use std::sync::Arc;

use super::{atom_text, badarg, distinct, erlang::own_pid};
use crate::limits;
use crate::node::control::Target;
use crate::node::processes::{Kind, ServerProcess};
use crate::node::transport;
use crate::node::{CallResult, Context, Module, Raise, pair};
use crate::term::{Atom, Pid, Term, atom, charlist, list, tuple};

/// The OTP release whose protocol this node speaks: shells choose theirs by it.
const OTP_RELEASE: &str = "27";
/// The emulator's version of that release.
const ERTS: &str = "15.0";

pub(super) fn add_to(module: Module) -> Module {
    module
        .immediate("memory", 0..=1, memory)
        .immediate("statistics", 1..=1, statistics)
        .immediate("system_info", 1..=1, system_info)
        .immediate("process_info", 1..=2, process_info)
}

/// Resident memory of this program, in bytes. There is one heap: what it holds is not told apart.
fn memory(_: &Context, args: &[Term]) -> CallResult {
    let bytes = Term::from(resident_bytes());
    let total = ["total", "processes", "processes_used", "system", "atom", "atom_used", "binary", "code", "ets"];
    let value = |kind: &str| if matches!(kind, "total" | "system") { bytes.clone() } else { Term::Int(0) };
    match args.first() {
        None => Ok(list(total.map(|kind| pair(atom(kind), value(kind))))),
        Some(Term::List(kinds)) => {
            let one = |kind: &Term| match kind.as_atom() {
                Some(name) if total.contains(&name) => Ok(pair(kind.clone(), value(name))),
                _ => Err(badarg()),
            };
            Ok(Term::List(distinct(kinds)?.iter().map(one).collect::<Result<_, _>>()?))
        }
        Some(kind) => match kind.as_atom() {
            Some(name) if total.contains(&name) => Ok(value(name)),
            _ => Err(badarg()),
        },
    }
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm.split_whitespace().nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    pages * u64::try_from(rustix::param::page_size()).unwrap_or(4096)
}

/// Milliseconds of processor time of this program.
fn cpu_milliseconds() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Behind the name, which may hold blanks: fields 14 and 15 count ticks of user and system time.
    let fields: Vec<&str> =
        stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect()).unwrap_or_default();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
    (ticks(11) + ticks(12)) * 1000 / rustix::param::clock_ticks_per_second().max(1)
}

fn statistics(context: &Context, args: &[Term]) -> CallResult {
    let uptime = u64::try_from(context.node.0.started.1.elapsed().as_millis()).unwrap_or(u64::MAX);
    let two = |value: u64| tuple([Term::from(value), Term::Int(0)]);
    match atom_text(args, 0)? {
        "wall_clock" => Ok(two(uptime)),
        "runtime" => Ok(two(cpu_milliseconds())),
        "io" => {
            let (read, written) = transport::traffic();
            Ok(tuple([pair(atom("input"), Term::from(read)), pair(atom("output"), Term::from(written))]))
        }
        "reductions" => Ok(two(0)),
        "run_queue" => Ok(Term::Int(0)),
        _ => Err(badarg()),
    }
}

fn system_info(context: &Context, args: &[Term]) -> CallResult {
    let cpus = || Term::from(std::thread::available_parallelism().map_or(1, usize::from));
    let (name, version) = context.node.0.settings.application;
    Ok(match atom_text(args, 0)? {
        "system_version" => charlist(&format!("{name} {version} (a hidden node of OTP {OTP_RELEASE}'s protocol)\n")),
        "otp_release" => charlist(OTP_RELEASE),
        "version" => charlist(ERTS),
        "creation" => Term::from(context.node.0.creation),
        "process_count" => Term::from(context.node.0.processes.pids().len()),
        "process_limit" => Term::from(limits::PROCESSES),
        "port_count" | "ets_count" | "start_time" => Term::Int(0),
        "schedulers" | "schedulers_online" | "logical_processors" | "logical_processors_available" => cpus(),
        "wordsize" => Term::from(size_of::<usize>()),
        "system_architecture" => charlist(&format!("{}-unknown-linux", std::env::consts::ARCH)),
        "machine" => charlist(name),
        "os_type" => pair(atom("unix"), atom("linux")),
        "time_offset" => atom("final"),
        "dist_ctrl" | "loaded" => list([]),
        _ => return Err(badarg()),
    })
}

/// All items of a process, one of them, or some.
fn process_info(context: &Context, args: &[Term]) -> CallResult {
    // Those and the order of a BEAM node; what a process here does not have is 0 or empty.
    const ALL: [&str; 17] = [
        "registered_name",
        "current_function",
        "initial_call",
        "status",
        "message_queue_len",
        "links",
        "dictionary",
        "trap_exit",
        "error_handler",
        "priority",
        "group_leader",
        "total_heap_size",
        "heap_size",
        "stack_size",
        "reductions",
        "garbage_collection",
        "suspending",
    ];
    let pid = own_pid(context, args)?;
    if !context.node.is_alive(&pid) && pid != context.this {
        return Ok(atom("undefined"));
    }
    let one = |name: &str| item(context, &pid, name);
    match args.get(1) {
        None => {
            let items = ALL.iter().map(|name| one(name)).collect::<Result<Vec<_>, _>>()?;
            // A process without a name has no such item in the whole list.
            Ok(list(items.into_iter().filter(|item| !matches!(item, Term::List(_)))))
        }
        Some(Term::List(names)) => {
            let pick = |name: &Term| match (name.as_atom(), one(name.as_atom().unwrap_or_default())?) {
                (Some("registered_name"), Term::List(_)) => Ok(pair(name.clone(), list([]))),
                (_, item) => Ok(item),
            };
            Ok(Term::List(distinct(names)?.iter().map(pick).collect::<Result<_, Raise>>()?))
        }
        Some(name) => one(name.as_atom().ok_or_else(badarg)?),
    }
}

fn item(context: &Context, pid: &Pid, name: &str) -> Result<Term, Raise> {
    let processes = &context.node.0.processes;
    let initial = || {
        let call = processes.with(pid, |process, _| process.initial_call.clone());
        let (module, function, arity) = call.unwrap_or((Atom::from_static("erlang"), Atom::from_static("apply"), 2));
        tuple([Term::Atom(module), Term::Atom(function), Term::from(arity)])
    };
    // A server is a `gen_server` of OTP to whoever looks.
    let server = server(context, pid);
    let is_server = server.is_some();
    let looped = || [atom("gen_server"), atom("loop"), Term::Int(7)];
    let value = match name {
        "initial_call" if is_server => tuple([atom("proc_lib"), atom("init_p"), Term::Int(5)]),
        "current_function" if is_server => tuple(looped()),
        "current_stacktrace" if is_server => {
            let [module, function, arity] = looped();
            list([tuple([module, function, arity, list([])])])
        }
        // What a process takes here is not told apart; each takes something.
        "memory" | "reductions" => Term::Int(1_000),
        "registered_name" => match processes.with(pid, |_, name| name.cloned()).flatten() {
            Some(name) => Term::Atom(name),
            None => return Ok(list([])),
        },
        "current_function" | "initial_call" => initial(),
        "status" => atom("waiting"),
        "message_queue_len" => {
            let waiting = |kind: &Kind| if let Kind::Server(process) = kind { process.waiting() } else { 0 };
            Term::from(processes.with(pid, |process, _| waiting(&process.kind)).unwrap_or(0))
        }
        "heap_size" | "total_heap_size" | "stack_size" => Term::Int(0),
        "links" => list(links(context, pid).into_iter().map(Term::from)),
        "monitored_by" => {
            let watchers = processes.with(pid, |process, _| process.watched_by().cloned().collect::<Vec<_>>());
            list(watchers.unwrap_or_default().into_iter().map(Term::from))
        }
        "dictionary" if let Some(server) = &server => crate::node::sys::dictionary(&context.node, server),
        "dictionary" => list([pair(atom("$initial_call"), initial())]),
        "error_handler" => atom("error_handler"),
        "garbage_collection" | "suspending" | "messages" | "monitors" | "current_stacktrace" => list([]),
        "group_leader" => {
            let leader = processes.with(pid, |process, _| process.group_leader.clone());
            leader.unwrap_or_else(|| context.group_leader.clone())
        }
        "trap_exit" => {
            let traps = |kind: &Kind| matches!(kind, Kind::Server(process) if process.server.traps_exits());
            Term::from(processes.with(pid, |process, _| traps(&process.kind)).unwrap_or(false))
        }
        "priority" => atom("normal"),
        _ => return Err(badarg()),
    };
    Ok(pair(Atom::new(name).map_or(Term::NIL, Term::Atom), value))
}

/// Peers' processes that are linked, the supervisor that started the process, and those that it started itself.
fn links(context: &Context, pid: &Pid) -> Vec<Pid> {
    let node = &context.node;
    let found =
        node.0.processes.with(pid, |process, _| (process.linked_to().cloned().collect::<Vec<_>>(), process.supervisor));
    let (mut links, supervisor) = found.unwrap_or_default();
    links.extend(supervisor.and_then(|name| node.whereis(name)));
    links.extend(server(context, pid).into_iter().flat_map(|process| process.server.children(node)));
    links
}

/// The registered server that a pid means.
fn server(context: &Context, pid: &Pid) -> Option<Arc<ServerProcess>> {
    match context.node.0.processes.kind(&Target::Pid(pid.clone()))? {
        (_, Kind::Server(process)) => Some(process),
        _ => None,
    }
}
