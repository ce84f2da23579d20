//! An answer that is read only as fast as somebody asks for it, over a connection of its own.
//!
//! The pool's client reads ahead, up to 400 KiB an answer: too much for a hundred that nobody takes. Here what is not asked
//! for stays in the engine, and dropping the answer closes the connection.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::future::BoxFuture;
use http_body_util::Empty;
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use reqwest::{Method, StatusCode};
use serde_json::json;
use tokio::net::UnixStream;

use super::api::{self, Api, Query};
use crate::host::runtime::RuntimeError;
use crate::limits;

type Sender = SendRequest<Empty<Bytes>>;

pub(super) struct Answer {
    api: Api,
    connection: Connection<TokioIo<UnixStream>, Empty<Bytes>>,
    /// Whether the connection has nothing left to do.
    done: bool,
    state: State,
}

enum State {
    /// The head is yet to come: some engines send it with the first bytes.
    Asked(BoxFuture<'static, hyper::Result<(Response<Incoming>, Sender)>>),
    /// The body; the connection stays open as long as its sender is there.
    Body(Incoming, #[expect(dead_code, reason = "it is held")] Sender),
    /// Why the engine refused, as far as it has come.
    Refused(StatusCode, Incoming, Vec<u8>),
}

impl Answer {
    /// Asks the engine. What it answers is told with the first piece.
    pub(super) async fn get(api: &Api, path: &str, query: &Query<'_>) -> Result<Self, RuntimeError> {
        let request = api.request(Method::GET, path, query).build().map_err(|e| api.failure(&e))?;
        let (url, unclear) = (request.url(), || api.unclear("its API has no such address"));
        let target = format!("{}?{}", url.path(), url.query().unwrap_or_default());
        let request = Request::get(target).header("host", "engine").body(Empty::new()).map_err(|_| unclear())?;
        let socket = UnixStream::connect(&api.socket).await.map_err(|e| api.broken(&e))?;
        let (mut sender, connection) = Builder::new()
            .max_buf_size(limits::LOG_READ_BYTES)
            .handshake(TokioIo::new(socket))
            .await
            .map_err(|e| api.broken(&e))?;
        let asked = Box::pin(async move {
            let answer = sender.send_request(request).await?;
            Ok((answer, sender))
        });
        Ok(Self { api: api.clone(), connection, done: false, state: State::Asked(asked) })
    }

    /// The next piece; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, RuntimeError> {
        poll_fn(|cx| self.poll(cx)).await
    }

    /// The next piece if it is there already.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, RuntimeError>> {
        loop {
            if let Poll::Ready(piece) = self.poll_state(cx) {
                return Poll::Ready(piece);
            }
            if self.done {
                return Poll::Ready(Err(self.api.closed()));
            }
            // What it read is taken next; its errors are those of the answer.
            self.done = Pin::new(&mut self.connection).poll(cx).is_ready();
            if !self.done {
                return self.poll_state(cx);
            }
        }
    }

    fn poll_state(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, RuntimeError>> {
        loop {
            match &mut self.state {
                State::Asked(asked) => {
                    let (answer, sender) = ready!(asked.as_mut().poll(cx)).map_err(|e| self.api.broken(&e))?;
                    let status = answer.status();
                    self.state = if status.is_success() {
                        State::Body(answer.into_body(), sender)
                    } else {
                        State::Refused(status, answer.into_body(), Vec::new())
                    };
                }
                State::Body(body, _) => match ready!(Pin::new(body).poll_frame(cx)) {
                    Some(Ok(frame)) => {
                        if let Ok(piece) = frame.into_data() {
                            return Poll::Ready(Ok(Some(piece)));
                        }
                    }
                    Some(Err(e)) => return Poll::Ready(Err(self.api.broken(&e))),
                    None => return Poll::Ready(Ok(None)),
                },
                State::Refused(status, body, why) => match ready!(Pin::new(body).poll_frame(cx)) {
                    Some(Ok(frame)) if why.len() < limits::LOG_READ_BYTES => {
                        why.extend_from_slice(&frame.into_data().unwrap_or_default());
                    }
                    _ => {
                        let text = || json!({ "message": String::from_utf8_lossy(why).trim() });
                        let body = serde_json::from_slice(why).unwrap_or_else(|_| text());
                        let (engine, status) = (self.api.engine, status.as_u16());
                        return Poll::Ready(Err(RuntimeError::Http { engine, status, body }));
                    }
                },
            }
        }
    }
}

impl Api {
    /// A connection of its own that broke, or was never made.
    fn broken(&self, error: &(dyn std::error::Error + 'static)) -> RuntimeError {
        let reason = api::io_cause(error).map_or("closed".to_owned(), api::posix);
        RuntimeError::Transport { engine: self.engine, socket: self.socket.clone(), reason }
    }

    fn closed(&self) -> RuntimeError {
        RuntimeError::Transport { engine: self.engine, socket: self.socket.clone(), reason: "closed".to_owned() }
    }
}
