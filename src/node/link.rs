//! A link: one distribution connection, from the end of its handshake to its own end.
//!
//! Two tasks: the reader takes frames apart and hands what they say to the node, which never waits; the writer writes what
//! senders could not, ticks, and notices silence.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::control::{self, Incoming};
use super::handshake::Peer;
use super::queue::{PASS_THROUGH, Pumped, Queue};
use crate::limits;
use crate::term::codec::{self, DecodeError, EncodeError};
use crate::term::{Atom, Term, budget};

/// What a read asks for at least.
const READ_BYTES: usize = 64 * 1024;

/// A connection to a peer.
pub(super) struct Link {
    /// Tells it from an earlier or later link to the same peer.
    pub(super) id: u64,
    pub(super) peer: Atom,
    pub(super) queue: Queue,
    /// Cancelled when the link is to end.
    pub(super) closed: CancellationToken,
    opened: Instant,
    /// Milliseconds after `opened`.
    last_heard: AtomicU64,
    /// The reader waits for the peer to take its replies: its silence is this node's doing.
    paused: AtomicBool,
}

/// Why a link ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum LinkEnd {
    #[error("the peer closed the connection")]
    Closed,
    #[error("the connection broke")]
    Io(#[from] std::io::Error),
    #[error("the peer was silent for {} s", limits::SILENCE.as_secs())]
    Silent,
    #[error("a frame of {bytes} bytes, at most {} are taken", limits::FRAME_BYTES)]
    FrameTooLong { bytes: usize },
    #[error("a frame of type {0}, which was not agreed on")]
    FrameType(u8),
    #[error("a term that cannot be taken")]
    Term(#[from] DecodeError),
    #[error("a control message that is none")]
    Control(#[from] control::WrongShape),
    #[error("it was closed here")]
    Here,
}

/// Takes what a link's reader read; never waits.
pub(super) trait Receiver: Send + Sync + 'static {
    fn receive(&self, link: &Arc<Link>, incoming: Incoming);
}

impl Link {
    /// A link over a connection whose handshake is done, and the half to read from.
    pub(super) fn new(id: u64, peer: &Peer, stream: TcpStream) -> (Arc<Self>, OwnedReadHalf) {
        let (read, write) = stream.into_split();
        let link = Self {
            id,
            peer: peer.name.clone(),
            queue: Queue::new(write),
            closed: CancellationToken::new(),
            opened: Instant::now(),
            last_heard: AtomicU64::new(0),
            paused: AtomicBool::new(false),
        };
        (Arc::new(link), read)
    }

    /// Puts in a frame; the reader flushes after each batch, others call [`Link::send_now`].
    pub(super) fn send(&self, control: &Term, payload: Option<&Term>) -> Result<(), EncodeError> {
        self.queue.put(control, payload)
    }

    /// Puts in a frame and writes it.
    pub(super) fn send_now(&self, control: &Term, payload: Option<&Term>) -> Result<(), EncodeError> {
        let result = self.send(control, payload);
        self.queue.flush();
        result
    }

    /// Serves the link until it ends.
    pub(super) async fn run(self: &Arc<Self>, socket: OwnedReadHalf, receiver: &impl Receiver) -> LinkEnd {
        let end = tokio::select! {
            end = self.read(socket, receiver) => end,
            end = self.write() => end,
            () = self.closed.cancelled() => LinkEnd::Here,
        };
        // What is written still, as far as the socket takes it at once.
        self.queue.pump();
        self.closed.cancel();
        self.queue.close();
        end
    }

    async fn read(self: &Arc<Self>, mut socket: OwnedReadHalf, receiver: &impl Receiver) -> LinkEnd {
        let mut buffer = BytesMut::with_capacity(READ_BYTES);
        loop {
            if self.queue.is_crowded() {
                self.paused.store(true, Ordering::Relaxed);
                self.queue.uncrowded().await;
                self.heard();
                self.paused.store(false, Ordering::Relaxed);
            }
            buffer.reserve(READ_BYTES);
            match socket.read_buf(&mut buffer).await {
                Ok(0) => return LinkEnd::Closed,
                Ok(_) => self.heard(),
                Err(e) => return e.into(),
            }
            let result = self.take_frames(&mut buffer, receiver);
            self.queue.flush();
            if let Err(end) = result {
                return end;
            }
            // A large frame came and went: give its memory back.
            if buffer.is_empty() && buffer.capacity() > 16 * READ_BYTES {
                buffer = BytesMut::with_capacity(READ_BYTES);
            }
        }
    }

    /// Takes all whole frames out of the buffer.
    fn take_frames(self: &Arc<Self>, buffer: &mut BytesMut, receiver: &impl Receiver) -> Result<(), LinkEnd> {
        while let Some(head) = buffer.first_chunk::<4>() {
            let length = u32::from_be_bytes(*head);
            let bytes = usize::try_from(length).unwrap_or(usize::MAX);
            if bytes > limits::FRAME_BYTES {
                return Err(LinkEnd::FrameTooLong { bytes });
            }
            if buffer.len() < 4 + bytes {
                break;
            }
            buffer.advance(4);
            if bytes > 0 {
                receiver.receive(self, parse(&buffer.split_to(bytes).freeze())?);
            }
        }
        Ok(())
    }

    fn heard(&self) {
        let now = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_heard.store(now, Ordering::Relaxed);
    }

    fn silence(&self) -> Duration {
        let heard = Duration::from_millis(self.last_heard.load(Ordering::Relaxed));
        self.opened.elapsed().saturating_sub(heard)
    }

    async fn write(&self) -> LinkEnd {
        let mut ticks = interval(limits::TICK_AFTER / 4);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut full = false;
        loop {
            tokio::select! {
                () = self.queue.left() => {}
                writable = self.queue.writable(), if full => {
                    if let Err(e) = writable {
                        return e.into();
                    }
                }
                _ = ticks.tick() => {
                    if self.silence() > limits::SILENCE && !self.paused.load(Ordering::Relaxed) {
                        return LinkEnd::Silent;
                    }
                    self.queue.tick();
                }
            }
            match self.queue.pump() {
                Pumped::Empty => full = false,
                Pumped::Full => full = true,
                Pumped::Broken => return LinkEnd::Closed,
            }
        }
    }
}

/// A frame's content: the budget first, then the terms.
fn parse(frame: &Bytes) -> Result<Incoming, LinkEnd> {
    let Some((kind, rest)) = frame.split_first() else { return Ok(Incoming::Nothing) };
    if *kind != PASS_THROUGH {
        return Err(LinkEnd::FrameType(*kind));
    }
    let length = budget::check(rest, limits::TERM_MEMORY_BYTES)?;
    let control = codec::decode(&frame.slice(1..=length))?;
    let payload = frame.slice(1 + length..);
    let op = control::operation(&control);
    if !op.is_some_and(control::has_payload) {
        return Ok(control::read(&control, None)?);
    }
    budget::check(&payload, limits::TERM_MEMORY_BYTES)?;
    let payload = codec::decode(&payload)?;
    Ok(control::read(&control, Some(payload))?)
}
