//! The door of the room: runs deploys and undeploys, one an application at a time.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::blue_green;
use super::progress::Reporter;
use super::queue::{Queue, Ticket};
use super::recover::recover;
use super::run::{RouteChange, Run};
use super::saga::Failed;
use super::undeploy::Undeploy;
use super::{DeployError, DeployStep, Deployment, HealthPolicy, Progress, Status, UndeployError, UndeployStep};
use crate::apps::{AppState, PortManager, check_app_id};
use crate::host::{Host, RuntimeTarget};
use crate::limits;

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
}

/// How a deploy runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecuteOptions {
    /// When the new version counts as healthy.
    pub health: HealthPolicy,
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
}

/// Runs deploys and undeploys. Clones share it.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

/// What all runs share.
pub(super) struct Inner {
    pub(super) settings: EngineSettings,
    pub(super) queue: Queue,
    tasks: TaskTracker,
    /// Nothing new is begun.
    closing: CancellationToken,
    /// What runs is cancelled.
    cancelled: CancellationToken,
}

impl Engine {
    /// An engine that has nothing under way.
    pub fn new(settings: EngineSettings) -> Self {
        Self(Arc::new(Inner {
            settings,
            queue: Queue::default(),
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
            cancelled: CancellationToken::new(),
        }))
    }

    /// Runs a deploy to its end, after those of the same application that came before. Dropping the future cancels and
    /// undoes it; that `progress` is gone or slow changes nothing.
    ///
    /// # Errors
    /// It failed, and what it had done is undone.
    pub async fn execute(
        &self,
        mut deployment: Deployment,
        options: ExecuteOptions,
        progress: Option<mpsc::Sender<Progress<DeployStep>>>,
    ) -> Result<Deployed, Box<DeployFailure>> {
        deployment.status = Status::InProgress;
        deployment.started_at = Some(Timestamp::now());
        let ticket = match deployment.validate().map_err(DeployError::Invalid).and_then(|()| self.admit(&deployment)) {
            Ok(ticket) => ticket,
            Err(reason) => return Err(failure(reason, deployment, Vec::new())),
        };
        let cancel = self.0.cancelled.child_token();
        let _cancelled_with_the_caller = cancel.clone().drop_guard();
        let inner = Arc::clone(&self.0);
        let begun = deployment.clone();
        let run = Run {
            outpost: inner.settings.outpost.clone(),
            host: inner.settings.host.clone(),
            state: inner.settings.state.clone(),
            ports: inner.settings.ports.clone(),
            health: options.health,
            progress: Reporter::new(&deployment.app_id, Some(&deployment.id), progress),
            cancel,
            deployment,
            old: None,
            started: None,
            route: RouteChange::default(),
            old_ports: Vec::new(),
            leftovers: Vec::new(),
        };
        let task = self.0.tasks.spawn(async move { inner.deploy(run, ticket).await });
        match task.await {
            Ok(Ok(deployed)) => Ok(deployed),
            Ok(Err((reason, stuck))) => Err(failure(reason, begun, stuck)),
            Err(_) => Err(failure(DeployError::Crashed, begun, Vec::new())),
        }
    }

