//! Requests to the admin API.

use std::error::Error;
use std::io::ErrorKind;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use reqwest::header::{ETAG, IF_MATCH};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;

use crate::host::https;
use crate::host::proxy::ProxyError;
use crate::limits;

/// Precondition failed: somebody changed the configuration.
pub(super) const CHANGED: u16 = 412;

/// A client for admin APIs. Caddy closes its connections when it loads a configuration, so none is kept.
pub(super) fn client() -> Result<Client, reqwest::Error> {
    let client = https::client().no_proxy().redirect(Policy::none()).pool_max_idle_per_host(0);
    client.timeout(limits::CADDY_REQUEST).build()
}

/// An admin API at its address.
pub(super) struct Http {
    pub(super) client: Client,
    pub(super) base_url: String,
}

/// What Caddy answered.
#[derive(Default)]
pub(super) struct Answer {
    pub(super) status: u16,
    tag: Option<String>,
    bytes: Bytes,
}

impl Answer {
    /// The answer of a change that was made already.
    pub(super) fn done() -> Self {
        Self { status: 200, ..Self::default() }
    }

    /// The answer to a change of something that is not as it was.
    pub(super) fn changed() -> Self {
        Self { status: CHANGED, ..Self::default() }
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
        match self.status {
            200 => Ok(self.body()),
            status => Err(ProxyError::UnexpectedStatus { status, body: self.body() }),
        }
    }

    /// The body as text.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).trim().to_owned()
    }

    fn body(&self) -> Value {
        if self.bytes.is_empty() {
            return Value::Null;
        }
        serde_json::from_slice(&self.bytes).unwrap_or_else(|_| self.text().into())
    }
}

impl Http {
    /// Asks; where a reload cut the connection or closed the door for a moment, again: that changes nothing.
    pub(super) async fn get(&self, path: &str) -> Result<Answer, ProxyError> {
        let mut asked = self.perform(self.request(Method::GET, path)).await;
        for _ in 0..limits::CADDY_BROKEN_ATTEMPTS {
            if !asked.as_ref().is_err_and(is_broken) {
                break;
            }
            tokio::time::sleep(limits::CADDY_RELOAD).await;
            asked = self.perform(self.request(Method::GET, path)).await;
        }
        asked
    }

    /// Deletes; where the request broke off it is sent again, and what is gone then was deleted by the first.
    pub(super) async fn delete(&self, path: &str) -> Result<Answer, ProxyError> {
        let first = self.perform(self.request(Method::DELETE, path)).await;
        if !first.as_ref().is_err_and(is_broken) {
            return first;
        }
        tokio::time::sleep(limits::CADDY_RELOAD).await;
        let second = self.perform(self.request(Method::DELETE, path)).await?;
        let deleted = second.is_missing() && !matches!(first, Err(ProxyError::Unavailable { .. }));
        Ok(if deleted { Answer::done() } else { second })
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

    pub(super) async fn perform(&self, request: RequestBuilder) -> Result<Answer, ProxyError> {
        let answer = request.send().await.map_err(|e| self.failure(&e))?;
        let status = answer.status().as_u16();
        let body = Limited::new(reqwest::Body::from(answer), limits::CADDY_ANSWER_BYTES);
        let whole = body.collect().await.map_err(|e| self.broken_off(&*e))?;
        // Caddy computes the tag while it writes the answer: it comes behind the body.
        let tag = whole.trailers().and_then(|trailers| trailers.get(ETAG)).and_then(|tag| tag.to_str().ok());
        let tag = tag.map(str::to_owned);
        Ok(Answer { status, tag, bytes: whole.to_bytes() })
    }

    fn broken_off(&self, error: &(dyn Error + Send + Sync + 'static)) -> ProxyError {
        match error.downcast_ref::<reqwest::Error>() {
            Some(error) => self.failure(error),
            None => ProxyError::RequestFailed { url: self.base_url.clone(), reason: error.to_string() },
        }
    }

    fn failure(&self, error: &reqwest::Error) -> ProxyError {
        let url = self.base_url.clone();
        if error.is_timeout() {
            return ProxyError::Timeout { url };
        }
        match io_cause(error) {
            Some(ErrorKind::ConnectionRefused) => ProxyError::Unavailable { url },
            // A name that is not known, a network that cannot be reached; a reset is of a reload.
            kind if error.is_connect() && kind != Some(ErrorKind::ConnectionReset) => ProxyError::Unavailable { url },
            _ => ProxyError::RequestFailed { url, reason: error.to_string() },
        }
    }
}

/// Whether a reload of the configuration may have been the cause: it opens Caddy's listeners anew, the admin API's too.
pub(super) fn is_broken(error: &ProxyError) -> bool {
    matches!(error, ProxyError::Unavailable { .. } | ProxyError::RequestFailed { .. })
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
