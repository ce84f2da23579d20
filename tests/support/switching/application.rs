//! An application: one that serves all that clients ask for, and ends as one does that is drained.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::stream::{Stream, unfold};
use futures::{SinkExt, StreamExt};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_util::sync::CancellationToken;

/// Bytes of a download, in pieces that come one after the other.
pub const DOWNLOAD: (usize, usize) = (64, 16 * 1024);
/// Time between two pieces of a download and between two events.
pub const PIECE: Duration = Duration::from_millis(20);
/// Events of a stream.
pub const EVENTS: usize = 60;

/// Time for an answer to a POST. Caddy cuts one in some ten thousand that comes before it has seen that it sent the whole request,
/// whatever the route and whether it is switched (docs/design.md, "The switch"); on a busy machine that takes milliseconds.
const THOUGHT: Duration = Duration::from_millis(10);

/// Time between the switch and the end, at least.
const DRAIN: Duration = Duration::from_millis(300);
/// The same at most: what is in use then is cut.
const PATIENCE: Duration = Duration::from_secs(30);

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// An application on a port of its own.
pub struct Application {
    pub port: u16,
    connections: Arc<AtomicUsize>,
    end: CancellationToken,
}

/// A connection that is counted.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(connections: &Arc<AtomicUsize>) -> Self {
        connections.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(connections))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Application {
    pub async fn start() -> Self {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (connections, end) = (Arc::new(AtomicUsize::new(0)), CancellationToken::new());
        let (counted, ended) = (Arc::clone(&connections), end.clone());
        tokio::spawn(async move {
            while let Some(accepted) = ended.run_until_cancelled(listener.accept()).await {
                let (stream, _) = accepted.unwrap();
                let (counted, ended) = (Counted::new(&counted), ended.clone());
                tokio::spawn(async move { ended.run_until_cancelled(serve(stream, counted)).await });
            }
        });
        Self { port, connections, end }
    }

    /// Ends when its connections are gone, as an agent has it that drains by evidence; how many it had to cut.
    pub async fn drain(self) -> usize {
        let start = Instant::now();
        sleep(DRAIN).await;
        while self.connections.load(Ordering::SeqCst) > 0 && start.elapsed() < PATIENCE {
            sleep(Duration::from_millis(10)).await;
        }
        let cut = self.connections.load(Ordering::SeqCst);
        self.end.cancel();
        cut
    }
}

/// Serves a connection, and what it was made into.
async fn serve(stream: TcpStream, counted: Counted) {
    stream.set_nodelay(true).unwrap();
    let counted = Arc::new(counted);
    let service = service_fn(move |request| {
        let counted = Arc::clone(&counted);
        async move { Ok::<_, Infallible>(answer(request, counted).await) }
    });
    // An end in the middle is the client's to report.
    http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades().await.ok();
}

async fn answer(mut request: Request<Incoming>, counted: Arc<Counted>) -> Response<Body> {
    match (request.method(), request.uri().path()) {
        (&Method::POST, "/") => match request.into_body().collect().await {
            Ok(body) => {
                sleep(THOUGHT).await;
                whole(body.to_bytes())
            }
            Err(_) => status(StatusCode::BAD_REQUEST),
        },
        (_, "/") => whole(Bytes::from_static(b"hello")),
        (_, "/slow") => {
            sleep(Duration::from_secs(1)).await;
            whole(Bytes::from_static(b"hello"))
        }
        (_, "/download") => {
            let (pieces, size) = DOWNLOAD;
            let mut download = Response::new(stream(pieces, move |_| Bytes::from(vec![b'x'; size])));
            download.headers_mut().insert(CONTENT_LENGTH, (pieces * size).into());
            download
        }
        (_, "/events") => {
            let mut events = Response::new(stream(EVENTS, |n| Bytes::from(format!("data: {n}\n\n"))));
            events.headers_mut().insert(CONTENT_TYPE, "text/event-stream".parse().unwrap());
            events
        }
        (_, "/socket") => {
            let upgrade = hyper::upgrade::on(&mut request);
            let Some(key) = request.headers().get(SEC_WEBSOCKET_KEY) else { return status(StatusCode::BAD_REQUEST) };
            let accept = derive_accept_key(key.as_bytes());
            tokio::spawn(echo(upgrade, counted));
            let mut switching = status(StatusCode::SWITCHING_PROTOCOLS);
            switching.headers_mut().insert(CONNECTION, "upgrade".parse().unwrap());
            switching.headers_mut().insert(UPGRADE, "websocket".parse().unwrap());
            switching.headers_mut().insert(SEC_WEBSOCKET_ACCEPT, accept.parse().unwrap());
            switching
        }
        _ => status(StatusCode::NOT_FOUND),
    }
}

/// Says back what comes, until the other end closes.
async fn echo(upgrade: OnUpgrade, _counted: Arc<Counted>) {
    let Ok(upgraded) = upgrade.await else { return };
    let socket: WebSocketStream<TokioIo<Upgraded>> =
        WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
    let (mut send, mut receive) = socket.split();
    while let Some(Ok(message)) = receive.next().await {
        if (message.is_text() || message.is_binary()) && send.send(message).await.is_err() {
            return;
        }
    }
}

fn whole(bytes: Bytes) -> Response<Body> {
    Response::new(Full::new(bytes).boxed_unsync())
}

fn status(status: StatusCode) -> Response<Body> {
    let mut response = whole(Bytes::new());
    *response.status_mut() = status;
    response
}

fn stream(pieces: usize, piece: impl Fn(usize) -> Bytes + Send + 'static) -> Body {
    let frames = unfold((0, piece), move |(n, piece)| async move {
        if n == pieces {
            return None;
        }
        sleep(PIECE).await;
        let frame = Frame::data(piece(n));
        Some((Ok::<_, Infallible>(frame), (n + 1, piece)))
    });
    let frames: std::pin::Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, Infallible>> + Send>> = Box::pin(frames);
    StreamBody::new(frames).boxed_unsync()
}
