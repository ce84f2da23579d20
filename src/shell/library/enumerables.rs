//! `Enum` without functions: data to data.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

use num_bigint::BigInt;

use super::{Entry, arg, check_copies, check_count, elements, empty_error, integer, of_range, position, to_text};
use crate::node::Raise;
use crate::shell::eval::{big, check_size, from_big, operators_add as add};
use crate::shell::value::Value;
use crate::term::{Inspect, Map, Term, atom, binary, elixir, order, tuple};

const ENUM: &str = "Elixir.Enum";

pub(super) const ENTRIES: &[Entry] = &[
    Entry::pure(ENUM, "all?", 1..=1, |args| Ok(all(args)?.into_iter().all(is_true).into())),
    Entry::pure(ENUM, "any?", 1..=1, |args| Ok(all(args)?.into_iter().any(is_true).into())),
    Entry::pure(ENUM, "at", 2..=3, |args| Ok(at(args)?.unwrap_or_else(|| args.get(2).cloned().unwrap_or(Term::NIL)))),
    Entry::pure(ENUM, "chunk_every", 2..=4, chunk_every),
    Entry::pure(ENUM, "concat", 1..=2, concat),
    Entry::pure(ENUM, "count", 1..=1, super::count),
    Entry::pure(ENUM, "dedup", 1..=1, |args| {
        let mut all = all(args)?;
        all.dedup();
        Ok(Term::List(all))
    }),
    Entry::pure(ENUM, "drop", 2..=2, drop_some),
    Entry::pure(ENUM, "empty?", 1..=1, |args| Ok(all(args)?.is_empty().into())),
    Entry::pure(ENUM, "fetch", 2..=2, |args| Ok(at(args)?.map_or(atom("error"), |found| tuple([Term::OK, found])))),
    Entry::pure(ENUM, "fetch!", 2..=2, fetch),
    Entry::pure(ENUM, "frequencies", 1..=1, |args| Ok(frequencies(all(args)?))),
    Entry::pure(ENUM, "intersperse", 2..=2, intersperse),
    Entry::pure(ENUM, "into", 2..=2, |args| into(all(args)?, arg(args, 1)?)),
    Entry::pure(ENUM, "join", 1..=2, join),
    Entry::pure(ENUM, "max", 1..=1, |args| extreme(args, Ordering::Greater)),
    Entry::pure(ENUM, "member?", 2..=2, |args| Ok(super::is_in(arg(args, 1)?, arg(args, 0)?)?.into())),
    Entry::pure(ENUM, "min", 1..=1, |args| extreme(args, Ordering::Less)),
    Entry::pure(ENUM, "min_max", 1..=1, |args| {
        Ok(tuple([extreme(args, Ordering::Less)?, extreme(args, Ordering::Greater)?]))
    }),
    Entry::pure(ENUM, "product", 1..=1, product),
    Entry::pure(ENUM, "reverse", 1..=2, |args| {
        let tail = args.get(1).map_or(Ok(Vec::new()), elements)?;
        Ok(Term::List(all(args)?.into_iter().rev().chain(tail).collect()))
    }),
    Entry::pure(ENUM, "slice", 2..=3, slice),
    Entry::pure(ENUM, "split", 2..=2, |args| split(args).map(|(a, b)| tuple([Term::List(a), Term::List(b)]))),
    Entry::pure(ENUM, "sum", 1..=1, sum),
    Entry::pure("Elixir.Tuple", "product", 1..=1, |args| product(&[super::lists::tuple_to_list(args)?])),
    Entry::pure("Elixir.Tuple", "sum", 1..=1, |args| sum(&[super::lists::tuple_to_list(args)?])),
    Entry::pure(ENUM, "take", 2..=2, take),
    Entry::pure(ENUM, "take_every", 2..=2, |args| {
        let nth = usize::try_from(integer(args, 1)?).map_err(|_| Raise::argument("every nth is 0 or more"))?;
        Ok(Term::List(all(args)?.into_iter().step_by(nth.max(1)).filter(|_| nth > 0).collect()))
    }),
    Entry::pure(ENUM, "to_list", 1..=1, |args| Ok(Term::List(all(args)?))),
    Entry::pure(ENUM, "uniq", 1..=1, uniq),
    Entry::pure(ENUM, "unzip", 1..=1, unzip),
    Entry::pure(ENUM, "zip", 1..=1, super::lists::zip),
    Entry::pure(ENUM, "zip", 2..=2, zip),
    Entry::pure("Elixir.Range", "size", 1..=1, super::count),
];

