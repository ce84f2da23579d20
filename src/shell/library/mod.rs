//! What the shell has of Elixir's own modules: the basics of `Enum`, `Map`, `Keyword`, `String` and their kin on what the
//! node's functions give. Everything else is the node's tables.

mod carrying;
mod date;
mod enumerables;
mod erlang;
mod graphemes;
mod kernel;
mod keyed;
mod keywords;
mod lists;
mod maps;
mod numbers;
mod order;
mod reducing;
mod searching;
mod system;
mod texts;
mod time;

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::LazyLock;

use futures::future::BoxFuture;

use super::eval::{Evaluator, Outcome, check_size};
use super::fault;
use super::meter::weight;
use super::value::Value;
use crate::limits;
use crate::node::Raise;
use crate::term::{Inspect, Map, Term, atom, elixir, tuple};

/// A function of the library.
pub(super) struct Entry {
    /// `Elixir.Enum`; nothing for what is called by its name alone.
    module: &'static str,
    name: &'static str,
    arities: RangeInclusive<usize>,
    body: Body,
}

type Pure = fn(&[Term]) -> Result<Term, Raise>;
type Shell = for<'a> fn(&'a mut Evaluator, Vec<Value>) -> BoxFuture<'a, Outcome>;

/// What a function does.
#[derive(Clone, Copy)]
pub(super) enum Body {
    /// Data to data.
    Pure(Pure),
    /// It needs the shell: calls functions, prints, asks the node.
    Shell(Shell),
    /// The node has it under another name: module and function.
    Node(&'static str, &'static str),
}

impl Entry {
    const fn new(module: &'static str, name: &'static str, arities: RangeInclusive<usize>, body: Body) -> Self {
        Self { module, name, arities, body }
    }

    /// Data to data.
    const fn pure(module: &'static str, name: &'static str, arities: RangeInclusive<usize>, body: Pure) -> Self {
        Self::new(module, name, arities, Body::Pure(body))
    }

    /// What needs the shell.
    const fn shell(module: &'static str, name: &'static str, arities: RangeInclusive<usize>, body: Shell) -> Self {
        Self::new(module, name, arities, Body::Shell(body))
    }

    /// What the node has under another name: module and function.
    const fn node(
        module: &'static str,
        name: &'static str,
        arities: RangeInclusive<usize>,
        (of, function): (&'static str, &'static str),
    ) -> Self {
        Self::new(module, name, arities, Body::Node(of, function))
    }
}

const TABLES: [&[Entry]; 16] = [
    date::ENTRIES,
    carrying::ENTRIES,
    keyed::ENTRIES,
    erlang::ENTRIES,
    kernel::ENTRIES,
    enumerables::ENTRIES,
    searching::ENTRIES,
    reducing::ENTRIES,
    order::ENTRIES,
    lists::ENTRIES,
    maps::ENTRIES,
    keywords::ENTRIES,
    numbers::ENTRIES,
    texts::ENTRIES,
    time::ENTRIES,
    system::ENTRIES,
];

fn entries() -> impl Iterator<Item = &'static Entry> {
    TABLES.into_iter().flatten()
}

/// The function of that name; those of `Kernel` have no module.
pub(super) fn find(module: &str, name: &str, arity: usize) -> Option<Body> {
    // Asked with each call of a function that goes over a collection.
    static BY_NAME: LazyLock<HashMap<(&str, &str), Vec<&Entry>>> = LazyLock::new(|| {
        let mut all: HashMap<_, Vec<_>> = HashMap::new();
        for entry in entries() {
            all.entry((entry.module, entry.name)).or_default().push(entry);
        }
        all
    });
    let module = if module == "Elixir.Kernel" { "" } else { module };
    let found = BY_NAME.get(&(module, name))?.iter().find(|entry| entry.arities.contains(&arity));
    found.map(|entry| entry.body)
}

/// Whether a name alone is a function.
pub(super) fn is_local(name: &str, arity: usize) -> bool {
    find("", name, arity).is_some()
}

