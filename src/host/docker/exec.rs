//! A command inside a running container.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::api::{self, Api};
use super::logs::Output;
use crate::host::runtime::{ExecEnd, RuntimeError};
use crate::limits;

/// Runs it; the last of what it printed is kept. One that does not end in time is left to itself: engines do not end it.
pub(super) async fn run(
    api: &Api,
    (name, command): (&str, &[String]),
    limit: Duration,
) -> Result<ExecEnd, RuntimeError> {
    let mut output = Output::new(false, (usize::MAX, limits::EXEC_OUTPUT_BYTES));
    let running = async {
        let wanted = json!({ "Cmd": command, "AttachStdout": true, "AttachStderr": true });
        let made = api.post(&format!("containers/{}/exec", api::part(name)), &[], &wanted).await?;
        let id = made.get("Id").and_then(Value::as_str).ok_or_else(|| api.unclear("an id was wanted"))?;
        let request = api.request(Method::POST, &format!("exec/{id}/start"), &[]);
        let request = request.header("content-type", "application/json").body(r#"{"Detach":false,"Tty":false}"#);
        output.read(api, api.send(request).await?).await?;
        api.get(&format!("exec/{id}/json"), &[]).await
    };
    let exit_code = match timeout(limit, running).await {
        Ok(ended) => ended?.get("ExitCode").and_then(Value::as_i64),
        Err(_) => None,
    };
    let lines = output.finish();
    let texts: Vec<_> = lines.iter().map(|line| String::from_utf8_lossy(&line.text)).collect();
    Ok(ExecEnd { exit_code, output: texts.join("\n") })
}
