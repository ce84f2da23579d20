//! Clients, of each kind that there is: none of them tries anything twice.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;

use super::application::{DOWNLOAD, EVENTS, PIECE};
use super::tally::Tally;

/// Time for any one answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Whatever was not as it should be, in words.
pub type Outcome = Result<(), String>;

/// Where the clients go.
#[derive(Clone)]
pub struct Target {
    /// Caddy's port for these.
    pub address: SocketAddr,
    /// The domain of the application.
    pub host: String,
    /// Where HTTPS is spoken.
    pub tls: Option<TlsConnector>,
    /// The same for HTTP/2.
    pub h2: Option<reqwest::Client>,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

type Connection = BufStream<Box<dyn Stream>>;

impl Target {
    async fn connect(&self) -> Result<Connection, String> {
        let stream = TcpStream::connect(self.address).await.map_err(|e| format!("connect: {e}"))?;
        stream.set_nodelay(true).unwrap();
        let stream: Box<dyn Stream> = match &self.tls {
            None => Box::new(stream),
            Some(tls) => {
                let name = ServerName::try_from(self.host.clone()).unwrap();
                Box::new(tls.connect(name, stream).await.map_err(|e| format!("TLS: {e}"))?)
            }
        };
        Ok(BufStream::new(stream))
    }

    /// One request.
    pub async fn asks(&self) -> Outcome {
        within(async {
            let mut connection = self.connect().await?;
            self.request(&mut connection, "GET /", b"").await?;
            answer(&mut connection, b"hello").await.map(drop)
        })
        .await
    }

    async fn request(&self, connection: &mut Connection, what: &str, body: &[u8]) -> Outcome {
        let head = format!("{what} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n\r\n", self.host, body.len());
        let sent = async {
            connection.write_all(head.as_bytes()).await?;
            connection.write_all(body).await?;
            connection.flush().await
        };
        sent.await.map_err(|e| format!("send: {e}"))
    }
}

/// The head of an answer that is 200: how long the body is, and whether the connection goes on.
async fn head(connection: &mut Connection) -> Result<(Option<usize>, bool), String> {
    let (mut first, mut length, mut goes_on) = (String::new(), None, true);
    loop {
        let mut line = String::new();
        let read = connection.read_line(&mut line).await.map_err(|e| format!("read: {e}"))?;
        if read == 0 {
            return Err(format!("the connection ended before the answer did: {first:?}"));
        }
        let line = line.trim_end().to_ascii_lowercase();
        if first.is_empty() {
            first.clone_from(&line);
        }
        match line.split_once(": ") {
            Some(("content-length", value)) => length = value.parse().ok(),
            Some(("connection", "close")) => goes_on = false,
            _ if line.is_empty() => break,
            _ => {}
        }
    }
    if first.contains(" 200") { Ok((length, goes_on)) } else { Err(first) }
}

/// An answer of known length; whether the connection goes on.
async fn answer(connection: &mut Connection, wanted: &[u8]) -> Result<bool, String> {
    let (length, goes_on) = head(connection).await?;
    let mut body = vec![0; length.ok_or("no length")?];
    connection.read_exact(&mut body).await.map_err(|e| format!("body: {e}"))?;
    if body == wanted {
        return Ok(goes_on);
    }
    Err(format!("{} bytes came back of {}", body.len(), wanted.len()))
}

/// Asks again and again until the end, and counts.
pub async fn new_connections(target: Target, tally: Arc<Tally>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        tally.count(target.asks()).await;
    }
}

pub async fn new_posts(target: Target, tally: Arc<Tally>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let body = body();
        tally
            .count(within(async {
                let mut connection = target.connect().await?;
                target.request(&mut connection, "POST /", &body).await?;
                answer(&mut connection, &body).await.map(drop)
            }))
            .await;
    }
}

/// One connection for as long as Caddy keeps it; a `Connection: close` of its is no failure.
pub async fn keep_alive(target: Target, tally: Arc<Tally>, stop: CancellationToken) {
    kept(target, tally, stop, false).await;
}

pub async fn keep_alive_posts(target: Target, tally: Arc<Tally>, stop: CancellationToken) {
    kept(target, tally, stop, true).await;
}

async fn kept(target: Target, tally: Arc<Tally>, stop: CancellationToken, posts: bool) {
    let mut open: Option<Connection> = None;
    while !stop.is_cancelled() {
        let (what, body) = if posts { ("POST /", body()) } else { ("GET /", Vec::new()) };
        let wanted = if posts { body.clone() } else { b"hello".to_vec() };
        tally
            .count(within(async {
                let mut connection = match open.take() {
                    Some(connection) => connection,
                    None => target.connect().await?,
                };
                target.request(&mut connection, what, &body).await?;
                if answer(&mut connection, &wanted).await? {
                    open = Some(connection);
                }
                Ok(())
            }))
            .await;
    }
}

