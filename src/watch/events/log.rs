//! Events in their order: numbered, on disk, then shown.
//!
//! ```text
//! publish -> waiting -> run(): number, write to disk -> the newest in memory -> readers, each at its own pace
//! ```
//!
//! Who publishes waits for nothing. What readers see is on disk, so that a number is never used twice, whoever is killed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::event::{About, Event, What};
use crate::host::{Storage, read_records, write_record};
use crate::limits;

/// The events of this outpost. Clones share them.
#[derive(Clone)]
pub struct Events(Arc<Shared>);

struct Shared {
    storage: Arc<dyn Storage>,
    inside: Mutex<Inside>,
    /// There is something to write.
    wake: Notify,
    /// Number of the last event that readers may see.
    last: watch::Sender<u64>,
}

#[derive(Default)]
struct Inside {
    waiting: VecDeque<(Timestamp, About, What)>,
    /// How many could not wait any longer.
    lost: u64,
    /// The newest, with numbers that rise.
    kept: VecDeque<Arc<Event>>,
    last: u64,
    /// Whether the last write failed.
    failing: bool,
}

/// Events after that number are not kept any more, or never were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("events after {after} are not kept; those after {oldest} are")]
pub struct Gone {
    /// The number that was asked for.
    pub after: u64,
    /// The least that can be asked for.
    pub oldest: u64,
}

impl Events {
    /// Events of which nothing is known yet.
    pub fn new(storage: Arc<dyn Storage>) -> Self {
        let (last, _) = watch::channel(0);
        Self(Arc::new(Shared { storage, inside: Mutex::default(), wake: Notify::new(), last }))
    }

    /// Reads what is on disk, so that numbers go on. `boot` names this start of the machine.
    pub async fn open(&self, boot: &str) {
        let bytes = match self.0.storage.read_newest_events(limits::EVENTS_READ_AT_START).await {
            Ok(bytes) => bytes,
            Err(error) => {
                tracing::warn!(%error, "the events of before cannot be read");
                return;
            }
        };
        let (events, torn) = read_records::<Event>(&bytes);
        if torn > 0 {
            tracing::warn!(torn, whole = events.len(), "some events could not be read, the others are used");
        }
        let boots = events.iter().rev().find_map(|event| match &event.what {
            What::OutpostUp { boot, .. } => Some(boot.as_str()),
            _ => None,
        });
        // Where it was too long ago to be known, it may have been another start.
        let same = events.is_empty() || boots == Some(boot);
        let skipped = if !same { limits::EVENT_NUMBERS_SKIPPED } else { 0 };
        let mut inside = self.lock();
        inside.last = events.last().map_or(0, |event| event.seq + skipped);
        let newest = events.len().saturating_sub(limits::EVENTS_IN_MEMORY);
        inside.kept = events.into_iter().skip(newest).map(Arc::new).collect();
        self.0.last.send_replace(inside.last);
    }

    /// Takes an event up; never waits.
    pub fn publish(&self, about: About, what: What) {
        let mut inside = self.lock();
        if inside.waiting.len() >= limits::EVENTS_WAITING {
            inside.waiting.pop_front();
            inside.lost += 1;
        }
        inside.waiting.push_back((Timestamp::now(), about, what));
        drop(inside);
        self.0.wake.notify_one();
    }

    /// Writes events as they come, until the end; then those that wait.
    pub async fn run(&self, stop: CancellationToken) {
        while stop.run_until_cancelled(self.0.wake.notified()).await.is_some() {
            self.write().await;
        }
        self.write().await;
    }

    /// Numbers what waits, writes it, shows it.
    async fn write(&self) {
        let events = self.number();
        let Some(last) = events.last().map(|event| event.seq) else { return };
        let mut lines = Vec::new();
        for event in &events {
            write_record(event.as_ref(), &mut lines);
        }
        let written = self.0.storage.append_events(lines).await;
        let mut inside = self.lock();
        if let (Err(error), false) = (&written, inside.failing) {
            tracing::warn!(%error, "events cannot be written: after the agent's end they will be missing");
        }
        inside.failing = written.is_err();
        inside.kept.extend(events);
        let surplus = inside.kept.len().saturating_sub(limits::EVENTS_IN_MEMORY);
        inside.kept.drain(..surplus);
        drop(inside);
        self.0.last.send_replace(last);
    }

