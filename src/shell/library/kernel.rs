//! What is called by its name alone: of `Kernel`, data to data.

use super::{Entry, arg, integer, list_of, maps, text, time, to_text};
use crate::node::Raise;
use crate::shell::eval::check_size;
use crate::term::{Atom, Term, atom, binary, charlist, elixir, order};

pub(super) const ENTRIES: &[Entry] = &[
    Entry::pure("", "bit_size", 1..=1, |args| bit_size(args).map(Term::from)),
    Entry::pure("", "byte_size", 1..=1, |args| bit_size(args).map(|bits| bits.div_ceil(8).into())),
    Entry::pure("", "elem", 2..=2, elem),
    Entry::pure("", "hd", 1..=1, |args| list_of(args, 0)?.first().cloned().ok_or_else(badarg)),
    Entry::pure("", "is_atom", 1..=1, |args| is(args, |term| matches!(term, Term::Atom(_)))),
    Entry::pure("", "is_binary", 1..=1, |args| is(args, |term| matches!(term, Term::Binary(_)))),
    Entry::pure("", "is_bitstring", 1..=1, |args| is(args, |term| matches!(term, Term::Binary(_) | Term::Bits(_)))),
    Entry::pure("", "is_boolean", 1..=1, |args| is(args, |term| term.is_atom("true") || term.is_atom("false"))),
    Entry::pure("", "is_float", 1..=1, |args| is(args, |term| matches!(term, Term::Float(_)))),
    Entry::pure("", "is_integer", 1..=1, |args| is(args, |term| matches!(term, Term::Int(_) | Term::Big(_)))),
    Entry::pure("", "is_list", 1..=1, |args| is(args, |term| matches!(term, Term::List(_) | Term::Improper(_)))),
    Entry::pure("", "is_map", 1..=1, |args| is(args, |term| matches!(term, Term::Map(_)))),
    Entry::pure("", "is_nil", 1..=1, |args| is(args, |term| term.is_atom("nil"))),
    Entry::pure("", "is_number", 1..=1, |args| {
        is(args, |term| matches!(term, Term::Int(_) | Term::Big(_) | Term::Float(_)))
    }),
    Entry::pure("", "is_pid", 1..=1, |args| is(args, |term| matches!(term, Term::Pid(_)))),
    Entry::pure("", "is_reference", 1..=1, |args| is(args, |term| matches!(term, Term::Ref(_)))),
    Entry::pure("", "is_exception", 1..=1, |args| {
        is(args, |term| term.as_map().is_some_and(|map| map.get_atom("__exception__").is_some()))
    }),
    Entry::pure("", "is_port", 1..=1, |args| is(args, |term| matches!(term, Term::Port(_)))),
    Entry::pure("", "is_struct", 1..=2, |args| {
        let name = |term: &Term| term.as_map().and_then(|map| map.get_atom(elixir::STRUCT)).cloned();
        is(args, |term| name(term).is_some_and(|name| args.get(1).is_none_or(|wanted| *wanted == name)))
    }),
    Entry::pure("", "is_tuple", 1..=1, |args| is(args, |term| matches!(term, Term::Tuple(_)))),
    Entry::pure("", "length", 1..=1, |args| Ok(list_of(args, 0)?.len().into())),
    Entry::pure("", "map_size", 1..=1, |args| maps::map(args).map(|map| map.len().into())),
    Entry::pure("", "max", 2..=2, |args| {
        Ok(if order::compare(arg(args, 0)?, arg(args, 1)?).is_lt() { arg(args, 1)? } else { arg(args, 0)? }.clone())
    }),
    Entry::pure("", "min", 2..=2, |args| {
        Ok(if order::compare(arg(args, 0)?, arg(args, 1)?).is_gt() { arg(args, 1)? } else { arg(args, 0)? }.clone())
    }),
    Entry::pure("", "put_elem", 3..=3, put_elem),
    Entry::pure("", "raise", 1..=1, raise),
    Entry::pure("", "throw", 1..=1, |args| Err(Raise::Throw(arg(args, 0)?.clone()))),
    Entry::pure("", "tl", 1..=1, |args| {
        list_of(args, 0)?.get(1..).map(|rest| Term::List(rest.to_vec())).ok_or_else(badarg)
    }),
    Entry::pure("", "to_charlist", 1..=1, |args| Ok(charlist(&to_text(arg(args, 0)?)?))),
    Entry::pure("", "to_string", 1..=1, |args| to_text(arg(args, 0)?).map(binary)),
    Entry::pure("", "tuple_size", 1..=1, |args| {
        arg(args, 0)?.as_tuple().map(|parts| parts.len().into()).ok_or_else(badarg)
    }),
    Entry::pure("", "sigil_c", 2..=2, |args| Ok(charlist(text(args, 0)?))),
    Entry::pure("", "sigil_C", 2..=2, |args| Ok(charlist(text(args, 0)?))),
    Entry::pure("", "sigil_s", 2..=2, |args| Ok(arg(args, 0)?.clone())),
    Entry::pure("", "sigil_S", 2..=2, |args| Ok(arg(args, 0)?.clone())),
    Entry::pure("", "sigil_w", 2..=2, words),
    Entry::pure("", "sigil_W", 2..=2, words),
    Entry::pure("", "sigil_U", 2..=2, |args| {
        time::date_time(text(args, 0)?)
            .ok_or_else(|| Raise::argument("~U wants a time in UTC: ~U[2026-01-15 10:20:30Z]"))
    }),
];

