//! Connections that peers make, and every connection from the end of its handshake on.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::epmd::{Keeper, KeeperError};
use super::handshake::{self, HandshakeError, Head, Local, Peer};
use super::link::{Link, LinkEnd};
use super::links::Arriving;
use super::listen::{self, Acceptor};
use super::seats::{Seat, source};
use super::ticks::Ticks;
use super::transport::Transport;
use super::{Node, NodeError, Settings, name, tls};
use crate::elapsed;
use crate::limits;
use crate::term::Atom;

/// The open distribution port.
pub(super) struct Listener {
    socket: TcpListener,
    port: u16,
}

impl Listener {
    pub(super) fn open(settings: &Settings) -> Result<Self, NodeError> {
        let (bind, port) = (settings.dist_bind, settings.dist_port.unwrap_or(0));
        let opened = listen::open(bind, port).and_then(|socket| {
            let port = socket.local_addr()?.port();
            Ok(Self { socket, port })
        });
        let address = SocketAddr::from((bind.unwrap_or(Ipv6Addr::UNSPECIFIED.into()), port));
        opened.map_err(|source| NodeError::Listen { address, source })
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
        let node = node.clone();
        node.0.tasks.clone().spawn(
            async move {
                let mut acceptor = Acceptor::new(self.socket);
                loop {
                    let (stream, seat) = tokio::select! {
                        accepted = acceptor.next(&node.0.handshakes) => accepted,
                        () = node.0.stop.cancelled() => return,
                    };
                    let serving = node.clone();
                    node.0.tasks.spawn(async move { serving.accept(stream, seat).await });
                }
            }
            .boxed(),
        );
    }
}

/// Logs failures of strangers once a minute for each source, so that none can flood the log.
#[derive(Default)]
pub(super) struct FailureLog(Mutex<Failures>);

#[derive(Default)]
struct Failures {
    told: HashMap<IpAddr, Instant>,
    /// Since the last line.
    untold: u64,
}

impl FailureLog {
    fn log(&self, from: IpAddr, what: &dyn std::fmt::Display) {
        match self.next_line(from) {
            Some(0) => tracing::warn!(%from, "a connection was refused: {what}"),
            Some(untold) => tracing::warn!(%from, untold, "a connection was refused: {what}"),
            None => {}
        }
    }

    /// Whether a failure gets a line; with it, how many got none since the last one.
    fn next_line(&self, from: IpAddr) -> Option<u64> {
        let now = Instant::now();
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        failures.told.retain(|_, at| now.duration_since(*at) < limits::FAILURE_LOG);
        let room = failures.told.len() < limits::FAILURE_SOURCES;
        if !room || failures.told.contains_key(&source(from)) {
            failures.untold += 1;
            return None;
        }
        failures.told.insert(source(from), now);
        Some(std::mem::take(&mut failures.untold))
    }
}

impl Node {
    pub(super) fn local(&self) -> Local {
        let settings = &self.0.settings;
        let head = if settings.tls.is_some() { Head::Four } else { Head::Two };
        Local { name: settings.name.clone(), cookie: settings.cookie.clone(), creation: self.0.creation, head }
    }

    async fn accept(&self, stream: TcpStream, seat: Seat) {
        let from = seat.from;
        let shaken = tokio::select! {
            shaken = timeout(limits::HANDSHAKE, self.shake(stream, &seat)) => shaken,
            () = seat.given_up.cancelled() => return self.0.failures.log(from, &"too many handshakes at once"),
            () = self.0.stop.cancelled() => return,
        };
        drop(seat);
        match shaken.unwrap_or(Err(HandshakeError::Timeout)) {
            Ok((transport, peer, arriving)) => {
                let link = self.put_up(transport, &peer);
                drop(arriving);
                self.serve_link(link).await;
            }
            Err(HandshakeError::Simultaneous { peer }) => {
                tracing::debug!(%peer, "both dial, this node's attempt goes on");
            }
            Err(HandshakeError::Io(e)) => tracing::debug!(%from, "a connection broke off: {e}"),
            Err(e) => self.0.failures.log(from, &format_args!("{:#}", anyhow::Error::from(e))),
        }
    }