    fn number(&self) -> Vec<Arc<Event>> {
        let mut inside = self.lock();
        let lost = std::mem::take(&mut inside.lost);
        let lost = (lost > 0).then(|| (Timestamp::now(), About::outpost(), What::EventsLost { count: lost }));
        let waiting = std::mem::take(&mut inside.waiting);
        let all = lost.into_iter().chain(waiting);
        let numbered = all.map(|(at, About { app_id, deployment_id }, what)| {
            inside.last += 1;
            Arc::new(Event { seq: inside.last, at, app_id, deployment_id, what })
        });
        numbered.collect()
    }

    /// The number of the last event.
    pub fn last(&self) -> u64 {
        *self.0.last.borrow()
    }

    /// All events after that number, the oldest first.
    ///
    /// # Errors
    /// Some of them are gone, or it is a number that no event has had.
    pub async fn since(&self, after: u64) -> Result<Vec<Arc<Event>>, Gone> {
        let last = self.last();
        if after == last {
            return Ok(Vec::new());
        }
        if after < last
            && let Some(events) = self.in_memory(after)
        {
            return Ok(events);
        }
        let events = self.all().await;
        let oldest = events.first().map_or(last, |event| event.seq.saturating_sub(1));
        if after > last || after < oldest {
            return Err(Gone { after, oldest });
        }
        Ok(events.into_iter().filter(|event| event.seq > after).collect())
    }

    /// Waits for events after that number, which was one of theirs; gives some of them, the oldest first. What is gone is
    /// counted in their place.
    pub async fn next(&self, after: u64) -> Vec<Arc<Event>> {
        let mut last = self.0.last.subscribe();
        // The sender lives as long as these events.
        last.wait_for(|last| *last > after).await.map(drop).unwrap_or_default();
        match self.since(after).await {
            Ok(mut events) => {
                events.truncate(limits::EVENTS_BATCH);
                events
            }
            Err(Gone { after, oldest }) => {
                let what = What::EventsLost { count: oldest.saturating_sub(after) };
                vec![Arc::new(Event { seq: oldest, at: Timestamp::now(), app_id: None, deployment_id: None, what })]
            }
        }
    }

    /// Those after that number, if all of them are in memory.
    fn in_memory(&self, after: u64) -> Option<Vec<Arc<Event>>> {
        let inside = self.lock();
        let all = inside.kept.front().is_some_and(|oldest| oldest.seq <= after + 1);
        all.then(|| inside.kept.iter().filter(|event| event.seq > after).cloned().collect())
    }

    /// All that are kept.
    async fn all(&self) -> Vec<Arc<Event>> {
        let bytes = self.0.storage.read_events().await.unwrap_or_default();
        let on_disk: Vec<Event> = read_records(&bytes).0;
        let newest = on_disk.last().map_or(0, |event| event.seq);
        let inside = self.lock();
        let unwritten = inside.kept.iter().filter(|event| event.seq > newest).cloned();
        on_disk.into_iter().map(Arc::new).chain(unwritten).collect()
    }

    /// Nothing panics under the lock: what a poisoned one holds is whole.
    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.0.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::storage::DataStorage;

    fn events(dir: &tempfile::TempDir) -> Events {
        Events::new(Arc::new(DataStorage::new(dir.path())))
    }

    fn up(boot: &str) -> What {
        What::OutpostUp { version: "1".to_owned(), mission_control: None, boot: boot.to_owned() }
    }

    /// Publishes so many and writes them.
    async fn happen(events: &Events, count: usize) {
        for _ in 0..count {
            events.publish(About::app("shop", None), What::ProxyUp);
        }
        events.write().await;
    }

    fn numbers(events: &[Arc<Event>]) -> Vec<u64> {
        events.iter().map(|event| event.seq).collect()
    }

    #[tokio::test]
    async fn events_are_numbered_in_order_and_given_once() {
        let dir = tempfile::tempdir().unwrap();
        let events = events(&dir);
        events.open("boot").await;
        happen(&events, 3).await;
        assert_eq!(numbers(&events.since(0).await.unwrap()), [1, 2, 3]);
        assert_eq!(numbers(&events.next(1).await), [2, 3]);
        assert_eq!(events.since(3).await.unwrap(), []);
        assert_eq!(events.since(4).await.unwrap_err(), Gone { after: 4, oldest: 0 });
    }

