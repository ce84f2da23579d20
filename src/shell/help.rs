//! `h`, `exports`, `i`.

use super::{library, manual};
use crate::node::Node;
use crate::term::{Inspect, Pretty, Term, elixir};

/// `h()`.
pub(super) fn overview(node: &Node) -> String {
    let mut modules: Vec<&str> =
        node.modules().iter().filter_map(|module| module.name.strip_prefix("Elixir.Otturnaut")).collect();
    modules.sort_unstable();
    let list = modules.iter().fold(String::new(), |list, module| list + "  Otturnaut" + module + "\n");
    format!(
        "Functions of this node, called as in Elixir:\n\n{list}\n\
         h Otturnaut.AppState          a module and its functions\n\
         h Otturnaut.AppState.get      what a function takes and gives\n\
         exports Otturnaut.AppState    their names\n\
         v(), v(3)                     the last result, the result of expression 3\n\
         flush()                       what was sent to self()\n\
         i value                       what a value is\n\n\
         Beside them the basics of Enum, Map, Keyword, String, List, IO and Process, case, if, cond, for, fn and &.\n"
    )
}

/// What help is asked for.
pub(super) enum Topic {
    Module(String),
    /// Of a module or of the shell itself; with the number of arguments, if it is said.
    Function(Option<String>, String, Option<usize>),
}

impl Topic {
    /// `Otturnaut.AppState`, `Otturnaut.AppState.get`, `Otturnaut.AppState.get/1`, `v`.
    pub(super) fn of(text: &str) -> Self {
        let (text, arity) = match text.rsplit_once('/') {
            Some((name, arity)) if arity.parse::<usize>().is_ok() => (name, arity.parse().ok()),
            _ => (text, None),
        };
        match text.rsplit_once('.') {
            Some((module, name)) if name.starts_with(|c: char| c.is_lowercase() || c == '_') => {
                Self::Function(Some(module.to_owned()), name.to_owned(), arity)
            }
            None if text.starts_with(char::is_lowercase) => Self::Function(None, text.to_owned(), arity),
            _ => Self::Module(text.to_owned()),
        }
    }
}

/// `h topic`.
pub(super) fn topic(node: &Node, topic: &Topic) -> String {
    match topic {
        Topic::Module(name) => manual::module(name).unwrap_or_else(|| exports(node, &full(name))),
        Topic::Function(None, name, _) => helper(name),
        Topic::Function(Some(module), name, arity) => {
            let missing = || {
                let arity = arity.map(|arity| format!("/{arity}")).unwrap_or_default();
                format!("there is nothing written of {module}.{name}{arity}; exports {module} lists what is there\n")
            };
            manual::function(module, name, *arity).unwrap_or_else(missing)
        }
    }
}

/// The atom of a module that is written `Name` or `:name`.
fn full(name: &str) -> String {
    name.strip_prefix(':').map_or_else(|| format!("Elixir.{name}"), str::to_owned)
}

/// What the shell's own functions do.
const HELPERS: &[(&str, &str)] = &[
    ("binding", "binding() is what variables hold"),
    ("clear", "clear() clears the screen"),
    ("exports", "exports Module lists the functions of a module"),
    ("flush", "flush() prints what was sent to self(), and forgets it"),
    ("h", "h Module, h Module.function and h Module.function/1 print what is written of it"),
    ("i", "i value says what a value is"),
    (
        "inspect",
        "inspect(value, limit: :infinity) gives a value's text; pretty, width, limit, printable_limit, charlists",
    ),
    ("pid", "pid(\"0.123.0\") is the process of this node of these numbers"),
    ("v", "v() is the last result, v(3) that of expression 3, v(-2) the one before the last"),
];

fn helper(name: &str) -> String {
    match HELPERS.iter().find(|(own, _)| *own == name) {
        Some((_, text)) => format!("{text}\n"),
        None => format!("{name} is no function of this shell with a help of its own; h() lists them\n"),
    }
}

/// The functions of a module with their arities.
pub(super) fn exports(node: &Node, name: &str) -> String {
    let mut all: Vec<(String, usize)> = Vec::new();
    if let Some(module) = node.modules().module(name) {
        let written = module.exports.iter().filter(|export| !matches!(export.name, "module_info" | "__info__"));
        all.extend(written.flat_map(|export| export.arities.clone().map(|arity| (export.name.to_owned(), arity))));
    }
    let own = library::functions().filter(|(module, ..)| *module == name);
    all.extend(own.flat_map(|(_, function, arities)| arities.map(move |arity| (function.to_owned(), arity))));
    all.sort();
    all.dedup();
    if all.is_empty() {
        return format!("there is no module {} on this node\n", Inspect::atom(name));
    }
    all.iter().fold(String::new(), |list, (name, arity)| format!("{list}{name}/{arity}\n"))
}

/// `i value`.
pub(super) fn description(term: &Term) -> String {
    let kind = match term {
        Term::Atom(_) => "Atom",
        Term::Int(_) | Term::Big(_) => "Integer",
        Term::Float(_) => "Float",
        Term::Binary(_) | Term::Bits(_) => "BitString",
        Term::Pid(_) => "PID",
        Term::Port(_) => "Port",
        Term::Ref(_) => "Reference",
        Term::List(_) | Term::Improper(_) => "List",
        Term::Tuple(_) => "Tuple",
        Term::Map(map) if map.get_atom(elixir::STRUCT).is_some() => "Struct",
        Term::Map(_) => "Map",
        Term::Fun(_) | Term::Encoded(_) => "Function",
    };
    let size = match term {
        Term::Binary(bytes) => format!("Byte size\n  {}\n", bytes.len()),
        Term::List(elements) => format!("Length\n  {}\n", elements.len()),
        Term::Map(map) => format!("Size\n  {}\n", map.len()),
        _ => String::new(),
    };
    format!("Term\n  {}\nData type\n  {kind}\n{size}", Pretty::default().text(term).replace('\n', "\n  "))
}