/// A message, or an exception that was made.
fn raise(args: &[Term]) -> Result<Term, Raise> {
    match arg(args, 0)? {
        Term::Map(map) if map.get_atom("__exception__").is_some() => Err(Raise::error(Term::Map(map.clone()))),
        message => Err(Raise::error(elixir::runtime_error(to_text(message)?))),
    }
}

fn badarg() -> Raise {
    Raise::error(atom("badarg"))
}

fn is(args: &[Term], fits: impl Fn(&Term) -> bool) -> Result<Term, Raise> {
    Ok(fits(arg(args, 0)?).into())
}

fn bit_size(args: &[Term]) -> Result<usize, Raise> {
    match arg(args, 0)? {
        Term::Binary(bytes) => Ok(bytes.len() * 8),
        Term::Bits(bits) => Ok((bits.0.len() - 1) * 8 + usize::from(bits.1)),
        _ => Err(badarg()),
    }
}

fn put_elem(args: &[Term]) -> Result<Term, Raise> {
    let Term::Tuple(mut parts) = arg(args, 0)?.clone() else { return Err(badarg()) };
    let at = usize::try_from(integer(args, 1)?).map_err(|_| badarg())?;
    *parts.get_mut(at).ok_or_else(badarg)? = arg(args, 2)?.clone();
    Ok(Term::Tuple(parts))
}

fn elem(args: &[Term]) -> Result<Term, Raise> {
    let at = usize::try_from(integer(args, 1)?).map_err(|_| badarg())?;
    arg(args, 0)?.as_tuple().and_then(|parts| parts.get(at)).cloned().ok_or_else(badarg)
}

/// `~w(a b)`, with `a` for atoms and `c` for charlists.
fn words(args: &[Term]) -> Result<Term, Raise> {
    let text_of = text(args, 0)?;
    check_size(text_of.len())?;
    let word = |word: &str| match text(args, 1)? {
        "a" => Atom::new(word).map(Term::Atom).map_err(|e| Raise::argument(e.to_string())),
        "c" => Ok(charlist(word)),
        "" | "s" => Ok(binary(word)),
        other => Err(Raise::argument(format!("~w knows the modifiers a, c and s, not {other}"))),
    };
    Ok(Term::List(text_of.split_whitespace().map(word).collect::<Result<_, _>>()?))
}
