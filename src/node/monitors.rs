//! What processes of this node watch.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::control::Target;
use super::link::Link;
use super::{Node, control};
use crate::term::{Pid, Reference, Term, atom};

/// A monitor on a peer's process; taken back when it is dropped.
pub(super) struct Monitor {
    node: Node,
    link: Arc<Link>,
    this: Pid,
    of: Target,
    reference: Reference,
    /// Its reason when it is down, an error when the link is lost.
    pub(super) told: oneshot::Receiver<Term>,
}

impl Monitor {
    /// `None` if the link is gone, or this node has no references left.
    pub(super) fn place(node: &Node, link: Arc<Link>, this: Pid, of: Target) -> Option<Self> {
        let reference = node.make_reference()?;
        let told = node.0.processes.wait_remote(link.id, reference.clone());
        let monitor = Self { node: node.clone(), link, this, of, reference, told };
        let control = control::monitor(&monitor.this, &monitor.of, &monitor.reference);
        let sent = monitor.link.send_now(&control, None);
        // The link may have gone before it was waited for: then nobody else tells.
        (sent.is_ok() && !monitor.link.closed.is_cancelled()).then_some(monitor)
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        if self.node.0.processes.forget_remote(&self.reference) {
            let control = control::demonitor(&self.this, &self.of, &self.reference);
            // Pids and references can always be sent.
            self.link.send_now(&control, None).unwrap_or_default();
        }
    }
}

impl Node {
    /// Waits until a process of any node has ended; gives its reason (`noproc` if it was not there, `noconnection` if its
    /// node cannot be reached or the link to it is lost). `this` is who watches. It does so from this call on if there is a
    /// link to the node, and until the future is dropped.
    pub fn down(&self, this: &Pid, of: &Pid) -> impl Future<Output = Term> + Send + use<> {
        let (node, this, of) = (self.clone(), this.clone(), of.clone());
        let own = self.0.processes.is_own(&of);
        let waiting = if own { self.0.processes.wait(&of) } else { None };
        let link = if own { None } else { self.0.links.get(&of.node) };
        let placed = link.map(|link| Monitor::place(&node, link, this.clone(), Target::Pid(of.clone())));
        async move {
            if own {
                let Some(told) = waiting else { return control::noproc() };
                return told.await.unwrap_or(control::noproc());
            }
            let monitor = if let Some(placed) = placed {
                placed
            } else {
                let link = node.reach(&of.node).await.ok();
                link.and_then(|link| Monitor::place(&node, link, this, Target::Pid(of)))
            };
            let Some(mut monitor) = monitor else { return atom("noconnection") };
            (&mut monitor.told).await.unwrap_or_else(|_| atom("noconnection"))
        }
    }

    /// Does `work` as long as a process of any node lives; `None` if that ended, or its node was lost, before. It is watched
    /// as by [`Node::down`].
    pub fn while_alive<T>(
        &self,
        this: &Pid,
        other: &Pid,
        work: impl Future<Output = T>,
    ) -> impl Future<Output = Option<T>> {
        let down = self.down(this, other);
        async move {
            tokio::select! {
                biased;
                done = work => Some(done),
                _ = down => None,
            }
        }
    }
}
