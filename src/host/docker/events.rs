//! What an engine tells by itself.

use bytes::{Bytes, BytesMut};
use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use jiff::Timestamp;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use super::api::{self, Api};
use crate::host::runtime::{EngineAction, EngineEvent, EngineEvents, RuntimeError};
use crate::limits;

/// Waits for the first exit of a container in the life that it lives now; gives its exit code. Restarts by the engine
/// belong to one life, a start by somebody begins a new one.
///
/// Podman starts a container again so soon that whoever asks for its state does not see that it had exited.
pub(super) async fn first_exit(api: &Api, name: &str) -> Result<i64, RuntimeError> {
    let since = life_began(&api.get(&format!("containers/{}/json", api::part(name)), &[]).await?);
    // Docker calls it `die`, Podman `died`, and tells it as `die`.
    let filters = json!({ "type": ["container"], "container": [name], "event": ["die", "died"] });
    let query = [("since", since.as_second().to_string()), ("filters", filters.to_string())];
    let mut lines = Lines::of(api, api.send(api.request(Method::GET, "events", &query)).await?);
    loop {
        if let Some(code) = exit_code(&lines.next().await?, since) {
            return Ok(code);
        }
    }
}

/// What happens to the containers with all of these labels, from now on.
pub(super) async fn follow(api: &Api, labels: &[String]) -> Result<EngineEvents, RuntimeError> {
    let filters = json!({ "type": ["container"], "label": labels });
    let answer = api.send(api.request(Method::GET, "events", &[("filters", filters.to_string())])).await?;
    let lines = Lines::of(api, answer);
    let events = stream::try_unfold(lines, |mut lines| async move {
        loop {
            if let Some(event) = event(&lines.next().await?) {
                return Ok(Some((event, lines)));
            }
        }
    });
    Ok(events.boxed())
}

/// An endless answer, line by line.
struct Lines {
    api: Api,
    pieces: BoxStream<'static, reqwest::Result<Bytes>>,
    buffer: BytesMut,
}

impl Lines {
    fn of(api: &Api, answer: Response) -> Self {
        Self { api: api.clone(), pieces: answer.bytes_stream().boxed(), buffer: BytesMut::new() }
    }

    /// The next line; an error if there are no more.
    async fn next(&mut self) -> Result<BytesMut, RuntimeError> {
        loop {
            if let Some(at) = self.buffer.iter().position(|byte| *byte == b'\n') {
                return Ok(self.buffer.split_to(at + 1));
            }
            if self.buffer.len() > limits::ENGINE_LINE_BYTES {
                return Err(self.api.unclear("a line of its answer is too long"));
            }
            let piece = self.pieces.next().await.ok_or_else(|| self.api.unclear("its events ended"))?;
            self.buffer.extend_from_slice(&piece.map_err(|e| self.api.failure(&e))?);
        }
    }
}

/// What an event says, where it says something of a container's state.
fn event(line: &[u8]) -> Option<EngineEvent> {
    let event: Value = serde_json::from_slice(line).ok()?;
    let text = |pointer| event.pointer(pointer).and_then(Value::as_str);
    let action = match text("/Action")? {
        "start" => EngineAction::Started,
        "die" | "died" => EngineAction::Exited(text("/Actor/Attributes/exitCode").and_then(|code| code.parse().ok())),
        "destroy" | "remove" => EngineAction::Removed,
        "create" | "pause" | "unpause" | "rename" | "update" => EngineAction::Changed,
        action if action.starts_with("health_status") => EngineAction::Changed,
        // Commands in it, signals to it: what comes of them is told as well.
        _ => return None,
    };
    Some(EngineEvent { id: text("/Actor/ID")?.to_owned(), name: text("/Actor/Attributes/name")?.to_owned(), action })
}

/// When the engine's count of restarts began: where there were some, the last start came after exits that count.
fn life_began(container: &Value) -> Timestamp {
    let time = |pointer| container.pointer(pointer)?.as_str()?.parse().ok();
    let created = time("/Created").unwrap_or(Timestamp::UNIX_EPOCH);
    match container.get("RestartCount").and_then(Value::as_i64) {
        Some(1..) => created,
        // One that never ran has a start in the year 1.
        _ => time("/State/StartedAt").map_or(created, |started: Timestamp| started.max(created)),
    }
}

/// The exit code in an event. Engines look for events by the second: some may have come before.
fn exit_code(event: &[u8], since: Timestamp) -> Option<i64> {
    let event: Value = serde_json::from_slice(event).ok()?;
    let at = event.get("timeNano")?.as_i64()?;
    if i128::from(at) < since.as_nanosecond() {
        return None;
    }
    event.pointer("/Actor/Attributes/exitCode")?.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(restarts: i64, started: &str) -> Value {
        json!({
            "Created": "2026-01-15T10:00:00Z", "RestartCount": restarts, "State": { "StartedAt": started },
        })
    }

    #[test]
    fn a_life_begins_with_a_start_by_somebody_and_holds_the_restarts_of_the_engine() {
        let began = |restarts, started| life_began(&container(restarts, started)).to_string();
        assert_eq!(began(0, "2026-01-15T12:00:00.5Z"), "2026-01-15T12:00:00.5Z");
        assert_eq!(began(2, "2026-01-15T12:00:00.5Z"), "2026-01-15T10:00:00Z");
        assert_eq!(began(0, "0001-01-01T00:00:00Z"), "2026-01-15T10:00:00Z");
    }

    #[test]
    fn events_say_what_happened_to_which_container() {
        let line = |action: &str| {
            let attributes = json!({ "name": "web", "exitCode": "137" });
            json!({ "Type": "container", "Action": action, "Actor": { "ID": "1", "Attributes": attributes } })
                .to_string()
        };
        let action = |text: &str| event(line(text).as_bytes()).map(|event| event.action);
        assert_eq!(action("die"), Some(EngineAction::Exited(Some(137))));
        assert_eq!(action("start"), Some(EngineAction::Started));
        assert_eq!(action("health_status: unhealthy"), Some(EngineAction::Changed));
        assert_eq!(action("exec_create: true"), None);
        assert_eq!(event(b"{}"), None);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            event(&bytes);
        }
    }

    #[test]
    fn an_exit_of_the_life_before_is_none() {
        let since: Timestamp = "2026-01-15T12:00:00.5Z".parse().unwrap();
        let event = |nanoseconds: i128| {
            let at = i64::try_from(since.as_nanosecond() + nanoseconds).unwrap();
            json!({ "timeNano": at, "Actor": { "Attributes": { "exitCode": "3" } } }).to_string()
        };
        assert_eq!(exit_code(event(-1).as_bytes(), since), None);
        assert_eq!(exit_code(event(1).as_bytes(), since), Some(3));
        assert_eq!(exit_code(b"no event", since), None);
    }
}
