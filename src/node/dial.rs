//! Connections that this node makes: to the peer of its settings, which it keeps, and, as every node does, to whoever is to
//! be told something.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use rand::RngExt;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout, timeout_at};

use super::epmd::client;
use super::handshake::{self, HandshakeError, Peer};
use super::link::Link;
use super::links::{Dialling, Outlook};
use super::transport::Transport;
use super::{Node, name, tls};
use crate::limits;
use crate::term::Atom;

/// Why a peer could not be connected to.
#[derive(Debug, thiserror::Error)]
pub(super) enum DialError {
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
    #[error("too many nodes are dialled at once")]
    TooMany,
}

impl DialError {
    /// The peer's own attempt goes on.
    fn is_simultaneous(&self) -> bool {
        matches!(self, Self::Handshake(HandshakeError::Simultaneous { .. }))
    }
}

impl Node {
    /// The link to a peer. If there is none, the peer is dialled; one that is being made is waited for.
    pub(super) async fn reach(&self, peer: &Atom) -> Result<Arc<Link>, Arc<DialError>> {
        // An attempt of either side, and one more where both gave way.
        let deadline = Instant::now() + 2 * limits::HANDSHAKE;
        loop {
            let changed = self.0.links.changed();
            tokio::pin!(changed);
            changed.as_mut().enable();
            match self.0.links.outlook(peer) {
                Outlook::Up(link) => return Ok(link),
                Outlook::Failed(why) => return Err(why),
                Outlook::Coming => {}
                Outlook::Nothing => self.start_dialling(peer)?,
            }
            timeout_at(deadline, changed).await.map_err(|_| DialError::Timeout)?;
        }
    }

    fn start_dialling(&self, peer: &Atom) -> Result<(), DialError> {
        if let Some(dialling) = self.0.links.dialling(peer) {
            let node = self.clone();
            self.0.tasks.spawn(async move { node.dial(dialling).await }.boxed());
            return Ok(());
        }
        // Another may have begun in between.
        match self.0.links.outlook(peer) {
            Outlook::Nothing => Err(DialError::TooMany),
            _ => Ok(()),
        }
    }

    /// One attempt; serves the link to its end.
    async fn dial(&self, dialling: Dialling) {
        let attempt = async {
            let shaken = timeout(limits::HANDSHAKE, self.attempt(&dialling)).await;
            shaken.unwrap_or(Err(DialError::Timeout))
        };
        let attempted = tokio::select! {
            attempted = attempt => attempted,
            () = dialling.given_up.cancelled() => return,
            () = self.0.stop.cancelled() => return,
        };
        match attempted {
            Ok((transport, peer)) => {
                let link = self.put_up(transport, &peer);
                drop(dialling);
                self.serve_link(link).await;
            }
            Err(e) => {
                tracing::debug!(peer = %dialling.peer, "cannot connect: {e}");
                dialling.failed(e);
            }
        }
    }

    async fn attempt(&self, dialling: &Dialling) -> Result<(Transport, Peer), DialError> {
        let peer = &dialling.peer;
        let mut stream = open(peer, self.0.settings.epmd_port).await?;
        let may = |step| dialling.may(step);
        let Some(tls) = &self.0.settings.tls else {
            let shaken = handshake::dial(&mut stream, &self.local(), peer, may).await?;
            return Ok((Transport::Plain(stream), shaken));
        };
        let host = name::split(peer.as_str()).map_or("", |(_, host)| host);
        let mut stream = tls.connect(stream, host).await.map_err(HandshakeError::Tls)?;
        let shaken = handshake::dial(&mut stream, &self.local(), peer, may).await?;
        Ok((tls::transport(stream), shaken))
    }
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
    let keeping = node.clone();
    node.0.tasks.spawn(
        async move {
            tokio::select! {
                () = keep(&keeping, &peer) => {}
                () = keeping.0.stop.cancelled() => {}
            }
        }
        .boxed(),
    );
}

async fn keep(node: &Node, peer: &Atom) {
    let mut pause = limits::DIAL_FIRST_RETRY;
    let mut told = None;
    loop {
        match node.reach(peer).await {
            Ok(link) => {
                link.closed.cancelled().await;
                (pause, told) = (limits::DIAL_FIRST_RETRY, None);
            }
            Err(e) if e.is_simultaneous() => (pause, told) = (limits::DIAL_FIRST_RETRY, None),
            Err(e) => {
                // Once for each kind of failure: it is tried again and again.
                let kind = std::mem::discriminant(e.as_ref());
                if told != Some(kind) {
                    tracing::warn!(%peer, "cannot connect, trying on: {:#}", anyhow::Error::from(e));
                }
                told = Some(kind);
            }
        }
        tokio::time::sleep(jittered(pause)).await;
        pause = Duration::min(pause * 2, limits::DIAL_LAST_RETRY);
    }
}

/// Half to all of a pause: outposts that lost Mission Control together do not come back together.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(rand::rng().random_range(0.5..=1.0))
}