fn all(args: &[Term]) -> Result<Vec<Term>, Raise> {
    elements(arg(args, 0)?)
}

fn is_true(term: Term) -> bool {
    Value::Term(term).is_true()
}

fn at(args: &[Term]) -> Result<Option<Term>, Raise> {
    let all = all(args)?;
    Ok(position(integer(args, 1)?, all.len()).and_then(|at| all.get(at)).cloned())
}

fn fetch(args: &[Term]) -> Result<Term, Raise> {
    at(args)?.ok_or_else(|| {
        let of = Inspect::short(super::given(args, 0), 200);
        let at = super::given(args, 1);
        let message = format!("out of bounds error at position {at:?} when traversing enumerable {of}");
        Raise::error(elixir::exception("Elixir.Enum.OutOfBoundsError", [("message", binary(message))]))
    })
}

/// `chunk_every(collection, count)`, with a step and with what fills the last one, or `:discard`.
fn chunk_every(args: &[Term]) -> Result<Term, Raise> {
    let positive = |at| usize::try_from(integer(args, at)?).ok().filter(|count| *count > 0).ok_or_else(too_few);
    let (all, count) = (all(args)?, positive(1)?);
    let step = if args.len() > 2 { positive(2)? } else { count };
    let fill = match args.get(3) {
        Some(discard) if discard.is_atom("discard") => None,
        Some(fill) => Some(elements(fill)?),
        None => Some(Vec::new()),
    };
    let (mut chunks, mut start, mut total) = (Vec::new(), 0_usize, 0);
    while let Some(rest) = all.get(start..).filter(|rest| !rest.is_empty()) {
        let whole = rest.len() >= count;
        let chunk = rest.iter().take(count).chain(fill.iter().flatten()).take(count).cloned().collect::<Vec<_>>();
        total += chunk.len();
        check_count(total)?;
        if whole || fill.is_some() {
            chunks.push(Term::List(chunk));
        }
        // With steps that overlap what is left is in the last chunk already.
        if !whole {
            break;
        }
        start = start.saturating_add(step);
    }
    Ok(Term::List(chunks))
}

fn too_few() -> Raise {
    Raise::argument("a chunk has at least one element, and so has a step")
}

fn concat(args: &[Term]) -> Result<Term, Raise> {
    let parts = if args.len() == 2 { args.to_vec() } else { all(args)? };
    joined(&parts).map(Term::List)
}

/// The elements of several collections.
pub(super) fn joined(parts: &[Term]) -> Result<Vec<Term>, Raise> {
    let mut joined = Vec::new();
    for part in parts {
        joined.extend(elements(part)?);
        check_count(joined.len())?;
    }
    Ok(joined)
}

/// Of how many elements the front consists, if a negative count leaves so many at the end.
fn front(count: i64, length: usize) -> usize {
    match usize::try_from(count) {
        Ok(count) => count.min(length),
        Err(_) => length.saturating_sub(usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX)),
    }
}

/// What stands before and behind a place.
fn split(args: &[Term]) -> Result<(Vec<Term>, Vec<Term>), Raise> {
    let mut all = all(args)?;
    let rest = all.split_off(front(integer(args, 1)?, all.len()));
    Ok((all, rest))
}

fn take(args: &[Term]) -> Result<Term, Raise> {
    let (front, rest) = split(args)?;
    Ok(Term::List(if integer(args, 1)? < 0 { rest } else { front }))
}

fn drop_some(args: &[Term]) -> Result<Term, Raise> {
    let (front, rest) = split(args)?;
    Ok(Term::List(if integer(args, 1)? < 0 { front } else { rest }))
}

fn slice(args: &[Term]) -> Result<Term, Raise> {
    let all = all(args)?;
    let (from, count) = match args {
        [_, range] => of_range(range, all.len())?,
        _ => (
            position(integer(args, 1)?, all.len()).unwrap_or(all.len()),
            usize::try_from(integer(args, 2)?).unwrap_or(0),
        ),
    };
    Ok(Term::List(all.into_iter().skip(from).take(count).collect()))
}

