//! `h`, `exports`, `i`.

use super::library;
use crate::node::Node;
use crate::term::{Inspect, Pretty, Term, elixir};

/// `h()`.
pub(super) fn overview(node: &Node) -> String {
    let mut modules: Vec<&str> =
        node.modules().iter().filter_map(|module| module.name.strip_prefix("Elixir.Otturnaut")).collect();
    modules.sort_unstable();
    let list: String = modules.iter().map(|module| format!("  Otturnaut{module}\n")).collect();
    format!(
        "Functions of this node, called as in Elixir:\n\n{list}\n\
         h Otturnaut.AppState          the functions of a module\n\
         h \"Otturnaut.AppState.get\"    what a function takes and gives\n\
         exports Otturnaut.AppState    their names\n\
         v(), v(3)                     the last result, the result of expression 3\n\
         flush()                       what was sent to self()\n\
         i value                       what a value is\n\n\
         Beside them the basics of Enum, Map, Keyword, String, List, IO and Process, case, if, cond, for, fn and &.\n"
    )
}

/// `h Module`.
pub(super) fn module(node: &Node, name: &str) -> String {
    exports(node, name)
}

/// `h "Module.function"`.
pub(super) fn topic(node: &Node, topic: &str) -> String {
    exports(node, &format!("Elixir.{topic}"))
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
    all.iter().map(|(name, arity)| format!("{name}/{arity}\n")).collect()
}

/// `i value`.
pub(super) fn description(term: &Term) -> String {
    let kind = match term {
        Term::Atom(_) => "Atom",
        Term::Int(_) | Term::Big(_) => "Integer",
        Term::Float(_) => "Float",
        Term::Binary(_) => "BitString",
        Term::Bits(_) => "BitString",
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
