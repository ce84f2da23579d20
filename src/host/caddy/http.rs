//! Requests to the admin API.

use std::error::Error;
use std::io::ErrorKind;

use futures::StreamExt;
use reqwest::header::{ETAG, IF_MATCH};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;

use crate::host::proxy::ProxyError;
use crate::limits;

/// A client for admin APIs. Caddy closes its connections when it loads a configuration, so none is kept.
pub(super) fn client() -> Result<Client, reqwest::Error> {
    Client::builder().no_proxy().pool_max_idle_per_host(0).timeout(limits::CADDY_REQUEST).build()
}

/// An admin API at its address.
pub(super) struct Http {
    pub(super) client: Client,
    pub(super) base_url: String,
}

/// What Caddy answered.
pub(super) struct Answer {
    pub(super) status: u16,
    tag: Option<String>,
    body: Value,
}

impl Answer {
    /// The answer of a change that was made already.
    pub(super) fn done() -> Self {
        Self { status: 200, tag: None, body: Value::Null }
    }

    /// Whether there is nothing at the path: an id that is not known is 404, a path whose parents are missing 400.
    pub(super) fn is_missing(&self) -> bool {
        matches!(self.status, 400 | 404)
    }

    /// Names the state that was read, for a change of it.
    pub(super) fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    pub(super) fn ok(self) -> Result<(), ProxyError> {
        self.value().map(|_| ())
    }

    pub(super) fn value(&self) -> Result<Value, ProxyError> {
        if self.status == 200 {
            return Ok(self.body.clone());
        }
        Err(ProxyError::UnexpectedStatus { status: self.status, body: self.body.clone() })
    }
}

impl Http {
    pub(super) async fn get(&self, path: &str) -> Result<Answer, ProxyError> {
        let request = || self.request(Method::GET, path);
        match self.perform(request()).await {
            // A reload cut the connection; to ask again changes nothing.
            Err(ProxyError::RequestFailed { .. }) => self.perform(request()).await,
            answered => answered,
        }
    }

    pub(super) async fn delete(&self, path: &str) -> Result<Answer, ProxyError> {
        self.perform(self.request(Method::DELETE, path)).await
    }

    /// Sends a value, for the state that a tag names if there is one.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        (value, tag): (&Value, Option<&str>),
    ) -> Result<Answer, ProxyError> {
        let mut request = self.request(method, path).header("content-type", "application/json").body(value.to_string());
        if let Some(tag) = tag {
            request = request.header(IF_MATCH, tag);
        }
        self.perform(request).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}/{path}", self.base_url))
    }

    async fn perform(&self, request: RequestBuilder) -> Result<Answer, ProxyError> {
        let answer = request.send().await.map_err(|e| self.failure(&e))?;
        let status = answer.status().as_u16();
        let tag = answer.headers().get(ETAG).and_then(|tag| tag.to_str().ok()).map(str::to_owned);
        let mut bytes = Vec::new();
        let mut stream = answer.bytes_stream();
        while let Some(piece) = stream.next().await {
            bytes.extend_from_slice(&piece.map_err(|e| self.failure(&e))?);
            if bytes.len() > limits::CADDY_ANSWER_BYTES {
                let reason = format!("its answer is longer than {} bytes", limits::CADDY_ANSWER_BYTES);
                return Err(ProxyError::RequestFailed { url: self.base_url.clone(), reason });
            }
        }
        let text = || String::from_utf8_lossy(&bytes).trim().to_owned();
        let body = if bytes.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&bytes).unwrap_or_else(|_| text().into())
        };
        Ok(Answer { status, tag, body })
    }

    fn failure(&self, error: &reqwest::Error) -> ProxyError {
        let url = self.base_url.clone();
        if error.is_timeout() {
            return ProxyError::Timeout { url };
        }
        match io_cause(error) {
            Some(ErrorKind::ConnectionRefused) => ProxyError::Unavailable { url },
            _ if error.is_connect() => ProxyError::Unavailable { url },
            _ => ProxyError::RequestFailed { url, reason: error.to_string() },
        }
    }
}

/// The system's own reason within an error.
fn io_cause(error: &reqwest::Error) -> Option<ErrorKind> {
    let mut cause: Option<&dyn Error> = Some(error);
    while let Some(e) = cause {
        if let Some(io) = e.downcast_ref::<std::io::Error>() {
            return Some(io.kind());
        }
        cause = e.source();
    }
    None
}
