//! What an engine tells by itself.

use bytes::BytesMut;
use futures::StreamExt;
use reqwest::Method;
use serde_json::{Value, json};

use super::api::Api;
use crate::host::runtime::RuntimeError;
use crate::limits;

/// Waits for the first exit of a container since a time in Unix seconds; gives its exit code.
///
/// Podman starts a container again so soon that whoever asks for its state does not see that it had exited.
pub(super) async fn first_exit(api: &Api, name: &str, since: i64) -> Result<i64, RuntimeError> {
    // Docker calls it `die`, Podman `died`, and tells it as `die`.
    let filters = json!({ "type": ["container"], "container": [name], "event": ["die", "died"] });
    let query = [("since", since.to_string()), ("filters", filters.to_string())];
    let mut pieces = api.send(api.request(Method::GET, "events", &query)).await?.bytes_stream();
    let mut buffer = BytesMut::new();
    while let Some(piece) = pieces.next().await {
        buffer.extend_from_slice(&piece.map_err(|e| api.failure(&e))?);
        while let Some(at) = buffer.iter().position(|byte| *byte == b'\n') {
            if let Some(code) = exit_code(&buffer.split_to(at + 1)) {
                return Ok(code);
            }
        }
        if buffer.len() > limits::ENGINE_LINE_BYTES {
            return Err(api.unclear("a line of its answer is too long"));
        }
    }
    Err(api.unclear("its events ended"))
}

fn exit_code(event: &[u8]) -> Option<i64> {
    let event: Value = serde_json::from_slice(event).ok()?;
    event.pointer("/Actor/Attributes/exitCode")?.as_str()?.parse().ok()
}
