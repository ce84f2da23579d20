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

/// What a read asks for at least, and at most where much comes.
const READ_BYTES: usize = 64 * 1024;
const MOST_READ_BYTES: usize = 1024 * 1024;

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

    async fn read(self: &Arc<Self>, socket: OwnedReadHalf, receiver: &impl Receiver) -> LinkEnd {
        let mut input = Input { socket, buffer: BytesMut::new(), ask: READ_BYTES };
        loop {
            if self.queue.is_crowded() {
                self.paused.store(true, Ordering::Relaxed);
                self.queue.uncrowded().await;
                self.heard();
                self.paused.store(false, Ordering::Relaxed);
            }
            let read = input.read().await;
            self.heard();
            let result = read.and_then(|()| self.take_frames(&mut input.buffer, receiver));
            self.queue.flush();
            if let Err(end) = result {
                return end;
            }
            input.give_back();
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

/// The incoming side of a link.
struct Input {
    socket: OwnedReadHalf,
    buffer: BytesMut,
    /// Bytes that the next read asks for.
    ask: usize,
}

impl Input {
    /// Waits for something, and reads it.
    async fn read(&mut self) -> Result<(), LinkEnd> {
        self.buffer.reserve(self.ask);
        let read = self.socket.read_buf(&mut self.buffer).await?;
        self.took(read)
    }

    /// Asks for more where there was more than asked for.
    fn took(&mut self, read: usize) -> Result<(), LinkEnd> {
        let full = self.buffer.len() == self.buffer.capacity();
        self.ask = if full { self.ask * 2 } else { read.next_power_of_two() };
        self.ask = self.ask.clamp(READ_BYTES, MOST_READ_BYTES);
        if read == 0 { Err(LinkEnd::Closed) } else { Ok(()) }
    }

    /// A large frame came and went: its memory goes too.
    fn give_back(&mut self) {
        if self.buffer.is_empty() && self.buffer.capacity() > MOST_READ_BYTES {
            self.buffer = BytesMut::new();
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
    let memory = budget::measure(&payload, limits::TERM_MEMORY_BYTES)?.memory;
    let payload = codec::decode(&payload)?;
    let mut incoming = control::read(&control, Some(payload))?;
    if let Incoming::Spawn(request) = &mut incoming {
        request.memory = memory;
    }
    Ok(incoming)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;
    use tokio::time::timeout;

    use super::*;
    use crate::limits;

    /// Keeps what it is given.
    #[derive(Default)]
    struct Kept(Mutex<Vec<Incoming>>);

    impl Receiver for Kept {
        fn receive(&self, _: &Arc<Link>, incoming: Incoming) {
            self.0.lock().unwrap().push(incoming);
        }
    }

    /// A link, and the other end of its connection.
    async fn linked() -> (Arc<Link>, OwnedReadHalf, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let far = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (near, _) = listener.accept().await.unwrap();
        let peer = Peer { name: Atom::from_static("peer@h"), flags: 0, creation: 1 };
        let (link, socket) = Link::new(1, &peer, near);
        (link, socket, far)
    }

    /// What a link ends with after the peer sent these bytes.
    async fn end_after(bytes: &[u8]) -> LinkEnd {
        let (link, socket, mut far) = linked().await;
        far.write_all(bytes).await.unwrap();
        let kept = Kept::default();
        timeout(Duration::from_secs(5), link.run(socket, &kept)).await.expect("the link ends")
    }

    #[tokio::test]
    async fn frames_that_cannot_be_taken_end_the_link_with_their_reason() {
        assert!(matches!(end_after(&[0xff; 8]).await, LinkEnd::FrameTooLong { .. }));
        assert!(matches!(end_after(&[0, 0, 0, 2, 131, 68]).await, LinkEnd::FrameType(131)));
        assert!(matches!(end_after(&[0, 0, 0, 3, 112, 131, 80]).await, LinkEnd::Term(_)));
        // A bomb: a list of four billion elements.
        let bomb = [0, 0, 0, 7, 112, 131, 108, 255, 255, 255, 255];
        assert!(matches!(end_after(&bomb).await, LinkEnd::Term(_)));
        // {22}: a message to nobody.
        assert!(matches!(end_after(&[0, 0, 0, 6, 112, 131, 104, 1, 97, 22]).await, LinkEnd::Term(_)));
        assert!(matches!(end_after(&[0, 0, 0, 6, 112, 131, 104, 1, 97, 19]).await, LinkEnd::Control(_)));
    }

    #[tokio::test]
    async fn what_is_unknown_is_passed_on_and_the_link_goes_on() {
        let (link, socket, mut far) = linked().await;
        // A tick, {99}, in two pieces, then the end of the connection.
        far.write_all(&[0, 0, 0, 0, 0, 0, 0, 6, 112, 131]).await.unwrap();
        far.write_all(&[104, 1, 97, 99]).await.unwrap();
        far.shutdown().await.unwrap();
        let kept = Kept::default();
        let end = timeout(Duration::from_secs(5), link.run(socket, &kept)).await.unwrap();
        assert!(matches!(end, LinkEnd::Closed));
        assert_eq!(*kept.0.lock().unwrap(), [Incoming::Unknown(99)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_peer_hears_ticks_and_is_dropped_in_the_end() {
        let (link, socket, mut far) = linked().await;
        let began = Instant::now();
        let kept = Kept::default();
        let end = link.run(socket, &kept).await;
        assert!(matches!(end, LinkEnd::Silent), "{end}");
        let after = began.elapsed();
        assert!(after >= limits::SILENCE && after < limits::SILENCE + limits::TICK_AFTER, "{after:?}");
        drop(link);
        let mut heard = Vec::new();
        far.read_to_end(&mut heard).await.unwrap();
        // One every 15 s in 75 s, give or take the one at either end.
        assert!((16..=24).contains(&heard.len()) && heard.iter().all(|byte| *byte == 0), "{heard:?}");
    }

    #[tokio::test]
    async fn replies_go_before_a_stream_that_waits() {
        let (link, socket, mut far) = linked().await;
        let (kept, message) = (Kept::default(), Term::Binary(vec![7; 64 * 1024].into()));
        let control = Term::Tuple(vec![Term::Int(99)]);
        let sender = async {
            // More than the socket and the queue take together.
            for _ in 0..400 {
                let mut burst = Vec::new();
                super::super::queue::frame(&mut burst, &control, Some(&message)).unwrap();
                link.queue.put_stream(burst).await.unwrap();
            }
        };
        let reader = async {
            // Waits until the stream is stuck, then asks for a reply.
            let stuck = async {
                while link.queue.pump() != Pumped::Full {
                    tokio::task::yield_now().await;
                }
            };
            timeout(Duration::from_secs(5), stuck).await.unwrap();
            link.send_now(&Term::Tuple(vec![Term::Int(98)]), None).unwrap();
            let mut bytes = 0;
            let mut head = [0; 4];
            loop {
                far.read_exact(&mut head).await.unwrap();
                let mut frame = vec![0; u32::from_be_bytes(head) as usize];
                far.read_exact(&mut frame).await.unwrap();
                bytes += frame.len();
                if frame.len() < 100 {
                    return bytes;
                }
            }
        };
        let before = tokio::select! {
            bytes = reader => bytes,
            () = async { sender.await; std::future::pending().await } => 0,
            end = link.run(socket, &kept) => panic!("the link ended: {end}"),
        };
        assert!(before < 400 * 64 * 1024, "the reply came after the whole stream");
    }
}
