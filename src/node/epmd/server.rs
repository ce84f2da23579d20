//! EPMD of our own, so that a machine needs no Erlang. It answers as the real one does (erts, `epmd_srv.c`), also in what it
//! refuses: only nodes of this machine register, kill is answered with "NO" as long as a node lives, stop with nothing.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::client::put_text;
use super::{HIDDEN, MESSAGE_BYTES, TEXT_BYTES, VERSION, tag};
use crate::limits;
use crate::node::listen::{self, Acceptor};
use crate::node::seats::{Seat, Seats};

/// The register. Clones share it.
#[derive(Clone)]
pub(super) struct Server(Arc<Inner>);

struct Inner {
    entries: Mutex<BTreeMap<String, Registered>>,
    requests: Seats,
    /// The last creation that was given.
    creation: AtomicU32,
}

/// What a node says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    port: u16,
    kind: u8,
    protocol: u8,
    highest: u16,
    lowest: u16,
    extra: Vec<u8>,
}

struct Registered {
    entry: Entry,
    /// Of its connection, for the dump.
    descriptor: i32,
}

/// What a request asks for. Names are as they came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Request {
    Register(Vec<u8>, Entry),
    Port(Vec<u8>),
    Names,
    Dump,
    Kill,
    Stop,
}

impl Server {
    /// A register that holds this node.
    pub(super) fn with(alive: &str, port: u16) -> Self {
        let entry = Entry { port, kind: HIDDEN, protocol: 0, highest: VERSION, lowest: VERSION, extra: Vec::new() };
        let entries = BTreeMap::from([(alive.to_owned(), Registered { entry, descriptor: -1 })]);
        Self(Arc::new(Inner {
            entries: Mutex::new(entries),
            requests: Seats::new(limits::EPMD_REQUESTS),
            creation: AtomicU32::new(rand::random()),
        }))
    }

    /// Opens the port: on all addresses, or on the given one and on loopback.
    pub(super) fn bind(epmd_port: u16, bind: Option<IpAddr>) -> std::io::Result<Vec<TcpListener>> {
        let mut listeners = vec![listen::open(bind, epmd_port)?];
        let Some(bind) = bind.filter(|address| *address != Ipv6Addr::UNSPECIFIED) else { return Ok(listeners) };
        let loopbacks = [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()];
        let covered = |loopback: &IpAddr| bind == *loopback || bind.is_unspecified() && loopback.is_ipv4();
        for loopback in loopbacks.into_iter().filter(|loopback| !covered(loopback)) {
            match listen::open(Some(loopback), epmd_port) {
                Err(e) if listen::is_no_address(&e) => {}
                opened => listeners.push(opened?),
            }
        }
        Ok(listeners)
    }

    /// Serves until it is stopped.
    pub(super) async fn serve(&self, listener: TcpListener, tasks: &TaskTracker, stop: &CancellationToken) {
        let port = listener.local_addr().map_or(0, |address| address.port());
        let mut acceptor = Acceptor::new(listener);
        loop {
            let (stream, seat) = tokio::select! {
                accepted = acceptor.next(&self.0.requests) => accepted,
                () = stop.cancelled() => return,
            };
            let (server, stop) = (self.clone(), stop.clone());
            tasks.spawn(
                async move {
                    tokio::select! {
                        () = server.attend(stream, seat, port) => {}
                        () = stop.cancelled() => {}
                    }
                }
                .boxed(),
            );
        }
    }

    /// A connection, to its end.
    async fn attend(&self, mut stream: TcpStream, seat: Seat, port: u16) {
        let asked = tokio::select! {
            asked = timeout(limits::EPMD_REQUEST, self.answer(&mut stream, port)) => asked,
            () = seat.given_up.cancelled() => return,
        };
        drop(seat);
        // A registration lasts as long as its connection, and takes no seat from those that ask.
        if let Ok(Some(registered)) = asked {
            let mut more = [0];
            // A registered node sends nothing more: whatever comes is its end.
            drop(stream.read(&mut more).await);
            drop(registered);
        }
    }

