//! Entries of a log with their times, out of what an engine sends.

use bytes::Bytes;
use jiff::Timestamp;

use super::frames::{ENGINE, Frames, STDERR};
use crate::host::command::Stream;
use crate::host::log::LogEntry;

/// Most bytes of a time, the blank behind it not counted.
const STAMP_BYTES: usize = 40;

/// As much of a time as is the same for a whole minute.
const MINUTE_BYTES: usize = "2026-01-15T10:20:".len();

/// Reads entries, however the pieces are cut.
pub(super) struct Entries {
    frames: Frames,
    terminal: bool,
    /// The length of an entry whose line goes on, where the engine cuts them all alike: a shorter one ends its line, with a
    /// newline or without.
    cut: Option<usize>,
    /// The time of the entry as far as it has come.
    stamp: Vec<u8>,
    at: Option<Timestamp>,
    /// Bytes of the entry's text so far.
    length: usize,
    clock: Clock,
}

impl Entries {
    pub(super) fn new(terminal: bool, cut: Option<usize>) -> Self {
        let (stamp, clock) = (Vec::new(), Clock::default());
        Self { frames: Frames::new(terminal), terminal, cut, stamp, at: None, length: 0, clock }
    }

    /// Adds the entries of a piece; an error is the engine's own, or an entry without a time.
    pub(super) fn feed(&mut self, piece: &Bytes, out: &mut Vec<LogEntry>) -> Result<(), String> {
        let mut rest: &[u8] = piece;
        while let Some(part) = self.frames.next(&mut rest) {
            if part.stream == ENGINE {
                self.stamp.extend_from_slice(part.bytes);
                if part.last {
                    return Err(String::from_utf8_lossy(&self.stamp).trim().to_owned());
                }
                continue;
            }
            let stream = if part.stream == STDERR { Stream::Stderr } else { Stream::Stdout };
            let mut text = part.bytes;
            while let Some(at) = self.time(&mut text)? {
                let (now, last) = if self.terminal { self.of_terminal(text) } else { (text, part.last) };
                text = text.get(now.len()..).unwrap_or_default();
                out.extend(self.entry((stream, at), (piece, now), last));
                if text.is_empty() {
                    break;
                }
            }
            if part.last && self.at.is_none() && !self.stamp.is_empty() {
                return Err("an entry of the log has no time".to_owned());
            }
        }
        Ok(())
    }

    /// The time of the entry that `text` belongs to, taken off it where it begins there; none if it has not come whole.
    fn time(&mut self, text: &mut &[u8]) -> Result<Option<Timestamp>, String> {
        if self.at.is_some() {
            return Ok(self.at);
        }
        let unclear = || "an entry of the log has no time".to_owned();
        let Some(end) = text.iter().position(|byte| *byte == b' ') else {
            self.stamp.extend_from_slice(text);
            *text = &[];
            return if self.stamp.len() > STAMP_BYTES { Err(unclear()) } else { Ok(None) };
        };
        let (stamp, rest) = text.split_at(end);
        *text = rest.get(1..).unwrap_or_default();
        self.at = if self.stamp.is_empty() {
            self.clock.read(stamp)
        } else {
            self.stamp.extend_from_slice(stamp);
            let at = self.clock.read(&self.stamp);
            self.stamp.clear();
            at
        };
        self.at.map(Some).ok_or_else(unclear)
    }

    /// As much of a terminal's text as belongs to the entry, and whether it ends there.
    fn of_terminal<'a>(&self, text: &'a [u8]) -> (&'a [u8], bool) {
        let room = self.cut.map_or(usize::MAX, |cut| cut.saturating_sub(self.length));
        let end = text.iter().take(room).position(|byte| *byte == b'\n').map(|at| at + 1);
        let end = end.or_else(|| (text.len() >= room).then_some(room));
        (end.and_then(|end| text.get(..end)).unwrap_or(text), end.is_some())
    }

    fn entry(
        &mut self,
        (stream, at): (Stream, Timestamp),
        (piece, text): (&Bytes, &[u8]),
        whole: bool,
    ) -> Option<LogEntry> {
        self.length += text.len();
        if text.is_empty() && !whole {
            return None;
        }
        let line = text.strip_suffix(b"\n").filter(|_| whole);
        let ends = whole && (line.is_some() || self.cut.is_some_and(|cut| self.length < cut));
        let text = line.unwrap_or(text);
        if whole {
            (self.at, self.length) = (None, 0);
        }
        let text = if text.is_empty() { Bytes::new() } else { piece.slice_ref(text) };
        Some(LogEntry { stream, at, text, ends, whole })
    }
}

/// Reads times; those of one minute differ in their end alone.
#[derive(Default)]
struct Clock {
    minute: [u8; MINUTE_BYTES],
    began: i64,
}

impl Clock {
    fn read(&mut self, stamp: &[u8]) -> Option<Timestamp> {
        let (minute, rest) = stamp.split_first_chunk::<MINUTE_BYTES>()?;
        if *minute == self.minute
            && let Some((second, nanosecond)) = within(rest)
        {
            return Timestamp::new(self.began + second, nanosecond).ok();
        }
        let at: Timestamp = std::str::from_utf8(stamp).ok()?.parse().ok()?;
        if let Some((second, _)) = within(rest) {
            (self.minute, self.began) = (*minute, at.as_second() - second);
        }
        Some(at)
    }
}

