//! EPMD of our own, so that a machine needs no Erlang: registration, lookup, names. Kill and stop are refused.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::client::put_text;
use super::{HIDDEN, MESSAGE_BYTES, VERSION, tag};
use crate::limits;

/// A registered node.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    port: u16,
    kind: u8,
    protocol: u8,
    highest: u16,
    lowest: u16,
}

/// The register. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Server(Arc<Mutex<BTreeMap<String, Entry>>>);

/// What a request asks for.
#[derive(Debug, PartialEq, Eq)]
enum Request {
    Register(String, Entry),
    Port(String),
    Names,
}

impl Server {
    /// A register that holds this node.
    pub(super) fn with(alive: &str, port: u16) -> Self {
        let server = Self::default();
        let entry = Entry { port, kind: HIDDEN, protocol: 0, highest: VERSION, lowest: VERSION };
        server.entries().insert(alive.to_owned(), entry);
        server
    }

    /// Opens the port: on all addresses, or on the given one and on loopback.
    pub(super) async fn bind(epmd_port: u16, bind: Option<IpAddr>) -> std::io::Result<Vec<TcpListener>> {
        let all = IpAddr::from(Ipv4Addr::UNSPECIFIED);
        let loopback = IpAddr::from(Ipv4Addr::LOCALHOST);
        let addresses = match bind {
            None => vec![all],
            Some(address) if address == loopback || address.is_unspecified() => vec![address],
            Some(address) => vec![loopback, address],
        };
        let mut listeners = Vec::new();
        for address in addresses {
            listeners.push(TcpListener::bind(SocketAddr::from((address, epmd_port))).await?);
        }
        Ok(listeners)
    }

    /// Serves until it is stopped.
    pub(super) async fn serve(&self, listener: TcpListener, tasks: &TaskTracker, stop: &CancellationToken) {
        let port = listener.local_addr().map_or(0, |address| address.port());
        let seats = Arc::new(Semaphore::new(limits::EPMD_CONNECTIONS));
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stop.cancelled() => return,
            };
            // Without a seat the connection is closed at once: the register stays usable for those that hold one.
            let (Ok((stream, _)), Ok(seat)) = (accepted, seats.clone().try_acquire_owned()) else { continue };
            let (server, stop) = (self.clone(), stop.clone());
            tasks.spawn(async move {
                tokio::select! {
                    () = server.answer(stream, port) => {}
                    () = stop.cancelled() => {}
                }
                drop(seat);
            });
        }
    }

    async fn answer(&self, mut stream: TcpStream, port: u16) {
        let Ok(Some(request)) = timeout(limits::EPMD_REQUEST, read_request(&mut stream)).await else { return };
        let answer = match &request {
            Request::Register(name, entry) => return self.register(stream, name, entry).await,
            Request::Port(name) => self.port_answer(name),
            Request::Names => self.names_answer(port),
        };
        // The asker may have left; then nobody is told.
        timeout(limits::EPMD_REQUEST, stream.write_all(&answer)).await.ok();
    }

    /// Registers a node for as long as its connection lasts.
    async fn register(&self, mut stream: TcpStream, name: &str, entry: &Entry) {
        let taken = {
            let mut entries = self.entries();
            let taken = entries.contains_key(name);
            if !taken {
                entries.insert(name.to_owned(), entry.clone());
            }
            taken
        };
        let mut answer = vec![tag::ALIVE_ANSWER, u8::from(taken)];
        answer.extend(creation().to_be_bytes());
        let told = stream.write_all(&answer).await;
        if taken {
            return;
        }
        let _freed = Freed { server: self, name };
        let mut rest = [0; 64];
        // A registered node sends nothing more; what it sends is skipped.
        while told.is_ok() && stream.read(&mut rest).await.is_ok_and(|read| read > 0) {}
    }

    fn port_answer(&self, name: &str) -> Vec<u8> {
        let Some(entry) = self.entries().get(name).cloned() else { return vec![tag::PORT_ANSWER, 1] };
        let mut answer = vec![tag::PORT_ANSWER, 0];
        answer.extend(entry.port.to_be_bytes());
        answer.extend([entry.kind, entry.protocol]);
        answer.extend(entry.highest.to_be_bytes());
        answer.extend(entry.lowest.to_be_bytes());
        put_text(&mut answer, name);
        answer.extend([0, 0]);
        answer
    }

    fn names_answer(&self, port: u16) -> Vec<u8> {
        let mut answer = u32::from(port).to_be_bytes().to_vec();
        for (name, entry) in &*self.entries() {
            answer.extend(format!("name {name} at port {}\n", entry.port).into_bytes());
        }
        answer
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a name out of the register when its connection ends, whatever ends it.
struct Freed<'a> {
    server: &'a Server,
    name: &'a str,
}

