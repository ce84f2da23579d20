//! When which application is looked at.

use std::sync::Arc;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::Monitor;
use super::entry::Watched;
use crate::limits;

/// What is looked at now.
pub(super) struct Due {
    pub(super) app_id: String,
    pub(super) watched: Arc<Watched>,
    /// Exits since the last look.
    pub(super) exits: Vec<Option<i64>>,
}

impl Monitor {
    /// Looks at applications as they are due, until the end.
    pub async fn run(&self, stop: CancellationToken) {
        let mut under_way = FuturesUnordered::new();
        loop {
            let room = limits::MONITOR_CHECKS.saturating_sub(under_way.len());
            let (due, next) = self.due(room);
            under_way.extend(due.into_iter().map(|due| self.look(due)));
            tokio::select! {
                () = stop.cancelled() => return,
                Some(()) = under_way.next() => {}
                () = sleep_until(next) => {}
                () = self.0.wake.notified() => {}
            }
        }
    }

    /// At most so many that are due, marked as looked at, and when the next one is due.
    fn due(&self, room: usize) -> (Vec<Due>, Instant) {
        let now = Instant::now();
        let mut next = now + limits::MONITOR_PAUSE;
        let mut due = Vec::new();
        for (app_id, entry) in self.lock().iter_mut().filter(|(_, entry)| !entry.busy) {
            if entry.due > now {
                next = next.min(entry.due);
            } else if due.len() < room {
                entry.busy = true;
                let (watched, exits) = (entry.watched.clone(), std::mem::take(&mut entry.exits));
                due.push(Due { app_id: app_id.clone(), watched, exits });
            }
        }
        (due, next)
    }
}
