//! What a call asks for.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, civil};

use super::{Form, LINES};
use crate::api::args::{arg, opts};
use crate::limits;
use crate::term::Term;
use crate::term::read::{Fields, ReadError, Reader};
use crate::watch::{Cursor, LogRequest};

/// What is to be read, and how it is told.
pub(super) struct Asked {
    pub(super) request: LogRequest,
    pub(super) form: Form,
}

/// The arguments of `stream`; none if its cursor is no cursor.
pub(super) fn stream(args: &[Term]) -> Result<Option<Asked>, ReadError> {
    let opts = opts(args, 2)?;
    let Some(mut asked) = both(args, &opts)? else { return Ok(None) };
    let request = &mut asked.request;
    request.follow = opts.read("follow", |follow| follow.boolean())?.unwrap_or(true);
    request.follow_app = opts.read("follow_app", |follow| follow.boolean())?.unwrap_or(false);
    request.tail = match opts.given("tail") {
        Some(tail) if tail.term().is_atom("all") => None,
        Some(tail) => Some(number(&tail, i64::MAX).map_err(|_| tail.refuse("a number of lines or :all"))?),
        // Who says where to begin wants all from there on.
        None => (request.since.is_none() && request.after.is_none()).then_some(LINES),
    };
    Ok(Some(asked))
}

/// The arguments of `tail`.
pub(super) fn tail(args: &[Term]) -> Result<Option<Asked>, ReadError> {
    both(args, &opts(args, 2)?)
}

/// A number of lines for one answer.
pub(super) fn lines(count: &Reader<'_>) -> Result<usize, ReadError> {
    number(count, i64::try_from(limits::LOG_TAIL_LINES).unwrap_or(i64::MAX))
}

fn number(count: &Reader<'_>, most: i64) -> Result<usize, ReadError> {
    Ok(usize::try_from(count.integer(0..=most)?).unwrap_or(0))
}

fn both(args: &[Term], opts: &Fields<'_>) -> Result<Option<Asked>, ReadError> {
    let flag = |name| opts.read(name, |flag| flag.boolean()).map(|flag| flag.unwrap_or(false));
    let after = opts.read("after", |cursor| Ok(cursor.text()?.to_owned()))?;
    let request = LogRequest {
        app_id: arg(args, 0, "app_id").name()?.to_owned(),
        deployment_id: opts.read("deployment_id", |id| Ok(id.name()?.to_owned()))?,
        since: opts.read("since", |at| instant(&at))?,
        until: opts.read("until", |at| instant(&at))?,
        ..LogRequest::default()
    };
    let form = Form { timestamps: flag("timestamps")?, cursors: flag("cursors")? };
    let after = match after.map(|text| Cursor::decode(&text)) {
        None => None,
        Some(Ok(cursor)) => Some(cursor),
        Some(Err(_)) => return Ok(None),
    };
    Ok(Some(Asked { request: LogRequest { after, ..request }, form }))
}

/// A `%DateTime{}` of any zone, or seconds since 1970.
fn instant(at: &Reader<'_>) -> Result<Timestamp, ReadError> {
    let found = match at.term() {
        Term::Int(seconds) => Timestamp::from_second(*seconds).ok(),
        Term::Float(seconds) => SignedDuration::try_from_secs_f64(seconds.get())
            .ok()
            .and_then(|passed| Timestamp::UNIX_EPOCH.checked_add(passed).ok()),
        Term::Map(_) => at.fields().ok().and_then(|fields| date_time(&fields)),
        _ => None,
    };
    found.ok_or_else(|| at.refuse("a DateTime or unix seconds"))
}

fn date_time(fields: &Fields<'_>) -> Option<Timestamp> {
    if !fields.get("__struct__")?.term().is_atom("Elixir.DateTime") {
        return None;
    }
    let number = |key: &str, (least, most)| fields.get(key)?.integer(least..=most).ok();
    let small = |key, most| i8::try_from(number(key, (0, most))?).ok();
    let year = i16::try_from(number("year", (-9999, 9999))?).ok()?;
    let (microseconds, _) = match fields.get("microsecond")?.term().as_tuple()? {
        [Term::Int(microseconds), precision] => (i32::try_from(*microseconds).ok()?, precision),
        _ => return None,
    };
    let (month, day) = (small("month", 12)?, small("day", 31)?);
    // A leap second is the end of the one before it.
    let (hour, minute, second) = (small("hour", 23)?, small("minute", 59)?, small("second", 60)?.min(59));
    let offsets = (-86_400, 86_400);
    let offset = number("utc_offset", offsets)? + number("std_offset", offsets)?;
    let local = civil::DateTime::new(year, month, day, hour, minute, second, microseconds * 1_000);
    let local = TimeZone::UTC.to_timestamp(local.ok()?).ok()?;
    local.checked_sub(SignedDuration::from_secs(offset)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::term::elixir::date_time as date_time_of;
    use crate::term::{atom, binary, keyword, map};

    fn asked(opts: Term) -> Result<Option<Asked>, ReadError> {
        stream(&[binary("shop"), Term::NIL, opts])
    }

    #[test]
    fn a_time_is_a_date_time_or_seconds() {
        let at = Timestamp::from_microsecond(1_768_472_430_123_456).unwrap();
        let since = |since| asked(keyword([("since", since)])).map(|asked| asked.unwrap().request.since.unwrap());
        assert_eq!(since(date_time_of(at)), Ok(at));
        assert_eq!(since(Term::Int(at.as_second())), Ok(Timestamp::from_second(at.as_second()).unwrap()));
        let mut elsewhere = date_time_of(at);
        if let Term::Map(fields) = &mut elsewhere {
            fields.insert(atom("utc_offset"), Term::Int(3600));
        }
        assert_eq!(since(elsewhere), at.checked_sub(SignedDuration::from_hours(1)).map_err(|_| unreachable!()));
        for wrong in [atom("soon"), binary("now"), map([("__struct__", atom("Elixir.Date"))])] {
            let error = since(wrong).unwrap_err();
            assert!(error.to_string().starts_with("opts[:since]: wanted a DateTime or unix seconds"), "{error}");
        }
    }

    #[test]
    fn who_says_where_to_begin_gets_all_from_there_on() {
        let tail = |opts| asked(keyword(opts)).unwrap().unwrap().request.tail;
        assert_eq!(tail(vec![]), Some(LINES));
        assert_eq!(tail(vec![("since", Term::Int(1))]), None);
        assert_eq!(tail(vec![("since", Term::Int(1)), ("tail", Term::Int(5))]), Some(5));
        assert_eq!(tail(vec![("tail", atom("all"))]), None);
        assert!(asked(keyword([("tail", Term::Int(-1))])).is_err());
        assert!(asked(keyword([("after", binary("nonsense"))])).unwrap().is_none());
        assert!(asked(keyword([("after", Term::Int(1))])).is_err());
    }
}
