//! What became of the runs of this agent since its start, counted from their events: no run waits for it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::limits;
use crate::watch::{Event, Events, What};

/// Ends of the classes of durations, in seconds: from a step that only notes something to a build's pull.
pub const CLASSES: [f64; 12] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0];

/// Durations by their classes.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Histogram {
    /// How many were within each class of [`CLASSES`], and how many took longer than all of them.
    pub classes: [u64; CLASSES.len() + 1],
    /// Seconds of them all.
    pub sum: f64,
}

impl Histogram {
    fn add(&mut self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let class = CLASSES.iter().position(|end| seconds <= *end).unwrap_or(CLASSES.len());
        if let Some(count) = self.classes.get_mut(class) {
            *count += 1;
        }
        self.sum += seconds;
    }

    /// How many.
    pub fn count(&self) -> u64 {
        self.classes.iter().sum()
    }
}

/// What was counted.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Counts {
    /// How long runs took, by their kind and whether they completed.
    pub runs: BTreeMap<(String, bool), Histogram>,
    /// How long their steps took, by kind and step.
    pub steps: BTreeMap<(String, String), Histogram>,
    /// Exits of applications that nobody asked for.
    pub exits: u64,
    /// Routes that were put back.
    pub routes_restored: u64,
    /// Events that were not kept long enough to be counted.
    pub lost: u64,
}

/// Counts since the start. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Tally(Arc<Mutex<Counts>>);

impl Tally {
    /// What was counted so far.
    pub fn counts(&self) -> Counts {
        self.lock().clone()
    }

    /// Counts events as they come, until the end.
    pub async fn follow(&self, events: Events, stop: CancellationToken) {
        let mut last = events.last();
        while let Some(new) = stop.run_until_cancelled(events.next(last)).await {
            for event in &new {
                self.count(event);
            }
            last = new.last().map_or(last, |event| event.seq);
        }
    }

    fn count(&self, event: &Event) {
        let mut counts = self.lock();
        match &event.what {
            What::DeploymentCompleted { kind, duration_ms, steps_ms, .. } => {
                counts.run(kind, (true, *duration_ms), steps_ms);
            }
            What::DeploymentFailed { kind, duration_ms, steps_ms, .. } => {
                counts.run(kind, (false, *duration_ms), steps_ms);
            }
            What::AppExited { .. } => counts.exits += 1,
            What::RouteRestored { routes } => counts.routes_restored += routes.len() as u64,
            What::EventsLost { count } => counts.lost += count,
            _ => {}
        }
    }

    /// Nothing panics under the lock: what a poisoned one holds is whole.
    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    fn run(&mut self, kind: &str, (completed, milliseconds): (bool, u64), steps: &BTreeMap<String, u64>) {
        self.runs.entry((kind.to_owned(), completed)).or_default().add(Duration::from_millis(milliseconds));
        for (step, milliseconds) in steps {
            let key = (kind.to_owned(), step.clone());
            if self.steps.len() < limits::COUNTED_STEPS || self.steps.contains_key(&key) {
                self.steps.entry(key).or_default().add(Duration::from_millis(*milliseconds));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;
    use crate::host::storage::DataStorage;
    use crate::watch::About;

    fn completed(milliseconds: u64) -> What {
        What::DeploymentCompleted {
            kind: "deploy".to_owned(),
            port: None,
            duration_ms: milliseconds,
            steps_ms: [("health_check".to_owned(), milliseconds)].into(),
            left: vec![],
        }
    }

    #[tokio::test]
    async fn runs_are_counted_as_their_events_come() {
        let events = Events::new(Arc::new(DataStorage::new(Path::new("/nowhere\0"))));
        let (stop, tally) = (CancellationToken::new(), Tally::default());
        let happen = async {
            events.publish(About::app("shop", None), completed(20));
            events.publish(About::app("shop", None), completed(70_000));
            let restored = ["a", "b"].map(str::to_owned).into();
            events.publish(About::outpost(), What::RouteRestored { routes: restored });
            while tally.counts().routes_restored < 2 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            stop.cancel();
        };
        // Who counts is there before anything happens.
        let all = async { tokio::join!(events.run(stop.clone()), tally.follow(events.clone(), stop.clone()), happen) };
        tokio::time::timeout(Duration::from_secs(20), all).await.unwrap();
        let counts = tally.counts();
        let runs = counts.runs[&("deploy".to_owned(), true)];
        assert_eq!((runs.count(), runs.classes[1], runs.classes[11]), (2, 1, 1));
        assert!((runs.sum - 70.02).abs() < 1e-9);
        assert_eq!(counts.steps[&("deploy".to_owned(), "health_check".to_owned())].count(), 2);
    }

    proptest! {
        #[test]
        fn each_duration_is_in_one_class(durations in proptest::collection::vec(0_u64..1_000_000, 0..50)) {
            let mut histogram = Histogram::default();
            for ms in &durations {
                histogram.add(Duration::from_millis(*ms));
            }
            prop_assert_eq!(histogram.count(), durations.len() as u64);
            let short = durations.iter().filter(|ms| **ms <= 10).count() as u64;
            prop_assert_eq!(histogram.classes[0], short);
        }
    }
}
