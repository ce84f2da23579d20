//! The incoming side of a link: bytes as they come, and what large frames may take of the memory that all links share.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::BytesMut;
use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};

use super::frames;
use super::share::Share;
use super::transport::Transport;
use crate::limits;

/// What a read asks for at least, and at most where much comes.
const READ_BYTES: usize = 64 * 1024;
pub(super) const MOST_READ_BYTES: usize = 512 * 1024;

/// Memory for large frames: while they come, and while they are taken apart.
pub(super) struct Room {
    share: Mutex<Share>,
    freed: Notify,
    turn: Semaphore,
}

impl Default for Room {
    fn default() -> Self {
        Self { share: Mutex::new(Share::new(limits::INCOMING_BYTES)), freed: Notify::new(), turn: Semaphore::new(1) }
    }
}

impl Room {
    fn share(&self) -> MutexGuard<'_, Share> {
        self.share.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes `bytes` for a link as soon as they are there.
    async fn take(&self, link: u64, bytes: usize) {
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            if self.share().take(Some(link), bytes) {
                return;
            }
            freed.await;
        }
    }

    /// Waits for the turn to take a large frame apart: what it becomes may take a good part of a server's memory.
    pub(super) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        // Nobody closes it.
        self.turn.acquire().await.ok()
    }

    fn give_back(&self, link: u64, bytes: usize) {
        if bytes > 0 {
            self.share().give_back(Some(link), bytes);
            self.freed.notify_waiters();
        }
    }
}

/// Why nothing more is read.
#[derive(Debug, thiserror::Error)]
pub(super) enum InputError {
    #[error("the connection broke")]
    Io(#[from] io::Error),
    #[error("a large frame did not come within {} s", limits::LARGE_FRAME.as_secs())]
    Slow,
}

/// The incoming side of a link.
pub(super) struct Input {
    link: u64,
    transport: Arc<Transport>,
    room: Arc<Room>,
    /// Whether it reads nothing because there is no room: the peer's silence is this node's doing.
    paused: Arc<AtomicBool>,
    buffer: BytesMut,
    /// Bytes that the next read asks for.
    ask: usize,
    /// Bytes of the room that are taken.
    taken: usize,
    /// When the large frame must have come that has come in part.
    due: Option<Instant>,
}

impl Input {
    pub(super) fn new(link: u64, transport: Arc<Transport>, (room, paused): (Arc<Room>, Arc<AtomicBool>)) -> Self {
        Self { link, transport, room, paused, buffer: BytesMut::new(), ask: READ_BYTES, taken: 0, due: None }
    }

    /// What was read and not taken yet.
    pub(super) fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Waits for something and reads it; 0 bytes at the end of the connection.
    pub(super) async fn read(&mut self) -> Result<usize, InputError> {
        let wanted = frames::wanted(&self.buffer);
        if wanted > limits::LARGE_FRAME_BYTES {
            return self.read_large(wanted).await;
        }
        self.buffer.reserve(self.ask);
        let read = self.transport.read(&mut self.buffer, MOST_READ_BYTES).await?;
        // Asks for more where there was more than asked for.
        let full = self.buffer.len() == self.buffer.capacity();
        let next = if full { self.ask * 2 } else { read.next_power_of_two() };
        self.ask = next.clamp(READ_BYTES, MOST_READ_BYTES);
        Ok(read)
    }

    /// Reads more of a frame of `wanted` bytes. Room is taken for what came, not for what was announced.
    async fn read_large(&mut self, wanted: usize) -> Result<usize, InputError> {
        let due = *self.due.get_or_insert_with(|| Instant::now() + limits::LARGE_FRAME);
        let missing = wanted.saturating_sub(self.buffer.len());
        let needed = (self.buffer.len() + missing.min(MOST_READ_BYTES)).saturating_sub(self.taken);
        let read = async {
            self.paused.store(true, Ordering::Relaxed);
            self.room.take(self.link, needed).await;
            self.paused.store(false, Ordering::Relaxed);
            self.taken += needed;
            // All at once, so that nothing is copied as it grows: memory that is not written to costs nothing.
            self.buffer.reserve(missing);
            let room = self.taken - self.buffer.len();
            self.transport.read(&mut self.buffer, room).await
        };
        Ok(timeout_at(due, read).await.map_err(|_| InputError::Slow)??)
    }

    /// Gives back what large frames took that were taken out of the buffer.
    pub(super) fn give_back(&mut self) {
        if frames::wanted(&self.buffer) <= limits::LARGE_FRAME_BYTES {
            self.room.give_back(self.link, std::mem::take(&mut self.taken));
            self.due = None;
        }
        if self.buffer.is_empty() && self.buffer.capacity() > MOST_READ_BYTES {
            self.buffer = BytesMut::new();
        }
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        self.room.give_back(self.link, self.taken);
    }
}
