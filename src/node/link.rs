//! A link: one distribution connection, from the end of its handshake to its own end.
//!
//! Two tasks: the reader takes frames apart and hands what they say to the node, which never waits; the writer writes what
//! senders could not, ticks, and notices silence.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::control::{self, Incoming};
use super::crowd::Crowd;
use super::flags;
use super::frames::{self, FrameTooLong};
use super::handshake::Peer;
use super::input::{Input, InputError, Room};
use super::parse::parse;
use super::queue::{Pumped, Queue};
use super::ticks::Ticks;
use super::transport::Transport;
use crate::limits;
use crate::term::codec::{Atoms, DecodeError, EncodeError, Encoder};
use crate::term::{Atom, Term};

/// A connection to a peer.
pub(super) struct Link {
    /// Tells it from an earlier or later link to the same peer.
    pub(super) id: u64,
    pub(super) peer: Atom,
    pub(super) queue: Queue,
    /// Cancelled when the link is to end.
    pub(super) closed: CancellationToken,
    transport: Arc<Transport>,
    ticks: Ticks,
    opened: Instant,
    /// Milliseconds after `opened`.
    last_heard: AtomicU64,
    /// Nothing is read, since the peer must take its replies first or there is no room: its silence is this node's doing.
    paused: Arc<AtomicBool>,
}