/// All functions of the library: module, name, arities.
pub(super) fn functions() -> impl Iterator<Item = (&'static str, &'static str, RangeInclusive<usize>)> {
    entries().map(|entry| (entry.module, entry.name, entry.arities.clone()))
}

/// The elements of what can be gone through: a list, a map's pairs, a range.
pub(super) fn elements(of: &Term) -> Result<Vec<Term>, Raise> {
    match of {
        Term::List(elements) => Ok(elements.clone()),
        Term::Map(map) => match elixir::as_range(map) {
            Some(range) => range_elements(range),
            None if map.get_atom(elixir::STRUCT).is_some() => Err(not_enumerable(of)),
            None => Ok(sorted(map).into_iter().map(|(key, value)| tuple([key.clone(), value.clone()])).collect()),
        },
        other => Err(not_enumerable(other)),
    }
}

/// Whether an element is in what can be gone through; a range is not.
pub(super) fn is_in(element: &Term, of: &Term) -> Result<bool, Raise> {
    match (element, of.as_map().and_then(elixir::as_range)) {
        (Term::Int(value), Some(range @ [first, _, step])) => {
            let steps = value.checked_sub(first).filter(|_| step != 0);
            Ok(steps.is_some_and(|by| by % step == 0 && by / step >= 0 && by / step < count_of(range)))
        }
        (_, Some(_)) => Ok(false),
        (_, None) => Ok(elements(of)?.contains(element)),
    }
}

/// How many elements there are.
fn count(args: &[Term]) -> Result<Term, Raise> {
    let of = arg(args, 0)?;
    match of.as_map().and_then(elixir::as_range) {
        Some(range) => Ok(Term::Int(count_of(range))),
        None => Ok(elements(of)?.len().into()),
    }
}

fn count_of([first, last, step]: [i64; 3]) -> i64 {
    let empty = step == 0 || if step > 0 { first > last } else { first < last };
    if empty { 0 } else { (last.saturating_sub(first) / step).saturating_add(1) }
}

/// The pairs of a map, in the order of their keys.
fn sorted(map: &Map) -> Vec<&(Term, Term)> {
    let mut pairs: Vec<_> = map.iter().collect();
    pairs.sort_by(|(a, _), (b, _)| crate::term::order::compare(a, b));
    pairs
}

/// Whether a list may have so many elements.
pub(super) fn check_count(count: usize) -> Result<(), Raise> {
    if count > limits::SHELL_ELEMENTS { Err(Raise::error(atom("system_limit"))) } else { Ok(()) }
}

/// Whether there may be so many copies of a term.
fn check_copies(term: &Term, count: usize) -> Result<(), Raise> {
    check_size(weight(term, usize::MAX).unwrap_or(usize::MAX).saturating_mul(count))
}

fn not_enumerable(term: &Term) -> Raise {
    let message = format!("protocol Enumerable not implemented for {}", Inspect::short(term, 100));
    Raise::error(elixir::exception("Elixir.Protocol.UndefinedError", [("message", message.into())]))
}

fn range_elements([first, last, step]: [i64; 3]) -> Result<Vec<Term>, Raise> {
    let (mut all, mut next) = (Vec::new(), first);
    while if step > 0 { next <= last } else { next >= last } {
        check_count(all.len() + 1)?;
        all.push(Term::Int(next));
        let Some(following) = next.checked_add(step).filter(|_| step != 0) else { break };
        next = following;
    }
    Ok(all)
}

pub(super) use enumerables::{into, pair};

