//! Answers that come as JSON values one after another, as builds, loads and pulls give them.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use reqwest::Response;
use serde_json::Value;
use tokio::sync::mpsc;

use super::api::Api;
use crate::host::command::{Batch, Line, Stream};
use crate::host::runtime::RuntimeError;
use crate::limits;

/// What such an answer came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct End {
    /// What went wrong.
    pub(super) error: Option<String>,
    /// The image that was loaded.
    pub(super) loaded: Option<String>,
    /// The step of a build that was begun last.
    step: Option<String>,
    /// What was said last in it.
    last: VecDeque<String>,
}

impl End {
    /// What went wrong, where, and what was said last.
    pub(super) fn told(&self, reason: &str) -> String {
        let mut told = reason.to_owned();
        if let Some(step) = &self.step {
            told.extend(["\nin ", step]);
        }
        for (at, line) in self.last.iter().enumerate() {
            told.extend([if at == 0 { ", which said last:\n" } else { "\n" }, line]);
        }
        told
    }

    /// Says where it went wrong, for an engine that tells it otherwise than by its text.
    pub(super) fn failed_in(&mut self, step: &str, last: &VecDeque<String>) {
        self.step = Some(cut(step));
        self.last = last.iter().map(|line| cut(line)).collect();
    }

    fn hear(&mut self, line: &str) {
        if line.starts_with("Step ") || line.starts_with("STEP ") {
            self.step = Some(cut(line));
            self.last.clear();
        } else if !OWN_WORDS.iter().any(|own| line.starts_with(own)) && !line.trim().is_empty() {
            self.last.push_back(cut(line));
            if self.last.len() > limits::TOLD_LINES {
                self.last.pop_front();
            }
        }
    }
}

/// What an engine says of its own doings within a step.
const OWN_WORDS: [&str; 3] = [" ---> ", "Removing intermediate container", "--> "];

/// As much of a line as is told.
fn cut(line: &str) -> String {
    line.chars().take(limits::TOLD_LINE_BYTES).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Reads the answer to its end; its text goes to `lines`, and a slow receiver slows the engine.
pub(super) async fn follow(
    answer: Response,
    api: &Api,
    lines: Option<mpsc::Sender<Batch>>,
) -> Result<End, RuntimeError> {
    follow_values(answer, api, (lines, |_: &Value| Batch::new())).await
}

/// The same; `see` makes further lines of each value.
pub(super) async fn follow_values(
    answer: Response,
    api: &Api,
    (lines, mut see): (Option<mpsc::Sender<Batch>>, impl FnMut(&Value) -> Batch),
) -> Result<End, RuntimeError> {
    let mut end = End::default();
    let mut parser = Parser::default();
    let mut pieces = answer.bytes_stream();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|e| api.failure(&e))?;
        let mut seen = Batch::new();
        let mut batch = parser.feed_values(&piece, &mut end, |value| seen.extend(see(value)));
        batch.extend(seen);
        send(lines.as_ref(), batch).await;
        parser.check(api)?;
    }
    send(lines.as_ref(), parser.finish(&mut end)).await;
    Ok(end)
}

pub(super) async fn send(lines: Option<&mpsc::Sender<Batch>>, batch: Batch) {
    if let Some(lines) = lines.filter(|_| !batch.is_empty()) {
        // Nobody listens any more: the build goes on.
        lines.send(batch).await.unwrap_or_default();
    }
}

/// JSON lines in, text lines out.
#[derive(Default)]
pub(super) struct Parser {
    buffer: BytesMut,
    /// Text without its newline so far.
    text: String,
}

impl Parser {
    /// Whether what waits for its end is not too long.
    pub(super) fn check(&self, api: &Api) -> Result<(), RuntimeError> {
        if self.buffer.len() > limits::ENGINE_LINE_BYTES {
            return Err(api.unclear("a line of its answer is too long"));
        }
        Ok(())
    }

    /// Takes what came; each whole value is shown as well.
    pub(super) fn feed_values(&mut self, piece: &[u8], end: &mut End, mut see: impl FnMut(&Value)) -> Batch {
        self.buffer.extend_from_slice(piece);
        let mut batch = Batch::new();
        while let Some(at) = self.buffer.iter().position(|byte| *byte == b'\n') {
            let line = self.buffer.split_to(at + 1);
            if let Some(value) = self.value(&line, end, &mut batch) {
                see(&value);
            }
        }
        batch
    }

