//! A run as its events and the log tell it.

use std::collections::BTreeMap;

use tokio::time::Instant;

use super::runs::RunKind;
use crate::elapsed::{self, millis};
use crate::watch::{About, Events, What};

/// Tells the events of one run and its lines in the log, and keeps what the last of them say.
pub(super) struct Story {
    events: Events,
    about: About,
    kind: RunKind,
    began: Instant,
    /// The step that it is at, and since when.
    step: Option<(&'static str, Instant)>,
    /// How long each step took, in their order.
    steps_ms: Vec<(&'static str, u64)>,
    /// The steps that are undone, those that were begun last before the others.
    undone: Vec<&'static str>,
    /// What the step that failed saw.
    why: Option<String>,
}

impl Story {
    /// One that begins now.
    pub(super) fn new(events: &Events, about: About, kind: RunKind) -> Self {
        let (events, began) = (events.clone(), Instant::now());
        Self { events, about, kind, began, step: None, steps_ms: Vec::new(), undone: Vec::new(), why: None }
    }

    /// The run has its turn; `image` is what it is to start, `source` where that comes from.
    pub(super) fn started(&mut self, image: Option<&str>, source: Option<&str>) {
        let (app_id, deployment_id) = (self.about.app_id.as_deref(), self.about.deployment_id.as_deref());
        let named = image.filter(|image| !image.is_empty());
        tracing::info!(app_id, deployment_id, image = named, source, "{} began", self.kind.name());
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

    /// The new version has the requests.
    pub(super) fn switched(&self, port: Option<u16>) {
        let (app_id, deployment_id) = (self.about.app_id.as_deref(), self.about.deployment_id.as_deref());
        let after_ms = millis(self.began.elapsed());
        tracing::info!(app_id, deployment_id, port, after_ms, "{} switched", self.kind.name());
    }

    /// These steps are undone now, in this order. Of a run that began here those count that were told: others had nothing to do.
    pub(super) fn undoing(&mut self, mut steps: Vec<&'static str>) {
        if let Some((current, _)) = self.step {
            steps.retain(|step| *step == current || self.steps_ms.iter().any(|(told, _)| told == step));
        }
        self.undone = steps;
    }

    /// It did what it was to do; `left` could not be removed.
    pub(super) fn completed(&mut self, port: Option<u16>, left: &[String]) {
        self.end_step();
        let (kind, left) = (self.kind.name().to_owned(), left.to_vec());
        let (app_id, deployment_id) = (self.about.app_id.as_deref(), self.about.deployment_id.as_deref());
        let (duration_ms, steps, behind) = (millis(self.began.elapsed()), self.steps(), listed(&left));
        tracing::info!(app_id, deployment_id, port, duration_ms, steps, left = behind, "{kind} completed");
        let steps_ms = self.take_steps();
        self.publish(What::DeploymentCompleted { kind, port, duration_ms, steps_ms, left });
    }

    /// It failed; `stuck` could not be undone.
    pub(super) fn failed(&mut self, reason: String, stuck: &[String]) {
        let step = self.step.map(|(step, _)| step.to_owned());
        self.end_step();
        let (kind, stuck, why) = (self.kind.name().to_owned(), stuck.to_vec(), self.why.take());
        let (app_id, deployment_id) = (self.about.app_id.as_deref(), self.about.deployment_id.as_deref());
        let (duration_ms, steps) = (millis(self.began.elapsed()), self.steps());
        let undone: Vec<&str> = self.undone.iter().copied().filter(|step| !is_stuck(step, &stuck)).collect();
        tracing::warn!(
            app_id,
            deployment_id,
            step,
            error = reason,
            undone = listed(&undone),
            stuck = listed(&stuck),
            duration_ms,
            steps,
            "{kind} failed"
        );
        let steps_ms = self.take_steps();
        self.publish(What::DeploymentFailed { kind, step, reason, why, duration_ms, steps_ms, stuck });
    }

    fn end_step(&mut self) {
        if let Some((step, since)) = self.step.take() {
            let took = millis(since.elapsed());
            match self.steps_ms.iter_mut().find(|(known, _)| *known == step) {
                Some((_, ms)) => *ms += took,
                None => self.steps_ms.push((step, took)),
            }
        }
    }

    /// The steps that took any time, for people.
    fn steps(&self) -> Option<String> {
        let long = self.steps_ms.iter().filter(|(_, ms)| *ms > 0);
        let long: Vec<String> = long.map(|(step, ms)| format!("{step} {}", elapsed::shown(*ms))).collect();
        listed(&long)
    }

    fn take_steps(&mut self) -> BTreeMap<String, u64> {
        std::mem::take(&mut self.steps_ms).into_iter().map(|(step, ms)| (step.to_owned(), ms)).collect()
    }

    fn publish(&self, what: What) {
        self.events.publish(self.about.clone(), what);
    }
}

/// Nothing where there is nothing.
fn listed<T: AsRef<str>>(parts: &[T]) -> Option<String> {
    let parts: Vec<&str> = parts.iter().map(AsRef::as_ref).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn is_stuck(step: &str, stuck: &[String]) -> bool {
    stuck.iter().any(|stuck| stuck.split(' ').next() == Some(step))
}
