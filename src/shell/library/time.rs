//! `DateTime`, in UTC.

use std::cmp::Ordering;

use jiff::Timestamp;

use super::{Entry, arg, integer, text, to_text};
use crate::node::Raise;
use crate::term::{Inspect, Term, atom, binary, elixir, tuple};

const TIME: &str = "Elixir.DateTime";

pub(super) const ENTRIES: &[Entry] = &[
    Entry::pure(TIME, "add", 2..=3, add),
    Entry::pure(TIME, "after?", 2..=2, |args| Ok(order(args)?.is_gt().into())),
    Entry::pure(TIME, "before?", 2..=2, |args| Ok(order(args)?.is_lt().into())),
    Entry::pure(TIME, "compare", 2..=2, |args| order(args).map(as_atom)),
    Entry::pure(TIME, "diff", 2..=3, diff),
    Entry::pure(TIME, "from_iso8601", 1..=1, from_iso8601),
    Entry::pure(TIME, "from_unix", 1..=2, |args| {
        Ok(from_unix(args).map_or_else(|_| invalid("invalid_unix_time"), |time| tuple([Term::OK, time])))
    }),
    Entry::pure(TIME, "from_unix!", 1..=2, from_unix),
    Entry::pure(TIME, "to_iso8601", 1..=1, |args| {
        micros(arg(args, 0)?)?;
        Ok(binary(to_text(arg(args, 0)?)?.replace(' ', "T")))
    }),
    Entry::pure(TIME, "to_string", 1..=1, |args| to_text(arg(args, 0)?).map(binary)),
    Entry::pure(TIME, "to_unix", 1..=2, |args| Ok(Term::Int(micros(arg(args, 0)?)?.div_euclid(unit(args.get(1))?.0)))),
    Entry::pure(TIME, "truncate", 2..=2, |args| truncated(arg(args, 0)?, args.get(1))),
    Entry::pure(TIME, "utc_now", 0..=1, |args| {
        let now = elixir::date_time(Timestamp::now());
        if args.is_empty() { Ok(now) } else { truncated(&now, args.first()) }
    }),
];

/// Microseconds since the epoch of a `%DateTime{}`.
pub(super) fn micros(term: &Term) -> Result<i64, Raise> {
    let wanted = || Raise::argument(format!("wanted a %DateTime{{}}, got {}", Inspect::short(term, 100)));
    let text = term.as_map().ok_or_else(wanted).and_then(|_| to_text(term))?.replace(' ', "T");
    text.parse::<Timestamp>().map(Timestamp::as_microsecond).map_err(|_| wanted())
}

/// A time with the digits of a second that a unit has.
fn truncated(time: &Term, to: Option<&Term>) -> Result<Term, Raise> {
    let (size, most) = unit(to)?;
    let micros = micros(time)?;
    at(micros - micros.rem_euclid(size.min(1_000_000)), digits(time).min(most))
        .ok_or_else(|| Raise::argument("that is out of time"))
}

pub(super) fn as_atom(order: Ordering) -> Term {
    atom(match order {
        Ordering::Less => "lt",
        Ordering::Equal => "eq",
        Ordering::Greater => "gt",
    })
}

fn order(args: &[Term]) -> Result<Ordering, Raise> {
    Ok(micros(arg(args, 0)?)?.cmp(&micros(arg(args, 1)?)?))
}

/// Microseconds of a unit, and digits of a second that it needs.
fn unit(term: Option<&Term>) -> Result<(i64, usize), Raise> {
    match term.map(Term::as_atom) {
        None | Some(Some("second")) => Ok((1_000_000, 0)),
        Some(Some("millisecond")) => Ok((1_000, 3)),
        Some(Some("microsecond")) => Ok((1, 6)),
        Some(Some("minute")) => Ok((60_000_000, 0)),
        Some(Some("hour")) => Ok((3_600_000_000, 0)),
        Some(Some("day")) => Ok((86_400_000_000, 0)),
        Some(_) => Err(Raise::argument("a unit is :day, :hour, :minute, :second, :millisecond or :microsecond")),
    }
}

