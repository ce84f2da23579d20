//! Who is told of events, and how far each was told.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Wanted;
use super::message::message;
use crate::limits;
use crate::node::Node;
use crate::term::{Pid, Term, atom};
use crate::watch::Events;

/// The subscriptions, one for each subscriber. Clones share them.
#[derive(Clone, Default)]
pub struct Subscriptions(Arc<Mutex<Vec<Subscription>>>);

struct Subscription {
    subscriber: Pid,
    /// The process that tells it.
    teller: Pid,
    /// The last event that it was told of, or that it did not want. Held by who tells it.
    told: Arc<tokio::sync::Mutex<u64>>,
}

impl Subscriptions {
    /// Tells a subscriber of all events from here on, or after `since`: a subscription of it before ends, and without `since`
    /// goes on where that one was. Gives the number after which its events begin; `None` if there are too many.
    pub(super) async fn begin(
        &self,
        (node, events): (&Node, &Events),
        subscriber: Pid,
        (since, wanted): (Option<u64>, Wanted),
    ) -> Option<u64> {
        let told = match self.end(node, &subscriber) {
            // It is free when its teller has ended.
            Some(told) => told,
            None => Arc::new(tokio::sync::Mutex::new(events.last())),
        };
        let after = {
            let mut told = told.lock().await;
            *told = since.unwrap_or(*told);
            *told
        };
        let mut all = self.all();
        all.retain(|other| node.is_alive(&other.teller));
        if all.len() >= limits::EVENT_SUBSCRIBERS {
            return None;
        }
        let teller = tell((node, events), (subscriber.clone(), wanted), told.clone());
        all.push(Subscription { subscriber, teller, told });
        Some(after)
    }

    /// Tells a subscriber no more; how far it was told, if it was one.
    pub(super) fn end(&self, node: &Node, subscriber: &Pid) -> Option<Arc<tokio::sync::Mutex<u64>>> {
        let mut all = self.all();
        let at = all.iter().position(|subscription| subscription.subscriber == *subscriber)?;
        let Subscription { teller, told, .. } = all.swap_remove(at);
        let lived = node.is_alive(&teller);
        node.exit_own(&teller, atom("shutdown"));
        lived.then_some(told)
    }

    /// Nothing panics under the lock: what a poisoned one holds is whole.
    fn all(&self) -> MutexGuard<'_, Vec<Subscription>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts the process that tells a subscriber, until that ends or its node is lost.
fn tell(
    (node, events): (&Node, &Events),
    (subscriber, wanted): (Pid, Wanted),
    told: Arc<tokio::sync::Mutex<u64>>,
) -> Pid {
    let (node_of_it, events) = (node.clone(), events.clone());
    node.spawn(("Elixir.Otturnaut.Events.Subscription", "run", 3), move |this| {
        let node = node_of_it;
        let ended = node.down(&this, &subscriber);
        async move {
            let telling = async {
                let mut told = told.lock().await;
                loop {
                    let events = events.next(*told).await;
                    let Some(last) = events.last().map(|event| event.seq) else { continue };
                    let wanted = events.iter().filter(|event| wanted.is(event));
                    let messages: Vec<Term> = wanted.map(|event| message(&node, event)).collect();
                    if !messages.is_empty() && node.send_all(&this, &subscriber, messages).await.is_err() {
                        break;
                    }
                    *told = last;
                }
            };
            tokio::select! {
                () = telling => {}
                _ = ended => {}
                () = node.closing() => {}
            }
            atom("normal")
        }
    })
}
