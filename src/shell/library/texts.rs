//! `String` and `Atom`.

use super::{Body, Entry, arg, integer, position, text, to_text};
use crate::node::Raise;
use crate::shell::eval::check_size;
use crate::term::{Atom, Term, atom, binary};

const STRING: &str = "Elixir.String";

pub(super) const ENTRIES: &[Entry] = &[
    Entry::new(STRING, "at", 2..=2, Body::Pure(at)),
    Entry::new(STRING, "capitalize", 1..=1, Body::Pure(|args| text(args, 0).map(|text| binary(capitalize(text))))),
    Entry::new(STRING, "contains?", 2..=2, Body::Pure(|args| any(args, |text, part| text.contains(part)))),
    Entry::new(STRING, "downcase", 1..=1, Body::Pure(|args| Ok(binary(text(args, 0)?.to_lowercase())))),
    Entry::new(STRING, "duplicate", 2..=2, Body::Pure(duplicate)),
    Entry::new(STRING, "ends_with?", 2..=2, Body::Pure(|args| any(args, |text, part| text.ends_with(part)))),
    Entry::new(STRING, "length", 1..=1, Body::Pure(|args| Ok(text(args, 0)?.chars().count().into()))),
    Entry::new(STRING, "pad_leading", 2..=3, Body::Pure(|args| pad(args, true))),
    Entry::new(STRING, "pad_trailing", 2..=3, Body::Pure(|args| pad(args, false))),
    Entry::new(STRING, "replace", 3..=3, Body::Pure(replace)),
    Entry::new(
        STRING,
        "reverse",
        1..=1,
        Body::Pure(|args| Ok(binary(text(args, 0)?.chars().rev().collect::<String>()))),
    ),
    Entry::new(STRING, "slice", 3..=3, Body::Pure(slice)),
    Entry::new(STRING, "split", 1..=3, Body::Pure(split)),
    Entry::new(STRING, "starts_with?", 2..=2, Body::Pure(|args| any(args, |text, part| text.starts_with(part)))),
    Entry::new(STRING, "to_atom", 1..=1, Body::Pure(|args| to_atom(text(args, 0)?))),
    Entry::new(STRING, "to_charlist", 1..=1, Body::Pure(|args| Ok(crate::term::charlist(text(args, 0)?)))),
    Entry::new(STRING, "to_integer", 1..=1, Body::Pure(to_integer)),
    Entry::new(STRING, "trim", 1..=1, Body::Pure(|args| Ok(binary(text(args, 0)?.trim())))),
    Entry::new(STRING, "upcase", 1..=1, Body::Pure(|args| Ok(binary(text(args, 0)?.to_uppercase())))),
    Entry::new(
        "Elixir.Atom",
        "to_string",
        1..=1,
        Body::Pure(|args| arg(args, 0)?.as_atom().map(binary).ok_or_else(|| Raise::error(atom("badarg")))),
    ),
];

fn at(args: &[Term]) -> Result<Term, Raise> {
    let all: Vec<char> = text(args, 0)?.chars().collect();
    Ok(position(integer(args, 1)?, all.len()).and_then(|at| all.get(at)).map(|c| c.to_string()).into())
}

fn capitalize(text: &str) -> String {
    let mut rest = text.chars();
    rest.next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(rest.as_str().to_lowercase().chars()).collect())
}

/// Whether the text has the part, or one of several.
fn any(args: &[Term], has: fn(&str, &str) -> bool) -> Result<Term, Raise> {
    let whole = text(args, 0)?;
    match arg(args, 1)? {
        Term::List(parts) => {
            let parts = parts.iter().map(to_text).collect::<Result<Vec<_>, _>>()?;
            Ok(parts.iter().any(|part| has(whole, part)).into())
        }
        _ => Ok(has(whole, text(args, 1)?).into()),
    }
}

fn duplicate(args: &[Term]) -> Result<Term, Raise> {
    let (text, count) = (text(args, 0)?, usize::try_from(integer(args, 1)?).unwrap_or(0));
    check_size(text.len().saturating_mul(count))?;
    Ok(binary(text.repeat(count)))
}

fn pad(args: &[Term], leading: bool) -> Result<Term, Raise> {
    let (whole, width) = (text(args, 0)?, usize::try_from(integer(args, 1)?).unwrap_or(0));
    check_size(width)?;
    let filler = if args.len() == 3 { text(args, 2)? } else { " " };
    let missing = width.saturating_sub(whole.chars().count());
    let padding: String = filler.chars().cycle().take(if filler.is_empty() { 0 } else { missing }).collect();
    Ok(binary(if leading { padding + whole } else { format!("{whole}{padding}") }))
}

fn replace(args: &[Term]) -> Result<Term, Raise> {
    let (whole, from, to) = (text(args, 0)?, text(args, 1)?, text(args, 2)?);
    check_size(whole.len().saturating_mul(to.len().max(1)))?;
    Ok(binary(whole.replace(from, to)))
}

fn slice(args: &[Term]) -> Result<Term, Raise> {
    let whole = text(args, 0)?;
    let length = whole.chars().count();
    let from = position(integer(args, 1)?, length).unwrap_or(length);
    Ok(binary(whole.chars().skip(from).take(usize::try_from(integer(args, 2)?).unwrap_or(0)).collect::<String>()))
}

/// `split(text)`, `split(text, separator)`, with `trim: true`.
fn split(args: &[Term]) -> Result<Term, Raise> {
    let whole = text(args, 0)?;
    if args.len() == 1 {
        return Ok(Term::List(whole.split_whitespace().map(binary).collect()));
    }
    let trim = args.get(2).map_or(Ok(false), |options| {
        crate::shell::eval::access(options, &atom("trim")).map(|trim| trim.is_atom("true"))
    })?;
    let parts = whole.split(text(args, 1)?).filter(|part| !trim || !part.is_empty());
    Ok(Term::List(parts.map(binary).collect()))
}

fn to_atom(text: &str) -> Result<Term, Raise> {
    Atom::new(text).map(Term::Atom).map_err(|e| Raise::argument(e.to_string()))
}

fn to_integer(args: &[Term]) -> Result<Term, Raise> {
    let parsed = num_bigint::BigInt::parse_bytes(text(args, 0)?.as_bytes(), 10);
    parsed.map(crate::shell::eval::from_big).ok_or_else(|| Raise::error(atom("badarg")))
}
