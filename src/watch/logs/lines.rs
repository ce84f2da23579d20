//! Entries of an engine become whole lines, each with its place.

use std::sync::Arc;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};

use super::cursor::{Mark, Place, index};
use super::lives::Life;
use super::text::Text;
use crate::host::{LogEntry, Stream};
use crate::limits;

/// What a stream of a log gives.
#[derive(Debug, Clone)]
pub enum LogItem {
    /// A line.
    Line(LogLine),
    /// Here lines are missing that are not there any more; nobody knows how many.
    Dropped,
    /// From here on it is the log of this container, or of another start of the same one.
    Container(Arc<Life>),
}

/// A line, or a piece of a long one.
#[derive(Debug, Clone)]
pub struct LogLine {
    /// Where it came from.
    pub stream: Stream,
    /// When its beginning was written.
    pub at: Timestamp,
    /// The text, without what ends it. It is UTF-8: `U+FFFD` stands for what is not.
    pub text: Bytes,
    /// Whether the next one of its stream goes on with it.
    pub continues: bool,
    pub(super) mark: Mark,
}

impl LogLine {
    /// By which a stream goes on behind it.
    pub fn cursor(&self) -> String {
        self.mark.cursor()
    }
}

/// Lines of one container's log.
#[derive(Debug)]
pub(super) struct Lines {
    life: Arc<Life>,
    of: [OfStream; 2],
    /// Whether the log was asked for from its beginning.
    all: bool,
    /// When the first entry came: otherwise what is earlier was not asked for.
    first: Option<Timestamp>,
}

#[derive(Debug, Default)]
struct OfStream {
    /// After the last entry.
    place: Place,
    /// After the last entry whose line was given.
    given: Place,
    /// What is left of the entries that were given before.
    skip: Option<Place>,
    text: Text,
    /// Since when a line is begun.
    begun: Option<Timestamp>,
    /// Whether an entry is begun.
    within: bool,
}

impl Lines {
    /// Lines of a log that is read from these places on; whether that is all of it if there are none.
    pub(super) fn new(life: Arc<Life>, from: [Place; 2], all: bool) -> Self {
        let of = from.map(|place| OfStream {
            place,
            given: place,
            skip: place.at.is_some().then_some(place),
            ..OfStream::default()
        });
        Self { life, of, all, first: None }
    }

    /// Whose lines they are.
    pub(super) fn life(&self) -> &Arc<Life> {
        &self.life
    }

    /// Behind what was given. A stream of which nothing came for a while needs no look further back than that while: no entry
    /// is that late.
    pub(super) fn places(&self) -> [Place; 2] {
        let [out, err] = &self.of;
        [self.place(out, err), self.place(err, out)]
    }

    fn place(&self, of: &OfStream, other: &OfStream) -> Place {
        let nothing_before = self.first.filter(|_| !self.all && of.given.at.is_none());
        let lately = other.given.at.and_then(|at| at.checked_sub(SLACK).ok()).filter(|_| of.begun.is_none());
        let at = of.given.at.max(nothing_before).max(lately);
        if at == of.given.at { of.given } else { Place { at, count: 0 } }
    }

    /// The earliest time from which on the log is to be read again.
    pub(super) fn since(&self) -> Option<Timestamp> {
        let [out, err] = self.places();
        out.at.min(err.at)
    }

    /// The log is read again from [`Lines::since`] on.
    pub(super) fn read_again(&mut self) {
        *self = Self { first: self.first, ..Self::new(self.life.clone(), self.places(), self.all) };
    }

    pub(super) fn push(&mut self, entry: LogEntry, out: &mut Vec<LogItem>) {
        let at = index(entry.stream);
        let Some(of) = self.of.get_mut(at) else { return };
        match of.was_given(&entry) {
            Given::Yes => return,
            Given::No => {}
            // What the place is behind of is not there any more, nor may be what came then.
            Given::Lost => out.push(LogItem::Dropped),
        }
        self.first.get_or_insert(entry.at);
        let begun = *of.begun.get_or_insert(entry.at);
        if !of.within && !of.text.is_empty() && of.text.len() + entry.text.len() > limits::LOG_LINE_BYTES {
            let piece = of.text.cut().into();
            let piece = self.line((entry.stream, begun), (piece, true));
            out.push(LogItem::Line(piece));
        }
        self.more(entry, begun, out);
    }

    fn more(&mut self, entry: LogEntry, begun: Timestamp, out: &mut Vec<LogItem>) {
        let Some(of) = self.of.get_mut(index(entry.stream)) else { return };
        of.within = !entry.whole;
        if entry.whole {
            of.place = of.place.after(entry.at);
        }
        let text = if entry.ends && of.text.is_empty() && std::str::from_utf8(&entry.text).is_ok() {
            entry.text
        } else {
            of.text.push(&entry.text);
            if !entry.ends {
                return;
            }
            Bytes::from(of.text.end())
        };
        // Terminals end lines with it too.
        let text = if text.ends_with(b"\r") { text.slice(..text.len() - 1) } else { text };
        let line = self.line((entry.stream, begun), (text, false));
        out.push(LogItem::Line(line));
    }

