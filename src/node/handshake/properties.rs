//! What holds for any bytes that come instead of a handshake.

#![allow(clippy::missing_panics_doc, reason = "to panic is how they tell")]

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use futures::task::noop_waker_ref;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex, join, sink};

use super::message::{self, Challenge};
use super::{Head, Local, Verdict, accept, dial};
use crate::node::{flags, name};
use crate::secret::Secret;
use crate::term::Atom;

/// Frames that each side takes at most, and the bytes of each.
const MOST_READ: usize = 3 * (4 + 512);
/// More turns than two sides take that say five things to one another.
const TURNS: usize = 32;

/// Whatever comes, a handshake ends; and two nodes of one cookie agree if nothing changes what they say. `bytes` are a frame,
/// what an acceptor and a dialer hear, and a mask of what changes on the way (the first half what the dialer hears).
pub fn handshake(bytes: &[u8]) {
    messages(bytes);
    for head in [Head::Two, Head::Four] {
        let (near, far) = (local("near@h", head), local("far@h", head));
        one_sided(bytes, &near, &far);
        conversation(bytes, &near, &far);
    }
}

/// What an acceptor and a dialer make of bytes that answer nothing.
fn one_sided(bytes: &[u8], near: &Local, far: &Local) {
    let mut input = bytes;
    let accepted = polled(accept(&mut join(&mut input, sink()), far, |_| Verdict::Proceed));
    assert!(matches!(accepted, Some(Err(_))), "nobody guesses a digest");
    assert!(bytes.len() - input.len() <= MOST_READ);
    let mut input = bytes;
    let dialled = polled(dial(&mut join(&mut input, sink()), near, &far.name, |_| true));
    assert!(matches!(dialled, Some(Err(_))), "nobody guesses a digest");
    assert!(bytes.len() - input.len() <= MOST_READ);
}

/// What is read as a message is what is written of it.
fn messages(frame: &[u8]) {
    if let Ok(read) = message::parse_name(frame)
        && let Ok(text) = std::str::from_utf8(read.text)
    {
        assert!(frame.starts_with(&message::name(read.flags, read.creation, text)));
    }
    if let Ok(read) = message::parse_challenge(frame) {
        assert!(frame.starts_with(&message::challenge(&Challenge { ..read })));
    }
    if let Ok((challenge, digest)) = message::parse_reply(frame) {
        assert_eq!(message::reply(challenge, digest), frame);
    }
    if let Ok(digest) = message::parse_acknowledge(frame) {
        assert_eq!(message::acknowledge(digest), frame);
    }
}

/// A handshake between two nodes, of which a mask changes some bytes on the way.
fn conversation(mask: &[u8], near: &Local, far: &Local) {
    let (one, other) = duplex(4096);
    let (heard_near, heard_far) = mask.split_at(mask.len() / 2);
    let dialled = async {
        let result = dial(&mut Masked { stream: one, mask: heard_near }, near, &far.name, |_| true).await;
        result.ok()
    };
    let accepted = async {
        let mut stream = Masked { stream: other, mask: heard_far };
        let (peer, last) = accept(&mut stream, far, |_| Verdict::Proceed).await.ok()?;
        last.send(&mut stream).await.ok()?;
        Some(peer)
    };
    // Where a length was changed both may wait for more, until their time is over.
    let Some((dialled, accepted)) = polled(async { tokio::join!(dialled, accepted) }) else { return };
    if mask.iter().all(|byte| *byte == 0) {
        assert!(dialled.is_some() && accepted.is_some(), "two nodes of one cookie agree");
    }
    if let Some(peer) = dialled {
        assert_eq!(peer.name, far.name);
    }
    if let Some(peer) = accepted {
        assert!(peer.name != far.name && name::parse(peer.name.as_str().as_bytes()).is_some());
        assert_eq!(peer.flags & !flags::OURS, 0);
    }
}

fn local(name: &'static str, head: Head) -> Local {
    Local { name: Atom::from_static(name), cookie: Secret::new("cookie".to_owned()), creation: 7, head }
}

/// Runs what waits for nothing but its own other half.
fn polled<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut context = Context::from_waker(noop_waker_ref());
    (0..TURNS).find_map(|_| match future.as_mut().poll(&mut context) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    })
}

/// A stream that changes what is read from it.
struct Masked<'a> {
    stream: DuplexStream,
    mask: &'a [u8],
}

impl AsyncRead for Masked<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        let new = buffer.filled_mut().get_mut(before..).unwrap_or_default();
        let (used, left) = self.mask.split_at(new.len().min(self.mask.len()));
        new.iter_mut().zip(used).for_each(|(byte, change)| *byte ^= change);
        self.mask = left;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Masked<'_> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
