//! The session of a build: a connection to the engine on which it asks, as a gRPC client, for what the build needs. Of
//! `BuildKit`'s session services (`session/secrets/secrets.proto`, `grpc/health/v1/health.proto`) those for secrets and life are
//! answered.

use std::collections::BTreeMap;
use std::convert::Infallible;

use bytes::{BufMut, Bytes, BytesMut};
use futures::stream;
use http_body_util::{BodyExt, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use reqwest::{Method, Upgraded};

use super::super::api::Api;
use crate::host::runtime::RuntimeError;
use crate::limits;
use crate::secret::Secret;

const GET_SECRET: &str = "/moby.buildkit.secrets.v1.Secrets/GetSecret";
const CHECK: &str = "/grpc.health.v1.Health/Check";

/// Codes of gRPC (its `doc/statuscodes.md`).
const OK: u8 = 0;
const INVALID_ARGUMENT: u8 = 3;
const NOT_FOUND: u8 = 5;
const UNIMPLEMENTED: u8 = 12;

/// `HealthCheckResponse` with the status `SERVING`.
const SERVING: [u8; 2] = [0x08, 0x01];

/// Bytes before a message of gRPC: whether it is compressed, and its length.
const PREFIX: usize = 5;

#[derive(Clone, PartialEq, Message)]
struct GetSecretRequest {
    #[prost(string, tag = "1")]
    id: String,
}

#[derive(Clone, PartialEq, Message)]
struct GetSecretResponse {
    #[prost(bytes = "bytes", tag = "1")]
    data: Bytes,
}

/// Secrets of a build by their ids.
pub(super) type Secrets = BTreeMap<String, Secret<String>>;

/// A session that the engine knows.
pub(super) struct Session {
    connection: Upgraded,
}

impl Session {
    /// Makes one known under `id`.
    pub(super) async fn open(api: &Api, id: &str) -> Result<Self, RuntimeError> {
        let request = api.request(Method::POST, "session", &[]);
        let request = request.header("connection", "Upgrade").header("upgrade", "h2c");
        let request = request
            .header("x-docker-expose-session-uuid", id)
            .header("x-docker-expose-session-name", "otturnaut")
            .header("x-docker-expose-session-grpc-method", GET_SECRET)
            .header("x-docker-expose-session-grpc-method", CHECK);
        let answer = request.send().await.map_err(|error| api.failure(&error))?;
        match answer.status().as_u16() {
            101 => Ok(Self { connection: answer.upgrade().await.map_err(|error| api.failure(&error))? }),
            status => Err(api.unclear(&format!("a session was wanted, and it answered {status}"))),
        }
    }

    /// Answers the engine until it closes the connection.
    pub(super) async fn serve(self, secrets: &Secrets) {
        let answered = service_fn(|request| answer(request, secrets.clone()));
        let served =
            http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(self.connection), answered);
        if let Err(error) = served.await {
            tracing::debug!(%error, "the session of a build ended");
        }
    }
}

type Answer = Response<StreamBody<stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, Infallible>>>>>;

async fn answer(request: Request<Incoming>, secrets: Secrets) -> Result<Answer, Infallible> {
    let answered = match request.uri().path() {
        CHECK => Ok(Bytes::from_static(&SERVING)),
        GET_SECRET => secret(request, &secrets).await,
        _ => Err(UNIMPLEMENTED),
    };
    Ok(framed(answered))
}

async fn secret(request: Request<Incoming>, secrets: &Secrets) -> Result<Bytes, u8> {
    let body = Limited::new(request.into_body(), limits::SESSION_REQUEST_BYTES).collect().await;
    let body = body.map_err(|_| INVALID_ARGUMENT)?.to_bytes();
    let message = body.get(PREFIX..).ok_or(INVALID_ARGUMENT)?;
    let asked = GetSecretRequest::decode(message).map_err(|_| INVALID_ARGUMENT)?;
    let found = secrets.get(&asked.id).ok_or(NOT_FOUND)?;
    Ok(GetSecretResponse { data: Bytes::from(found.expose().clone()) }.encode_to_vec().into())
}

/// An answer as gRPC has it: the message with its length before it, the code behind it.
fn framed(answered: Result<Bytes, u8>) -> Answer {
    let mut frames = Vec::new();
    if let Ok(message) = &answered {
        let mut bytes = BytesMut::with_capacity(PREFIX + message.len());
        bytes.put_u8(0);
        bytes.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
        bytes.put_slice(message);
        frames.push(Ok(Frame::data(bytes.freeze())));
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from(u16::from(answered.err().unwrap_or(OK))));
    frames.push(Ok(Frame::trailers(trailers)));
    let mut response = Response::new(StreamBody::new(stream::iter(frames)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}