pub(super) fn sum(args: &[Term]) -> Result<Term, Raise> {
    all(args)?.iter().try_fold(Term::Int(0), |sum, next| add(&sum, next))
}

/// How often each comes.
pub(super) fn frequencies(all: Vec<Term>) -> Term {
    let mut counts: HashMap<Term, i64> = HashMap::new();
    for element in all {
        *counts.entry(element).or_default() += 1;
    }
    Term::Map(counts.into_iter().map(|(key, count)| (key, Term::Int(count))).collect())
}

fn intersperse(args: &[Term]) -> Result<Term, Raise> {
    let (mut out, between) = (Vec::new(), arg(args, 1)?);
    check_copies(between, all(args)?.len())?;
    for (at, element) in all(args)?.into_iter().enumerate() {
        out.extend((at > 0).then(|| between.clone()));
        out.push(element);
        check_count(out.len())?;
    }
    Ok(Term::List(out))
}

/// The elements in another collection: behind those of a list, as pairs in a map, joined in a text.
pub(in crate::shell) fn into(all: Vec<Term>, onto: &Term) -> Result<Term, Raise> {
    match onto {
        Term::List(before) => {
            check_count(before.len() + all.len())?;
            Ok(Term::List(before.iter().cloned().chain(all).collect()))
        }
        Term::Map(before) => {
            Ok(Term::Map(before.iter().cloned().map(Ok).chain(all.iter().map(pair)).collect::<Result<Map, Raise>>()?))
        }
        Term::Binary(before) => {
            let mut text = before.to_vec();
            for part in &all {
                let Term::Binary(part) = part else { return Err(Raise::argument(format!("{part:?} is no binary"))) };
                text.extend_from_slice(part);
                check_size(text.len())?;
            }
            Ok(Term::Binary(text.into()))
        }
        other => Err(Raise::argument(format!("things go into lists, maps and texts, not into {other:?}"))),
    }
}

/// An element as a pair of a map.
pub(in crate::shell) fn pair(element: &Term) -> Result<(Term, Term), Raise> {
    match element.as_tuple() {
        Some([key, value]) => Ok((key.clone(), value.clone())),
        _ => Err(Raise::argument(format!("wanted {{key, value}}, got {element:?}"))),
    }
}

fn join(args: &[Term]) -> Result<Term, Raise> {
    let separator = args.get(1).map_or(Ok(String::new()), to_text)?;
    let mut joined = String::new();
    for (at, part) in all(args)?.iter().enumerate() {
        joined.push_str(if at > 0 { &separator } else { "" });
        joined.push_str(&to_text(part)?);
        check_size(joined.len())?;
    }
    Ok(binary(joined))
}

pub(super) fn extreme(args: &[Term], wanted: Ordering) -> Result<Term, Raise> {
    let better = |best: Term, next: Term| if order::compare(&next, &best) == wanted { next } else { best };
    all(args)?.into_iter().reduce(better).ok_or_else(empty_error)
}

fn product(args: &[Term]) -> Result<Term, Raise> {
    let times = |product: BigInt, next: &Term| {
        let product = product * big(next)?;
        check_size(usize::try_from(product.bits() / 8).unwrap_or(usize::MAX).saturating_mul(1024))?;
        Ok(product)
    };
    all(args)?.iter().try_fold(BigInt::from(1), times).map(from_big)
}

fn uniq(args: &[Term]) -> Result<Term, Raise> {
    let mut seen = HashSet::new();
    Ok(Term::List(all(args)?.into_iter().filter(|element| seen.insert(element.clone())).collect()))
}

fn unzip(args: &[Term]) -> Result<Term, Raise> {
    let pairs = all(args)?.iter().map(pair).collect::<Result<Vec<_>, _>>()?;
    let (left, right) = pairs.into_iter().unzip();
    Ok(tuple([Term::List(left), Term::List(right)]))
}

fn zip(args: &[Term]) -> Result<Term, Raise> {
    let other = elements(arg(args, 1)?)?;
    Ok(Term::List(all(args)?.into_iter().zip(other).map(|(a, b)| tuple([a, b])).collect()))
}