/// What `#{}` and `to_string` make of a value.
pub(super) fn to_text(term: &Term) -> Result<String, Raise> {
    let refuse = || {
        let message = format!("protocol String.Chars not implemented for {}", Inspect::short(term, 100));
        Raise::error(elixir::exception("Elixir.Protocol.UndefinedError", [("message", message.into())]))
    };
    match term {
        Term::Atom(name) if name.as_str() == "nil" => Ok(String::new()),
        Term::Atom(name) => Ok(name.as_str().to_owned()),
        Term::Binary(bytes) => Ok(String::from_utf8_lossy(bytes).into_owned()),
        Term::Int(_) | Term::Big(_) | Term::Float(_) => Ok(Inspect::new(term).to_string()),
        Term::List(elements) => elements
            .iter()
            .map(|element| match element {
                Term::Int(code) => {
                    u32::try_from(*code).ok().and_then(char::from_u32).map(String::from).ok_or_else(refuse)
                }
                other => to_text(other),
            })
            .collect(),
        Term::Map(map) if map.get_atom(elixir::STRUCT).is_some_and(|name| name.is_atom("Elixir.DateTime")) => {
            let shown = Inspect::new(term).to_string();
            Ok(shown.trim_start_matches("~U[").trim_end_matches(']').to_owned())
        }
        Term::Map(map) => crate::term::calendar(map).map(|(_, text)| text).ok_or_else(refuse),
        _ => Err(refuse()),
    }
}

/// The argument of that place.
fn arg(args: &[Term], at: usize) -> Result<&Term, Raise> {
    args.get(at).ok_or_else(|| Raise::error(atom("badarg")))
}

/// The argument of a place that there is, by the arities.
fn given(args: &[Term], at: usize) -> &Term {
    static NIL: Term = Term::NIL;
    args.get(at).unwrap_or(&NIL)
}

/// An argument that is a text.
fn text(args: &[Term], at: usize) -> Result<&str, Raise> {
    let found = arg(args, at)?;
    found.as_text().ok_or_else(|| Raise::argument(format!("wanted a string, got {}", Inspect::short(found, 100))))
}

/// An argument that is an integer.
fn integer(args: &[Term], at: usize) -> Result<i64, Raise> {
    match arg(args, at)? {
        Term::Int(value) => Ok(*value),
        other => Err(Raise::argument(format!("wanted an integer, got {}", Inspect::short(other, 100)))),
    }
}

/// An argument that is a list.
fn list_of(args: &[Term], at: usize) -> Result<&[Term], Raise> {
    let found = arg(args, at)?;
    found.as_list().ok_or_else(|| Raise::argument(format!("wanted a list, got {}", Inspect::short(found, 100))))
}

/// The data of several values.
fn terms_of(args: Vec<Value>) -> Result<Vec<Term>, Raise> {
    super::value::terms(args)
}

/// The value of that place, taken out.
fn take(args: &mut Vec<Value>) -> Result<Value, Raise> {
    if args.is_empty() { Err(fault::arithmetic()) } else { Ok(args.remove(0)) }
}

/// `Enum.EmptyError`.
fn empty_error() -> Raise {
    Raise::error(elixir::exception("Elixir.Enum.EmptyError", [("message", "empty error".into())]))
}

/// First element and number of those that a range names in a collection: `1..2`, `-3..-1//1`.
fn of_range(range: &Term, length: usize) -> Result<(usize, usize), Raise> {
    let Some([first, last, step @ (1 | -1)]) = range.as_map().and_then(elixir::as_range) else {
        return Err(Raise::argument(format!("wanted a range of step 1, got {}", Inspect::short(range, 100))));
    };
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let place = |at: i64| if at < 0 { at.saturating_add(length) } else { at };
    // `1..-2` counts down only in its notation.
    let (first, last) = (place(first), place(last).min(length - 1));
    if first < 0 || step == -1 && range.as_map().and_then(elixir::as_range).is_some_and(|[_, last, _]| last >= 0) {
        return Ok((0, 0));
    }
    let count = usize::try_from(last.saturating_sub(first).saturating_add(1)).unwrap_or(0);
    Ok((usize::try_from(first).unwrap_or(0), count))
}

/// The elements of the first argument, and the function behind it.
fn each(mut args: Vec<Value>) -> Result<(Vec<Term>, Value), Raise> {
    let all = elements(&take(&mut args)?.term()?)?;
    Ok((all, take(&mut args)?))
}

/// A position that may count from the end.
fn position(at: i64, length: usize) -> Option<usize> {
    let from_start = usize::try_from(at).ok();
    from_start.or_else(|| length.checked_sub(usize::try_from(at.unsigned_abs()).ok()?)).filter(|at| *at < length)
}
