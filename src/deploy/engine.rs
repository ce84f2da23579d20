//! The door of the room: runs deploys and undeploys, one an application at a time.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use jiff::Timestamp;
use tokio::sync::mpsc;

use super::attributes::InvalidDeployment;
use super::cancel::Cancel;
use super::execution::Inner;
use super::garbage::{self, Item};
use super::plan::{self, Plan};
use super::progress::Reporter;
use super::queue::Ticket;
use super::recover::recover;
use super::releases::{self, Release, RollbackError};
use super::run::{Notes, Run};
use super::runs::{CancelError, RunInfo, RunKind, RunState};
use super::undeploy::Undeploy;
use super::{
    DeployError, DeployStep, Deployment, HealthPolicy, Progress, Status, UndeployError, UndeployStep, generate_id,
};
use crate::apps::{AppState, PortManager, check_app_id};
use crate::build::Build;
use crate::host::{Host, RuntimeError, RuntimeTarget};
use crate::limits;
use crate::watch::{Events, Monitor};

/// What an engine works with.
#[derive(Clone)]
pub struct EngineSettings {
    /// The agent's name: what it starts carries it, and after a start it takes up what carries it.
    pub outpost: String,
    /// The machine.
    pub host: Host,
    /// The applications.
    pub state: AppState,
    /// The ports.
    pub ports: PortManager,
    /// What happens is told there.
    pub events: Events,
    /// What runs is watched there.
    pub monitor: Monitor,
    /// Gets sources and builds images.
    pub build: Build,
}

/// How a deploy runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecuteOptions {
    /// When the new version counts as healthy.
    pub health: HealthPolicy,
    /// Time until its switch, waiting for its turn included.
    pub deadline: Duration,
}

impl Default for ExecuteOptions {
    fn default() -> Self {
        Self { health: HealthPolicy::default(), deadline: limits::DEPLOY }
    }
}

/// A deploy that completed.
#[derive(Debug)]
pub struct Deployed {
    /// With status `Completed` and all that became known.
    pub deployment: Deployment,
    /// What of the old version could not be removed, for a person.
    pub leftovers: Vec<String>,
}

/// A deploy that failed and is undone.
#[derive(Debug)]
pub struct DeployFailure {
    /// Why.
    pub reason: DeployError,
    /// As it came, with status `Failed` and its times.
    pub deployment: Deployment,
    /// What could not be undone, for a person.
    pub stuck: Vec<String>,
}

/// What to take away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndeployRequest {
    /// The application.
    pub app_id: String,
    /// The engine that the caller believes it on; all present ones are searched too.
    pub runtime: RuntimeTarget,
    /// The deployment that the caller named, for the progress.
    pub deployment_id: Option<String>,
    /// Whether deploys of it that are under way are cancelled; otherwise it waits for them.
    pub cancel: bool,
}

/// Runs deploys and undeploys. Clones share it.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

/// Where the progress of a deploy goes.
pub type DeployProgress = Option<mpsc::Sender<Progress<DeployStep>>>;

/// A deploy and how it is to run.
struct Asked {
    deployment: Deployment,
    options: ExecuteOptions,
    kind: RunKind,
    /// The image to start, where it is not the deployment's own name for it.
    image: Option<String>,
}

impl Engine {
    /// An engine that has nothing under way. Within a runtime: its journal is written in the background.
    pub fn new(settings: EngineSettings) -> Self {
        Self(Inner::new(settings))
    }

    /// Runs a deploy to its end, after those of the same application that came before. Dropping the future cancels and
    /// undoes it; that `progress` is gone or slow changes nothing.
    ///
    /// # Errors
    /// It failed, and what it had done is undone.
    pub async fn execute(
        &self,
        deployment: Deployment,
        options: ExecuteOptions,
        progress: DeployProgress,
    ) -> Result<Deployed, Box<DeployFailure>> {
        self.deploy(Asked { deployment, options, kind: RunKind::Deploy, image: None }, progress).await
    }

