//! Connections: those that peers make, and the one that this node makes and keeps.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::RngExt;
use tokio::net::{TcpListener, TcpStream, lookup_host};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::epmd::{Keeper, KeeperError, client};
use super::handshake::{self, HandshakeError, Local, Peer};
use super::link::{Link, LinkEnd};
use super::ticks::Ticks;
use super::transport::Transport;
use super::{Node, NodeError, Settings, name};
use crate::limits;
use crate::term::Atom;

/// The open distribution port.
pub(super) struct Listener {
    socket: TcpListener,
    port: u16,
}

impl Listener {
    pub(super) async fn open(settings: &Settings) -> Result<Self, NodeError> {
        let host = settings.dist_bind.unwrap_or(IpAddr::from(Ipv4Addr::UNSPECIFIED));
        let address = SocketAddr::from((host, settings.dist_port.unwrap_or(0)));
        let opened = async {
            let socket = TcpListener::bind(address).await?;
            let port = socket.local_addr()?.port();
            Ok(Self { socket, port })
        };
        opened.await.map_err(|source| NodeError::Listen { address, source })
    }

    /// Registers the port at EPMD and keeps it so; gives the node's creation.
    pub(super) async fn register(
        &self,
        settings: &Settings,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> Result<u32, NodeError> {
        let (alive, _) = name::split(settings.name.as_str()).ok_or(NodeError::Name { name: settings.name.clone() })?;
        let (epmd_port, bind) = (settings.epmd_port, settings.dist_bind);
        let keeper = Keeper { epmd_port, bind, alive: alive.to_owned(), port: self.port };
        keeper.start(tasks, stop).await.map_err(|e| match e {
            KeeperError::Taken => NodeError::NameTaken { name: settings.name.clone() },
            KeeperError::Io(source) => NodeError::Epmd { port: epmd_port, source },
        })
    }

    /// Takes connections until the node stops.
    pub(super) fn serve(self, node: &Node) {
        let serving = node.clone();
        node.0.tasks.spawn(async move {
            loop {
                let accepted = tokio::select! {
                    accepted = self.socket.accept() => accepted,
                    () = serving.0.stop.cancelled() => return,
                };
                match accepted {
                    Ok((stream, from)) => {
                        let node = serving.clone();
                        serving.0.tasks.spawn(async move { node.accept(stream, from).await });
                    }
                    // Out of file descriptors or memory: wait a moment instead of spinning.
                    Err(e) => {
                        tracing::error!("cannot accept connections: {e}");
                        tokio::time::sleep(limits::ACCEPT_PAUSE).await;
                    }
                }
            }
        });
    }
}

/// The handshakes that peers began, the oldest first. One more than the bound takes the place of the oldest: an honest peer
/// needs milliseconds, so that silent strangers keep nobody out.
#[derive(Default)]
pub(super) struct Handshakes(Mutex<Seats>);

#[derive(Default)]
struct Seats {
    last: u64,
    taken: BTreeMap<u64, CancellationToken>,
}

/// A handshake's place; given back when it is dropped.
struct Seat<'a> {
    handshakes: &'a Handshakes,
    number: u64,
    /// Cancelled when the place is needed for another.
    given_up: CancellationToken,
}

impl Handshakes {
    fn seats(&self) -> MutexGuard<'_, Seats> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self) -> Seat<'_> {
        let mut seats = self.seats();
        if seats.taken.len() >= limits::HANDSHAKES
            && let Some((_, oldest)) = seats.taken.pop_first()
        {
            oldest.cancel();
        }
        seats.last += 1;
        let (number, given_up) = (seats.last, CancellationToken::new());
        seats.taken.insert(number, given_up.clone());
        Seat { handshakes: self, number, given_up }
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.handshakes.seats().taken.remove(&self.number);
    }
}

/// Logs failures of strangers once a minute each, so that none can flood the log.
#[derive(Default)]
pub(super) struct FailureLog(Mutex<HashMap<IpAddr, Instant>>);

impl FailureLog {
    fn log(&self, from: IpAddr, what: &dyn std::fmt::Display) {
        let now = Instant::now();
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.retain(|_, at| now.duration_since(*at) < limits::FAILURE_LOG);
        if seen.len() < limits::HANDSHAKES && seen.insert(from, now).is_none() {
            tracing::warn!(%from, "a connection was refused: {what}");
        }
    }
}

impl Node {
    fn local(&self) -> Local {
        let settings = &self.0.settings;
        Local { name: settings.name.clone(), cookie: settings.cookie.clone(), creation: self.0.creation }
    }

    async fn accept(&self, mut stream: TcpStream, from: SocketAddr) {
        let (local, seat) = (self.local(), self.0.handshakes.enter());
        let judge = |peer: &Atom| self.0.links.judge(&local.name, peer);
        let shaken = tokio::select! {
            shaken = timeout(limits::HANDSHAKE, handshake::accept(&mut stream, &local, judge)) => shaken,
            () = seat.given_up.cancelled() => return self.0.failures.log(from.ip(), &"too many handshakes at once"),
            () = self.0.stop.cancelled() => return,
        };
        drop(seat);
        match shaken.unwrap_or(Err(HandshakeError::Timeout)) {
            Ok(peer) => self.serve_link(stream, peer).await,
            Err(HandshakeError::Simultaneous { peer }) => {
                tracing::debug!(%peer, "both dial, this node's attempt goes on");
            }
            Err(HandshakeError::Io(e)) => tracing::debug!(%from, "a connection broke off: {e}"),
            Err(e) => self.0.failures.log(from.ip(), &e),
        }
    }