    /// Takes an application away: route, containers, port, state. What is missing is fine; what cannot be done is logged
    /// and does not stop the rest. Waits its turn as a deploy does. Dropping the future cancels it only while it waits.
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
        let cancel = self.0.cancelled.child_token();
        let _cancelled_with_the_caller = cancel.clone().drop_guard();
        let inner = Arc::clone(&self.0);
        let run = Undeploy {
            host: inner.settings.host.clone(),
            state: inner.settings.state.clone(),
            ports: inner.settings.ports.clone(),
            progress: Reporter::new(&request.app_id, request.deployment_id.as_deref(), progress),
            request,
        };
        let task = self.0.tasks.spawn(async move {
            match inner.turn(&ticket, &cancel).await {
                Ok(()) => {
                    run.run().await;
                    Ok(())
                }
                Err(NoTurn::Cancelled) => Err(UndeployError::Cancelled),
                Err(NoTurn::ShuttingDown) => Err(UndeployError::ShuttingDown),
            }
        });
        task.await.unwrap_or(Err(UndeployError::Crashed))
    }

    /// Rebuilds the state from the containers of all present engines and removes what a torn deploy left. An engine that
    /// does not answer is asked again in the background.
    pub async fn recover(&self) {
        if recover(&self.0).await {
            return;
        }
        let inner = Arc::clone(&self.0);
        self.0.tasks.spawn(async move {
            let closing = inner.closing.clone();
            closing.run_until_cancelled(inner.recover_patiently()).await;
        });
    }

    /// Starts nothing new, gives running deploys `grace` to end, then cancels them and waits a bounded time for their undo.
    pub async fn shutdown(&self, grace: Duration) {
        self.0.closing.cancel();
        self.0.tasks.close();
        if timeout(grace, self.0.tasks.wait()).await.is_ok() {
            return;
        }
        self.0.cancelled.cancel();
        if timeout(limits::UNDO, self.0.tasks.wait()).await.is_err() {
            tracing::error!(runs = self.0.tasks.len(), "runs did not end in time: recovery finds what they leave");
        }
    }

    fn admit(&self, deployment: &Deployment) -> Result<Ticket, DeployError> {
        if self.0.closing.is_cancelled() {
            return Err(DeployError::ShuttingDown);
        }
        let full = |_| DeployError::QueueFull { app_id: deployment.app_id.clone() };
        self.0.queue.enter(&deployment.app_id).map_err(full)
    }
}

/// Why a run did not begin.
enum NoTurn {
    Cancelled,
    ShuttingDown,
}

impl Inner {
    async fn turn(&self, ticket: &Ticket, cancel: &CancellationToken) -> Result<(), NoTurn> {
        tokio::select! {
            biased;
            () = cancel.cancelled() => Err(NoTurn::Cancelled),
            () = self.closing.cancelled() => Err(NoTurn::ShuttingDown),
            () = ticket.turn() => Ok(()),
        }
    }

    async fn deploy(&self, mut run: Run, ticket: Ticket) -> Result<Deployed, (DeployError, Vec<String>)> {
        match self.turn(&ticket, &run.cancel).await {
            Ok(()) => {}
            Err(NoTurn::Cancelled) => return Err((DeployError::Cancelled, Vec::new())),
            Err(NoTurn::ShuttingDown) => return Err((DeployError::ShuttingDown, Vec::new())),
        }
        let (app_id, deployment_id) = (run.deployment.app_id.clone(), run.deployment.id.clone());
        tracing::info!(app_id, deployment_id, image = run.deployment.image, "deploy begins");
        if let Err(Failed { error, stuck }) = blue_green::deploy(&mut run).await {
            let stuck: Vec<String> = stuck.iter().map(ToString::to_string).collect();
            tracing::warn!(app_id, deployment_id, error = chain(&error), ?stuck, "deploy failed");
            return Err((error, stuck));
        }
        let Run { mut deployment, leftovers, .. } = run;
        deployment.status = Status::Completed;
        deployment.completed_at = Some(Timestamp::now());
        tracing::info!(app_id, deployment_id, port = deployment.port, "deploy completed");
        Ok(Deployed { deployment, leftovers })
    }

    async fn recover_patiently(&self) {
        let (mut pause, longest) = limits::RECOVERY_PAUSES;
        loop {
            tokio::time::sleep(pause).await;
            if recover(self).await {
                break;
            }
            pause = (pause * 2).min(longest);
        }
    }
}

fn failure(reason: DeployError, mut deployment: Deployment, stuck: Vec<String>) -> Box<DeployFailure> {
    deployment.status = Status::Failed;
    deployment.completed_at = Some(Timestamp::now());
    Box::new(DeployFailure { reason, deployment, stuck })
}

/// An error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