    /// Answers a request; gives the registration, if it was one.
    async fn answer(&self, stream: &mut TcpStream, port: u16) -> Option<Freed<'_>> {
        let local = listen::is_local(stream);
        let mut registered = None;
        let answer = match read_request(stream).await? {
            Request::Register(name, entry) if local => {
                let wide = entry.highest >= VERSION;
                registered = self.register(&name, entry, stream.as_raw_fd());
                self.alive_answer(wide, registered.is_some())
            }
            Request::Port(name) => self.port_answer(&name),
            Request::Names => self.names_answer(port),
            Request::Dump if local => self.dump_answer(port),
            Request::Kill if local => b"NO".to_vec(),
            Request::Register(..) | Request::Dump | Request::Kill | Request::Stop => return None,
        };
        // The asker may have left; then nobody is told, and nobody is registered.
        stream.write_all(&answer).await.ok()?;
        registered
    }

    pub(super) fn register(&self, name: &[u8], entry: Entry, descriptor: i32) -> Option<Freed<'_>> {
        let name = std::str::from_utf8(name).ok().filter(|name| is_name(name))?.to_owned();
        let mut entries = self.entries();
        if entries.contains_key(&name) || entries.len() >= limits::EPMD_NODES {
            return None;
        }
        entries.insert(name.clone(), Registered { entry, descriptor });
        Some(Freed { server: self, name })
    }

    /// A number that tells one life of a node from another: each is another than the one before.
    pub(super) fn next_creation(&self) -> u32 {
        let last = self.0.creation.fetch_add(1, Ordering::Relaxed);
        // 0 to 3 are those of old nodes.
        if last < 4 { last + u32::MAX / 2 } else { last }
    }

    pub(super) fn alive_answer(&self, wide: bool, registered: bool) -> Vec<u8> {
        let creation = if registered { self.next_creation() } else { REFUSED };
        let result = u8::from(!registered);
        if wide {
            let [c0, c1, c2, c3] = creation.to_be_bytes();
            return vec![tag::ALIVE_ANSWER, result, c0, c1, c2, c3];
        }
        // Nodes of before OTP 23 know the creations 1 to 3.
        let creation = if registered { creation % 3 + 1 } else { creation };
        vec![tag::ALIVE_ANSWER_OLD, result, 0, u8::try_from(creation).unwrap_or(0)]
    }

    pub(super) fn port_answer(&self, name: &[u8]) -> Vec<u8> {
        let entries = self.entries();
        let found = std::str::from_utf8(name).ok().and_then(|name| entries.get(name));
        let Some(Registered { entry, .. }) = found else { return vec![tag::PORT_ANSWER, 1] };
        let mut answer = vec![tag::PORT_ANSWER, 0];
        answer.extend(entry.port.to_be_bytes());
        answer.extend([entry.kind, entry.protocol]);
        answer.extend(entry.highest.to_be_bytes());
        answer.extend(entry.lowest.to_be_bytes());
        put_text(&mut answer, name);
        put_text(&mut answer, &entry.extra);
        answer
    }

    fn names_answer(&self, port: u16) -> Vec<u8> {
        let mut answer = u32::from(port).to_be_bytes().to_vec();
        for (name, Registered { entry, .. }) in &*self.entries() {
            answer.extend(format!("name {name} at port {}\n", entry.port).into_bytes());
        }
        answer
    }

    fn dump_answer(&self, port: u16) -> Vec<u8> {
        let mut answer = u32::from(port).to_be_bytes().to_vec();
        for (name, Registered { entry, descriptor }) in &*self.entries() {
            let line = format!("active name     <{name}> at port {}, fd = {descriptor}\n\0", entry.port);
            answer.extend(line.into_bytes());
        }
        answer
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<String, Registered>> {
        self.0.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What EPMD says in place of a creation where it registers nobody.
const REFUSED: u32 = 99;

/// A registration: the name is free again when it is dropped.
pub(super) struct Freed<'a> {
    server: &'a Server,
    name: String,
}

impl Drop for Freed<'_> {
    fn drop(&mut self) {
        self.server.entries().remove(&self.name);
    }
}

