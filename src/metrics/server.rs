//! A small HTTP server for one page.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use futures::FutureExt;
use hyper::header::{ALLOW, CONTENT_TYPE};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Sources, text};
use crate::limits;

/// The media type of `OpenMetrics`.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Metrics cannot be served.
#[derive(Debug, thiserror::Error)]
#[error("cannot serve metrics on {address} (OTTURNAUT_METRICS_ADDR)")]
pub struct MetricsError {
    /// Where.
    pub address: SocketAddr,
    /// Why.
    pub source: io::Error,
}

/// A server that has its port and answers nobody yet.
pub struct Server(TcpListener);

impl Server {
    /// Takes the port.
    ///
    /// # Errors
    /// It is taken, or not this machine's.
    pub async fn open(address: SocketAddr) -> Result<Self, MetricsError> {
        let listener = TcpListener::bind(address).await.map_err(|source| MetricsError { address, source })?;
        Ok(Self(listener))
    }

    /// Answers until the end.
    pub async fn serve(self, sources: Sources, stop: CancellationToken) {
        let connections = TaskTracker::new();
        let places = Arc::new(Semaphore::new(limits::METRICS_CONNECTIONS));
        let accept = async {
            // It is never closed.
            while let Ok(place) = places.clone().acquire_owned().await {
                match self.0.accept().await {
                    Ok((stream, _)) => {
                        let sources = sources.clone();
                        connections.spawn(
                            async move {
                                answer(stream, sources).await;
                                drop(place);
                            }
                            .boxed(),
                        );
                    }
                    Err(error) => {
                        tracing::debug!(%error, "no connection for metrics could be taken");
                        sleep(limits::ACCEPT_PAUSE).await;
                    }
                }
            }
        };
        stop.run_until_cancelled(accept).await;
        connections.close();
        connections.wait().await;
    }
}

/// One request and its answer.
async fn answer(stream: TcpStream, sources: Sources) {
    let service = service_fn(|request| {
        let page = page(&request, &sources);
        async { Ok::<_, Infallible>(page) }
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.keep_alive(false).max_buf_size(limits::METRICS_REQUEST_BYTES);
    let connection = http.serve_connection(TokioIo::new(stream), service);
    match timeout(limits::METRICS_REQUEST, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a request for metrics broke off"),
        Err(_) => tracing::debug!("a request for metrics took too long"),
    }
}

fn page<B>(request: &Request<B>, sources: &Sources) -> Response<String> {
    let answer = Response::builder();
    let answer = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/metrics") => match text::write(sources.page()) {
            Ok(text) => answer.header(CONTENT_TYPE, OPEN_METRICS).body(text),
            Err(_) => answer.status(StatusCode::INTERNAL_SERVER_ERROR).body(String::new()),
        },
        (_, "/metrics") => answer.status(StatusCode::METHOD_NOT_ALLOWED).header(ALLOW, "GET, HEAD").body(String::new()),
        _ => answer.status(StatusCode::NOT_FOUND).body("the metrics are at /metrics\n".to_owned()),
    };
    // Nothing in it can be wrong.
    answer.unwrap_or_default()
}
