//! The last lines of an output, as the engine gives it: frames of stdout and stderr, or plain bytes of a terminal.

use std::collections::VecDeque;

use futures::StreamExt;
use reqwest::{Method, Response};
use serde_json::Value;

use super::api::{self, Api};
use super::frames::{Frames, STDERR};
use crate::host::command::{Line, Stream};
use crate::host::runtime::RuntimeError;
use crate::limits;

/// The last `count` lines, oldest first.
pub(super) async fn tail(api: &Api, name: &str, count: usize) -> Result<Vec<Line>, RuntimeError> {
    let path = format!("containers/{}", api::part(name));
    let found = api.get(&format!("{path}/json"), &[]).await?;
    let terminal = found.pointer("/Config/Tty").and_then(Value::as_bool).unwrap_or(false);
    let query = [("stdout", "1".to_owned()), ("stderr", "1".to_owned()), ("tail", count.to_string())];
    let request = api.request(Method::GET, &format!("{path}/logs"), &query).timeout(limits::ENGINE_REQUEST);
    // Engines count pieces of long lines, some of them for each stream.
    let mut output = Output::new(terminal, (count, usize::MAX));
    output.read(api, api.send(request).await?).await?;
    Ok(output.finish())
}

/// The last lines of an output that comes in pieces, however long it is.
pub(super) struct Output {
    frames: Frames,
    /// Most lines, and most bytes of them all, that are kept.
    most: (usize, usize),
    /// Lines without their ends so far: frames do not end where lines do.
    begun: [(Stream, Vec<u8>); 2],
    lines: VecDeque<Line>,
    bytes: usize,
}

impl Output {
    pub(super) fn new(terminal: bool, most: (usize, usize)) -> Self {
        let begun = [Stream::Stdout, Stream::Stderr].map(|stream| (stream, Vec::new()));
        Self { frames: Frames::new(terminal), most, begun, lines: VecDeque::new(), bytes: 0 }
    }

    /// Reads an answer to its end.
    pub(super) async fn read(&mut self, api: &Api, answer: Response) -> Result<(), RuntimeError> {
        let mut pieces = answer.bytes_stream();
        while let Some(piece) = pieces.next().await {
            self.feed(&piece.map_err(|e| api.failure(&e))?);
        }
        Ok(())
    }

    fn feed(&mut self, mut piece: &[u8]) {
        while let Some(part) = self.frames.next(&mut piece) {
            self.text(if part.stream == STDERR { Stream::Stderr } else { Stream::Stdout }, part.bytes);
        }
    }

    fn text(&mut self, stream: Stream, text: &[u8]) {
        let Some((_, begun)) = self.begun.iter_mut().find(|(of, _)| *of == stream) else { return };
        for part in text.split_inclusive(|byte| *byte == b'\n') {
            let line = part.strip_suffix(b"\n");
            let more = line.unwrap_or(part);
            let room = limits::LINE_BYTES.saturating_sub(begun.len());
            begun.extend_from_slice(more.get(..room).unwrap_or(more));
            if line.is_some() {
                self.bytes += begun.len() + 1;
                self.lines.push_back(ended(stream, std::mem::take(begun)));
            }
            while self.lines.len() > self.most.0 || self.bytes > self.most.1 {
                let Some(oldest) = self.lines.pop_front() else { break };
                self.bytes = self.bytes.saturating_sub(oldest.text.len() + 1);
            }
        }
    }

    /// The lines, oldest first.
    pub(super) fn finish(mut self) -> Vec<Line> {
        let begun = self.begun.into_iter().filter(|(_, text)| !text.is_empty());
        self.lines.extend(begun.map(|(stream, text)| ended(stream, text)));
        self.lines.drain(..self.lines.len().saturating_sub(self.most.0));
        self.lines.into()
    }
}

/// A line; terminals end theirs with a carriage return too.
fn ended(stream: Stream, mut text: Vec<u8>) -> Line {
    if text.ends_with(b"\r") {
        text.pop();
    }
    Line { stream, text: text.into() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use Stream::{Stderr, Stdout};

    const ALL: (usize, usize) = (usize::MAX, usize::MAX);

    fn frame(stream: Stream, text: &[u8]) -> Vec<u8> {
        let length = u32::try_from(text.len()).unwrap().to_be_bytes();
        let stream = if stream == Stderr { 2 } else { 1 };
        [&[stream, 0, 0, 0], &length[..], text].concat()
    }

    fn read(pieces: &[&[u8]], (terminal, most): (bool, (usize, usize))) -> Vec<(Stream, String)> {
        let mut output = Output::new(terminal, most);
        for piece in pieces {
            output.feed(piece);
        }
        let text = |line: Line| (line.stream, String::from_utf8_lossy(&line.text).into_owned());
        output.finish().into_iter().map(text).collect()
    }

    fn lines(of: &[(Stream, &str)]) -> Vec<(Stream, String)> {
        of.iter().map(|(stream, text)| (*stream, (*text).to_owned())).collect()
    }

    #[test]
    fn both_streams_are_told_apart_in_their_order_and_lines_go_over_frames() {
        let frames = [(Stdout, "one\ntw"), (Stderr, "bad\n\n"), (Stdout, "o\nthree"), (Stdout, "")];
        let answer = frames.map(|(stream, text)| frame(stream, text.as_bytes())).concat();
        let expected = [(Stdout, "one"), (Stderr, "bad"), (Stderr, ""), (Stdout, "two"), (Stdout, "three")];
        assert_eq!(read(&[&answer], (false, ALL)), lines(&expected));
        assert_eq!(read(&[&answer], (false, (2, usize::MAX))), lines(&expected[3..]));
        assert_eq!(read(&[&answer], (false, (usize::MAX, 5))), lines(&expected[2..]));
    }

    #[test]
    fn a_terminal_has_no_frames_and_ends_its_lines_as_terminals_do() {
        assert_eq!(read(&[b"one\r", b"\ntwo\r\n"], (true, ALL)), lines(&[(Stdout, "one"), (Stdout, "two")]));
    }

    #[test]
    fn a_line_without_an_end_is_cut() {
        let long = vec![b'x'; limits::LINE_BYTES];
        let answer = [frame(Stdout, &long), frame(Stdout, &long), frame(Stdout, b"\nnext")].concat();
        let seen = read(&[&answer], (false, ALL));
        assert_eq!(seen.iter().map(|(_, text)| text.len()).collect::<Vec<_>>(), [limits::LINE_BYTES, 4]);
    }

    proptest! {
        #[test]
        fn pieces_of_any_size_give_every_line_of_either_stream(
            frames in proptest::collection::vec((any::<bool>(), "[a-c\n]{0,12}"), 0..8),
            size in 1..40_usize,
        ) {
            let stream = |is_error| if is_error { Stderr } else { Stdout };
            let answer: Vec<u8> = frames.iter().flat_map(|(e, text)| frame(stream(*e), text.as_bytes())).collect();
            let pieces: Vec<&[u8]> = answer.chunks(size).collect();
            let seen = read(&pieces, (false, ALL));
            for wanted in [false, true] {
                let texts = frames.iter().filter(|(is_error, _)| *is_error == wanted).map(|(_, text)| text.as_str());
                let whole: String = texts.collect();
                let of_stream = seen.iter().filter(|(of, _)| *of == stream(wanted)).map(|(_, text)| text.as_str());
                prop_assert_eq!(of_stream.collect::<Vec<_>>(), whole.lines().collect::<Vec<_>>());
            }
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), terminal: bool) {
            read(&[&bytes], (terminal, (3, 50)));
        }
    }
}
