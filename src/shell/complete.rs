//! What Tab offers.

use std::collections::BTreeSet;

use super::library;
use crate::limits;
use crate::node::Node;

/// How a line goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// What all candidates have in common behind what was typed.
    pub insert: String,
    /// What there is: functions with their arities, parts of modules' names.
    pub candidates: Vec<String>,
}

/// Completes the name that a line ends with.
pub fn complete(node: &Node, line: &str) -> Completion {
    let begins = line.rfind(|c: char| !(c.is_alphanumeric() || "_.:?!@".contains(c)));
    let word = begins.map_or(line, |at| {
        line.get(at..).unwrap_or_default().trim_start_matches(|c: char| !(c.is_alphanumeric() || "_.:".contains(c)))
    });
    let names = names(node);
    let found = candidates(&names, word);
    let typed = word.rsplit(['.', ':']).next().unwrap_or(word);
    let texts: BTreeSet<&str> = found.iter().map(|found| found.text.as_str()).collect();
    let insert = match common(&texts) {
        Some(common) => common.strip_prefix(typed).unwrap_or_default().to_owned(),
        None => String::new(),
    };
    // A module that others lie under, and nothing else.
    let mut shown: Vec<String> = found.iter().map(|found| found.shown.clone()).collect();
    shown.sort();
    shown.dedup();
    shown.truncate(limits::SHELL_CANDIDATES);
    Completion { insert, candidates: shown }
}

/// A way to go on: what is inserted, and how it is shown.
struct Candidate {
    text: String,
    shown: String,
}

/// A function or a module: `(module, function and arity)`.
type Name = (String, Option<(String, usize)>);

/// All that can be called. Modules are written as in Elixir.
fn names(node: &Node) -> Vec<Name> {
    let mut all = Vec::new();
    let mut add = |module: &str, function: &str, arities: std::ops::RangeInclusive<usize>| {
        all.extend(arities.map(|arity| (written(module), Some((function.to_owned(), arity)))));
    };
    for module in node.modules().iter() {
        module.exports.iter().for_each(|export| add(module.name, export.name, export.arities.clone()));
    }
    library::functions()
        .filter(|(_, name, _)| !name.starts_with("sigil_"))
        .for_each(|(module, name, arities)| add(module, name, arities));
    all
}

/// A module as it is typed.
fn written(module: &str) -> String {
    match module.strip_prefix("Elixir.") {
        Some(alias) => alias.to_owned(),
        None if module.is_empty() => String::new(),
        None => format!(":{module}"),
    }
}

fn candidates(names: &[Name], word: &str) -> Vec<Candidate> {
    let mut found = Vec::new();
    match word.rsplit_once('.') {
        // Of what a call or a bracket gives no fields are known.
        Some(("", _)) => {}
        Some((module, typed)) => {
            found.extend(functions(names, module, typed));
            found.extend(modules(names, &format!("{module}."), typed));
        }
        None if word.starts_with(':') => found.extend(modules(names, "", word)),
        None => {
            found.extend(functions(names, "", word));
            found.extend(modules(names, "", word));
        }
    }
    found
}

fn functions<'a>(names: &'a [Name], module: &'a str, typed: &'a str) -> impl Iterator<Item = Candidate> + 'a {
    let fits = move |(own, function): &'a Name| match function {
        Some((name, arity)) if own == module && name.starts_with(typed) => Some((name, arity)),
        _ => None,
    };
    names
        .iter()
        .filter_map(fits)
        .filter(|(name, _)| !matches!(name.as_str(), "module_info" | "__info__"))
        .map(|(name, arity)| Candidate { text: name.clone(), shown: format!("{name}/{arity}") })
}

/// The next part of the modules' names that begin so.
fn modules<'a>(names: &'a [Name], under: &'a str, typed: &'a str) -> impl Iterator<Item = Candidate> + 'a {
    let next = move |(own, _): &'a Name| {
        let part = own.strip_prefix(under)?.split('.').next()?;
        let text = part.strip_prefix(':').filter(|_| typed.starts_with(':')).unwrap_or(part);
        let wanted = typed.strip_prefix(':').unwrap_or(typed);
        let of_kind = typed.starts_with(':') == own.starts_with(':') || typed.is_empty();
        (of_kind && !part.is_empty() && text.starts_with(wanted)).then(|| text.to_owned())
    };
    let all: BTreeSet<String> = names.iter().filter_map(next).collect();
    all.into_iter().map(|part| Candidate { shown: part.clone(), text: part })
}

/// What all texts begin with.
fn common(texts: &BTreeSet<&str>) -> Option<String> {
    let (first, last) = (texts.first()?, texts.last()?);
    let length = first.chars().zip(last.chars()).take_while(|(a, b)| a == b).count();
    Some(first.chars().take(length).collect())
}
