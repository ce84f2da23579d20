//! What is not there: the names that were meant, and what Elixir has that this shell does not.

use std::ops::RangeInclusive;

use super::library;
use crate::node::Node;

/// How much a name must be like another one to be what was meant, as Elixir has it.
const ALIKE: f64 = 0.77;

/// Most names that are offered.
const OFFERED: usize = 5;

/// A name and how many arguments it takes.
type Function = (String, RangeInclusive<usize>);

/// The functions of a module, of the node's tables and of the shell's library.
pub(super) fn functions(node: &Node, module: &str) -> Vec<Function> {
    let written = node.modules().module(module).map(|module| module.exports.as_slice()).unwrap_or_default();
    let written = written.iter().map(|export| (export.name.to_owned(), export.arities.clone()));
    let own = library::functions().filter(|(own, ..)| *own == module);
    written.chain(own.map(|(_, name, arities)| (name.to_owned(), arities))).collect()
}

/// The names that are like one, with their arities; the likest first.
pub(super) fn alike(known: &[Function], name: &str) -> Vec<String> {
    let mut found: Vec<(f64, String)> = Vec::new();
    for (own, arities) in known.iter().filter(|(own, _)| !matches!(own.as_str(), "module_info" | "__info__")) {
        let likeness = likeness(own, name);
        if likeness > ALIKE {
            found.extend(arities.clone().map(|arity| (likeness, format!("{own}/{arity}"))));
        }
    }
    found.sort_by(|(a, one), (b, other)| b.total_cmp(a).then_with(|| one.cmp(other)));
    found.dedup();
    found.into_iter().map(|(_, name)| name).take(OFFERED).collect()
}

/// Jaro's: from 0 to 1.
pub(super) fn likeness(one: &str, other: &str) -> f64 {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    if one.is_empty() && other.is_empty() || one == other {
        return 1.0;
    }
    let reach = (one.len().max(other.len()) / 2).saturating_sub(1);
    let mut taken = vec![false; other.len()];
    let mut matched = Vec::new();
    for (at, c) in one.iter().enumerate() {
        let places = at.saturating_sub(reach)..(at + reach + 1).min(other.len());
        let place = places.into_iter().find(|place| taken.get(*place) == Some(&false) && other.get(*place) == Some(c));
        if let Some(place) = place {
            if let Some(own) = taken.get_mut(place) {
                *own = true;
            }
            matched.push(*c);
        }
    }
    if matched.is_empty() {
        return 0.0;
    }
    let there = other.iter().zip(&taken).filter(|(_, taken)| **taken).map(|(c, _)| c);
    let moved = matched.iter().zip(there).filter(|(a, b)| a != b).count() / 2;
    let share = |part: usize, of: usize| as_float(part) / as_float(of);
    (share(matched.len(), one.len()) + share(matched.len(), other.len()) + share(matched.len() - moved, matched.len()))
        / 3.0
}

fn as_float(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// Modules of Elixir and Erlang of which this shell has some functions, data to data.
pub(super) fn is_basic(module: &str) -> bool {
    library::functions().any(|(own, ..)| own == module) && !is_machine(module) && module != "erlang"
}

/// Modules that reach the machine or processes: what they lack here they lack on purpose.
pub(super) fn is_machine(module: &str) -> bool {
    let name = module.strip_prefix("Elixir.").unwrap_or(module);
    matches!(
        name,
        "System" | "Process" | "Node" | "IO" | "GenServer" | "Application" | "code" | "init" | "os" | "timer"
    )
}

/// Whether a module that is not here is one of Elixir's or Erlang's.
pub(super) fn is_elsewhere(module: &str) -> bool {
    match module.strip_prefix("Elixir.") {
        Some(name) => ELIXIR.contains(&name.split('.').next().unwrap_or(name)),
        None => ERLANG.contains(&module),
    }
}

const ELIXIR: &[&str] = &[
    "Access",
    "Agent",
    "Application",
    "Base",
    "Bitwise",
    "Calendar",
    "Code",
    "Date",
    "DynamicSupervisor",
    "Exception",
    "File",
    "Function",
    "GenServer",
    "IEx",
    "IO",
    "Inspect",
    "JSON",
    "List",
    "Logger",
    "MapSet",
    "Macro",
    "Mix",
    "Module",
    "NaiveDateTime",
    "Node",
    "Path",
    "Port",
    "Process",
    "Range",
    "Regex",
    "Registry",
    "Stream",
    "String",
    "StringIO",
    "Supervisor",
    "System",
    "Task",
    "Time",
    "URI",
    "Version",
];

const ERLANG: &[&str] = &[
    "binary",
    "calendar",
    "code",
    "crypto",
    "dbg",
    "dets",
    "erl_eval",
    "erpc",
    "ets",
    "file",
    "gen_event",
    "gen_server",
    "gen_statem",
    "gen_tcp",
    "gen_udp",
    "global",
    "httpc",
    "inet",
    "init",
    "io",
    "io_lib",
    "logger",
    "math",
    "mnesia",
    "net_adm",
    "net_kernel",
    "observer",
    "os",
    "persistent_term",
    "proplists",
    "rand",
    "re",
    "rpc",
    "sets",
    "ssl",
    "string",
    "supervisor",
    "sys",
    "timer",
    "unicode",
    "zlib",
];

/// The functions of `IEx.Helpers` and `Kernel` that this shell does without.
pub(super) fn is_helper(name: &str) -> bool {
    let helpers = [
        "b",
        "break!",
        "c",
        "cd",
        "continue",
        "destructure",
        "ls",
        "l",
        "load",
        "nl",
        "open",
        "port",
        "process_info",
        "pwd",
        "r",
        "recompile",
        "ref",
        "reraise",
        "respawn",
        "runtime_info",
        "s",
        "spawn_monitor",
        "t",
        "use_if_available",
        "whereami",
        "bnot",
        "band",
        "bor",
        "bxor",
        "bsl",
        "bsr",
    ];
    helpers.contains(&name)
}
