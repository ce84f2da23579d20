//! `erlang`: what the node tells about itself.

use std::time::Duration;

use super::figures::{self, Resident};
use super::{atom_text, badarg, distinct};
use crate::limits;
use crate::node::{CallResult, Context, Module, Raise, pair, transport, turns};
use crate::term::{Term, atom, charlist, list, tuple};

/// The OTP release whose protocol this node speaks: shells choose theirs by it.
const OTP_RELEASE: &str = "27";
/// The emulator's version of that release.
const ERTS: &str = "15.0";

pub(super) fn module() -> Module {
    Module::new("erlang").immediate("memory", 0..=1, memory).immediate("statistics", 1..=1, statistics).immediate(
        "system_info",
        1..=1,
        system_info,
    )
}

/// The kinds of memory, in the order of a BEAM node.
const MEMORY: [&str; 9] =
    ["total", "processes", "processes_used", "system", "atom", "atom_used", "binary", "code", "ets"];

/// Resident memory of this program, in bytes. There is one heap: of what it holds only that is told apart which the books
/// of the processes have; the program's own pages are `code`.
fn memory(context: &Context, args: &[Term]) -> CallResult {
    let all = memory_figures(context);
    let one = |kind: &Term| {
        let found = all.iter().find(|(name, _)| kind.is_atom(name));
        found.map(|(_, bytes)| Term::from(*bytes)).ok_or_else(badarg)
    };
    match args.first() {
        None => Ok(list(all.iter().map(|(kind, bytes)| pair(atom(kind), Term::from(*bytes))))),
        Some(Term::List(kinds)) => {
            let each = distinct(kinds)?.iter().map(|kind| Ok(pair(kind.clone(), one(kind)?)));
            Ok(Term::List(each.collect::<Result<_, Raise>>()?))
        }
        Some(kind) => one(kind),
    }
}

fn memory_figures(context: &Context) -> [(&'static str, u64); 9] {
    let Resident { total, files } = figures::resident();
    let kept = u64::try_from(context.node.0.processes.memory()).unwrap_or(u64::MAX);
    let processes = kept.min(total - files.min(total));
    MEMORY.map(|kind| {
        let bytes = match kind {
            "total" => total,
            "processes" | "processes_used" => processes,
            "system" => total - processes,
            "code" => files,
            _ => 0,
        };
        (kind, bytes)
    })
}

fn statistics(context: &Context, args: &[Term]) -> CallResult {
    let uptime = context.node.0.started.1.elapsed();
    let two = |value: u64| tuple([Term::from(value), Term::Int(0)]);
    match atom_text(args, 0)? {
        "wall_clock" => Ok(two(u64::try_from(uptime.as_millis()).unwrap_or(u64::MAX))),
        "runtime" => Ok(two(figures::cpu_milliseconds())),
        "io" => {
            let (read, written) = transport::traffic();
            Ok(tuple([pair(atom("input"), Term::from(read)), pair(atom("output"), Term::from(written))]))
        }
        "reductions" => Ok(two(turns::all())),
        "run_queue" | "total_run_queue_lengths" => Ok(Term::from(figures::run_queue())),
        "scheduler_wall_time" => Ok(scheduler_wall_time(uptime)),
        _ => Err(badarg()),
    }
}

/// For how long each thread was busy, and of how long (`{Id, ActiveTime, TotalTime}`, in nanoseconds). It is always measured.
fn scheduler_wall_time(uptime: Duration) -> Term {
    let nanoseconds = |time: Duration| Term::from(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    let each = figures::busy().into_iter().enumerate();
    list(each.map(|(at, busy)| tuple([Term::from(at + 1), nanoseconds(busy.min(uptime)), nanoseconds(uptime)])))
}

fn system_info(context: &Context, args: &[Term]) -> CallResult {
    let processors = |which: &str| figures::processors(which).map_or(atom("unknown"), Term::from);
    let (name, version) = context.node.0.settings.application;
    if let Some([what, side]) = args.first().and_then(Term::as_tuple)
        && what.is_atom("wordsize")
        && matches!(side.as_atom(), Some("internal" | "external"))
    {
        return Ok(Term::from(size_of::<usize>()));
    }
    Ok(match atom_text(args, 0)? {
        "system_version" => charlist(&format!("{name} {version} (a hidden node of OTP {OTP_RELEASE}'s protocol)\n")),
        "otp_release" => charlist(OTP_RELEASE),
        "version" => charlist(ERTS),
        "creation" => Term::from(context.node.0.creation),
        "process_count" => Term::from(context.node.0.processes.count()),
        "process_limit" => Term::from(limits::PROCESSES),
        // There are no ports, no tables, no schedulers for long work, and no pool of threads for files.
        "port_count"
        | "ets_count"
        | "start_time"
        | "thread_pool_size"
        | "dirty_cpu_schedulers"
        | "dirty_cpu_schedulers_online"
        | "dirty_io_schedulers" => Term::Int(0),
        "schedulers" | "schedulers_online" => Term::from(figures::workers()),
        "multi_scheduling" => atom("enabled"),
        "logical_processors" => processors("present"),
        "logical_processors_online" => processors("online"),
        "logical_processors_available" => Term::from(figures::available_processors()),
        "kernel_poll" | "smp_support" | "threads" => Term::from(true),
        // What waits in a link before senders do.
        "dist_buf_busy_limit" => Term::from(limits::LINK_STREAM_BYTES),
        "wordsize" => Term::from(size_of::<usize>()),
        "system_architecture" => charlist(&format!("{}-unknown-linux", std::env::consts::ARCH)),
        "machine" => charlist(name),
        "os_type" => pair(atom("unix"), atom("linux")),
        "time_offset" => atom("final"),
        "dist_ctrl" | "loaded" => list([]),
        _ => return Err(badarg()),
    })
}
