//! `String` and `Atom`.

use super::graphemes::graphemes;
use super::numbers::radix;
use super::{Entry, arg, check_count, integer, of_range, position, text, to_text};
use crate::limits;
use crate::node::Raise;
use crate::shell::eval::check_size;
use crate::term::{Atom, Pretty, Term, atom, binary, tuple};

const STRING: &str = "Elixir.String";

pub(super) const ENTRIES: &[Entry] = &[
    Entry::pure(STRING, "at", 2..=2, |args| character(args, integer(args, 1)?)),
    Entry::pure(STRING, "capitalize", 1..=1, |args| text(args, 0).map(|text| binary(capitalize(text)))),
    Entry::pure(STRING, "codepoints", 1..=1, |args| {
        let text = text(args, 0)?;
        check_count(text.len())?;
        Ok(Term::List(text.chars().map(|c| binary(c.to_string())).collect()))
    }),
    Entry::pure(STRING, "contains?", 2..=2, |args| any(args, |text, part| text.contains(part))),
    Entry::pure(STRING, "downcase", 1..=1, |args| {
        Ok(binary(text(args, 0)?.chars().flat_map(char::to_lowercase).collect::<String>()))
    }),
    Entry::pure(STRING, "duplicate", 2..=2, duplicate),
    Entry::pure(STRING, "ends_with?", 2..=2, |args| any(args, |text, part| text.ends_with(part))),
    Entry::pure(STRING, "first", 1..=1, |args| character(args, 0)),
    Entry::pure(STRING, "graphemes", 1..=1, characters),
    Entry::pure(STRING, "last", 1..=1, |args| character(args, -1)),
    Entry::pure(STRING, "length", 1..=1, |args| Ok(graphemes(text(args, 0)?).len().into())),
    Entry::pure(STRING, "pad_leading", 2..=3, |args| pad(args, true)),
    Entry::pure(STRING, "pad_trailing", 2..=3, |args| pad(args, false)),
    Entry::pure(STRING, "printable?", 1..=1, |args| Ok(Pretty::is_text(arg(args, 0)?).into())),
    Entry::pure(STRING, "replace", 3..=4, replace),
    Entry::pure(STRING, "replace_leading", 3..=3, |args| replaced(args, (true, true))),
    Entry::pure(STRING, "replace_prefix", 3..=3, |args| replaced(args, (true, false))),
    Entry::pure(STRING, "replace_suffix", 3..=3, |args| replaced(args, (false, false))),
    Entry::pure(STRING, "replace_trailing", 3..=3, |args| replaced(args, (false, true))),
    Entry::pure(STRING, "reverse", 1..=1, |args| {
        Ok(binary(graphemes(text(args, 0)?).into_iter().rev().collect::<String>()))
    }),
    Entry::pure(STRING, "slice", 2..=3, slice),
    Entry::pure(STRING, "split", 1..=3, split),
    Entry::pure(STRING, "split_at", 2..=2, |args| {
        let all = graphemes(text(args, 0)?);
        let at = integer(args, 1)?;
        let at = usize::try_from(at).ok().or_else(|| position(at, all.len())).unwrap_or(0).min(all.len());
        let (head, rest) = all.split_at(at);
        Ok(tuple([binary(head.concat()), binary(rest.concat())]))
    }),
    Entry::pure(STRING, "starts_with?", 2..=2, |args| any(args, |text, part| text.starts_with(part))),
    Entry::pure(STRING, "to_atom", 1..=1, |args| to_atom(text(args, 0)?)),
    Entry::pure(STRING, "to_charlist", 1..=1, |args| Ok(crate::term::charlist(text(args, 0)?))),
    Entry::pure(STRING, "to_existing_atom", 1..=1, |args| to_atom(text(args, 0)?)),
    Entry::pure(STRING, "to_float", 1..=1, to_float),
    Entry::pure(STRING, "to_integer", 1..=2, to_integer),
    Entry::pure(STRING, "trim", 1..=2, |args| trim(args, (true, true))),
    Entry::pure(STRING, "trim_leading", 1..=2, |args| trim(args, (true, false))),
    Entry::pure(STRING, "trim_trailing", 1..=2, |args| trim(args, (false, true))),
    Entry::pure(STRING, "upcase", 1..=1, |args| Ok(binary(text(args, 0)?.to_uppercase()))),
    Entry::pure(STRING, "valid?", 1..=1, |args| Ok(arg(args, 0)?.as_text().is_some().into())),
    Entry::pure("Elixir.Atom", "to_string", 1..=1, |args| {
        arg(args, 0)?.as_atom().map(binary).ok_or_else(|| Raise::error(atom("badarg")))
    }),
];

