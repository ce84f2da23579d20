//! The outgoing side of a link.
//!
//! Frames are encoded straight into buffers. Whoever put one in writes what the socket takes at once; the link's writer task
//! does the rest when the socket has room again. Replies and signals go before streams. Streams are bounded: their senders
//! wait. Replies are not, but a link whose replies pile up is read no further, and closed in the end.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::frames::Form;
use super::outgoing::Frames;
use super::transport::Transport;
use super::{Burst, Gone};
use crate::limits;
use crate::term::Term;
use crate::term::codec::{EncodeError, Encoder};

/// Buffers above this size are given back once they are written.
const KEPT_BYTES: usize = 256 * 1024;

/// What came of an attempt to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pumped {
    /// Nothing is left to write.
    Empty,
    /// The socket takes no more now.
    Full,
    /// The socket is broken.
    Broken,
    /// More waits than may.
    Overrun,
}

pub(super) struct Queue {
    transport: Arc<Transport>,
    form: Form,
    pending: Mutex<Pending>,
    /// Something is left to be written.
    left: Notify,
    /// A stream, or replies, were written out.
    room: Notify,
}

struct Pending {
    /// Being written; whole frames.
    current: Frames,
    written: usize,
    /// Replies, signals, ticks.
    urgent: Frames,
    /// Bursts of messages.
    streams: VecDeque<Vec<u8>>,
    stream_bytes: usize,
    last_written: Instant,
    /// Since when the socket takes nothing of what is to be written.
    stalled: Option<Instant>,
    closed: bool,
}

impl Queue {
    pub(super) fn new(transport: Arc<Transport>, form: Form) -> Self {
        let pending = Pending {
            current: Frames::default(),
            written: 0,
            urgent: Frames::default(),
            streams: VecDeque::new(),
            stream_bytes: 0,
            last_written: Instant::now(),
            stalled: None,
            closed: false,
        };
        Self { transport, form, pending: Mutex::new(pending), left: Notify::new(), room: Notify::new() }
    }

    /// Puts in a frame that goes before streams; [`Queue::flush`] writes it.
    pub(super) fn put(&self, control: &Encoder, payload: Option<&Term>) -> Result<(), EncodeError> {
        self.pending().urgent.push(self.form, control, payload)
    }

    /// Puts in a tick if nothing was written for a while.
    pub(super) fn tick(&self, after: Duration) {
        let mut pending = self.pending();
        if pending.last_written.elapsed() >= after && pending.is_empty() {
            pending.urgent.tick();
        }
    }

    /// Puts in a burst of messages as soon as there is room for it, and writes.
    pub(super) async fn put_stream(&self, burst: Burst) -> Result<(), Gone> {
        let mut burst = Some(burst.into_frames(self.form));
        loop {
            let room = self.room.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            {
                let mut pending = self.pending();
                if pending.closed {
                    return Err(Gone);
                }
                // A burst that is larger than the bound goes alone.
                if pending.stream_bytes < limits::LINK_STREAM_BYTES
                    && let Some(burst) = burst.take()
                {
                    pending.stream_bytes += burst.len();
                    pending.streams.push_back(burst);
                }
            }
            if burst.is_none() {
                self.flush();
                return Ok(());
            }
            room.await;
        }
    }

    /// Writes what the socket takes; leaves the rest to the writer task.
    pub(super) fn flush(&self) {
        if self.pump() != Pumped::Empty {
            self.left.notify_one();
        }
    }

    /// For how long the socket took nothing of what is to be written.
    pub(super) fn stalled(&self) -> Duration {
        self.pending().stalled.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Waits until something is left to be written.
    pub(super) async fn left(&self) {
        self.left.notified().await;
    }

    /// Waits until the socket takes more.
    pub(super) async fn writable(&self) -> std::io::Result<()> {
        self.transport.writable().await
    }

    /// Whether replies pile up.
    pub(super) fn is_crowded(&self) -> bool {
        self.pending().urgent.len() > limits::LINK_REPLY_BYTES
    }

    /// Waits until replies do not pile up any more, or the queue is closed.
    pub(super) async fn uncrowded(&self) {
        loop {
            let room = self.room.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            if !self.is_crowded() || self.pending().closed {
                return;
            }
            room.await;
        }
    }

    /// Lets go all who wait for room.
    pub(super) fn close(&self) {
        self.pending().closed = true;
        self.room.notify_waiters();
    }

    /// Writes until all is written or the socket takes no more.
    pub(super) fn pump(&self) -> Pumped {
        let mut pending = self.pending();
        let end = loop {
            if pending.written == pending.current.len() && !self.next(&mut pending) {
                break self.transport.try_flush();
            }
            let wrote = self.transport.try_write(&pending.current.pieces(pending.written));
            match wrote {
                Ok(written) => {
                    pending.written += written;
                    pending.last_written = Instant::now();
                    pending.stalled = None;
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => break Err(e),
            }
        };
        match end {
            Ok(()) => Pumped::Empty,
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                pending.stalled.get_or_insert_with(Instant::now);
                if pending.replies() > limits::LINK_QUEUE_BYTES { Pumped::Overrun } else { Pumped::Full }
            }
            Err(_) => Pumped::Broken,
        }
    }

    /// Takes what is to be written next, replies first.
    fn next(&self, pending: &mut Pending) -> bool {
        if pending.current.capacity() > KEPT_BYTES {
            pending.current = Frames::default();
        }
        pending.current.clear();
        pending.written = 0;
        if !pending.urgent.is_empty() {
            std::mem::swap(&mut pending.current, &mut pending.urgent);
            self.room.notify_waiters();
            return true;
        }
        let Some(burst) = pending.streams.pop_front() else { return false };
        pending.stream_bytes -= burst.len();
        pending.current = burst.into();
        self.room.notify_waiters();
        true
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pending {
    /// Bytes of replies that wait, and of what is being written.
    fn replies(&self) -> usize {
        self.urgent.len() + self.current.len() - self.written
    }

    fn is_empty(&self) -> bool {
        self.written == self.current.len() && self.urgent.is_empty() && self.streams.is_empty()
    }
}
