//! What a run tells while it runs.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::SendTimeoutError;

use super::runs::{Place, RunKind, RunState};
use super::story::Story;
use crate::host::Batch;
use crate::limits;
use crate::watch::{About, Events};

/// A step of a deploy, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum DeployStep {
    /// It waits for the runs of its application that came before; told only where there are some.
    #[default]
    Queued,
    /// A repository is cloned or an archive fetched; told only where there is one.
    FetchSource,
    /// The image is built, pulled or loaded; told only where the deployment says where it comes from.
    ObtainImage,
    /// A port of this machine is chosen.
    AllocatePort,
    /// The release command runs once in the new image; told only where there is one.
    ReleaseCommand,
    /// The new container is started.
    StartContainer,
    /// The new container is asked until it answers.
    HealthCheck,
    /// Requests go to the new container. From here on a deploy only goes forward.
    SwitchRoute,
    /// The old container is stopped and removed; with the Recreate strategy it is stopped before the new one starts.
    StopOld,
    /// The old container's port is given back.
    ReleasePort,
}

/// A step of an undeploy, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UndeployStep {
    /// It waits for the runs of its application that came before; told only where there are some.
    Queued,
    /// What is there is looked up, and no new request goes to it any more.
    RetrieveState,
    /// Its containers are stopped.
    StopContainer,
    /// Its containers are removed.
    RemoveContainer,
    /// Its route is gone.
    RemoveRoutes,
    /// Its port is given back.
    ReleasePort,
    /// Its state is forgotten.
    ClearState,
}

/// A step begins, or the step that began last failed and the message tells why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress<S> {
    /// Its number in this run, from 1.
    pub seq: u64,
    /// The application.
    pub app_id: String,
    /// The deployment, where one is known.
    pub deployment_id: Option<String>,
    /// The step.
    pub step: S,
    /// For a person.
    pub message: String,
    /// What the engine wrote meanwhile. Then nothing else is told.
    pub output: Batch,
}

/// A step that can be named.
pub trait Named: Copy + std::fmt::Debug + Send {
    /// Its name, as Mission Control knows it.
    fn name(self) -> &'static str;
}

impl Named for DeployStep {
    fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::FetchSource => "fetch_source",
            Self::ObtainImage => "obtain_image",
            Self::AllocatePort => "allocate_port",
            Self::ReleaseCommand => "release_command",
            Self::StartContainer => "start_container",
            Self::HealthCheck => "health_check",
            Self::SwitchRoute => "switch_route",
            Self::StopOld => "stop_old",
            Self::ReleasePort => "release_port",
        }
    }
}

impl Named for UndeployStep {
    fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::RetrieveState => "retrieve_state",
            Self::StopContainer => "stop_container",
            Self::RemoveContainer => "remove_container",
            Self::RemoveRoutes => "remove_routes",
            Self::ReleasePort => "release_port",
            Self::ClearState => "clear_state",
        }
    }
}

/// Tells a subscriber, and never waits long for it.
pub(super) struct Reporter<S> {
    app_id: String,
    deployment_id: Option<String>,
    subscriber: Option<mpsc::Sender<Progress<S>>>,
    told: u64,
    slow: bool,
    /// The same as events.
    pub(super) story: Story,
    /// Where the run stands among the others.
    place: Option<Arc<Place>>,
}

impl<S: Named> Reporter<S> {
    /// Reports of a run, by events and to `subscriber`, if there is one.
    pub(super) fn new(
        events: &Events,
        (kind, app_id, deployment_id): (RunKind, &str, Option<&str>),
        subscriber: Option<mpsc::Sender<Progress<S>>>,
    ) -> Self {
        let story = Story::new(events, About::app(app_id, deployment_id), kind);
        let (app_id, deployment_id) = (app_id.to_owned(), deployment_id.map(str::to_owned));
        Self { app_id, deployment_id, subscriber, told: 0, slow: false, story, place: None }
    }

    /// Reports that show in the list of runs as well.
    pub(super) fn shown_at(self, place: Arc<Place>) -> Self {
        Self { place: Some(place), ..self }
    }

    /// Nobody but the events hears any more.
    pub(super) fn silent(self) -> Self {
        Self { subscriber: None, place: None, ..self }
    }

    /// Says how far the run is.
    pub(super) fn state(&self, state: RunState) {
        if let Some(place) = &self.place {
            place.state(state);
        }
    }

    /// Hands on what an engine writes. A subscriber that is slow slows the engine, as long as it takes anything at all.
    pub(super) async fn output(&mut self, output: Batch)
    where
        S: Default,
    {
        let Some(subscriber) = self.subscriber.as_ref().filter(|_| !self.slow) else { return };
        let (app_id, deployment_id) = (self.app_id.clone(), self.deployment_id.clone());
        let (seq, step, message) = (self.told, S::default(), String::new());
        let progress = Progress { seq, app_id, deployment_id, step, message, output };
        match subscriber.send_timeout(progress, limits::OUTPUT_WAIT).await {
            Ok(()) => {}
            Err(SendTimeoutError::Timeout(_)) => self.slow = true,
            Err(SendTimeoutError::Closed(_)) => self.subscriber = None,
        }
    }

    /// Tells that a step begins, or how it fares.
    pub(super) async fn tell(&mut self, step: S, message: impl Into<String>) {
        let message = message.into();
        self.told += 1;
        if let Some(place) = &self.place {
            place.step(step.name());
        }
        self.story.step(step.name(), &message);
        tracing::debug!(app_id = self.app_id, deployment_id = self.deployment_id, step = step.name(), "{message}");
        let Some(subscriber) = &self.subscriber else { return };
        let (app_id, deployment_id) = (self.app_id.clone(), self.deployment_id.clone());
        let progress = Progress { seq: self.told, app_id, deployment_id, step, message, output: Batch::new() };
        if self.slow {
            // It had its chance: what does not fit is dropped, and the gap shows in `seq`.
            self.slow = subscriber.try_send(progress).is_err();
            return;
        }
        match subscriber.send_timeout(progress, limits::PROGRESS_WAIT).await {
            Ok(()) => {}
            Err(SendTimeoutError::Timeout(_)) => self.slow = true,
            Err(SendTimeoutError::Closed(_)) => self.subscriber = None,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::deploy::testing::Machine;

    fn events() -> Events {
        Events::new(Machine::new().host().storage)
    }

    #[tokio::test(start_paused = true)]
    async fn a_subscriber_that_reads_nothing_costs_one_bounded_wait() {
        let (sender, mut receiver) = mpsc::channel(1);
        let mut reporter = Reporter::new(&events(), (RunKind::Deploy, "shop", None), Some(sender));
        let begin = Instant::now();
        for _ in 0..10 {
            reporter.tell(DeployStep::StopOld, "stopping").await;
        }
        assert!(begin.elapsed() < limits::PROGRESS_WAIT * 2, "{:?}", begin.elapsed());
        assert_eq!(receiver.try_recv().unwrap().seq, 1);
        reporter.tell(DeployStep::StopOld, "stopped").await;
        assert_eq!(receiver.try_recv().unwrap().seq, 11, "the gap shows");
    }

    #[tokio::test]
    async fn a_subscriber_that_is_gone_changes_nothing() {
        let (sender, receiver) = mpsc::channel(1);
        drop(receiver);
        let mut reporter = Reporter::new(&events(), (RunKind::Deploy, "shop", Some("1")), Some(sender));
        reporter.tell(DeployStep::StopOld, "stopping").await;
        reporter.tell(DeployStep::ReleasePort, "releasing").await;
    }
}
