//! Messages for a process that takes them: a shell's.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::{Notify, oneshot};

use crate::limits;
use crate::term::{Reference, Term, codec};

/// What was sent to a process and is not taken yet. Clones share it.
#[derive(Clone, Default)]
pub struct Inbox(Arc<Shared>);

#[derive(Default)]
struct Shared {
    kept: Mutex<Kept>,
    came: Notify,
    room: Notify,
}

/// Messages are kept encoded: so they take what they are long, and hold on to nothing that came with them.
#[derive(Default)]
struct Kept {
    letters: VecDeque<Bytes>,
    bytes: usize,
    dropped: bool,
    /// Replies of an I/O server that are waited for, by their reference.
    replies: HashMap<Reference, oneshot::Sender<Term>>,
}

impl Kept {
    fn has_room(&self, length: usize) -> bool {
        self.letters.len() < limits::INBOX_MESSAGES && self.bytes + length <= limits::INBOX_BYTES
    }

    fn put(&mut self, letter: Bytes) {
        self.bytes += letter.len();
        self.letters.push_back(letter);
    }
}

impl Inbox {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next message.
    pub async fn next(&self) -> Term {
        loop {
            let came = self.0.came.notified();
            if let Some(message) = self.take() {
                return message;
            }
            came.await;
        }
    }

    /// A message that is there.
    pub fn take(&self) -> Option<Term> {
        let letter = {
            let mut kept = self.kept();
            let letter = kept.letters.pop_front()?;
            kept.bytes -= letter.len();
            letter
        };
        self.0.room.notify_waiters();
        // It was encoded here.
        codec::decode(&letter).ok()
    }

    /// Whether there was no room for some since this was asked last.
    pub fn dropped(&self) -> bool {
        std::mem::take(&mut self.kept().dropped)
    }

    /// Messages that wait, and their bytes.
    pub(super) fn waiting(&self) -> (usize, usize) {
        let kept = self.kept();
        (kept.letters.len(), kept.bytes)
    }

    /// Waits for `{io_reply, reference, result}`; gives the result.
    pub fn expect_reply(&self, reference: Reference) -> oneshot::Receiver<Term> {
        let (tell, told) = oneshot::channel();
        let mut kept = self.kept();
        kept.replies.retain(|_, waiting| !waiting.is_closed());
        kept.replies.insert(reference, tell);
        told
    }

    /// Puts in a message if there is room; it is dropped else.
    pub(super) fn put(&self, message: &Term) {
        if self.answers(message) {
            return;
        }
        let Some(letter) = encoded(message) else { return };
        let mut kept = self.kept();
        if kept.has_room(letter.len()) {
            kept.put(letter);
            drop(kept);
            self.0.came.notify_one();
        } else {
            kept.dropped = true;
        }
    }

    /// Puts in a message when there is room.
    pub(super) async fn put_when_room(&self, message: &Term) {
        let Some(letter) = encoded(message).filter(|letter| letter.len() <= limits::INBOX_BYTES) else {
            self.kept().dropped = true;
            return;
        };
        loop {
            let room = self.0.room.notified();
            tokio::pin!(room);
            // From here on nothing that becomes free is missed.
            room.as_mut().enable();
            {
                let mut kept = self.kept();
                if kept.has_room(letter.len()) {
                    kept.put(letter);
                    break;
                }
            }
            room.await;
        }
        self.0.came.notify_one();
    }

    /// Whether a message is a reply that is waited for.
    fn answers(&self, message: &Term) -> bool {
        let Some([tag, Term::Ref(reference), result]) = message.as_tuple() else { return false };
        if !tag.is_atom("io_reply") {
            return false;
        }
        let waiting = self.kept().replies.remove(reference);
        // Whoever waited may have gone.
        waiting.is_some_and(|waiting| waiting.send(result.clone()).is_ok())
    }
}

fn encoded(message: &Term) -> Option<Bytes> {
    let mut out = Vec::new();
    codec::encode(message, &mut out).ok().map(|()| out.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::term::binary;

    #[tokio::test]
    async fn messages_are_taken_in_their_order() {
        let inbox = Inbox::default();
        inbox.put(&Term::Int(1));
        inbox.put_when_room(&Term::Int(2)).await;
        assert_eq!((inbox.next().await, inbox.take(), inbox.take()), (Term::Int(1), Some(Term::Int(2)), None));
    }

    #[tokio::test]
    async fn what_has_no_room_is_dropped_and_said_and_a_stream_waits() {
        let inbox = Inbox::default();
        for number in 0..limits::INBOX_MESSAGES {
            inbox.put(&Term::from(number));
        }
        assert!(!inbox.dropped());
        inbox.put(&binary("one too many"));
        assert!(inbox.dropped() && !inbox.dropped());
        let message = binary("later");
        let mut waits = Box::pin(inbox.put_when_room(&message));
        assert!(futures::poll!(&mut waits).is_pending());
        assert_eq!(inbox.take(), Some(Term::Int(0)));
        waits.await;
        let all: Vec<_> = std::iter::from_fn(|| inbox.take()).collect();
        assert_eq!(all.last(), Some(&message));
    }
}