/// Seconds and nanoseconds of `38.5Z`: a time of UTC alone.
fn within(rest: &[u8]) -> Option<(i64, i32)> {
    let digit = |byte: &u8| byte.is_ascii_digit().then(|| i32::from(byte - b'0'));
    let (seconds, rest) = rest.strip_suffix(b"Z")?.split_first_chunk::<2>()?;
    let [tens, ones] = seconds;
    let second = i64::from(digit(tens)? * 10 + digit(ones)?);
    let fraction = match rest.split_first() {
        None => &[],
        Some((b'.', fraction)) if (1..=9).contains(&fraction.len()) => fraction,
        Some(_) => return None,
    };
    let digits = fraction.iter().map(digit).chain(std::iter::repeat(Some(0)));
    let nanosecond = digits.take(9).try_fold(0, |sum, digit| Some(sum * 10 + digit?))?;
    (second < 60).then_some((second, nanosecond))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::frames::tests::frame;
    use super::*;

    type Seen = (Stream, String, Vec<u8>, bool);

    fn read(pieces: &[&[u8]], (terminal, cut): (bool, Option<usize>)) -> Result<Vec<Seen>, String> {
        let (mut entries, mut out) = (Entries::new(terminal, cut), Vec::new());
        for piece in pieces {
            entries.feed(&Bytes::copy_from_slice(piece), &mut out)?;
        }
        let (mut seen, mut begun) = (Vec::new(), Vec::new());
        for entry in out {
            begun.extend_from_slice(&entry.text);
            if entry.whole {
                seen.push((entry.stream, entry.at.to_string(), std::mem::take(&mut begun), entry.ends));
            }
        }
        Ok(seen)
    }

    fn seen(stream: Stream, at: &str, text: &str, ends: bool) -> Seen {
        (stream, format!("2026-11-25T22:{at}Z"), text.as_bytes().to_vec(), ends)
    }

    #[test]
    fn every_entry_has_its_time_and_tells_whether_its_line_ends() {
        let answer = [
            frame(1, b"2026-11-25T22:17:38.586010097Z one \n"),
            frame(2, b"2026-11-25T22:17:39Z abcd"),
            frame(2, b"2026-11-25T22:18:00.5Z end\r\n"),
            frame(1, b"2026-11-25T23:18:00.25+01:00 \n"),
            frame(1, b"2026-11-25T22:18:01Z ab"),
        ];
        let expected = |last| {
            vec![
                seen(Stream::Stdout, "17:38.586010097", "one ", true),
                seen(Stream::Stderr, "17:39", "abcd", false),
                seen(Stream::Stderr, "18:00.5", "end\r", true),
                seen(Stream::Stdout, "18:00.25", "", true),
                seen(Stream::Stdout, "18:01", "ab", last),
            ]
        };
        assert_eq!(read(&[&answer.concat()], (false, None)), Ok(expected(false)));
        // What is shorter than the engine's cut ends without a newline: the program had ended.
        assert_eq!(read(&[&answer.concat()], (false, Some(4))), Ok(expected(true)));
    }

    #[test]
    fn a_terminals_entries_end_with_their_line_or_at_the_engines_cut() {
        let answer = b"2026-11-25T22:17:38Z one\r\n2026-11-25T22:17:39Z abcde2026-11-25T22:17:39Z f\r\n\
            2026-11-25T22:17:40Z x";
        let expected = vec![
            seen(Stream::Stdout, "17:38", "one\r", true),
            seen(Stream::Stdout, "17:39", "abcde", false),
            seen(Stream::Stdout, "17:39", "f\r", true),
        ];
        let pieces: Vec<&[u8]> = answer.chunks(3).collect();
        assert_eq!(read(&[answer.as_slice()], (true, Some(5))), Ok(expected.clone()));
        assert_eq!(read(&pieces, (true, Some(5))), Ok(expected));
    }

    #[test]
    fn the_engines_own_words_and_an_entry_without_a_time_are_errors() {
        let error = read(&[&frame(3, b"Error grabbing logs: EOF\n")], (false, None));
        assert_eq!(error, Err("Error grabbing logs: EOF".to_owned()));
        assert!(read(&[&frame(1, b"no time")], (false, None)).is_err());
        assert!(read(&[&frame(1, b"notime\n")], (false, None)).is_err());
    }

    proptest! {
        #[test]
        fn times_are_read_as_any_reader_of_times_reads_them(
            times in proptest::collection::vec((1_700_000_000..1_700_000_200_i64, 0..1_000_000_000_i32), 1..20),
        ) {
            let mut clock = Clock::default();
            for (second, nanosecond) in times {
                let at = Timestamp::new(second, nanosecond).unwrap();
                prop_assert_eq!(clock.read(at.to_string().as_bytes()), Some(at));
            }
        }

        #[test]
        fn pieces_of_any_size_give_the_same(
            sent in proptest::collection::vec((1..3_u8, 0..90_u32, "[a-c ]{0,12}\n?"), 0..8),
            size in 1..60_usize,
        ) {
            let stamp = |second| Timestamp::new(1_700_000_000 + i64::from(second), 5).unwrap().to_string();
            let text = |(stream, second, text): &(u8, u32, String)| {
                frame(*stream, format!("{} {text}", stamp(*second)).as_bytes())
            };
            let answer: Vec<u8> = sent.iter().flat_map(text).collect();
            let whole = read(&[&answer], (false, None)).unwrap();
            prop_assert_eq!(whole.len(), sent.len());
            for ((_, at, seen, ends), (_, second, text)) in whole.iter().zip(&sent) {
                prop_assert_eq!(at, &stamp(*second));
                prop_assert_eq!(String::from_utf8_lossy(seen), text.trim_end_matches('\n'));
                prop_assert_eq!(*ends, text.ends_with('\n'));
            }
            prop_assert_eq!(read(&answer.chunks(size).collect::<Vec<_>>(), (false, None)), Ok(whole));
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), terminal: bool) {
            read(&[&bytes], (terminal, Some(7))).unwrap_or_default();
        }
    }
}