    #[cfg(test)]
    fn feed(&mut self, piece: &[u8], end: &mut End) -> Batch {
        self.feed_values(piece, end, |_| ())
    }

    pub(super) fn finish(&mut self, end: &mut End) -> Batch {
        let mut batch = Batch::new();
        let rest = self.buffer.split();
        self.value(&rest, end, &mut batch);
        if !self.text.is_empty() {
            end.hear(&self.text);
            batch.push(line(std::mem::take(&mut self.text)));
        }
        batch
    }

    fn value(&mut self, json: &[u8], end: &mut End, batch: &mut Batch) -> Option<Value> {
        // What is no JSON is blank or noise of a proxy in between.
        let value = serde_json::from_slice::<Value>(json).ok()?;
        let field = |name: &str| value.get(name).and_then(Value::as_str);
        let detail = value.pointer("/errorDetail/message").and_then(Value::as_str);
        if let Some(reason) = detail.or(field("error")) {
            end.error.get_or_insert(reason.trim_end().to_owned());
            batch.push(line(reason.trim_end().to_owned()));
        }
        let Some(text) = field("stream") else { return Some(value) };
        if let Some(image) =
            text.trim().strip_prefix("Loaded image: ").or(text.trim().strip_prefix("Loaded image ID: "))
        {
            end.loaded.get_or_insert(image.to_owned());
        }
        self.text.push_str(text);
        while let Some(at) = self.text.find('\n') {
            let rest = self.text.split_off(at + 1);
            let whole = std::mem::replace(&mut self.text, rest);
            let whole = whole.trim_end_matches(['\n', '\r']);
            end.hear(whole);
            batch.push(line(whole.to_owned()));
        }
        // A line that does not end is passed on in pieces.
        if self.text.len() > limits::LINE_BYTES {
            batch.push(line(std::mem::take(&mut self.text)));
        }
        Some(value)
    }
}

fn line(text: String) -> Line {
    Line { stream: Stream::Stdout, text: Bytes::from(text) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(pieces: &[&[u8]]) -> (Vec<String>, End) {
        let (mut parser, mut end, mut batch) = (Parser::default(), End::default(), Batch::new());
        for piece in pieces {
            batch.extend(parser.feed(piece, &mut end));
        }
        batch.extend(parser.finish(&mut end));
        (batch.into_iter().map(|line| String::from_utf8(line.text.to_vec()).unwrap()).collect(), end)
    }

    const ANSWER: &[u8] =
        b"{\"stream\":\"Step 1/2 : FROM scratch\"}\r\n{\"stream\":\"\\n\"}\r\n{\"stream\":\" ---\\u003e a\\nb\"}\r\n\
        {\"aux\":{\"ID\":\"sha256:x\"}}\r\n{\"errorDetail\":{\"message\":\"it failed\"},\"error\":\"it failed\"}\r\n";

    #[test]
    fn text_is_split_into_lines_and_an_error_is_kept() {
        let (lines, end) = texts(&[ANSWER]);
        assert_eq!(lines, ["Step 1/2 : FROM scratch", " ---> a", "it failed", "b"]);
        assert_eq!(end.error.as_deref(), Some("it failed"));
    }

    #[test]
    fn an_error_of_a_build_tells_the_step_and_what_was_said_in_it() {
        let says = |text: &str| format!("{}\n", serde_json::json!({ "stream": text }));
        let answer = [
            "Step 1/2 : FROM a\n",
            " ---> 12ab\n",
            "Step 2/2 : RUN make\n",
            " ---> Running in 34cd\n",
            "cc x.c\nx.c:1: no\n",
        ]
        .map(says)
        .concat();
        let (_, end) = texts(&[answer.as_bytes()]);
        assert_eq!(end.told("exit 2"), "exit 2\nin Step 2/2 : RUN make, which said last:\ncc x.c\nx.c:1: no");
    }

    #[test]
    fn the_image_that_was_loaded_is_known() {
        let (_, end) = texts(&[b"{\"stream\":\"Loaded image: bbexit:latest\\n\"}\n"]);
        assert_eq!(end.loaded.as_deref(), Some("bbexit:latest"));
    }

    proptest! {
        #[test]
        fn pieces_of_any_size_give_the_same(cuts in proptest::collection::vec(0..ANSWER.len(), 0..6)) {
            let mut cuts = cuts;
            cuts.extend([0, ANSWER.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|two| &ANSWER[two[0]..two[1]]).collect();
            prop_assert_eq!(texts(&pieces), texts(&[ANSWER]));
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            texts(&[&bytes]);
        }
    }
}
