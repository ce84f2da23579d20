//! What the steps of one deploy share.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::cancel::Cancel;
use super::engine::EngineSettings;
use super::journal::{Journal, Record, RunId};
use super::origin::ObtainError;
use super::progress::{DeployStep, Reporter};
use super::runs::RunState;
use super::saga::Shared;
use super::{DeployError, Deployment, HealthPolicy};
use crate::apps::{AppEntry, AppStatus, Labels};
use crate::build::{Build, WorkDir};
use crate::host::{ContainerSpec, Host, Route, Runtime, RuntimeTarget};

/// One deploy under way.
pub(super) struct Run {
    pub(super) id: RunId,
    pub(super) settings: EngineSettings,
    pub(super) journal: Journal,
    /// What is deployed; filled in as it becomes known.
    pub(super) deployment: Deployment,
    pub(super) health: HealthPolicy,
    /// Gets sources and builds images.
    pub(super) build: Build,
    /// What the image is made of, once it is here.
    pub(super) fetched: Option<Fetched>,
    /// The image to start, where it is not the deployment's own name for it.
    pub(super) image: Option<String>,
    /// Whether it puts an earlier release in place of the one that runs.
    pub(super) rollback: bool,
    /// Whether it goes on after a death: its environment is not known any more, only its document may have it.
    pub(super) torn: bool,
    pub(super) progress: Reporter<DeployStep>,
    pub(super) cancel: Cancel,
    pub(super) notes: Notes,
    /// What could not be removed after the switch.
    pub(super) leftovers: Vec<String>,
    /// Since when nobody answers, where the old version was stopped first.
    pub(super) down_since: Option<Instant>,
}

/// What an image is made of, in a directory that goes with it.
pub(super) enum Fetched {
    /// A source tree.
    Source(crate::build::Fetched),
    /// An archive.
    Archive { _dir: WorkDir, path: PathBuf },
}

/// What is recorded of a run: enough to undo it, or to go on after the switch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Notes {
    /// On the containers that this run starts, so that an undo never takes one of another run.
    pub(super) mark: String,
    /// The version before.
    pub(super) old: Option<OldVersion>,
    /// Names of images that may be here because of this run.
    #[serde(default)]
    pub(super) brought: Vec<String>,
    /// The port of the new one.
    pub(super) port: Option<u16>,
    /// Whether the release's document may be there because of this run.
    pub(super) saved: bool,
    /// Whether the container of the release command may be there.
    pub(super) task: bool,
    /// The new container.
    pub(super) container: NewContainer,
    /// Containers of the old version that may be stopped.
    pub(super) stopped: Vec<Place>,
    /// What was done to the route.
    pub(super) route: RouteChange,
}

/// The version before, as the state knew it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OldVersion {
    pub(super) deployment_id: Option<String>,
    pub(super) container_name: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) domains: Vec<String>,
    pub(super) runtime: Option<RuntimeTarget>,
    pub(super) running: bool,
}

/// How far the new container is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum NewContainer {
    /// There is none.
    #[default]
    None,
    /// It may be there under its name.
    Asked,
    /// It is there, with the engine's id.
    Started(String),
}

/// A container of an engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    pub(super) runtime: RuntimeTarget,
    pub(super) id: String,
    pub(super) name: String,
}

/// What a run did to the application's route.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RouteChange {
    /// Nothing.
    #[default]
    None,
    /// It may be the new one; this was there before.
    Switched(Option<Route>),
}

impl Run {
    /// The machine.
    pub(super) fn host(&self) -> &Host {
        &self.settings.host
    }

    /// The engine that it runs on.
    pub(super) fn runtime(&self) -> Arc<dyn Runtime> {
        self.host().runtimes.runtime(&self.deployment.runtime)
    }

    /// Its image was not had.
    pub(super) fn not_obtained(&self, source: ObtainError) -> DeployError {
        DeployError::Obtain { app_id: self.deployment.app_id.clone(), source: Box::new(source) }
    }

    /// The new container's port; asked for by the steps after the one that allocates it.
    pub(super) fn port(&self) -> u16 {
        self.notes.port.unwrap_or_default()
    }

    /// The new container's name.
    pub(super) fn container(&self) -> String {
        super::container_name(&self.deployment.app_id, &self.deployment.id)
    }

    /// The name of the container that runs the release command.
    pub(super) fn task_container(&self) -> String {
        format!("{}-release", self.container())
    }

    /// The labels of what this run starts.
    pub(super) fn labels(&self, task: bool) -> Labels {
        let deployment = &self.deployment;
        Labels {
            outpost: self.settings.outpost.clone(),
            app_id: deployment.app_id.clone(),
            deployment_id: deployment.id.clone(),
            domains: deployment.domains.clone(),
            container_port: deployment.container_port,
            run: Some(self.notes.mark.clone()),
            task,
        }
    }

    /// What all containers that it starts have in common.
    pub(super) fn spec(&self, task: bool) -> ContainerSpec {
        let deployment = &self.deployment;
        let mut labels = deployment.labels.clone();
        labels.extend(self.labels(task).write());
        ContainerSpec {
            image: self.image.clone().unwrap_or_else(|| deployment.image.clone()),
            env: deployment.env.clone(),
            labels,
            volumes: deployment.volumes.clone(),
            networks: deployment.networks.clone(),
            resources: deployment.resources,
            stop_timeout: Some(deployment.stop_timeout),
            ..ContainerSpec::default()
        }
    }

    /// Whether the version before had domains, as far as the state knew.
    pub(super) fn had_domains(&self) -> bool {
        self.notes.old.as_ref().is_some_and(|old| !old.domains.is_empty())
    }

    /// Notes what was left behind.
    pub(super) fn left(&mut self, what: String) {
        tracing::warn!(app_id = self.deployment.app_id, deployment_id = self.deployment.id, left = what, "left behind");
        self.leftovers.push(what);
    }

    /// Tells how the step that was begun last failed.
    pub(super) async fn failed(&mut self, step: DeployStep, why: impl std::fmt::Display) {
        let why = why.to_string();
        self.progress.story.why(&why);
        self.progress.tell(step, format!("Failed: {why}")).await;
    }
}

#[async_trait]
impl Shared<DeployError> for Run {
    fn broken_off(&self) -> Option<DeployError> {
        self.cancel.is_cancelled().then(|| self.cancel.error())
    }

    fn undoing(&mut self, mut steps: Vec<&'static str>) {
        steps.retain(|step| !touches_nothing(step));
        self.progress.story.undoing(steps);
        self.progress.state(RunState::Undoing);
    }

    async fn record(&mut self, step: &'static str) -> Result<(), DeployError> {
        let notes = Box::new(self.notes.clone());
        let record = Record::Step { run: self.id, step: step.to_owned(), notes };
        if touches_nothing(step) {
            self.journal.note(&record);
            return Ok(());
        }
        self.journal.append(&record).await.map_err(DeployError::Journal)
    }
}

/// Steps of which nothing is left when the process dies: their records need not be waited for.
fn touches_nothing(step: &str) -> bool {
    matches!(step, "mark_deploying" | "allocate_port" | "health_check")
}

impl OldVersion {
    /// What the state knows of it.
    pub(super) fn of(entry: &AppEntry) -> Self {
        Self {
            deployment_id: entry.deployment_id.clone(),
            container_name: entry.container_name.clone(),
            port: entry.port,
            domains: entry.domains.clone().unwrap_or_default(),
            runtime: entry.runtime.clone(),
            running: entry.status == Some(AppStatus::Running),
        }
    }
}
