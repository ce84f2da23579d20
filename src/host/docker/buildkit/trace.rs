//! What `BuildKit` tells of a build: `moby.buildkit.v1.StatusResponse` of its control API (`api/services/control/control.proto`), as
//! the engine writes it into its answer, in base64.

use std::collections::{BTreeMap, VecDeque};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use prost::Message;
use serde_json::Value;

use crate::host::command::{Batch, Line, Stream};
use crate::limits;

/// The name under which the engine writes it.
const ID: &str = "moby.buildkit.trace";

/// Steps of `BuildKit` itself, of which nobody asked.
const OWN: &str = "[internal]";

/// Of the message as much as is told; numbers are those of the source.
#[derive(Clone, PartialEq, Message)]
struct StatusResponse {
    #[prost(message, repeated, tag = "1")]
    vertexes: Vec<Vertex>,
    #[prost(message, repeated, tag = "3")]
    logs: Vec<VertexLog>,
}

/// A step.
#[derive(Clone, PartialEq, Message)]
struct Vertex {
    #[prost(string, tag = "1")]
    digest: String,
    #[prost(string, tag = "3")]
    name: String,
    #[prost(bool, tag = "4")]
    cached: bool,
    #[prost(message, optional, tag = "5")]
    started: Option<Moment>,
    #[prost(string, tag = "7")]
    error: String,
}

/// What a step wrote.
#[derive(Clone, PartialEq, Message)]
struct VertexLog {
    #[prost(string, tag = "1")]
    vertex: String,
    #[prost(bytes = "bytes", tag = "4")]
    msg: Bytes,
}

/// A time; that there is one is all that matters.
#[derive(Clone, PartialEq, Message)]
struct Moment {}

/// The steps so far. They may run side by side.
#[derive(Default)]
pub(super) struct Trace {
    steps: BTreeMap<String, Step>,
    failed: Option<String>,
}

#[derive(Default)]
struct Step {
    name: String,
    told: bool,
    /// What waits for its newline.
    text: Vec<u8>,
    /// What it said last.
    last: VecDeque<String>,
}

impl Trace {
    /// Takes a value of the engine's answer; gives the lines that are in it.
    pub(super) fn see(&mut self, value: &Value) -> Batch {
        let mut batch = Batch::new();
        if value.get("id").and_then(Value::as_str) == Some(ID)
            && let Some(encoded) = value.get("aux").and_then(Value::as_str)
            && let Ok(bytes) = STANDARD.decode(encoded)
            && let Ok(status) = StatusResponse::decode(bytes.as_slice())
        {
            status.vertexes.into_iter().for_each(|vertex| self.vertex(vertex, &mut batch));
            status.logs.iter().for_each(|log| self.log(log, &mut batch));
        }
        batch
    }

    /// The step that failed and what it said last.
    pub(super) fn failed(&self) -> Option<(&str, &VecDeque<String>)> {
        let step = self.steps.get(self.failed.as_ref()?)?;
        Some((step.name.as_str(), &step.last))
    }

    fn step(&mut self, digest: &str) -> Option<&mut Step> {
        if !self.steps.contains_key(digest) && self.steps.len() >= limits::BUILD_STEPS {
            return None;
        }
        Some(self.steps.entry(digest.to_owned()).or_default())
    }

    fn vertex(&mut self, vertex: Vertex, batch: &mut Batch) {
        let Some(step) = self.step(&vertex.digest) else { return };
        step.name = vertex.name;
        if !step.told && (vertex.started.is_some() || vertex.cached) && !step.name.starts_with(OWN) {
            step.told = true;
            let cached = if vertex.cached { " (as before)" } else { "" };
            batch.push(line(format!("{}{cached}", step.name).into()));
        }
        // What another step's failure ended is told too, as cancelled.
        if !vertex.error.is_empty() && self.failed.is_none() && !vertex.error.contains("context canceled") {
            self.failed = Some(vertex.digest);
        }
    }

