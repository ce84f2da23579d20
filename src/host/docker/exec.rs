//! A command inside a running container.

use std::time::Duration;

use futures::StreamExt;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::api::{self, Api};
use super::logs;
use crate::host::runtime::{ExecEnd, RuntimeError};
use crate::limits;

/// Runs it; what it printed is bounded, what comes after is read and forgotten.
pub(super) async fn run(
    api: &Api,
    (name, command): (&str, &[String]),
    limit: Duration,
) -> Result<ExecEnd, RuntimeError> {
    let wanted = json!({ "Cmd": command, "AttachStdout": true, "AttachStderr": true });
    let made = api.post(&format!("containers/{}/exec", api::part(name)), &[], &wanted).await?;
    let id = made.get("Id").and_then(Value::as_str).ok_or_else(|| api.unclear("an id was wanted"))?;
    let mut printed = Vec::new();
    let running = async {
        let request = api.request(Method::POST, &format!("exec/{id}/start"), &[]);
        let request = request.header("content-type", "application/json").body(r#"{"Detach":false,"Tty":false}"#);
        let mut pieces = api.send(request).await?.bytes_stream();
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|e| api.failure(&e))?;
            let room = limits::EXEC_OUTPUT_BYTES.saturating_sub(printed.len());
            printed.extend_from_slice(piece.get(..room).unwrap_or(&piece));
        }
        api.get(&format!("exec/{id}/json"), &[]).await
    };
    let exit_code = match timeout(limit, running).await {
        Ok(ended) => ended?.get("ExitCode").and_then(Value::as_i64),
        Err(_) => None,
    };
    let lines = logs::frames(printed.into());
    let texts: Vec<_> = lines.iter().map(|line| String::from_utf8_lossy(&line.text)).collect();
    Ok(ExecEnd { exit_code, output: texts.join("\n") })
}
