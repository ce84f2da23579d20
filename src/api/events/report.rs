//! Events to Mission Control: all of them, in order, also those of the time in which it was away.

use std::sync::Arc;

use super::message::message;
use crate::host::Storage;
use crate::limits;
use crate::node::{Connection, Named, Node};
use crate::term::{Atom, Pid, atom};
use crate::watch::{About, Events, What};

/// Who takes events on Mission Control.
#[derive(Debug, Clone)]
pub struct Receiver {
    /// Its node.
    pub node: Atom,
    /// The registered name there.
    pub process: Atom,
}

/// Tells Mission Control, whenever it is connected and somebody has that name there, until the node ends.
pub fn report(node: &Node, events: &Events, (receiver, storage): (Receiver, Arc<dyn Storage>)) {
    let (node_of_it, events) = (node.clone(), events.clone());
    node.spawn(("Elixir.Otturnaut.Events.Reporter", "run", 2), move |this| async move {
        let told = storage.read_told().await.unwrap_or_default().unwrap_or(0);
        let reporter = Reporter { node: node_of_it.clone(), events, receiver, storage, this, told };
        tokio::select! {
            () = reporter.run() => {}
            () = node_of_it.closing() => {}
        }
        atom("normal")
    });
}

struct Reporter {
    node: Node,
    events: Events,
    receiver: Receiver,
    storage: Arc<dyn Storage>,
    this: Pid,
    /// The last event that Mission Control has.
    told: u64,
}

impl Reporter {
    async fn run(mut self) {
        // Another data directory may have been put in place.
        self.told = self.told.min(self.events.last());
        loop {
            let connection = self.node.connection(&self.receiver.node).await;
            let (version, node) = (env!("CARGO_PKG_VERSION").to_owned(), self.receiver.node.to_string());
            let what = What::OutpostUp { version, mission_control: Some(node), boot: crate::host::boot_id() };
            self.events.publish(About::outpost(), what);
            self.while_connected(&connection).await;
        }
    }

    async fn while_connected(&mut self, connection: &Connection) {
        loop {
            if let Some(process) = connection.find(&self.this, &self.receiver.process).await {
                self.tell(process).await;
            }
            tokio::select! {
                () = connection.closed() => return,
                () = tokio::time::sleep(limits::EVENTS_TAKER_LOOK) => {}
            }
        }
    }

    /// Tells a process until it is gone.
    async fn tell(&mut self, mut process: Named) {
        loop {
            let mut events = tokio::select! {
                events = self.events.next(self.told) => events,
                () = process.gone() => return,
            };
            events.truncate(limits::EVENTS_DELIVERED);
            let Some(last) = events.last().map(|event| event.seq) else { continue };
            let messages: Vec<_> = events.iter().map(|event| message(&self.node, event)).collect();
            if process.deliver(messages).await.is_err() {
                // Those that may have come are sent again, under the same numbers.
                return;
            }
            self.told = last;
            if let Err(error) = self.storage.write_told(last).await {
                tracing::debug!(%error, "how far Mission Control was told is not kept");
            }
        }
    }
}
