//! What the shell has of Elixir's own modules: the basics of `Enum`, `Map`, `Keyword`, `String` and their kin on what the
//! node's functions give. Everything else is the node's tables.

mod enumerables;
mod kernel;
mod maps;
mod numbers;
mod reducing;
mod system;
mod texts;

use std::ops::RangeInclusive;

use futures::future::BoxFuture;

use super::eval::{Evaluator, Outcome};
use super::fault;
use super::value::Value;
use crate::limits;
use crate::node::Raise;
use crate::term::{Inspect, Term, atom, elixir, tuple};

/// A function of the library.
pub(super) struct Entry {
    /// `Elixir.Enum`; nothing for what is called by its name alone.
    module: &'static str,
    name: &'static str,
    arities: RangeInclusive<usize>,
    body: Body,
}

/// What a function does.
#[derive(Clone, Copy)]
pub(super) enum Body {
    /// Data to data.
    Pure(fn(&[Term]) -> Result<Term, Raise>),
    /// It needs the shell: calls functions, prints, asks the node.
    Shell(for<'a> fn(&'a mut Evaluator, Vec<Value>) -> BoxFuture<'a, Outcome>),
    /// The node has it under another name: module and function.
    Node(&'static str, &'static str),
}

impl Entry {
    const fn new(module: &'static str, name: &'static str, arities: RangeInclusive<usize>, body: Body) -> Self {
        Self { module, name, arities, body }
    }
}

const TABLES: [&[Entry]; 7] = [
    kernel::ENTRIES,
    enumerables::ENTRIES,
    reducing::ENTRIES,
    maps::ENTRIES,
    numbers::ENTRIES,
    texts::ENTRIES,
    system::ENTRIES,
];

fn entries() -> impl Iterator<Item = &'static Entry> {
    TABLES.into_iter().flatten()
}

/// The function of that name; those of `Kernel` have no module.
pub(super) fn find(module: &str, name: &str, arity: usize) -> Option<Body> {
    let module = if module == "Elixir.Kernel" { "" } else { module };
    let fits = |entry: &&Entry| entry.module == module && entry.name == name && entry.arities.contains(&arity);
    entries().find(fits).map(|entry| entry.body)
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
            None => Ok(map.iter().map(|(key, value)| tuple([key.clone(), value.clone()])).collect()),
        },
        other => Err(not_enumerable(other)),
    }
}

fn not_enumerable(term: &Term) -> Raise {
    let message = format!("protocol Enumerable not implemented for {}", Inspect::short(term, 100));
    Raise::error(elixir::exception("Elixir.Protocol.UndefinedError", [("message", message.into())]))
}

fn range_elements([first, last, step]: [i64; 3]) -> Result<Vec<Term>, Raise> {
    let (mut all, mut next) = (Vec::new(), first);
    while if step > 0 { next <= last } else { next >= last } {
        if all.len() >= limits::SHELL_ELEMENTS {
            return Err(Raise::error(atom("system_limit")));
        }
        all.push(Term::Int(next));
        let Some(following) = next.checked_add(step).filter(|_| step != 0) else { break };
        next = following;
    }
    Ok(all)
}

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

/// The value of that place, taken out.
fn take(args: &mut Vec<Value>) -> Result<Value, Raise> {
    if args.is_empty() { Err(fault::arithmetic()) } else { Ok(args.remove(0)) }
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
