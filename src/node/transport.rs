//! The bytes of a link: over TCP as they are, or over TLS. Nothing here blocks; who reads and who writes share it.

use std::io::{self, BufRead, ErrorKind, IoSlice, Read, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::{BufMut, BytesMut};
use futures::FutureExt;
use rustls::Connection;
use socket2::SockRef;
use tokio::io::{Interest, Ready};
use tokio::net::TcpStream;

use crate::limits;

/// Bytes that came and went over all links of this program.
static READ: AtomicU64 = AtomicU64::new(0);
static WRITTEN: AtomicU64 = AtomicU64::new(0);

/// Bytes that came, and bytes that went, over all links of this program.
pub(super) fn traffic() -> (u64, u64) {
    (READ.load(Ordering::Relaxed), WRITTEN.load(Ordering::Relaxed))
}

/// Counts what came of reading or writing.
fn counted(bytes: io::Result<usize>, count: &AtomicU64) -> io::Result<usize> {
    if let Ok(bytes) = bytes {
        count.fetch_add(bytes as u64, Ordering::Relaxed);
    }
    bytes
}

/// Room that is read into: what a buffer has, and no more than so many bytes of it.
fn room(buffer: &BytesMut, most: usize) -> usize {
    (buffer.capacity() - buffer.len()).min(most)
}

/// Reads what is there. Less than there was room for means that nothing is left: the next read waits without asking.
fn read_plain(stream: &TcpStream, buffer: &mut BytesMut, most: usize) -> io::Result<usize> {
    let room = room(buffer, most);
    let mut buffer = buffer.limit(room);
    let mut read = 0;
    let waits = stream.try_io(Interest::READABLE, || {
        read = stream.try_read_buf(&mut buffer)?;
        // The end of the connection is no less than there was room for.
        if (1..room).contains(&read) { Err(ErrorKind::WouldBlock.into()) } else { Ok(()) }
    });
    match waits {
        Err(e) if read == 0 => Err(e),
        _ => Ok(read),
    }
}

/// A connection whose handshakes are done.
pub(super) enum Transport {
    Plain(TcpStream),
    Tls(Box<Session>),
}

/// A connection over TLS.
pub(super) struct Session {
    stream: TcpStream,
    tls: Mutex<Connection>,
}

impl Transport {
    /// Over TLS whose handshake is done.
    pub(super) fn tls(stream: TcpStream, connection: Connection) -> Self {
        Self::Tls(Box::new(Session { stream, tls: Mutex::new(connection) }))
    }

    fn stream(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(session) => &session.stream,
        }
    }

    /// Has the system send small frames at once, and take little of what it cannot send yet: whoever waits for an answer waits
    /// for nothing else.
    pub(super) fn set_options(&self) -> io::Result<()> {
        self.stream().set_nodelay(true)?;
        SockRef::from(self.stream()).set_tcp_notsent_lowat(limits::LINK_UNSENT_BYTES)
    }

    /// Waits for something and reads it, into the room that `buffer` has and no more than `most` bytes; 0 bytes at the end of
    /// the connection.
    pub(super) async fn read(&self, buffer: &mut BytesMut, most: usize) -> io::Result<usize> {
        // A peer that sends without a pause does not hold the thread.
        tokio::task::coop::consume_budget().await;
        loop {
            match self.try_read(buffer, most) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => self.stream().readable().await?,
                read => return counted(read, &READ),
            }
        }
    }

    fn try_read(&self, buffer: &mut BytesMut, most: usize) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => read_plain(stream, buffer, most),
            Self::Tls(session) => session.try_read(buffer, most),
        }
    }

    /// Writes what the socket takes now; `WouldBlock` if that is nothing.
    pub(super) fn try_write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let written = match self {
            Self::Plain(stream) => match pieces {
                [piece] => stream.try_write(piece),
                pieces => stream.try_write_vectored(pieces),
            },
            Self::Tls(session) => session.try_write(pieces),
        };
        counted(written, &WRITTEN)
    }

    /// Writes what TLS still holds of bytes that were written; `WouldBlock` if some of it is left.
    pub(super) fn try_flush(&self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Tls(session) => session.flush(&mut session.tls()),
        }
    }

    /// Waits until the socket takes more.
    pub(super) async fn writable(&self) -> io::Result<()> {
        self.stream().writable().await
    }

    /// Whether the peer has closed the connection, whatever it sent before and is still to be read.
    pub(super) fn is_left(&self) -> bool {
        let ready = self.stream().ready(Interest::READABLE).now_or_never();
        ready.is_some_and(|ready| ready.map_or(true, Ready::is_read_closed))
    }

    /// Says the end of the connection, as far as the socket takes it at once.
    pub(super) fn close(&self) {
        if let Self::Tls(session) = self {
            let mut tls = session.tls();
            tls.send_close_notify();
            // The peer sees the end of the connection in any case.
            session.flush(&mut tls).unwrap_or_default();
        }
    }
}

impl Session {
    fn tls(&self) -> MutexGuard<'_, Connection> {
        self.tls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn try_read(&self, buffer: &mut BytesMut, most: usize) -> io::Result<usize> {
        let mut tls = self.tls();
        loop {
            match take_plaintext(&mut tls, buffer, most) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                // The connection ended without a goodbye, as TCP connections do.
                Err(e) if e.kind() == ErrorKind::UnexpectedEof => return Ok(0),
                taken => return taken,
            }
            if tls.read_tls(&mut Socket(&self.stream))? == 0 {
                return Ok(0);
            }
            let processed = tls.process_new_packets();
            // Answers of the protocol itself, and what tells the peer of an error.
            match self.flush(&mut tls) {
                Err(e) if e.kind() != ErrorKind::WouldBlock => return Err(e),
                _ => {}
            }
            processed.map_err(|e| io::Error::new(ErrorKind::InvalidData, e))?;
        }
    }

    fn try_write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut tls = self.tls();
        self.flush(&mut tls)?;
        let written = tls.writer().write_vectored(pieces)?;
        match self.flush(&mut tls) {
            Err(e) if e.kind() != ErrorKind::WouldBlock => Err(e),
            _ => Ok(written),
        }
    }

    fn flush(&self, tls: &mut Connection) -> io::Result<()> {
        while tls.wants_write() {
            tls.write_tls(&mut Socket(&self.stream))?;
        }
        Ok(())
    }
}

/// Moves what was decrypted into the room that `buffer` has.
fn take_plaintext(tls: &mut Connection, buffer: &mut BytesMut, most: usize) -> io::Result<usize> {
    let mut reader = tls.reader();
    let decrypted = reader.fill_buf()?;
    let taken = decrypted.len().min(room(buffer, most));
    buffer.extend_from_slice(decrypted.get(..taken).unwrap_or_default());
    reader.consume(taken);
    Ok(taken)
}

/// A socket that never blocks, for what knows no other streams.
struct Socket<'a>(&'a TcpStream);

impl Read for Socket<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(bytes)
    }
}

impl Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