    /// Puts an earlier release in place of the one that runs: `to`, or the one before. As a deploy, once it is certain
    /// that its image and its configuration are here.
    ///
    /// # Errors
    /// There is no such release, or what it needs is gone; otherwise as for a deploy.
    pub async fn rollback(
        &self,
        app_id: &str,
        to: Option<&str>,
        progress: DeployProgress,
    ) -> Result<Result<Deployed, Box<DeployFailure>>, RollbackError> {
        let release = releases::choose(&self.0.journal, app_id, to)?;
        let image = releases::image(&self.0.settings.host, &release).await?;
        let loaded = releases::load(&self.0.settings.host, &release).await;
        let gone = || RollbackError::ConfigurationGone { deployment_id: release.deployment.id.clone() };
        let (deployment, health) = loaded.ok_or_else(gone)?;
        let options = ExecuteOptions { health, ..ExecuteOptions::default() };
        Ok(self.deploy(Asked { deployment, options, kind: RunKind::Rollback, image: Some(image) }, progress).await)
    }

    /// An application's releases that are kept, the one that runs last.
    pub fn releases(&self, app_id: &str) -> Vec<Release> {
        self.0.journal.releases(app_id)
    }

    /// The ids of the same.
    pub fn release_ids(&self, app_id: &str) -> Vec<String> {
        self.0.journal.release_ids(app_id)
    }

    /// What a deploy would do. Nothing is touched.
    ///
    /// # Errors
    /// It cannot be meant, or its runtime cannot do what it asks for.
    pub async fn plan(&self, deployment: &Deployment, options: &ExecuteOptions) -> Result<Plan, InvalidDeployment> {
        deployment.validate()?;
        Ok(plan::plan(&self.0, deployment, options).await)
    }

    /// All applications that have releases.
    pub fn apps(&self) -> Vec<String> {
        self.0.journal.apps()
    }

    /// What is kept of all releases and why; what is not, is removed unless it is only asked for.
    pub async fn prune(&self, dry_run: bool) -> Vec<Item> {
        let apps = self.0.journal.apps();
        if dry_run {
            return garbage::survey(&self.0.journal, &apps);
        }
        garbage::collect(&self.0.settings, &self.0.journal, &apps).await
    }

    /// What is under way, and what could not be undone yet.
    pub fn list(&self) -> Vec<RunInfo> {
        let mut runs = self.0.runs.list();
        runs.extend(super::stuck::list(&self.0.journal));
        runs
    }

    /// Breaks a deployment's run off and waits until it is undone.
    ///
    /// # Errors
    /// There is none, or its version has the requests already.
    pub async fn cancel(&self, deployment_id: &str) -> Result<(), CancelError> {
        let of_it = |run: &RunInfo| run.deployment_id.as_deref() == Some(deployment_id);
        self.0.runs.cancel(|run| of_it(run) && run.kind != RunKind::Undeploy).await
    }

    /// Takes an application away: route, containers, port, state, releases. What is missing is fine; what cannot be done is
    /// logged and does not stop the rest. Waits its turn as a deploy does. Dropping the future cancels it only while it
    /// waits.
    ///
    /// # Errors
    /// It was not begun.
    pub async fn undeploy(
        &self,
        request: UndeployRequest,
        progress: Option<mpsc::Sender<Progress<UndeployStep>>>,
    ) -> Result<(), UndeployError> {
        check_app_id(&request.app_id).map_err(UndeployError::Invalid)?;
        if self.0.closing.is_cancelled() {
            return Err(UndeployError::ShuttingDown);
        }
        let full = |_| UndeployError::QueueFull { app_id: request.app_id.clone() };
        let ticket = self.0.queue.enter(&request.app_id).map_err(full)?;
        if request.cancel {
            // Those that are past their switch are waited for.
            drop(self.0.runs.ask(|run| run.app_id == request.app_id && run.kind != RunKind::Undeploy));
        }
        let cancel = Cancel::child_of(&self.0.cancelled);
        let _cancelled_with_the_caller = cancel.guard();
        let id = self.0.journal.next_run();
        let info = info(&request.app_id, request.deployment_id.clone(), RunKind::Undeploy);
        let place = self.0.runs.enter(id, info, cancel.clone());
        let about = (RunKind::Undeploy, request.app_id.as_str(), request.deployment_id.as_deref());
        let reporter = Reporter::new(&self.0.settings.events, about, progress).shown_at(place);
        let run = Undeploy::new(id, &self.0, request, reporter);
        let inner = Arc::clone(&self.0);
        let task = self.0.tasks.spawn(async move { inner.undeploy(run, ticket, cancel).await }.boxed());
        task.await.unwrap_or(Err(UndeployError::Crashed))
    }