pub(super) async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<Request> {
    let length = usize::from(stream.read_u16().await.ok()?);
    if !(1..=MESSAGE_BYTES).contains(&length) {
        return None;
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    parse(&body)
}

pub(super) fn parse(body: &[u8]) -> Option<Request> {
    let (tag, rest) = body.split_first()?;
    match *tag {
        tag::NAMES => Some(Request::Names),
        tag::DUMP => Some(Request::Dump),
        tag::KILL => Some(Request::Kill),
        tag::STOP => Some(Request::Stop),
        tag::PORT => {
            // Old nodes end the name as C does.
            let name = rest.strip_suffix(&[0]).unwrap_or(rest);
            (!name.is_empty()).then(|| Request::Port(name.to_vec()))
        }
        tag::ALIVE => {
            let ([p0, p1, kind, protocol, h0, h1, l0, l1], rest) = rest.split_first_chunk::<8>()?;
            let (name, rest) = text(rest)?;
            let (extra, _) = text(rest)?;
            let entry = Entry {
                port: u16::from_be_bytes([*p0, *p1]),
                kind: *kind,
                protocol: *protocol,
                highest: u16::from_be_bytes([*h0, *h1]),
                lowest: u16::from_be_bytes([*l0, *l1]),
                extra: extra.to_vec(),
            };
            let fits = !name.is_empty() && extra.len() <= TEXT_BYTES;
            fits.then(|| Request::Register(name.to_vec(), entry))
        }
        _ => None,
    }
}

/// A text behind its length, and what follows.
fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

/// What stands before the `@` of a node's name.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().count() <= 255 && !name.chars().any(|c| c.is_control() || c == '@')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use std::net::SocketAddr;
    use std::time::Duration;

    use super::super::client::{RegisterError, lookup, register};
    use super::super::properties;
    use super::*;

    fn served() -> (u16, CancellationToken) {
        served_at(None)
    }

    fn served_at(bind: Option<IpAddr>) -> (u16, CancellationToken) {
        let listener = listen::open(bind, 0).unwrap();
        let port = listener.local_addr().unwrap().port();
        let stop = CancellationToken::new();
        let (server, tasks, until) = (Server::with("own", 1234), TaskTracker::new(), stop.clone());
        tasks.clone().spawn(async move { server.serve(listener, &tasks, &until).await });
        (port, stop)
    }

    fn at(port: u16) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, port))
    }

    /// A request, and the connection that it went over.
    async fn ask(port: u16, body: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(at(port)).await.unwrap();
        let length = u16::try_from(body.len()).unwrap().to_be_bytes();
        stream.write_all(&[&length, body].concat()).await.unwrap();
        stream
    }

    async fn answer(port: u16, body: &[u8]) -> Vec<u8> {
        let mut answer = Vec::new();
        ask(port, body).await.read_to_end(&mut answer).await.unwrap();
        answer
    }

    fn alive(name: &[u8], highest: u16, extra: &[u8]) -> Vec<u8> {
        let mut body = vec![tag::ALIVE, 0x0f, 0xa0, 77, 0];
        body.extend([highest.to_be_bytes(), 5_u16.to_be_bytes()].concat());
        put_text(&mut body, name);
        put_text(&mut body, extra);
        body
    }

    async fn freed(port: u16, name: &str) {
        let freed = async { while lookup(at(port), name).await.unwrap().is_some() {} };
        timeout(limits::EPMD_REQUEST, freed).await.expect("the name is freed");
    }

    #[tokio::test]
    async fn a_name_is_found_while_its_connection_lasts() {
        let (port, _stop) = served();
        assert_eq!(lookup(at(port), "own").await.unwrap(), Some(1234));
        assert_eq!(lookup(at(port), "other").await.unwrap(), None);
        let registration = register(port, "other", 4321).await.unwrap();
        assert!(registration.creation > 3);
        assert_eq!(lookup(at(port), "other").await.unwrap(), Some(4321));
        assert!(matches!(register(port, "other", 1).await, Err(RegisterError::Taken)));
        drop(registration);
        freed(port, "other").await;
    }

    #[tokio::test]
    async fn a_node_registers_over_the_family_that_is_served() {
        for address in [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()] {
            let (port, _stop) = served_at(Some(address));
            let _registered = register(port, "other", 4321).await.unwrap();
            assert_eq!(lookup((address, port).into(), "other").await.unwrap(), Some(4321));
        }
        // A port that nobody listens on.
        let port = listen::open(None, 0).unwrap().local_addr().unwrap().port();
        assert!(register(port, "other", 4321).await.unwrap_err().is_nobody());
    }

    #[tokio::test]
    async fn a_name_is_freed_by_a_reset_and_by_bytes_that_do_not_belong_there() {
        let (port, _stop) = served();
        let reset = register(port, "other", 1).await.unwrap();
        reset.stream.set_zero_linger().unwrap();
        drop(reset);
        freed(port, "other").await;
        let mut talking = register(port, "other", 1).await.unwrap();
        talking.stream.write_all(b"x").await.unwrap();
        freed(port, "other").await;
    }

    #[tokio::test]
    async fn each_registration_has_a_creation_of_its_own_in_the_width_that_its_node_reads() {
        let (port, _stop) = served();
        let (mut wide, mut narrow) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            let mut answer = [0; 6];
            ask(port, &alive(b"new", 6, b"")).await.read_exact(&mut answer).await.unwrap();
            assert_eq!(answer[..2], [tag::ALIVE_ANSWER, 0]);
            wide.push(answer[2..].to_vec());
            freed(port, "new").await;
            let mut answer = [0; 4];
            ask(port, &alive(b"old", 5, b"")).await.read_exact(&mut answer).await.unwrap();
            assert_eq!(answer[..3], [tag::ALIVE_ANSWER_OLD, 0, 0]);
            assert!((1..=3).contains(&answer[3]), "{answer:?}");
            narrow.push(answer[3]);
            freed(port, "old").await;
        }
        wide.dedup();
        narrow.dedup();
        assert_eq!((wide.len(), narrow.len()), (3, 3));
    }

    #[tokio::test]
    async fn what_a_node_says_of_itself_is_given_back() {
        let (port, _stop) = served();
        let name = "a.b-ж".as_bytes();
        let _registered = ask(port, &alive(name, 5, b"extra")).await;
        let asked = [&[tag::PORT], name, &[0]].concat();
        let found = async {
            loop {
                match answer(port, &asked).await {
                    found if found.len() > 2 => return found,
                    _ => {}
                }
            }
        };
        let found = timeout(limits::EPMD_REQUEST, found).await.unwrap();
        let expected = [b"w\0\x0f\xa0M\0\0\x05\0\x05\0\x06".as_slice(), name, b"\0\x05extra"].concat();
        assert_eq!(found, expected);
    }

    #[tokio::test]
    async fn names_that_no_node_can_have_are_refused() {
        let (port, _stop) = served();
        let refused: [&[u8]; 5] = [b"own", &[b'a'; 256], b"x\xff", b"a@b", b"a\nname b"];
        for name in refused {
            assert_eq!(answer(port, &alive(name, 6, b"")).await, b"v\x01\0\0\0c", "{name:?}");
            assert_eq!(answer(port, &alive(name, 5, b"")).await, b"y\x01\0c", "{name:?}");
        }
        let long = "ж".repeat(255);
        let _registered = ask(port, &alive(long.as_bytes(), 6, &[b'e'; TEXT_BYTES])).await;
        let found = async { while lookup(at(port), &long).await.unwrap() != Some(4000) {} };
        timeout(limits::EPMD_REQUEST, found).await.expect("the longest name is found");
    }

    #[tokio::test]
    async fn names_and_dump_are_written_as_epmd_writes_them() {
        let (port, _stop) = served();
        let head = u32::from(port).to_be_bytes().to_vec();
        let names = answer(port, &[tag::NAMES]).await;
        assert_eq!(names, [&head, b"name own at port 1234\n".as_slice()].concat());
        let dump = answer(port, &[tag::DUMP]).await;
        assert_eq!(dump, [&head, b"active name     <own> at port 1234, fd = -1\n\0".as_slice()].concat());
    }

    #[tokio::test]
    async fn kill_and_stop_are_refused_as_epmd_refuses_them() {
        let (port, _stop) = served();
        assert_eq!(answer(port, &[tag::KILL]).await, b"NO");
        assert_eq!(answer(port, b"sown").await, b"");
        assert_eq!(answer(port, b"?").await, b"");
        assert_eq!(lookup(at(port), "own").await.unwrap(), Some(1234));
    }

    #[tokio::test]
    async fn silent_strangers_keep_no_request_out_and_no_name() {
        let (port, _stop) = served();
        let registration = register(port, "other", 4321).await.unwrap();
        let mut strangers = Vec::new();
        for n in 0..2 * limits::EPMD_REQUESTS {
            let mut stranger = TcpStream::connect(at(port)).await.unwrap();
            if n % 2 == 0 {
                stranger.write_all(&[0, 5, tag::PORT]).await.unwrap();
            }
            strangers.push(stranger);
        }
        let asked = timeout(Duration::from_secs(2), lookup(at(port), "other")).await;
        assert_eq!(asked.expect("it answers at once").unwrap(), Some(4321));
        assert!(register(port, "third", 1).await.is_ok());
        drop((registration, strangers));
    }

    #[test]
    fn so_many_nodes_are_registered_and_no_more() {
        let server = Server::with("own", 1);
        let Some(Request::Register(_, entry)) = parse(&alive(b"x", 6, b"")) else { panic!("it is a registration") };
        let held: Vec<_> =
            (0..2000).filter_map(|n| server.register(format!("n{n}").as_bytes(), entry.clone(), 0)).collect();
        assert_eq!(held.len(), limits::EPMD_NODES - 1);
        drop(held);
        assert_eq!(server.entries().len(), 1);
    }

    proptest! {
        #[test]
        fn whatever_comes_is_answered_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            properties::epmd(&bytes);
        }

        #[test]
        fn a_name_is_taken_as_it_is_or_refused(name in "[a-z@é \n]{0,6}", tag in prop_oneof![Just(tag::ALIVE), Just(tag::PORT)]) {
            let body = if tag == tag::PORT { [&[tag], name.as_bytes()].concat() } else { alive(name.as_bytes(), 6, b"") };
            properties::epmd(&body);
            properties::epmd(&[&u16::try_from(body.len()).unwrap().to_be_bytes(), body.as_slice()].concat());
        }

        #[test]
        fn an_answer_is_understood_or_refused(
            kind in prop_oneof![Just(tag::ALIVE_ANSWER), Just(tag::ALIVE_ANSWER_OLD), Just(tag::PORT_ANSWER)],
            result in 0_u8..3,
            rest in proptest::collection::vec(any::<u8>(), 0..20),
        ) {
            properties::epmd(&[&[kind, result], rest.as_slice()].concat());
        }

        #[test]
        fn a_registration_is_read_as_it_was_written(
            name in proptest::collection::vec(any::<u8>(), 1..300),
            extra in proptest::collection::vec(any::<u8>(), 0..300),
            cut in any::<prop::sample::Index>(),
        ) {
            let body = alive(&name, 6, &extra);
            let entry = Entry { port: 4000, kind: 77, protocol: 0, highest: 6, lowest: 5, extra };
            prop_assert_eq!(parse(&body), Some(Request::Register(name, entry)));
            prop_assert_eq!(parse(&body[..cut.index(body.len())]), None);
        }
    }
}
