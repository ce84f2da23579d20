//! `Date`, `Time`, `NaiveDateTime`: what the sigils and the parts of a `%DateTime{}` are.

use std::cmp::Ordering;

use jiff::civil;

use super::{Entry, arg, integer, text, time, to_text};
use crate::node::Raise;
use crate::term::{Inspect, Map, Term, atom, binary, elixir, tuple};

const DATE: &str = "Elixir.Date";
const TIME: &str = "Elixir.Time";
const NAIVE: &str = "Elixir.NaiveDateTime";
const DATE_TIME: &str = "Elixir.DateTime";

pub(super) const ENTRIES: &[Entry] = &[
    Entry::pure("", "sigil_D", 2..=2, |args| of_sigil(args, DATE)),
    Entry::pure("", "sigil_N", 2..=2, |args| of_sigil(args, NAIVE)),
    Entry::pure("", "sigil_T", 2..=2, |args| of_sigil(args, TIME)),
    Entry::pure(DATE, "add", 2..=2, |args| {
        let day =
            moment(arg(args, 0)?)?.checked_add(jiff::Span::new().try_days(integer(args, 1)?).map_err(out_of_time)?);
        Ok(made(DATE, (day.map_err(out_of_time)?, 0)))
    }),
    Entry::pure(DATE, "after?", 2..=2, |args| Ok(order(args)?.is_gt().into())),
    Entry::pure(DATE, "before?", 2..=2, |args| Ok(order(args)?.is_lt().into())),
    Entry::pure(DATE, "compare", 2..=2, compared),
    Entry::pure(DATE, "day_of_week", 1..=1, |args| {
        Ok(Term::Int(moment(arg(args, 0)?)?.weekday().to_monday_one_offset().into()))
    }),
    Entry::pure(DATE, "diff", 2..=2, |args| Ok(Term::Int(seconds(args)?.div_euclid(86_400)))),
    Entry::pure(DATE, "from_iso8601", 1..=1, |args| {
        let day = of_text(text(args, 0)?, DATE);
        Ok(day.map_or_else(|| tuple([atom("error"), atom("invalid_format")]), |day| tuple([Term::OK, day])))
    }),
    Entry::pure(DATE, "from_iso8601!", 1..=1, |args| of_sigil(args, DATE)),
    Entry::pure(DATE, "new", 3..=3, |args| {
        let part = |at| i8::try_from(integer(args, at)?).map_err(|_| Raise::argument("that is no day"));
        let year = i16::try_from(integer(args, 0)?).map_err(|_| Raise::argument("that is no year"))?;
        Ok(match civil::Date::new(year, part(1)?, part(2)?) {
            Ok(day) => tuple([Term::OK, made(DATE, (day.into(), 0))]),
            Err(_) => tuple([atom("error"), atom("invalid_date")]),
        })
    }),
    Entry::pure(DATE, "to_iso8601", 1..=1, |args| to_text(arg(args, 0)?).map(binary)),
    Entry::pure(DATE, "to_string", 1..=1, |args| to_text(arg(args, 0)?).map(binary)),
    Entry::pure(DATE, "utc_today", 0..=0, |_| part_of(&now(), DATE)),
    Entry::pure(TIME, "compare", 2..=2, compared),
    Entry::pure(TIME, "diff", 2..=2, |args| seconds(args).map(Term::Int)),
    Entry::pure(TIME, "to_string", 1..=1, |args| to_text(arg(args, 0)?).map(binary)),
    Entry::pure(TIME, "utc_now", 0..=0, |_| part_of(&now(), TIME)),
    Entry::pure(NAIVE, "compare", 2..=2, compared),
    Entry::pure(NAIVE, "diff", 2..=2, |args| seconds(args).map(Term::Int)),
    Entry::pure(NAIVE, "to_iso8601", 1..=1, |args| Ok(binary(to_text(arg(args, 0)?)?.replace(' ', "T")))),
    Entry::pure(NAIVE, "to_string", 1..=1, |args| to_text(arg(args, 0)?).map(binary)),
    Entry::pure(NAIVE, "utc_now", 0..=0, |_| part_of(&now(), NAIVE)),
    Entry::pure(DATE_TIME, "to_date", 1..=1, |args| part_of(arg(args, 0)?, DATE)),
    Entry::pure(DATE_TIME, "to_naive", 1..=1, |args| part_of(arg(args, 0)?, NAIVE)),
    Entry::pure(DATE_TIME, "to_time", 1..=1, |args| part_of(arg(args, 0)?, TIME)),
];