    /// Ends or undoes what a death tore, rebuilds the state from the journal and the containers of all present engines,
    /// and removes what nobody needs. An engine that does not answer is asked again in the background.
    pub async fn recover(&self) {
        if recover(&self.0).await {
            return;
        }
        let inner = Arc::clone(&self.0);
        self.0.tasks.spawn(
            async move {
                let closing = inner.closing.clone();
                closing.run_until_cancelled(inner.recover_patiently()).await;
            }
            .boxed(),
        );
    }

    /// Starts nothing new, gives running deploys `grace` to end, then cancels them and waits a bounded time for their undo.
    pub async fn shutdown(&self, grace: Duration) {
        self.0.shutdown(grace).await;
    }

    async fn deploy(&self, asked: Asked, progress: DeployProgress) -> Result<Deployed, Box<DeployFailure>> {
        let Asked { mut deployment, options, kind, image } = asked;
        deployment.status = Status::InProgress;
        deployment.started_at = Some(Timestamp::now());
        let ticket = match self.enter(&deployment).await {
            Ok(ticket) => ticket,
            Err(reason) => return Err(failure(reason, deployment, Vec::new())),
        };
        let cancel = Cancel::child_of(&self.0.cancelled);
        let _cancelled_with_the_caller = cancel.guard();
        let id = self.0.journal.next_run();
        let info = info(&deployment.app_id, Some(deployment.id.clone()), kind);
        let place = self.0.runs.enter(id, info, cancel.clone());
        let begun = deployment.clone();
        let about = (kind, deployment.app_id.as_str(), Some(deployment.id.as_str()));
        let reporter = Reporter::new(&self.0.settings.events, about, progress).shown_at(place);
        let run = Run {
            id,
            settings: self.0.settings.clone(),
            journal: self.0.journal.clone(),
            health: options.health,
            build: self.0.settings.build.clone(),
            fetched: None,
            image,
            rollback: kind == RunKind::Rollback,
            torn: false,
            progress: reporter,
            cancel,
            deployment,
            notes: Notes { mark: generate_id(), ..Notes::default() },
            leftovers: Vec::new(),
            down_since: None,
        };
        let inner = Arc::clone(&self.0);
        let task = self.0.tasks.spawn(async move { inner.deploy(run, ticket, options.deadline).await }.boxed());
        match task.await {
            Ok(Ok(deployed)) => Ok(deployed),
            Ok(Err((reason, stuck))) => Err(failure(reason, begun, stuck)),
            Err(_) => Err(failure(DeployError::Crashed, begun, Vec::new())),
        }
    }

    /// Takes its place in the queue, if it can be meant and its runtime can do it.
    async fn enter(&self, deployment: &Deployment) -> Result<Ticket, DeployError> {
        deployment.validate().map_err(DeployError::Invalid)?;
        let runtime = self.0.settings.host.runtimes.runtime(&deployment.runtime);
        // An engine that does not say is one that will not start it either.
        if let Err(source @ RuntimeError::Unsupported { .. }) = runtime.check(deployment.resources).await {
            let name = super::container_name(&deployment.app_id, &deployment.id);
            return Err(DeployError::ContainerStart { name, source });
        }
        if self.0.closing.is_cancelled() {
            return Err(DeployError::ShuttingDown);
        }
        let full = |_| DeployError::QueueFull { app_id: deployment.app_id.clone() };
        self.0.queue.enter(&deployment.app_id).map_err(full)
    }
}

fn info(app_id: &str, deployment_id: Option<String>, kind: RunKind) -> RunInfo {
    RunInfo {
        app_id: app_id.to_owned(),
        deployment_id,
        kind,
        state: RunState::Queued,
        step: None,
        since: Some(Timestamp::now()),
        stuck: Vec::new(),
    }
}

fn failure(reason: DeployError, mut deployment: Deployment, stuck: Vec<String>) -> Box<DeployFailure> {
    deployment.status = Status::Failed;
    deployment.completed_at = Some(Timestamp::now());
    Box::new(DeployFailure { reason, deployment, stuck })
}