/// Why a link ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum LinkEnd {
    #[error("the peer closed the connection")]
    Closed,
    #[error("the connection broke")]
    Io(#[from] std::io::Error),
    #[error("the peer was silent for {} s", .0.as_secs())]
    Silent(Duration),
    #[error("the peer took nothing for {} s", .0.as_secs())]
    Stuck(Duration),
    #[error("more than {} bytes wait for a peer that does not read", limits::LINK_QUEUE_BYTES)]
    Overrun,
    #[error(transparent)]
    Input(#[from] InputError),
    #[error(transparent)]
    FrameTooLong(#[from] FrameTooLong),
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

/// What a reader knows of what it heard.
#[derive(Default)]
struct Hearing {
    atoms: Atoms,
    crowd: Crowd,
}

impl Link {
    /// A link over a connection whose handshake is done.
    pub(super) fn new(id: u64, peer: &Peer, (transport, ticks): (Transport, Ticks)) -> Arc<Self> {
        let transport = Arc::new(transport);
        Arc::new(Self {
            id,
            peer: peer.name.clone(),
            queue: Queue::new(transport.clone(), flags::form(peer.flags)),
            closed: CancellationToken::new(),
            transport,
            ticks,
            opened: Instant::now(),
            last_heard: AtomicU64::new(0),
            paused: Arc::default(),
        })
    }

    /// Puts in a frame; the reader flushes after each batch, others call [`Link::send_now`]. On a link that is closed it is
    /// lost.
    pub(super) fn send(&self, control: &Encoder, payload: Option<&Term>) -> Result<(), EncodeError> {
        if self.closed.is_cancelled() { Ok(()) } else { self.queue.put(control, payload) }
    }

    /// Puts in a frame and writes it.
    pub(super) fn send_now(&self, control: &Encoder, payload: Option<&Term>) -> Result<(), EncodeError> {
        let result = self.send(control, payload);
        self.queue.flush();
        result
    }

    /// Serves the link until it ends; large frames share `room`.
    pub(super) async fn run(self: &Arc<Self>, receiver: &impl Receiver, room: &Arc<Room>) -> LinkEnd {
        let end = tokio::select! {
            end = self.read(receiver, room) => end,
            end = self.write() => end,
            () = self.closed.cancelled() => LinkEnd::Here,
        };
        // What is written still, as far as the socket takes it at once.
        self.queue.pump();
        self.transport.close();
        self.closed.cancel();
        self.queue.close();
        end
    }

    async fn read(self: &Arc<Self>, receiver: &impl Receiver, room: &Arc<Room>) -> LinkEnd {
        let mut hearing = Hearing::default();
        let mut input = Input::new(self.id, self.transport.clone(), (room.clone(), self.paused.clone()));
        loop {
            hearing.crowd.rest();
            let read = input.read().await;
            self.heard();
            let result = match read {
                Ok(0) => Err(LinkEnd::Closed),
                Ok(_) => self.take_frames((&mut input, &mut hearing), (receiver, room)).await,
                Err(e) => Err(e.into()),
            };
            self.queue.flush();
            if let Err(end) = result {
                return end;
            }
            input.give_back();
        }
    }

    /// Takes all whole frames out of what was read. None before the replies to those before it found room.
    async fn take_frames(
        self: &Arc<Self>,
        (input, hearing): (&mut Input, &mut Hearing),
        (receiver, room): (&impl Receiver, &Room),
    ) -> Result<(), LinkEnd> {
        while let Some(frame) = frames::take(input.buffer())? {
            if frame.len() > limits::LARGE_FRAME_BYTES {
                let _turn = self.pause(room.turn()).await;
                // Its terms may be many: other links are served by another thread meanwhile.
                let take = || parse(&frame, &mut hearing.atoms).map(|incoming| receiver.receive(self, incoming));
                tokio::task::block_in_place(take)?;
            } else {
                let incoming = parse(&frame, &mut hearing.atoms)?;
                hearing.crowd.heard(&incoming);
                receiver.receive(self, incoming);
            }
            if self.queue.is_crowded() {
                self.queue.flush();
                self.pause(self.queue.uncrowded()).await;
            }
        }
        Ok(())
    }

    /// Waits for something that this node is to do: that the peer is not heard meanwhile is not its silence.
    async fn pause<T>(&self, until: impl Future<Output = T>) -> T {
        self.paused.store(true, Ordering::Relaxed);
        let done = until.await;
        self.heard();
        self.paused.store(false, Ordering::Relaxed);
        done
    }

    fn heard(&self) {
        let now = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_heard.store(now, Ordering::Relaxed);
    }

    /// How long it is up.
    pub(super) fn age(&self) -> Duration {
        self.opened.elapsed()
    }

    fn silence(&self) -> Duration {
        let heard = Duration::from_millis(self.last_heard.load(Ordering::Relaxed));
        self.opened.elapsed().saturating_sub(heard)
    }

    async fn write(&self) -> LinkEnd {
        let mut ticks = interval(self.ticks.after() / 4);
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
                    let silence = self.ticks.silence();
                    let paused = self.paused.load(Ordering::Relaxed);
                    if paused && self.transport.is_left() {
                        return LinkEnd::Closed;
                    }
                    if self.silence() > silence && !paused {
                        return LinkEnd::Silent(silence);
                    }
                    if self.queue.stalled() > silence {
                        return LinkEnd::Stuck(silence);
                    }
                    self.queue.tick(self.ticks.after());
                }
            }
            match self.queue.pump() {
                Pumped::Empty => full = false,
                Pumped::Full => full = true,
                Pumped::Broken => return LinkEnd::Closed,
                Pumped::Overrun => return LinkEnd::Overrun,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::timeout;

    use super::*;
    use crate::node::Burst;
    use crate::term::Pid;

    /// Keeps what it is given.
    #[derive(Default)]
    struct Kept(Mutex<Vec<Incoming>>);

    impl Receiver for Kept {
        fn receive(&self, _: &Arc<Link>, incoming: Incoming) {
            self.0.lock().unwrap().push(incoming);
        }
    }

    /// A link, and the other end of its connection.
    async fn linked() -> (Arc<Link>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let far = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (near, _) = listener.accept().await.unwrap();
        let peer = Peer { name: Atom::from_static("peer@h"), flags: 0, creation: 1 };
        (Link::new(1, &peer, (Transport::Plain(near), Ticks::default())), far)
    }

    /// What a link ends with after the peer sent these bytes.
    async fn end_after(bytes: &[u8]) -> LinkEnd {
        let (link, mut far) = linked().await;
        far.write_all(bytes).await.unwrap();
        let kept = Kept::default();
        timeout(Duration::from_secs(5), link.run(&kept, &Arc::default())).await.expect("the link ends")
    }

    #[tokio::test]
    async fn frames_that_cannot_be_taken_end_the_link_with_their_reason() {
        assert!(matches!(end_after(&[0xff; 8]).await, LinkEnd::FrameTooLong(_)));
        assert!(matches!(end_after(&[0, 0, 0, 2, 131, 69]).await, LinkEnd::FrameType(131)));
        // A header that is cut off, and one that says what the cache does not hold.
        assert!(matches!(end_after(&[0, 0, 0, 2, 131, 68]).await, LinkEnd::Term(_)));
        assert!(matches!(end_after(&[0, 0, 0, 5, 131, 68, 1, 0, 9]).await, LinkEnd::Term(_)));
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
        let (link, mut far) = linked().await;
        // A tick, {99}, in two pieces, then the end of the connection.
        far.write_all(&[0, 0, 0, 0, 0, 0, 0, 6, 112, 131]).await.unwrap();
        far.write_all(&[104, 1, 97, 99]).await.unwrap();
        far.shutdown().await.unwrap();
        let kept = Kept::default();
        let end = timeout(Duration::from_secs(5), link.run(&kept, &Arc::default())).await.unwrap();
        assert!(matches!(end, LinkEnd::Closed));
        assert_eq!(*kept.0.lock().unwrap(), [Incoming::Unknown(99)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_peer_hears_ticks_and_is_dropped_in_the_end() {
        let (link, mut far) = linked().await;
        let began = Instant::now();
        let kept = Kept::default();
        let end = link.run(&kept, &Arc::default()).await;
        assert!(matches!(end, LinkEnd::Silent(_)), "{end}");
        let after = began.elapsed();
        assert!(after >= link.ticks.silence() && after < link.ticks.silence() + link.ticks.after(), "{after:?}");
        drop(link);
        let mut heard = Vec::new();
        far.read_to_end(&mut heard).await.unwrap();
        // One every 15 s in 75 s, give or take the one at either end.
        assert!((16..=24).contains(&heard.len()) && heard.iter().all(|byte| *byte == 0), "{heard:?}");
    }

    #[tokio::test]
    async fn replies_go_before_a_stream_that_waits() {
        let (link, mut far) = linked().await;
        let (kept, message) = (Kept::default(), Term::Binary(vec![7; 64 * 1024].into()));
        let pid = Pid { node: Atom::from_static("a@h"), id: 1, serial: 0, creation: 1 };
        let sender = async {
            // More than the socket and the queue take together.
            for _ in 0..400 {
                let mut burst = Burst::new(&pid, &pid);
                burst.push(&message).unwrap();
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
            link.send_now(&Encoder::tuple(1).int(98), None).unwrap();
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
        let room = Arc::default();
        let before = tokio::select! {
            bytes = reader => bytes,
            () = async { sender.await; std::future::pending().await } => 0,
            end = link.run(&kept, &room) => panic!("the link ended: {end}"),
        };
        assert!(before < 400 * 64 * 1024, "the reply came after the whole stream");
    }
}
