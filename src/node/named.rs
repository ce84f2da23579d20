//! A registered process of a peer that is told something, and is known to have got it.

use std::sync::Arc;

use tokio::time::timeout;

use super::control::{self, Target};
use super::link::Link;
use super::monitors::Monitor;
use super::{Gone, Node, remarks};
use crate::limits;
use crate::term::{Atom, Pid, Term};

/// A name that nobody has: whoever watches it hears `noproc` at once.
const NOBODY: Atom = Atom::from_static("otturnaut_nobody");

/// A connection to a peer, from its beginning to its end.
pub struct Connection {
    node: Node,
    link: Arc<Link>,
}

/// A registered process of a peer, watched for as long as it is there.
pub struct Named {
    node: Node,
    link: Arc<Link>,
    this: Pid,
    name: Atom,
    monitor: Monitor,
}

impl Node {
    /// Whether there is a connection to a peer.
    pub fn is_connected(&self, peer: &Atom) -> bool {
        self.0.links.get(peer).is_some()
    }

    /// Waits until there is a connection to a peer; makes none.
    pub async fn connection(&self, peer: &Atom) -> Connection {
        loop {
            let changed = self.0.links.changed();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if let Some(link) = self.0.links.get(peer) {
                return Connection { node: self.clone(), link };
            }
            changed.await;
        }
    }
}

impl Connection {
    /// Waits for its end.
    pub async fn closed(&self) {
        self.link.closed.cancelled().await;
    }

    /// The process that has a name there; `None` if nobody has it, or the connection is lost. `this` is who watches it.
    pub async fn find(&self, this: &Pid, name: &Atom) -> Option<Named> {
        let monitor = Monitor::place(&self.node, self.link.clone(), this.clone(), Target::Name(name.clone()))?;
        let (node, link, this, name) = (self.node.clone(), self.link.clone(), this.clone(), name.clone());
        let mut named = Named { node, link, this, name, monitor };
        named.heard().await.ok().map(|()| named)
    }
}

impl Named {
    /// Sends messages in order and waits until all of them are with the process. One that cannot be sent is left out, and
    /// logged.
    ///
    /// # Errors
    /// The process or the connection is gone; which of the messages came is not known.
    pub async fn deliver(&mut self, messages: impl IntoIterator<Item = Term>) -> Result<(), Gone> {
        for message in messages {
            let head = control::send_named(&self.this, &self.name);
            if let Err(e) = self.link.send_now(&head, Some(&message)) {
                remarks::say(|| tracing::warn!(to = %self.link.peer, "a message was left out: {e}"));
            }
        }
        self.heard().await
    }

    /// Waits for its end.
    pub async fn gone(&mut self) {
        // Either way it is gone.
        drop((&mut self.monitor.told).await);
    }

    /// Waits until the peer has taken all that was sent to it so far. What comes over one connection it takes in order (erts,
    /// "Signals"), so an answer to a question asked last says that all before it was taken.
    async fn heard(&mut self) -> Result<(), Gone> {
        let nobody = Target::Name(NOBODY);
        let mut last = Monitor::place(&self.node, self.link.clone(), self.this.clone(), nobody).ok_or(Gone)?;
        let answer = timeout(limits::NAMED_ANSWER, &mut last.told).await;
        match (answer, self.monitor.told.try_recv()) {
            // That it is gone would have been told before.
            (Ok(Ok(_)), Err(tokio::sync::oneshot::error::TryRecvError::Empty)) => Ok(()),
            _ => Err(Gone),
        }
    }
}