fn now() -> Term {
    elixir::date_time(jiff::Timestamp::now())
}

fn out_of_time(_: jiff::Error) -> Raise {
    Raise::argument("that is out of time")
}

fn of_sigil(args: &[Term], name: &'static str) -> Result<Term, Raise> {
    let text = text(args, 0)?;
    let short = name.strip_prefix("Elixir.").unwrap_or(name);
    of_text(text, name).ok_or_else(|| Raise::argument(format!("cannot parse {text:?} as {short} for Calendar.ISO")))
}

/// A text as one of the three.
fn of_text(text: &str, name: &'static str) -> Option<Term> {
    let digits = text.split_once('.').map_or(0, |(_, fraction)| fraction.len().min(6));
    let moment = match name {
        DATE => civil::Date::strptime("%Y-%m-%d", text).ok()?.into(),
        TIME => civil::Date::constant(1970, 1, 1).to_datetime(text.parse().ok()?),
        _ => text.replace(' ', "T").parse().ok()?,
    };
    Some(made(name, (moment, digits)))
}

/// The struct of a moment, with so many digits of a second.
fn made(name: &'static str, (moment, digits): (civil::DateTime, usize)) -> Term {
    let mut map: Map =
        [(atom(elixir::STRUCT), atom(name)), (atom("calendar"), atom("Elixir.Calendar.ISO"))].into_iter().collect();
    let mut put = |key, value: i64| drop(map.insert(atom(key), Term::Int(value)));
    if name != TIME {
        put("year", moment.year().into());
        put("month", moment.month().into());
        put("day", moment.day().into());
    }
    if name != DATE {
        put("hour", moment.hour().into());
        put("minute", moment.minute().into());
        put("second", moment.second().into());
        let micros = i64::from(moment.subsec_nanosecond() / 1_000);
        map.insert(atom("microsecond"), tuple([Term::Int(micros), digits.into()]));
    }
    Term::Map(map)
}

/// The moment of any of them, those without a day on the first, those without a time at midnight.
pub(super) fn moment(term: &Term) -> Result<civil::DateTime, Raise> {
    let wanted = || Raise::argument(format!("wanted a date or a time, got {}", Inspect::short(term, 100)));
    let map = term.as_map().ok_or_else(wanted)?;
    let (sigil, text) = match crate::term::calendar(map) {
        Some(found) => found,
        None => ('U', to_text(term)?.trim_end_matches('Z').to_owned()),
    };
    let day = |text: &str| text.parse::<civil::Date>().ok();
    let found = match sigil {
        'D' => day(&text).map(civil::DateTime::from),
        'T' => text.parse().ok().map(|time| civil::Date::constant(1970, 1, 1).to_datetime(time)),
        _ => text.replace(' ', "T").parse().ok(),
    };
    found.ok_or_else(wanted)
}

fn part_of(term: &Term, name: &'static str) -> Result<Term, Raise> {
    Ok(made(name, (moment(term)?, time::digits(term))))
}

fn order(args: &[Term]) -> Result<Ordering, Raise> {
    Ok(moment(arg(args, 0)?)?.cmp(&moment(arg(args, 1)?)?))
}

fn compared(args: &[Term]) -> Result<Term, Raise> {
    order(args).map(time::as_atom)
}

/// Whole seconds between two moments.
fn seconds(args: &[Term]) -> Result<i64, Raise> {
    let second = |at| {
        let moment = jiff::tz::TimeZone::UTC.to_timestamp(moment(arg(args, at)?)?);
        Ok::<_, Raise>(moment.map_err(out_of_time)?.as_second())
    };
    Ok(second(0)? - second(1)?)
}
