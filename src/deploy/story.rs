//! A run as its events tell it.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::runs::RunKind;
use crate::watch::{About, Events, What};

/// Tells the events of one run, and keeps what its last one says.
pub(super) struct Story {
    events: Events,
    about: About,
    kind: RunKind,
    began: Instant,
    /// The step that it is at, and since when.
    step: Option<(&'static str, Instant)>,
    steps_ms: BTreeMap<String, u64>,
    /// What the step that failed saw.
    why: Option<String>,
}

impl Story {
    /// One that begins now.
    pub(super) fn new(events: &Events, about: About, kind: RunKind) -> Self {
        let (events, steps_ms) = (events.clone(), BTreeMap::new());
        Self { events, about, kind, began: Instant::now(), step: None, steps_ms, why: None }
    }

    /// The run has its turn.
    pub(super) fn started(&mut self, image: Option<&str>) {
        self.began = Instant::now();
        self.step = None;
        self.steps_ms.clear();
        self.publish(What::DeploymentStarted { kind: self.kind.name().to_owned(), image: image.map(str::to_owned) });
    }

    /// A step begins, or tells how it fares.
    pub(super) fn step(&mut self, step: &'static str, message: &str) {
        if self.step.is_none_or(|(current, _)| current != step) {
            self.end_step();
            self.step = Some((step, Instant::now()));
        }
        self.publish(What::DeploymentStep { step: step.to_owned(), message: message.to_owned() });
    }

    /// What the step saw that fails now.
    pub(super) fn why(&mut self, why: &str) {
        self.why = Some(why.to_owned());
    }

    /// It did what it was to do; `left` could not be removed.
    pub(super) fn completed(&mut self, port: Option<u16>, left: &[String]) {
        self.end_step();
        let (kind, left) = (self.kind.name().to_owned(), left.to_vec());
        let (duration_ms, steps_ms) = (milliseconds(self.began.elapsed()), std::mem::take(&mut self.steps_ms));
        self.publish(What::DeploymentCompleted { kind, port, duration_ms, steps_ms, left });
    }

    /// It failed; `stuck` could not be undone.
    pub(super) fn failed(&mut self, reason: String, stuck: &[String]) {
        let step = self.step.map(|(step, _)| step.to_owned());
        self.end_step();
        let (kind, stuck, why) = (self.kind.name().to_owned(), stuck.to_vec(), self.why.take());
        let (duration_ms, steps_ms) = (milliseconds(self.began.elapsed()), std::mem::take(&mut self.steps_ms));
        self.publish(What::DeploymentFailed { kind, step, reason, why, duration_ms, steps_ms, stuck });
    }

    fn end_step(&mut self) {
        if let Some((step, since)) = self.step.take() {
            *self.steps_ms.entry(step.to_owned()).or_default() += milliseconds(since.elapsed());
        }
    }

    fn publish(&self, what: What) {
        self.events.publish(self.about.clone(), what);
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
