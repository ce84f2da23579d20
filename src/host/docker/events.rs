//! What an engine tells by itself.

use bytes::BytesMut;
use futures::StreamExt;
use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};

use super::api::{self, Api};
use crate::host::runtime::RuntimeError;
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
    let mut pieces = api.send(api.request(Method::GET, "events", &query)).await?.bytes_stream();
    let mut buffer = BytesMut::new();
    while let Some(piece) = pieces.next().await {
        buffer.extend_from_slice(&piece.map_err(|e| api.failure(&e))?);
        while let Some(at) = buffer.iter().position(|byte| *byte == b'\n') {
            if let Some(code) = exit_code(&buffer.split_to(at + 1), since) {
                return Ok(code);
            }
        }
        if buffer.len() > limits::ENGINE_LINE_BYTES {
            return Err(api.unclear("a line of its answer is too long"));
        }
    }
    Err(api.unclear("its events ended"))
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
