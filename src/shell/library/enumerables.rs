//! `Enum` and `List` without functions: data to data.

use std::cmp::Ordering;
use std::collections::HashSet;

use super::{Body, Entry, arg, elements, integer, list_of, position, to_text};
use crate::limits;
use crate::node::Raise;
use crate::shell::eval::operators_add as add;
use crate::term::{Map, Term, atom, binary, order, tuple};

const ENUM: &str = "Elixir.Enum";
const LIST: &str = "Elixir.List";

pub(super) const ENTRIES: &[Entry] = &[
    Entry::new(ENUM, "at", 2..=3, Body::Pure(at)),
    Entry::new(ENUM, "chunk_every", 2..=2, Body::Pure(chunk_every)),
    Entry::new(ENUM, "concat", 1..=2, Body::Pure(concat)),
    Entry::new(ENUM, "count", 1..=1, Body::Pure(|args| Ok(all(args)?.len().into()))),
    Entry::new(ENUM, "drop", 2..=2, Body::Pure(|args| split(args).map(|(_, rest)| Term::List(rest)))),
    Entry::new(ENUM, "empty?", 1..=1, Body::Pure(|args| Ok(all(args)?.is_empty().into()))),
    Entry::new(ENUM, "fetch!", 2..=2, Body::Pure(|args| found(at(args)?))),
    Entry::new(ENUM, "frequencies", 1..=1, Body::Pure(frequencies)),
    Entry::new(ENUM, "into", 2..=2, Body::Pure(into)),
    Entry::new(ENUM, "join", 1..=2, Body::Pure(join)),
    Entry::new(ENUM, "max", 1..=1, Body::Pure(|args| extreme(args, Ordering::Greater))),
    Entry::new(ENUM, "member?", 2..=2, Body::Pure(|args| Ok(all(args)?.contains(arg(args, 1)?).into()))),
    Entry::new(ENUM, "min", 1..=1, Body::Pure(|args| extreme(args, Ordering::Less))),
    Entry::new(ENUM, "reverse", 1..=1, Body::Pure(|args| Ok(Term::List(all(args)?.into_iter().rev().collect())))),
    Entry::new(ENUM, "slice", 3..=3, Body::Pure(slice)),
    Entry::new(ENUM, "sort", 1..=2, Body::Pure(sort)),
    Entry::new(
        ENUM,
        "split",
        2..=2,
        Body::Pure(|args| split(args).map(|(a, b)| tuple([Term::List(a), Term::List(b)]))),
    ),
    Entry::new(ENUM, "sum", 1..=1, Body::Pure(sum)),
    Entry::new(ENUM, "take", 2..=2, Body::Pure(take)),
    Entry::new(ENUM, "to_list", 1..=1, Body::Pure(|args| Ok(Term::List(all(args)?)))),
    Entry::new(ENUM, "uniq", 1..=1, Body::Pure(uniq)),
    Entry::new(ENUM, "with_index", 1..=1, Body::Pure(with_index)),
    Entry::new(ENUM, "zip", 2..=2, Body::Pure(zip)),
    Entry::new(LIST, "delete", 2..=2, Body::Pure(delete)),
    Entry::new(LIST, "first", 1..=1, Body::Pure(|args| Ok(list_of(args, 0)?.first().cloned().unwrap_or(Term::NIL)))),
    Entry::new(LIST, "flatten", 1..=1, Body::Pure(flatten)),
    Entry::new(LIST, "keyfind", 3..=3, Body::Pure(keyfind)),
    Entry::new(LIST, "last", 1..=1, Body::Pure(|args| Ok(list_of(args, 0)?.last().cloned().unwrap_or(Term::NIL)))),
    Entry::new(LIST, "to_string", 1..=1, Body::Pure(|args| to_text(arg(args, 0)?).map(binary))),
    Entry::new(LIST, "to_tuple", 1..=1, Body::Pure(|args| Ok(Term::Tuple(list_of(args, 0)?.to_vec())))),
    Entry::new(LIST, "wrap", 1..=1, Body::Pure(wrap)),
    Entry::new("Elixir.Range", "size", 1..=1, Body::Pure(|args| Ok(all(args)?.len().into()))),
    Entry::new("Elixir.Tuple", "to_list", 1..=1, Body::Pure(tuple_to_list)),
];

fn all(args: &[Term]) -> Result<Vec<Term>, Raise> {
    elements(arg(args, 0)?)
}

fn at(args: &[Term]) -> Result<Term, Raise> {
    let all = all(args)?;
    let found = position(integer(args, 1)?, all.len()).and_then(|at| all.get(at)).cloned();
    Ok(found.unwrap_or_else(|| args.get(2).cloned().unwrap_or(Term::NIL)))
}

fn found(term: Term) -> Result<Term, Raise> {
    if term.is_atom("nil") { Err(Raise::argument("out of bounds")) } else { Ok(term) }
}

fn chunk_every(args: &[Term]) -> Result<Term, Raise> {
    let size = usize::try_from(integer(args, 1)?).ok().filter(|size| *size > 0);
    let size = size.ok_or_else(|| Raise::argument("a chunk has at least one element"))?;
    Ok(Term::List(all(args)?.chunks(size).map(|chunk| Term::List(chunk.to_vec())).collect()))
}

fn concat(args: &[Term]) -> Result<Term, Raise> {
    let parts = if args.len() == 2 { args.to_vec() } else { all(args)? };
    let mut joined = Vec::new();
    for part in parts {
        joined.extend(elements(&part)?);
        check(joined.len())?;
    }
    Ok(Term::List(joined))
}

fn check(length: usize) -> Result<(), Raise> {
    if length > limits::SHELL_ELEMENTS { Err(Raise::error(atom("system_limit"))) } else { Ok(()) }
}