    fn log(&mut self, log: &VertexLog, batch: &mut Batch) {
        let Some(step) = self.step(&log.vertex) else { return };
        step.text.extend_from_slice(&log.msg);
        while let Some(at) = step.text.iter().position(|byte| *byte == b'\n') {
            let mut whole: Vec<u8> = step.text.drain(..=at).collect();
            whole.pop();
            step.say(whole, batch);
        }
        // A line that does not end is passed on in pieces.
        if step.text.len() > limits::LINE_BYTES {
            let piece = std::mem::take(&mut step.text);
            step.say(piece, batch);
        }
    }

    /// What waited for a newline in vain.
    pub(super) fn finish(&mut self) -> Batch {
        let mut batch = Batch::new();
        for step in self.steps.values_mut().filter(|step| !step.text.is_empty()) {
            let rest = std::mem::take(&mut step.text);
            step.say(rest, &mut batch);
        }
        batch
    }
}

impl Step {
    fn say(&mut self, text: Vec<u8>, batch: &mut Batch) {
        let text = text.strip_suffix(b"\r").map(<[u8]>::to_vec).unwrap_or(text);
        if !text.trim_ascii().is_empty() {
            self.last.push_back(String::from_utf8_lossy(&text).into_owned());
            if self.last.len() > limits::TOLD_LINES {
                self.last.pop_front();
            }
        }
        batch.push(line(text.into()));
    }
}

/// Both of a step's outputs are its output, as the classic builder has it.
fn line(text: Bytes) -> Line {
    Line { stream: Stream::Stdout, text }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn vertex(digest: &str, name: &str, error: &str) -> Vertex {
        let (digest, name, error) = (digest.to_owned(), name.to_owned(), error.to_owned());
        Vertex { digest, name, cached: false, started: Some(Moment {}), error }
    }

    fn log(vertex: &str, msg: &'static str) -> VertexLog {
        VertexLog { vertex: vertex.to_owned(), msg: Bytes::from_static(msg.as_bytes()) }
    }

    fn value(vertexes: Vec<Vertex>, logs: Vec<VertexLog>) -> Value {
        json!({ "id": ID, "aux": STANDARD.encode(StatusResponse { vertexes, logs }.encode_to_vec()) })
    }

    fn texts(batch: Batch) -> Vec<String> {
        batch.into_iter().map(|line| String::from_utf8(line.text.to_vec()).unwrap()).collect()
    }

    #[test]
    fn a_step_is_told_once_and_its_lines_when_they_are_whole() {
        let mut trace = Trace::default();
        let begun = value(
            vec![vertex("a", "[1/2] RUN make", ""), vertex("i", "[internal] load", "")],
            vec![log("a", "one\r\ntw")],
        );
        assert_eq!(texts(trace.see(&begun)), ["[1/2] RUN make", "one"]);
        let more = value(vec![vertex("a", "[1/2] RUN make", "")], vec![log("a", "o\nthree")]);
        assert_eq!(texts(trace.see(&more)), ["two"]);
        assert_eq!(texts(trace.finish()), ["three"]);
        assert_eq!(trace.failed(), None);
    }

    #[test]
    fn of_steps_side_by_side_the_one_that_failed_is_known_with_its_own_lines() {
        let mut trace = Trace::default();
        let names = vec![vertex("a", "RUN a", ""), vertex("b", "RUN b", "")];
        trace.see(&value(names, vec![log("a", "of a\n"), log("b", "of b\n")]));
        let ends =
            vec![vertex("b", "RUN b", "context canceled: context canceled"), vertex("a", "RUN a", "exit code: 3")];
        trace.see(&value(ends, vec![]));
        assert_eq!(trace.failed(), Some(("RUN a", &["of a".to_owned()].into())));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut trace = Trace::default();
            trace.see(&json!({ "id": ID, "aux": STANDARD.encode(bytes) }));
            trace.finish();
        }
    }
}
