//! Requests to an engine, its answers and its errors.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::path::PathBuf;

use reqwest::{Client, Method, RequestBuilder, Response, Url};
use serde_json::{Value, json};

use crate::host::runtime::{RuntimeError, RuntimeKind};
use crate::limits;

/// Any host will do: the client's connections all go to the socket. Paths without a version mean the engine's own, so no
/// engine is too old or too new.
const BASE: &str = "http://engine/";

#[derive(Clone)]
pub(super) struct Api {
    pub(super) client: Client,
    pub(super) socket: PathBuf,
    pub(super) engine: RuntimeKind,
}

/// Parameters of a request.
pub(super) type Query<'a> = [(&'a str, String)];

impl Api {
    pub(super) fn request(&self, method: Method, path: &str, query: &Query<'_>) -> RequestBuilder {
        let address = format!("{BASE}{path}");
        match Url::parse_with_params(&address, query) {
            Ok(url) => self.client.request(method, url),
            // The client says what is wrong with the address.
            Err(_) => self.client.request(method, address),
        }
    }

    pub(super) async fn get(&self, path: &str, query: &Query<'_>) -> Result<Value, RuntimeError> {
        self.value(self.request(Method::GET, path, query).timeout(limits::ENGINE_REQUEST)).await
    }

    pub(super) async fn post(&self, path: &str, query: &Query<'_>, body: &Value) -> Result<Value, RuntimeError> {
        self.value(self.json(path, query, body)).await
    }

    /// The same where the answer says nothing: some have a body that is no JSON.
    pub(super) async fn order(&self, path: &str, body: &Value) -> Result<(), RuntimeError> {
        self.send(self.json(path, &[], body)).await.map(drop)
    }

    fn json(&self, path: &str, query: &Query<'_>, body: &Value) -> RequestBuilder {
        let request = self.request(Method::POST, path, query).timeout(limits::ENGINE_REQUEST);
        request.header("content-type", "application/json").body(body.to_string())
    }

    /// A whole answer as JSON; `Null` for an empty one.
    pub(super) async fn value(&self, request: RequestBuilder) -> Result<Value, RuntimeError> {
        let answer = self.send(request).await?;
        let bytes = answer.bytes().await.map_err(|e| self.failure(&e))?;
        if bytes.trim_ascii().is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&bytes).map_err(|e| self.unclear(&e.to_string()))
    }

    /// An answer of success; its body is still to be read.
    pub(super) async fn send(&self, request: RequestBuilder) -> Result<Response, RuntimeError> {
        let answer = request.send().await.map_err(|e| self.failure(&e))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let bytes = answer.bytes().await.unwrap_or_default();
        let text = || json!({ "message": String::from_utf8_lossy(&bytes).trim() });
        let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| text());
        Err(RuntimeError::Http { engine: self.engine, status: status.as_u16(), body })
    }

    /// An error that came within an answer of success.
    pub(super) fn refused(&self, reason: &str) -> RuntimeError {
        RuntimeError::Http { engine: self.engine, status: 500, body: json!({ "message": reason }) }
    }

    pub(super) fn unclear(&self, reason: &str) -> RuntimeError {
        RuntimeError::Answer { engine: self.engine, reason: reason.to_owned() }
    }

    pub(super) fn failure(&self, error: &reqwest::Error) -> RuntimeError {
        let reason =
            if error.is_timeout() { "timeout".to_owned() } else { io_cause(error).map_or("closed".to_owned(), posix) };
        RuntimeError::Transport { engine: self.engine, socket: self.socket.clone(), reason }
    }
}

/// The system's own reason within an error.
pub(super) fn io_cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a io::Error> {
    let mut cause = Some(error);
    while let Some(e) = cause {
        if let Some(io) = e.downcast_ref::<io::Error>() {
            return Some(io);
        }
        cause = e.source();
    }
    None
}

/// The POSIX name of a system's reason, in lower case.
pub(in crate::host) fn posix(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "enoent",
        ErrorKind::ConnectionRefused => "econnrefused",
        ErrorKind::PermissionDenied => "eacces",
        ErrorKind::TimedOut => "timeout",
        ErrorKind::IsADirectory => "eisdir",
        ErrorKind::NotADirectory => "enotdir",
        _ => "closed",
    }
    .to_owned()
}

/// The message in an engine's error.
pub(super) fn message(body: &Value) -> &str {
    body.get("message").and_then(Value::as_str).unwrap_or_default()
}

/// A name as one part of a path.
pub(super) fn part(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    name.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