/// What stands before and behind a place.
fn split(args: &[Term]) -> Result<(Vec<Term>, Vec<Term>), Raise> {
    let (mut all, count) = (all(args)?, integer(args, 1)?);
    let at = match usize::try_from(count) {
        Ok(count) => count.min(all.len()),
        Err(_) => all.len().saturating_sub(usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX)),
    };
    // Of a negative count `drop` keeps the front.
    let rest = all.split_off(at);
    Ok(if count < 0 { (rest, all) } else { (all, rest) })
}

fn take(args: &[Term]) -> Result<Term, Raise> {
    split(args).map(|(front, _)| Term::List(front))
}

fn slice(args: &[Term]) -> Result<Term, Raise> {
    let all = all(args)?;
    let from = position(integer(args, 1)?, all.len()).unwrap_or(all.len());
    let count = usize::try_from(integer(args, 2)?).unwrap_or(0);
    Ok(Term::List(all.into_iter().skip(from).take(count).collect()))
}

fn frequencies(args: &[Term]) -> Result<Term, Raise> {
    let mut counts: std::collections::HashMap<Term, i64> = std::collections::HashMap::new();
    for element in all(args)? {
        *counts.entry(element).or_default() += 1;
    }
    Ok(Term::Map(counts.into_iter().map(|(key, count)| (key, Term::Int(count))).collect()))
}

fn into(args: &[Term]) -> Result<Term, Raise> {
    let all = all(args)?;
    match arg(args, 1)? {
        Term::List(before) => Ok(Term::List(before.iter().cloned().chain(all).collect())),
        Term::Map(before) => {
            Ok(Term::Map(before.iter().cloned().map(Ok).chain(all.iter().map(pair)).collect::<Result<Map, Raise>>()?))
        }
        other => Err(Raise::argument(format!("things go into lists and maps, not into {other:?}"))),
    }
}

/// An element as a pair of a map.
pub(super) fn pair(element: &Term) -> Result<(Term, Term), Raise> {
    match element.as_tuple() {
        Some([key, value]) => Ok((key.clone(), value.clone())),
        _ => Err(Raise::argument(format!("wanted {{key, value}}, got {element:?}"))),
    }
}

fn join(args: &[Term]) -> Result<Term, Raise> {
    let separator = args.get(1).map_or(Ok(String::new()), to_text)?;
    let parts = all(args)?.iter().map(to_text).collect::<Result<Vec<_>, _>>()?;
    Ok(binary(parts.join(&separator)))
}

fn extreme(args: &[Term], wanted: Ordering) -> Result<Term, Raise> {
    let better = |best: Term, next: Term| if order::compare(&next, &best) == wanted { next } else { best };
    all(args)?.into_iter().reduce(better).ok_or_else(|| {
        Raise::error(crate::term::elixir::exception("Elixir.Enum.EmptyError", [("message", "empty error".into())]))
    })
}

fn sort(args: &[Term]) -> Result<Term, Raise> {
    let mut all = all(args)?;
    all.sort_by(order::compare);
    match args.get(1).map(Term::as_atom) {
        None | Some(Some("asc")) => {}
        Some(Some("desc")) => all.reverse(),
        Some(_) => return Err(Raise::argument("sort takes :asc or :desc; sort_by takes a function")),
    }
    Ok(Term::List(all))
}

fn sum(args: &[Term]) -> Result<Term, Raise> {
    all(args)?.iter().try_fold(Term::Int(0), |sum, next| add(&sum, next))
}

fn uniq(args: &[Term]) -> Result<Term, Raise> {
    let mut seen = HashSet::new();
    Ok(Term::List(all(args)?.into_iter().filter(|element| seen.insert(element.clone())).collect()))
}

fn with_index(args: &[Term]) -> Result<Term, Raise> {
    Ok(Term::List(all(args)?.into_iter().enumerate().map(|(at, element)| tuple([element, at.into()])).collect()))
}

fn zip(args: &[Term]) -> Result<Term, Raise> {
    let other = elements(arg(args, 1)?)?;
    Ok(Term::List(all(args)?.into_iter().zip(other).map(|(a, b)| tuple([a, b])).collect()))
}

fn delete(args: &[Term]) -> Result<Term, Raise> {
    let mut all = list_of(args, 0)?.to_vec();
    if let Some(at) = all.iter().position(|own| Some(own) == args.get(1)) {
        all.remove(at);
    }
    Ok(Term::List(all))
}

fn flatten(args: &[Term]) -> Result<Term, Raise> {
    fn onto(out: &mut Vec<Term>, list: &[Term]) {
        for element in list {
            match element {
                Term::List(inner) => onto(out, inner),
                other => out.push(other.clone()),
            }
        }
    }
    let mut out = Vec::new();
    onto(&mut out, list_of(args, 0)?);
    Ok(Term::List(out))
}

fn keyfind(args: &[Term]) -> Result<Term, Raise> {
    let at = usize::try_from(integer(args, 2)?).map_err(|_| Raise::error(atom("badarg")))?;
    let fits = |element: &&Term| element.as_tuple().and_then(|parts| parts.get(at)) == args.get(1);
    Ok(list_of(args, 0)?.iter().find(fits).cloned().unwrap_or(Term::NIL))
}

fn wrap(args: &[Term]) -> Result<Term, Raise> {
    Ok(match arg(args, 0)? {
        Term::List(list) => Term::List(list.clone()),
        nil if nil.is_atom("nil") => Term::List(Vec::new()),
        other => Term::List(vec![other.clone()]),
    })
}

fn tuple_to_list(args: &[Term]) -> Result<Term, Raise> {
    let parts = arg(args, 0)?.as_tuple().ok_or_else(|| Raise::argument("wanted a tuple"))?;
    Ok(Term::List(parts.to_vec()))
}