/// Requests that last a second.
pub async fn slow(target: Target, tally: Arc<Tally>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        tally
            .count(within(async {
                let mut connection = target.connect().await?;
                target.request(&mut connection, "GET /slow", b"").await?;
                answer(&mut connection, b"hello").await.map(drop)
            }))
            .await;
    }
}

pub async fn downloads(target: Target, tally: Arc<Tally>, stop: CancellationToken) {
    let wanted = vec![b'x'; DOWNLOAD.0 * DOWNLOAD.1];
    while !stop.is_cancelled() {
        tally
            .count(within(async {
                let mut connection = target.connect().await?;
                target.request(&mut connection, "GET /download", b"").await?;
                answer(&mut connection, &wanted).await.map(drop)
            }))
            .await;
    }
}

/// Streams of events: each is to come when it is sent, not with those after it.
pub async fn events(target: Target, tally: Arc<Tally>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        tally
            .count(within(async {
                let mut connection = target.connect().await?;
                target.request(&mut connection, "GET /events", b"").await?;
                head(&mut connection).await?;
                for n in 0..EVENTS {
                    let event = async {
                        let mut line = String::new();
                        while !line.starts_with("data: ") {
                            line.clear();
                            if connection.read_line(&mut line).await.map_err(|e| format!("event {n}: {e}"))? == 0 {
                                return Err(format!("the stream ended before event {n}"));
                            }
                        }
                        Ok(line)
                    };
                    let line = timeout(PIECE * 100, event).await.map_err(|_| format!("event {n} is held back"))??;
                    if line != format!("data: {n}\n") {
                        return Err(format!("{line:?} came as event {n}"));
                    }
                }
                Ok(())
            }))
            .await;
    }
}

/// Websockets of so many messages, said back one by one.
pub async fn websockets(target: Target, tally: Arc<Tally>, stop: CancellationToken, messages: usize) {
    while !stop.is_cancelled() {
        tally.count(websocket(&target, &stop, messages)).await;
    }
}

async fn websocket(target: &Target, stop: &CancellationToken, messages: usize) -> Outcome {
    let url = format!("ws://{}/socket", target.host);
    let connection = within(target.connect()).await?;
    let opened = within(async { client_async(url, connection).await.map_err(|e| format!("handshake: {e}")) });
    let (mut socket, _) = opened.await?;
    for n in 0..messages {
        if stop.is_cancelled() {
            break;
        }
        within(async {
            socket.send(Message::text(n.to_string())).await.map_err(|e| format!("message {n}: {e}"))?;
            match socket.next().await {
                Some(Ok(Message::Text(text))) if text.as_str() == n.to_string() => Ok(()),
                other => Err(format!("after message {n}: {other:?}")),
            }
        })
        .await?;
        sleep(PIECE).await;
    }
    within(async { socket.close(None).await.map_err(|e| format!("close: {e}")) }).await
}

/// GET and POST by turns, over HTTP/2.
pub async fn http2(target: Target, tally: Arc<Tally>, stop: CancellationToken) {
    let client = target.h2.clone().expect("HTTP/2 is for HTTPS");
    let url = format!("https://{}:{}/", target.host, target.address.port());
    let mut posts = false;
    while !stop.is_cancelled() {
        posts = !posts;
        let body = if posts { body() } else { Vec::new() };
        let wanted = if posts { body.clone() } else { b"hello".to_vec() };
        let request = if posts { client.post(&url).body(body) } else { client.get(&url) };
        tally
            .count(within(async {
                let answer = request.send().await.map_err(|e| format!("{e:?}"))?;
                let (status, version) = (answer.status(), answer.version());
                let body = answer.bytes().await.map_err(|e| format!("{e:?}"))?;
                if status == 200 && version == reqwest::Version::HTTP_2 && body == wanted {
                    return Ok(());
                }
                Err(format!("{status} over {version:?} with {} bytes of {}", body.len(), wanted.len()))
            }))
            .await;
    }
}

/// A body for a POST; some are larger than what sockets take at once.
fn body() -> Vec<u8> {
    let size = if rand::random_bool(0.05) { 200_000 } else { 4_000 };
    vec![b'p'; rand::random_range(1..size)]
}

async fn within<T>(work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    timeout(PATIENCE, work).await.unwrap_or_else(|_| Err("no answer in time".to_owned()))
}