fn character(args: &[Term], at: i64) -> Result<Term, Raise> {
    let all = graphemes(text(args, 0)?);
    Ok(position(at, all.len()).and_then(|at| all.get(at)).map(|found| (*found).to_owned()).into())
}

fn characters(args: &[Term]) -> Result<Term, Raise> {
    let text = text(args, 0)?;
    check_count(text.len())?;
    Ok(Term::List(graphemes(text).into_iter().map(binary).collect()))
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
            check_comparisons(whole, parts.len())?;
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
    let filler = if args.len() == 3 { text(args, 2)? } else { " " };
    check_size(width.saturating_mul(filler.chars().map(char::len_utf8).max().unwrap_or(1)))?;
    let missing = width.saturating_sub(graphemes(whole).len());
    let padding: String = filler.chars().cycle().take(if filler.is_empty() { 0 } else { missing }).collect();
    Ok(binary(if leading { padding + whole } else { format!("{whole}{padding}") }))
}

/// Whether so many parts may be looked for in a text.
fn check_comparisons(whole: &str, parts: usize) -> Result<(), Raise> {
    let enough = whole.len().saturating_mul(parts) > limits::SHELL_COMPARISONS;
    if enough { Err(Raise::error(atom("system_limit"))) } else { Ok(()) }
}

/// An option of the last argument, if it is a keyword list.
fn option(args: &[Term], at: usize, name: &'static str) -> Result<Term, Raise> {
    args.get(at).map_or(Ok(Term::NIL), |options| crate::shell::eval::access(options, &atom(name)))
}

/// `replace(text, part, with)`, the first alone with `global: false`.
fn replace(args: &[Term]) -> Result<Term, Raise> {
    let (whole, to) = (text(args, 0)?, text(args, 2)?);
    let once = option(args, 3, "global")?.is_atom("false");
    let Term::List(several) = arg(args, 1)? else {
        let from = text(args, 1)?;
        let count = if once { 1 } else { whole.matches(from).count() };
        check_size(whole.len().saturating_add(to.len().saturating_mul(count)))?;
        return Ok(binary(whole.replacen(from, to, count)));
    };
    check_comparisons(whole, several.len())?;
    let separators: Vec<&str> = several.iter().filter_map(Term::as_text).collect();
    let parts = pieces(whole, (&separators, if once { 2 } else { usize::MAX }));
    check_size(whole.len().saturating_add(to.len().saturating_mul(parts.len())))?;
    Ok(binary(parts.join(to)))
}

/// What a text begins or ends with, once or as often as it does, replaced.
fn replaced(args: &[Term], (leading, all): (bool, bool)) -> Result<Term, Raise> {
    let (whole, part, to) = (text(args, 0)?, text(args, 1)?, text(args, 2)?);
    let (mut rest, mut count) = (whole, 0_usize);
    while let Some(shorter) = if leading { rest.strip_prefix(part) } else { rest.strip_suffix(part) } {
        rest = shorter;
        count += 1;
        if !all || part.is_empty() {
            break;
        }
    }
    check_size(rest.len().saturating_add(to.len().saturating_mul(count)))?;
    let new = to.repeat(count);
    Ok(binary(if leading { new + rest } else { format!("{rest}{new}") }))
}