    /// Lines that have no end, once it is certain that none comes.
    pub(super) fn flush(&mut self, out: &mut Vec<LogItem>) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            let Some(of) = self.of.get_mut(index(stream)) else { continue };
            if let Some(begun) = of.begun {
                let text = of.text.end().into();
                let line = self.line((stream, begun), (text, false));
                out.push(LogItem::Line(line));
            }
        }
    }

    /// A line that is given now.
    fn line(&mut self, (stream, at): (Stream, Timestamp), (text, continues): (Bytes, bool)) -> LogLine {
        if let Some(of) = self.of.get_mut(index(stream)) {
            of.given = of.place;
            of.begun = of.begun.filter(|_| continues);
        }
        LogLine { stream, at, text, continues, mark: Mark { life: self.life.clone(), places: self.places() } }
    }
}

/// No entry is so late: what an engine does between the time that it gives an entry and the place where it puts it takes
/// microseconds.
const SLACK: SignedDuration = SignedDuration::from_secs(1);

enum Given {
    Yes,
    No,
    Lost,
}

impl OfStream {
    /// Whether an entry is one of those behind which the log is read again.
    fn was_given(&mut self, entry: &LogEntry) -> Given {
        let Some(skip) = &mut self.skip else { return Given::No };
        let before = skip.at.is_some_and(|at| entry.at < at);
        let at_it = skip.at == Some(entry.at) && skip.count > 0;
        if at_it && entry.whole {
            skip.count -= 1;
        }
        if before || at_it {
            return Given::Yes;
        }
        let lost = skip.count > 0;
        self.skip = None;
        if lost { Given::Lost } else { Given::No }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::cursor::Cursor;
    use super::*;
    use crate::host::{RuntimeKind, RuntimeTarget};

    fn life() -> Arc<Life> {
        Arc::new(Life {
            app_id: "shop".to_owned(),
            deployment_id: "1".to_owned(),
            container_id: "0123456789abcdef".to_owned(),
            container_name: "otturnaut-shop-1".to_owned(),
            runtime: RuntimeTarget { kind: RuntimeKind::Docker, socket: None },
        })
    }

    fn entry(stream: Stream, at: i64, text: &[u8], ends: bool) -> LogEntry {
        let at = Timestamp::from_millisecond(1_700_000_000_000 + at).unwrap();
        LogEntry { stream, at, text: Bytes::copy_from_slice(text), ends, whole: true }
    }

    /// Stream, text, whether it goes on, cursor.
    type Given = (Stream, String, bool, String);

    fn given(lines: &mut Lines, log: &[LogEntry], at_end: bool) -> (Vec<Given>, usize) {
        let mut out = Vec::new();
        for entry in log {
            lines.push(entry.clone(), &mut out);
        }
        if at_end {
            lines.flush(&mut out);
        }
        let dropped = out.iter().filter(|item| matches!(item, LogItem::Dropped)).count();
        let line = |item: LogItem| match item {
            LogItem::Line(line) => {
                let text = String::from_utf8(line.text.to_vec()).unwrap();
                Some((line.stream, text, line.continues, line.cursor()))
            }
            _ => None,
        };
        (out.into_iter().filter_map(line).collect(), dropped)
    }

    fn all(log: &[LogEntry]) -> Vec<Given> {
        given(&mut Lines::new(life(), Default::default(), true), log, true).0
    }

    /// What an engine gives from then on.
    fn since(log: &[LogEntry], since: Option<Timestamp>) -> Vec<LogEntry> {
        log.iter().filter(|entry| since.is_none_or(|since| entry.at >= since)).cloned().collect()
    }

    fn plain(given: &[Given]) -> Vec<(Stream, String, bool)> {
        given.iter().map(|(stream, text, continues, _)| (*stream, text.clone(), *continues)).collect()
    }

    #[test]
    fn pieces_of_a_line_are_joined_and_those_of_two_streams_kept_apart() {
        use Stream::{Stderr, Stdout};
        let euro = "\u{20ac}".as_bytes();
        let log = [
            entry(Stdout, 1, &[b"one ", &euro[..1]].concat(), false),
            entry(Stderr, 2, b"bad \xff\0", true),
            entry(Stdout, 3, &[&euro[1..], b" two"].concat(), true),
            entry(Stdout, 4, b"no end", false),
        ];
        let expected = [(Stderr, "bad \u{fffd}\0"), (Stdout, "one \u{20ac} two"), (Stdout, "no end")];
        assert_eq!(plain(&all(&log)), expected.map(|(stream, text)| (stream, text.to_owned(), false)));
    }

    #[test]
    fn a_line_that_is_too_long_comes_in_pieces_that_say_so() {
        let piece = vec![b'x'; limits::LOG_LINE_BYTES / 4];
        let entry = |at, ends| entry(Stream::Stdout, at, &piece, ends);
        let log: Vec<_> = (0..9).map(|at| entry(at, at == 3 || at == 8)).collect();
        let lengths = all(&log).iter().map(|(_, text, continues, _)| (text.len(), *continues)).collect::<Vec<_>>();
        let whole = limits::LOG_LINE_BYTES;
        assert_eq!(lengths, [(whole, false), (whole, true), (whole / 4, false)]);
        // Junk is longer as text.
        let junk = [LogEntry { text: vec![0xff; whole / 4].into(), ..entry(0, false) }, entry(1, true)];
        let seen = all(&junk);
        assert!(
            seen.iter().all(|(_, text, ..)| text.len() <= whole),
            "{:?}",
            seen.iter().map(|s| s.1.len()).collect::<Vec<_>>()
        );
    }

    #[test]
    fn lines_that_are_not_there_any_more_are_told() {
        let log: Vec<_> = (0..9).map(|at| entry(Stream::Stdout, at, b"x", true)).collect();
        let cursor = Cursor::decode(&all(&log)[3].3).unwrap();
        let mut lines = Lines::new(life(), cursor.places, true);
        let (rest, dropped) = given(&mut lines, &log[5..], true);
        assert_eq!((rest.len(), dropped), (4, 1));
    }

    #[test]
    fn a_stream_of_which_nothing_comes_needs_no_look_far_back() {
        let mut log = vec![entry(Stream::Stderr, 0, b"early", true)];
        log.extend((1..9).map(|at| entry(Stream::Stdout, at * 60_000, b"x", true)));
        let cursor = Cursor::decode(&all(&log).last().unwrap().3).unwrap();
        let lines = Lines::new(life(), cursor.places, true);
        assert_eq!(lines.since(), log[8].at.checked_sub(SLACK).ok());
    }

    /// A log as engines write it: of each stream in the order of time, of both nearly so, with many entries at one time.
    fn logs() -> impl Strategy<Value = Vec<LogEntry>> {
        let one = (any::<bool>(), 0..3_i64, 0..2_i64, "[a-c\u{e4}]{0,5}", any::<bool>());
        proptest::collection::vec(one, 1..40).prop_map(|steps| {
            let (mut now, mut of) = (0, [0_i64; 2]);
            let step = |(error, passed, late, text, ends): (bool, i64, i64, String, bool)| {
                now += passed;
                let stream = if error { Stream::Stderr } else { Stream::Stdout };
                let last = &mut of[usize::from(error)];
                *last = (*last).max(now - late);
                entry(stream, *last, text.as_bytes(), ends)
            };
            steps.into_iter().map(step).collect()
        })
    }

    proptest! {
        #[test]
        fn going_on_behind_any_line_gives_no_gap_and_no_double(log in logs(), seconds: bool) {
            // As Podman has it.
            let log: Vec<_> = log.into_iter().map(|entry| {
                let second = Timestamp::from_second(entry.at.as_second()).unwrap();
                LogEntry { at: if seconds { second } else { entry.at }, ..entry }
            }).collect();
            let whole = all(&log);
            for (at, line) in whole.iter().enumerate() {
                let cursor = Cursor::decode(&line.3).unwrap();
                let mut lines = Lines::new(life(), cursor.places, true);
                let again = since(&log, lines.since());
                let (rest, dropped) = given(&mut lines, &again, true);
                let (mut rest, mut expected) = (plain(&rest), plain(&whole[at + 1..]));
                // What of a line was begun is read again behind those that were given: of each stream in order.
                rest.sort_by_key(|(stream, ..)| index(*stream));
                expected.sort_by_key(|(stream, ..)| index(*stream));
                prop_assert_eq!(rest, expected);
                prop_assert_eq!(dropped, 0);
            }
        }

        #[test]
        fn an_engine_that_breaks_off_anywhere_is_read_on(log in logs(), breaks in proptest::collection::vec(0..40_usize, 0..4)) {
            let mut lines = Lines::new(life(), Default::default(), true);
            let mut seen = Vec::new();
            for at in breaks {
                let now = since(&log, lines.since());
                seen.extend(given(&mut lines, &now[..at.min(now.len())], false).0);
                lines.read_again();
            }
            let rest = since(&log, lines.since());
            seen.extend(given(&mut lines, &rest, true).0);
            let (mut seen, mut expected) = (plain(&seen), plain(&all(&log)));
            seen.sort_by_key(|(stream, ..)| index(*stream));
            expected.sort_by_key(|(stream, ..)| index(*stream));
            prop_assert_eq!(seen, expected);
        }
    }
}
