//! Elixir's structs as terms: exceptions and `DateTime`.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Map, Term, atom, binary, map, tuple};

/// The name of the key that makes a map a struct.
pub const STRUCT: &str = "__struct__";

/// A struct of `module` with `fields`.
pub fn structure(module: &'static str, fields: impl IntoIterator<Item = (&'static str, Term)>) -> Term {
    map([(STRUCT, atom(module))].into_iter().chain(fields))
}

/// An exception struct of `module` with `fields`.
pub fn exception(module: &'static str, fields: impl IntoIterator<Item = (&'static str, Term)>) -> Term {
    structure(module, [("__exception__", Term::from(true))].into_iter().chain(fields))
}

/// `%ArgumentError{message: message}`.
pub fn argument_error(message: impl Into<String>) -> Term {
    exception("Elixir.ArgumentError", [("message", binary(message))])
}

/// `%KeyError{key: key, term: term, message: message}`.
pub fn key_error(key: Term, term: Term, message: Option<String>) -> Term {
    exception("Elixir.KeyError", [("key", key), ("term", term), ("message", Term::from(message))])
}

/// `%RuntimeError{message: message}`.
pub fn runtime_error(message: impl Into<String>) -> Term {
    exception("Elixir.RuntimeError", [("message", binary(message))])
}

/// A `%DateTime{}` in UTC with microseconds.
pub fn date_time(time: Timestamp) -> Term {
    let utc = TimeZone::UTC.to_datetime(time);
    let microsecond = i64::from(utc.subsec_nanosecond() / 1_000);
    structure(
        "Elixir.DateTime",
        [
            ("calendar", atom("Elixir.Calendar.ISO")),
            ("year", Term::from(i64::from(utc.year()))),
            ("month", Term::from(i64::from(utc.month()))),
            ("day", Term::from(i64::from(utc.day()))),
            ("hour", Term::from(i64::from(utc.hour()))),
            ("minute", Term::from(i64::from(utc.minute()))),
            ("second", Term::from(i64::from(utc.second()))),
            ("microsecond", tuple([Term::Int(microsecond), Term::Int(6)])),
            ("time_zone", binary("Etc/UTC")),
            ("zone_abbr", binary("UTC")),
            ("utc_offset", Term::Int(0)),
            ("std_offset", Term::Int(0)),
        ],
    )
}

/// `{year, month, day}` and `{hour, minute, second}` in UTC, as Erlang's own functions give them.
pub fn date_and_time(time: Timestamp) -> [Term; 2] {
    let utc = TimeZone::UTC.to_datetime(time);
    let three = |values: [i64; 3]| tuple(values.map(Term::Int));
    let date = three([utc.year().into(), utc.month().into(), utc.day().into()]);
    [date, three([utc.hour().into(), utc.minute().into(), utc.second().into()])]
}

/// The text of a `%DateTime{}` in UTC, as its sigil shows it; nothing for any other map.
pub(super) fn date_time_text(time: &Map) -> Option<String> {
    if !time.get_atom(STRUCT)?.is_atom("Elixir.DateTime") || time.get_atom("time_zone")?.as_text()? != "Etc/UTC" {
        return None;
    }
    let number = |key: &str| match time.get_atom(key) {
        Some(Term::Int(value)) => Some(*value),
        _ => None,
    };
    let [year, month, day] = [number("year")?, number("month")?, number("day")?];
    let [hour, minute, second] = [number("hour")?, number("minute")?, number("second")?];
    let fraction = match time.get_atom("microsecond")?.as_tuple()? {
        [_, Term::Int(0)] => String::new(),
        [Term::Int(micros), Term::Int(digits)] => {
            format!(".{micros:06}").chars().take(1 + usize::try_from(*digits).ok()?).collect()
        }
        _ => return None,
    };
    Some(format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}{fraction}Z"))
}

/// A `%Range{}`.
pub fn range(first: i64, last: i64, step: i64) -> Term {
    structure("Elixir.Range", [("first", first.into()), ("last", last.into()), ("step", step.into())])
}

/// First, last and step of a `%Range{}`; nothing for any other map.
pub fn as_range(range: &Map) -> Option<[i64; 3]> {
    if !range.get_atom(STRUCT)?.is_atom("Elixir.Range") {
        return None;
    }
    let number = |key: &str| match range.get_atom(key) {
        Some(Term::Int(value)) => Some(*value),
        _ => None,
    };
    Some([number("first")?, number("last")?, number("step")?])
}

/// A `%Range{}` as it is written; nothing for any other map.
pub(super) fn range_text(range: &Map) -> Option<String> {
    let [first, last, step] = as_range(range)?;
    Some(if step == 1 { format!("{first}..{last}") } else { format!("{first}..{last}//{step}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_becomes_a_date_time_in_utc_with_microseconds() {
        let time = date_time(Timestamp::from_microsecond(1_768_472_430_123_456).unwrap());
        assert_eq!(format!("{time:?}"), "~U[2026-01-15 10:20:30.123456Z]");
    }

    #[test]
    fn a_date_time_equals_what_a_real_node_encodes() {
        let vectors =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/otp27.jsonl")).unwrap();
        let row = vectors.lines().find(|line| line.contains("\"struct_datetime_usec\"")).unwrap();
        let row: serde_json::Value = serde_json::from_str(row).unwrap();
        let hex = row["etf"].as_str().unwrap();
        let bytes: Vec<u8> =
            (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect();
        let theirs = crate::term::codec::decode(&bytes.into()).unwrap();
        assert_eq!(date_time(Timestamp::from_microsecond(1_768_472_430_123_456).unwrap()), theirs);
    }
}