    #[tokio::test]
    async fn numbers_go_on_after_a_death_and_leave_room_after_a_start_of_the_machine() {
        let dir = tempfile::tempdir().unwrap();
        let first = events(&dir);
        first.open("one").await;
        first.publish(About::outpost(), up("one"));
        first.write().await;
        drop(first);
        let second = events(&dir);
        second.open("one").await;
        assert_eq!(second.last(), 1);
        happen(&second, 1).await;
        drop(second);
        let third = events(&dir);
        third.open("two").await;
        happen(&third, 1).await;
        assert_eq!(numbers(&third.since(0).await.unwrap()), [1, 2, 3 + limits::EVENT_NUMBERS_SKIPPED]);
        assert_eq!(numbers(&third.since(2).await.unwrap()), [3 + limits::EVENT_NUMBERS_SKIPPED]);
    }

    #[tokio::test]
    async fn what_is_not_in_memory_any_more_comes_from_disk() {
        let dir = tempfile::tempdir().unwrap();
        let events = events(&dir);
        events.open("boot").await;
        let count = limits::EVENTS_IN_MEMORY * 2;
        happen(&events, count).await;
        assert_eq!(events.lock().kept.len(), limits::EVENTS_IN_MEMORY);
        assert_eq!(events.since(0).await.unwrap().len(), count);
        assert_eq!(numbers(&events.next(0).await).len(), limits::EVENTS_BATCH);
    }

    #[tokio::test]
    async fn what_is_gone_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        let events = events(&dir);
        events.open("boot").await;
        happen(&events, 10).await;
        std::fs::File::create(dir.path().join("events")).unwrap();
        let surplus = 5;
        events.lock().kept.drain(..surplus);
        assert_eq!(events.since(2).await.unwrap_err(), Gone { after: 2, oldest: 5 });
        let next = events.next(2).await;
        assert_eq!((next[0].seq, &next[0].what), (5, &What::EventsLost { count: 3 }));
        assert_eq!(numbers(&events.next(5).await), [6, 7, 8, 9, 10]);
    }

    #[tokio::test]
    async fn a_disk_that_fails_costs_no_event_that_is_in_memory() {
        let dir = tempfile::tempdir().unwrap();
        let events = Events::new(Arc::new(DataStorage::new(&dir.path().join("missing\0"))));
        events.open("boot").await;
        happen(&events, 2).await;
        assert_eq!(numbers(&events.since(0).await.unwrap()), [1, 2]);
    }

    #[tokio::test]
    async fn a_crowd_of_events_costs_bounded_memory_and_its_loss_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        let events = events(&dir);
        events.open("boot").await;
        happen(&events, limits::EVENTS_WAITING + 7).await;
        let all = events.since(0).await.unwrap();
        assert_eq!(all[0].what, What::EventsLost { count: 7 });
        assert_eq!(all.len(), limits::EVENTS_WAITING + 1);
    }

    #[tokio::test]
    async fn events_are_written_as_they_come_and_at_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let events = events(&dir);
        events.open("boot").await;
        let stop = CancellationToken::new();
        let happens = async {
            events.publish(About::outpost(), up("boot"));
            assert_eq!(numbers(&events.next(0).await), [1]);
            stop.cancel();
            events.publish(About::outpost(), What::ProxyUp);
        };
        tokio::join!(events.run(stop.clone()), happens);
        assert_eq!(events.last(), 2);
    }

    #[test]
    fn an_event_is_read_as_it_was_written() {
        let what = What::DeploymentFailed {
            kind: "deploy".to_owned(),
            step: Some("health_check".to_owned()),
            reason: "it is not ready".to_owned(),
            why: Some("answered 503".to_owned()),
            duration_ms: 7,
            steps_ms: [("health_check".to_owned(), 5)].into(),
            stuck: vec![],
        };
        let app_id = Some("shop".to_owned());
        let event = Event { seq: 7, at: Timestamp::UNIX_EPOCH, app_id, deployment_id: None, what };
        let mut line = Vec::new();
        write_record(&event, &mut line);
        assert_eq!(read_records::<Event>(&line), (vec![event], 0));
    }
}