fn slice(args: &[Term]) -> Result<Term, Raise> {
    let whole = text(args, 0)?;
    let all = graphemes(whole);
    let length = all.len();
    let (from, count) = match args {
        [_, range] => of_range(range, length)?,
        _ => (position(integer(args, 1)?, length).unwrap_or(length), usize::try_from(integer(args, 2)?).unwrap_or(0)),
    };
    Ok(binary(all.into_iter().skip(from).take(count).collect::<String>()))
}

fn trim(args: &[Term], (leading, trailing): (bool, bool)) -> Result<Term, Raise> {
    let (mut whole, blank) = (text(args, 0)?, args.get(1).map(|_| text(args, 1)).transpose()?);
    if blank == Some("") {
        return Ok(binary(whole));
    }
    if leading {
        whole = blank.map_or_else(|| whole.trim_start(), |part| whole.trim_start_matches(part));
    }
    if trailing {
        whole = blank.map_or_else(|| whole.trim_end(), |part| whole.trim_end_matches(part));
    }
    Ok(binary(whole))
}

/// `split(text)`, `split(text, separator)`, with `trim: true` and `parts: 2`.
fn split(args: &[Term]) -> Result<Term, Raise> {
    let whole = text(args, 0)?;
    check_count(whole.len())?;
    let Some(separator) = args.get(1) else { return Ok(Term::List(whole.split_whitespace().map(binary).collect())) };
    let separators: Vec<&str> = match separator {
        Term::List(all) => all.iter().filter_map(Term::as_text).collect(),
        _ => vec![text(args, 1)?],
    };
    check_comparisons(whole, separators.len())?;
    let trim = option(args, 2, "trim")?.is_atom("true");
    let most = match option(args, 2, "parts")? {
        Term::Int(most) => usize::try_from(most).unwrap_or(1).max(1),
        _ => usize::MAX,
    };
    let parts = pieces(whole, (&separators, most)).into_iter().filter(|part| !trim || !part.is_empty());
    Ok(Term::List(parts.map(binary).collect()))
}

/// At most so many pieces of a text, between whatever separator comes first; of several that begin there the longest.
fn pieces<'t>(whole: &'t str, (separators, most): (&[&str], usize)) -> Vec<&'t str> {
    if separators == [""] {
        return whole.splitn(most, "").collect();
    }
    let (mut pieces, mut start) = (Vec::new(), 0);
    for (at, _) in whole.char_indices() {
        if at < start || pieces.len() + 1 >= most {
            continue;
        }
        let rest = whole.get(at..).unwrap_or_default();
        let found = separators.iter().filter(|own| !own.is_empty() && rest.starts_with(**own)).map(|own| own.len());
        if let Some(length) = found.max() {
            pieces.push(whole.get(start..at).unwrap_or_default());
            start = at + length;
        }
    }
    pieces.push(whole.get(start..).unwrap_or_default());
    pieces
}

pub(super) fn to_atom(text: &str) -> Result<Term, Raise> {
    Atom::new(text).map(Term::Atom).map_err(|e| Raise::argument(e.to_string()))
}

fn to_float(args: &[Term]) -> Result<Term, Raise> {
    let value = text(args, 0)?.parse().ok().filter(|_| text(args, 0).is_ok_and(|text| text.contains('.')));
    let float = value.and_then(|value| crate::term::Float::new(value).ok());
    float.map(Term::Float).ok_or_else(|| Raise::error(atom("badarg")))
}

pub(super) fn to_integer(args: &[Term]) -> Result<Term, Raise> {
    let digits = text(args, 0)?;
    let parsed = num_bigint::BigInt::parse_bytes(digits.as_bytes(), radix(args)?)
        .filter(|_| digits.len() <= 10_000 && !digits.contains('_'));
    parsed.map(crate::shell::eval::from_big).ok_or_else(|| Raise::error(atom("badarg")))
}