    /// The handshakes with a peer that dialled.
    async fn shake(&self, stream: TcpStream, seat: &Seat) -> Result<(Transport, Peer, Arriving), HandshakeError> {
        let Some(tls) = &self.0.settings.tls else {
            return self.shake_over(stream, seat, Transport::Plain).await;
        };
        let stream = tls.accept(stream).await.map_err(HandshakeError::Tls)?;
        self.shake_over(stream, seat, tls::transport).await
    }

    async fn shake_over<S: handshake::Stream>(
        &self,
        mut stream: S,
        seat: &Seat,
        transport: impl FnOnce(S) -> Transport + Send,
    ) -> Result<(Transport, Peer, Arriving), HandshakeError> {
        let local = self.local();
        let judge = |peer: &Atom| {
            seat.named();
            self.0.links.judge(&local.name, peer)
        };
        let (peer, last) = handshake::accept(&mut stream, &local, judge).await?;
        // Before the peer knows: at once another may ask this node for something that goes there.
        let arriving = self.0.links.arriving(&peer.name);
        last.send(&mut stream).await?;
        Ok((transport(stream), peer, arriving))
    }

    /// Puts up a link over a connection whose handshake is done.
    pub(super) fn put_up(&self, transport: Transport, peer: &Peer) -> Arc<Link> {
        if let Err(e) = transport.set_options() {
            tracing::debug!(peer = %peer.name, "options of the connection were not set: {e}");
        }
        let ticks = Ticks::of(self.0.settings.tick_time);
        let link = Link::new(self.0.links.new_id(), peer, (transport, ticks));
        self.0.links.put(&link);
        tracing::info!(peer = %peer.name, "connected");
        link
    }

    /// Serves a link to its end.
    pub(super) async fn serve_link(&self, link: Arc<Link>) {
        let end = tokio::select! {
            end = link.run(self, &self.0.room) => end,
            () = self.0.stop.cancelled() => LinkEnd::Here,
        };
        link.closed.cancel();
        link.queue.pump();
        link.queue.close();
        self.0.links.remove(&link);
        self.link_lost(&link);
        let (peer, after_ms) = (&link.peer, elapsed::millis(link.age()));
        match &end {
            LinkEnd::Here | LinkEnd::Closed => tracing::info!(%peer, why = %end, after_ms, "disconnected"),
            LinkEnd::Io(e) => tracing::info!(%peer, why = %e, after_ms, "disconnected"),
            _ => tracing::warn!(%peer, why = format!("{:#}", anyhow::Error::from(end)), after_ms, "disconnected"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(log: &FailureLog, sources: impl Iterator<Item = u32>) -> Vec<Option<u64>> {
        sources.map(|n| log.next_line(IpAddr::from((0x0a00_0000 + n).to_be_bytes()))).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_stranger_has_one_line_a_minute_and_the_next_line_tells_of_those_that_had_none() {
        let log = FailureLog::default();
        assert_eq!(lines(&log, [1, 1, 1, 2].into_iter()), [Some(0), None, None, Some(2)]);
        tokio::time::advance(limits::FAILURE_LOG).await;
        assert_eq!(lines(&log, [1, 1, 2].into_iter()), [Some(0), None, Some(1)]);
    }

    #[tokio::test(start_paused = true)]
    async fn strangers_without_number_have_so_many_lines_a_minute_and_no_more() {
        let log = FailureLog::default();
        for _ in 0..2 {
            let told = lines(&log, 0..100_000).iter().flatten().count();
            assert_eq!(told, limits::FAILURE_SOURCES);
            tokio::time::advance(limits::FAILURE_LOG).await;
        }
        assert_eq!(log.next_line(IpAddr::from([10, 9, 9, 9])), Some(99_936));
    }
}