    /// Serves a link to its end.
    async fn serve_link(&self, stream: TcpStream, peer: Peer) {
        let transport = Transport::Plain(stream);
        if let Err(e) = transport.set_nodelay() {
            tracing::debug!(peer = %peer.name, "TCP_NODELAY was not set: {e}");
        }
        let ticks = Ticks::of(self.0.settings.tick_time);
        let link = Link::new(self.0.links.new_id(), &peer, (transport, ticks));
        self.0.links.put(&link);
        tracing::info!(peer = %peer.name, "connected");
        let end = tokio::select! {
            end = link.run(self, &self.0.room) => end,
            () = self.0.stop.cancelled() => LinkEnd::Here,
        };
        link.closed.cancel();
        link.queue.pump();
        link.queue.close();
        self.0.links.remove(&link);
        self.link_lost(&link);
        match &end {
            LinkEnd::Here | LinkEnd::Closed => tracing::info!(peer = %peer.name, "disconnected: {end}"),
            LinkEnd::Io(e) => tracing::info!(peer = %peer.name, "disconnected: {e}"),
            _ => tracing::warn!(peer = %peer.name, "disconnected: {:#}", anyhow::Error::from(end)),
        }
    }

    /// One attempt to connect to `peer`; serves the link to its end.
    async fn dial(&self, peer: &Atom) -> Result<(), DialError> {
        let dialling = self.0.links.dialling(peer);
        let attempt = async {
            let mut stream = open(peer, self.0.settings.epmd_port).await?;
            let shaken = handshake::dial(&mut stream, &self.local(), peer).await?;
            Ok::<_, DialError>((stream, shaken))
        };
        let (stream, shaken) = tokio::select! {
            shaken = timeout(limits::HANDSHAKE, attempt) => shaken.map_err(|_| DialError::Timeout)??,
            () = self.0.stop.cancelled() => return Ok(()),
        };
        drop(dialling);
        self.serve_link(stream, shaken).await;
        Ok(())
    }
}

/// Why a peer could not be connected to.
#[derive(Debug, thiserror::Error)]
enum DialError {
    #[error("its host is not known")]
    Resolve(#[source] io::Error),
    #[error("EPMD of its host does not answer")]
    Epmd(#[source] io::Error),
    #[error("EPMD of its host has no such node")]
    NotRegistered,
    #[error("its distribution port cannot be reached")]
    Connect(#[source] io::Error),
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    #[error("it took too long")]
    Timeout,
}

async fn open(peer: &Atom, epmd_port: u16) -> Result<TcpStream, DialError> {
    let missing = || DialError::Resolve(io::ErrorKind::NotFound.into());
    let (alive, host) = name::split(peer.as_str()).ok_or_else(missing)?;
    let addresses = lookup_host((host, epmd_port)).await.map_err(DialError::Resolve)?;
    let mut last = missing();
    // A name may have addresses of both families, and its EPMD listen on one alone.
    for epmd in addresses.take(limits::DIAL_ADDRESSES) {
        match open_at(epmd, alive).await {
            Ok(stream) => return Ok(stream),
            Err(e) => last = e,
        }
    }
    Err(last)
}

async fn open_at(epmd: SocketAddr, alive: &str) -> Result<TcpStream, DialError> {
    let port = client::lookup(epmd, alive).await.map_err(DialError::Epmd)?.ok_or(DialError::NotRegistered)?;
    TcpStream::connect(SocketAddr::new(epmd.ip(), port)).await.map_err(DialError::Connect)
}

/// Connects to the peer of the settings and stays connected, however it was lost.
pub(super) fn keep_peer(node: &Node) {
    let Some(peer) = node.0.settings.peer.clone() else { return };
    let node = node.clone();
    node.0.tasks.clone().spawn(async move { keep(&node, &peer).await });
}

async fn keep(node: &Node, peer: &Atom) {
    let mut pause = limits::DIAL_FIRST_RETRY;
    let mut told = None;
    loop {
        // The peer may have dialled this node.
        if let Some(link) = node.0.links.get(peer) {
            link.closed.cancelled().await;
            (pause, told) = (limits::DIAL_FIRST_RETRY, None);
        }
        match node.dial(peer).await {
            Ok(()) | Err(DialError::Handshake(HandshakeError::Simultaneous { .. })) => {
                (pause, told) = (limits::DIAL_FIRST_RETRY, None);
            }
            Err(e) => {
                // Once for each kind of failure: it is tried again and again.
                let kind = std::mem::discriminant(&e);
                if told != Some(kind) {
                    tracing::warn!(%peer, "cannot connect, trying on: {:#}", anyhow::Error::from(e));
                }
                told = Some(kind);
            }
        }
        tokio::select! {
            () = tokio::time::sleep(jittered(pause)) => {}
            () = node.0.stop.cancelled() => return,
        }
        pause = Duration::min(pause * 2, limits::DIAL_LAST_RETRY);
    }
}

/// Half to all of a pause: outposts that lost Mission Control together do not come back together.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(rand::rng().random_range(0.5..=1.0))
}