impl Drop for Freed<'_> {
    fn drop(&mut self) {
        self.server.entries().remove(self.name);
    }
}

/// A number that tells one life of a node from another; 0 to 3 have meanings of their own.
pub(super) fn creation() -> u32 {
    rand::random::<u32>().max(4)
}

async fn read_request(stream: &mut TcpStream) -> Option<Request> {
    let length = usize::from(stream.read_u16().await.ok()?);
    if !(1..=MESSAGE_BYTES).contains(&length) {
        return None;
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    parse(&body)
}

fn parse(body: &[u8]) -> Option<Request> {
    let (tag, rest) = body.split_first()?;
    match *tag {
        tag::NAMES if rest.is_empty() => Some(Request::Names),
        tag::PORT => Some(Request::Port(name(rest)?)),
        tag::ALIVE => {
            let [p0, p1, kind, protocol, h0, h1, l0, l1, n0, n1, rest @ ..] = rest else { return None };
            let length = usize::from(u16::from_be_bytes([*n0, *n1]));
            let entry = Entry {
                port: u16::from_be_bytes([*p0, *p1]),
                kind: *kind,
                protocol: *protocol,
                highest: u16::from_be_bytes([*h0, *h1]),
                lowest: u16::from_be_bytes([*l0, *l1]),
            };
            Some(Request::Register(name(rest.get(..length)?)?, entry))
        }
        _ => None,
    }
}

fn name(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    let plain = !text.is_empty() && text.len() <= 255 && !text.chars().any(|c| c.is_control() || c == '@');
    plain.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::client::{RegisterError, lookup, register};
    use super::*;

    async fn served() -> (u16, CancellationToken) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let stop = CancellationToken::new();
        let (server, tasks, until) = (Server::with("own", 1234), TaskTracker::new(), stop.clone());
        tasks.clone().spawn(async move { server.serve(listener, &tasks, &until).await });
        (port, stop)
    }

    fn at(port: u16) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, port))
    }

    #[tokio::test]
    async fn a_name_is_found_while_its_connection_lasts() {
        let (port, _stop) = served().await;
        assert_eq!(lookup(at(port), "own").await.unwrap(), Some(1234));
        assert_eq!(lookup(at(port), "other").await.unwrap(), None);
        let registration = register(port, "other", 4321).await.unwrap();
        assert!(registration.creation > 3);
        assert_eq!(lookup(at(port), "other").await.unwrap(), Some(4321));
        assert!(matches!(register(port, "other", 1).await, Err(RegisterError::Taken)));
        drop(registration);
        let freed = async { while lookup(at(port), "other").await.unwrap().is_some() {} };
        timeout(limits::EPMD_REQUEST, freed).await.expect("the name is freed");
    }

    #[tokio::test]
    async fn names_are_listed_as_epmd_lists_them() {
        let (port, _stop) = served().await;
        let mut stream = TcpStream::connect(at(port)).await.unwrap();
        stream.write_all(&[0, 1, tag::NAMES]).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer.get(..4), Some(u32::from(port).to_be_bytes().as_slice()));
        assert_eq!(answer.get(4..), Some(b"name own at port 1234\n".as_slice()));
    }

    #[tokio::test]
    async fn kill_is_refused() {
        let (port, _stop) = served().await;
        let mut stream = TcpStream::connect(at(port)).await.unwrap();
        stream.write_all(&[0, 1, b'k']).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        assert!(answer.is_empty());
        assert_eq!(lookup(at(port), "own").await.unwrap(), Some(1234));
    }

    proptest! {
        #[test]
        fn no_request_panics(body in proptest::collection::vec(any::<u8>(), 0..64)) {
            parse(&body);
        }
    }
}
