//! What is called by its name alone: of `Kernel`, data to data.

use super::{Body, Entry, arg, integer, list_of, text, to_text};
use crate::node::Raise;
use crate::shell::eval::check_size;
use crate::term::{Atom, Term, atom, binary, charlist, elixir, order};

pub(super) const ENTRIES: &[Entry] = &[
    Entry::new("", "byte_size", 1..=1, Body::Pure(byte_size)),
    Entry::new("", "elem", 2..=2, Body::Pure(elem)),
    Entry::new("", "hd", 1..=1, Body::Pure(|args| list_of(args, 0)?.first().cloned().ok_or_else(badarg))),
    Entry::new("", "is_atom", 1..=1, Body::Pure(|args| is(args, |term| matches!(term, Term::Atom(_))))),
    Entry::new("", "is_binary", 1..=1, Body::Pure(|args| is(args, |term| matches!(term, Term::Binary(_))))),
    Entry::new(
        "",
        "is_boolean",
        1..=1,
        Body::Pure(|args| is(args, |term| term.is_atom("true") || term.is_atom("false"))),
    ),
    Entry::new("", "is_float", 1..=1, Body::Pure(|args| is(args, |term| matches!(term, Term::Float(_))))),
    Entry::new(
        "",
        "is_integer",
        1..=1,
        Body::Pure(|args| is(args, |term| matches!(term, Term::Int(_) | Term::Big(_)))),
    ),
    Entry::new(
        "",
        "is_list",
        1..=1,
        Body::Pure(|args| is(args, |term| matches!(term, Term::List(_) | Term::Improper(_)))),
    ),
    Entry::new("", "is_map", 1..=1, Body::Pure(|args| is(args, |term| matches!(term, Term::Map(_))))),
    Entry::new("", "is_nil", 1..=1, Body::Pure(|args| is(args, |term| term.is_atom("nil")))),
    Entry::new(
        "",
        "is_number",
        1..=1,
        Body::Pure(|args| is(args, |term| matches!(term, Term::Int(_) | Term::Big(_) | Term::Float(_)))),
    ),
    Entry::new("", "is_pid", 1..=1, Body::Pure(|args| is(args, |term| matches!(term, Term::Pid(_))))),
    Entry::new("", "is_reference", 1..=1, Body::Pure(|args| is(args, |term| matches!(term, Term::Ref(_))))),
    Entry::new(
        "",
        "is_struct",
        1..=1,
        Body::Pure(|args| is(args, |term| term.as_map().is_some_and(|map| map.get_atom(elixir::STRUCT).is_some()))),
    ),
    Entry::new("", "is_tuple", 1..=1, Body::Pure(|args| is(args, |term| matches!(term, Term::Tuple(_))))),
    Entry::new("", "length", 1..=1, Body::Pure(|args| Ok(list_of(args, 0)?.len().into()))),
    Entry::new(
        "",
        "map_size",
        1..=1,
        Body::Pure(|args| arg(args, 0)?.as_map().map(|map| map.len().into()).ok_or_else(badarg)),
    ),
    Entry::new(
        "",
        "max",
        2..=2,
        Body::Pure(|args| {
            Ok(if order::compare(arg(args, 0)?, arg(args, 1)?).is_lt() { arg(args, 1)? } else { arg(args, 0)? }.clone())
        }),
    ),
    Entry::new(
        "",
        "min",
        2..=2,
        Body::Pure(|args| {
            Ok(if order::compare(arg(args, 0)?, arg(args, 1)?).is_gt() { arg(args, 1)? } else { arg(args, 0)? }.clone())
        }),
    ),
    Entry::new(
        "",
        "raise",
        1..=1,
        Body::Pure(|args| Err(Raise::error(elixir::runtime_error(to_text(arg(args, 0)?)?)))),
    ),
    Entry::new("", "throw", 1..=1, Body::Pure(|args| Err(Raise::Throw(arg(args, 0)?.clone())))),
    Entry::new(
        "",
        "tl",
        1..=1,
        Body::Pure(|args| list_of(args, 0)?.get(1..).map(|rest| Term::List(rest.to_vec())).ok_or_else(badarg)),
    ),
    Entry::new("", "to_charlist", 1..=1, Body::Pure(|args| Ok(charlist(&to_text(arg(args, 0)?)?)))),
    Entry::new("", "to_string", 1..=1, Body::Pure(|args| to_text(arg(args, 0)?).map(binary))),
    Entry::new(
        "",
        "tuple_size",
        1..=1,
        Body::Pure(|args| arg(args, 0)?.as_tuple().map(|parts| parts.len().into()).ok_or_else(badarg)),
    ),
    Entry::new("", "sigil_c", 2..=2, Body::Pure(|args| Ok(charlist(text(args, 0)?)))),
    Entry::new("", "sigil_C", 2..=2, Body::Pure(|args| Ok(charlist(text(args, 0)?)))),
    Entry::new("", "sigil_s", 2..=2, Body::Pure(|args| Ok(arg(args, 0)?.clone()))),
    Entry::new("", "sigil_S", 2..=2, Body::Pure(|args| Ok(arg(args, 0)?.clone()))),
    Entry::new("", "sigil_w", 2..=2, Body::Pure(words)),
    Entry::new("", "sigil_W", 2..=2, Body::Pure(words)),
    Entry::new(
        "",
        "sigil_U",
        2..=2,
        Body::Pure(|args| {
            date_time(text(args, 0)?).ok_or_else(|| Raise::argument("~U wants a time in UTC: ~U[2026-01-15 10:20:30Z]"))
        }),
    ),
];

fn badarg() -> Raise {
    Raise::error(atom("badarg"))
}

fn is(args: &[Term], fits: impl Fn(&Term) -> bool) -> Result<Term, Raise> {
    Ok(fits(arg(args, 0)?).into())
}

fn byte_size(args: &[Term]) -> Result<Term, Raise> {
    match arg(args, 0)? {
        Term::Binary(bytes) => Ok(bytes.len().into()),
        _ => Err(badarg()),
    }
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

/// A `%DateTime{}` of a text in UTC, with as many digits of a second as it has.
pub(super) fn date_time(text: &str) -> Option<Term> {
    let text = text.replace(' ', "T");
    let time: jiff::Timestamp = text.strip_suffix('Z').and_then(|_| text.parse().ok())?;
    let digits = text.split_once('.').map_or(0, |(_, fraction)| fraction.trim_end_matches('Z').len().min(6));
    let Term::Map(mut map) = elixir::date_time(time) else { return None };
    let micros = i64::from(time.subsec_nanosecond() / 1_000).rem_euclid(1_000_000);
    map.insert(atom("microsecond"), crate::term::tuple([Term::Int(micros), digits.into()]));
    Some(Term::Map(map))
}