fn diff(args: &[Term]) -> Result<Term, Raise> {
    let (size, _) = unit(args.get(2))?;
    // Whole seconds at most, of which longer units are parts.
    let (floor, longer) = (size.min(1_000_000), size / size.min(1_000_000));
    let units = (micros(arg(args, 0)?)? - micros(arg(args, 1)?)?).div_euclid(floor);
    Ok(Term::Int(units / longer))
}

/// Digits of a second that a `%DateTime{}` shows.
pub(super) fn digits(time: &Term) -> usize {
    let parts = time.as_map().and_then(|map| map.get_atom("microsecond")).and_then(Term::as_tuple);
    match parts {
        Some([_, Term::Int(digits)]) => usize::try_from(*digits).unwrap_or(6),
        _ => 6,
    }
}

fn add(args: &[Term]) -> Result<Term, Raise> {
    let (time, (size, needed)) = (arg(args, 0)?, unit(args.get(2))?);
    let moved = integer(args, 1)?.checked_mul(size).and_then(|by| micros(time).ok()?.checked_add(by));
    micros(time)?;
    moved.and_then(|micros| at(micros, digits(time).max(needed))).ok_or_else(|| Raise::argument("that is out of time"))
}

/// The `%DateTime{}` of microseconds since the epoch, with so many digits of a second.
fn at(micros: i64, digits: usize) -> Option<Term> {
    let Term::Map(mut map) = elixir::date_time(Timestamp::from_microsecond(micros).ok()?) else { return None };
    map.insert(atom("microsecond"), tuple([Term::Int(micros.rem_euclid(1_000_000)), digits.into()]));
    Some(Term::Map(map))
}

fn from_unix(args: &[Term]) -> Result<Term, Raise> {
    let (size, needed) = unit(args.get(1))?;
    let time = integer(args, 0)?.checked_mul(size).and_then(|micros| at(micros, needed));
    time.ok_or_else(|| Raise::argument("that is out of time"))
}

/// A `%DateTime{}` of a text in UTC, with as many digits of a second as it has.
pub(super) fn date_time(text: &str) -> Option<Term> {
    let text = text.replace(' ', "T");
    let time: Timestamp = text.strip_suffix('Z').and_then(|_| text.parse().ok())?;
    let digits = text.split_once('.').map_or(0, |(_, fraction)| fraction.trim_end_matches('Z').len().min(6));
    at(time.as_microsecond(), digits)
}

fn invalid(why: &'static str) -> Term {
    tuple([atom("error"), atom(why)])
}

fn from_iso8601(args: &[Term]) -> Result<Term, Raise> {
    let text = text(args, 0)?;
    if let Some(time) = date_time(text) {
        return Ok(tuple([Term::OK, time, Term::Int(0)]));
    }
    let Ok(zoned) = text.replace(' ', "T").parse::<Timestamp>() else {
        let day = text.replace(' ', "T").parse::<jiff::civil::DateTime>();
        return Ok(invalid(if day.is_ok() && text.len() > 10 { "missing_offset" } else { "invalid_format" }));
    };
    // In another zone: as much as its clock is ahead.
    let clock = text.len().checked_sub(6).and_then(|at| text.get(..at)).and_then(|head| date_time(&format!("{head}Z")));
    let ahead = clock.as_ref().and_then(|clock| micros(clock).ok()).map(|clock| clock - zoned.as_microsecond());
    Ok(match (clock, ahead) {
        (Some(clock), Some(ahead)) => {
            let time = at(zoned.as_microsecond(), digits(&clock)).unwrap_or(Term::NIL);
            tuple([Term::OK, time, Term::Int(ahead / 1_000_000)])
        }
        _ => invalid("invalid_format"),
    })
}
