//! The door of the room: runs deploys and undeploys, one an application at a time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::{DeployError, DeployStep, Deployment, HealthPolicy, Progress, UndeployError, UndeployStep};
use crate::apps::{AppState, PortManager};
use crate::host::{Host, RuntimeTarget};

/// What an engine works with.
#[derive(Clone)]
pub struct EngineSettings {
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
pub struct Engine(Arc<EngineSettings>);

impl Engine {
    /// An engine that has nothing under way.
    pub fn new(settings: EngineSettings) -> Self {
        Self(Arc::new(settings))
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
        progress: Option<mpsc::Sender<Progress<DeployStep>>>,
    ) -> Result<Deployed, Box<DeployFailure>> {
        let _ = (deployment, options, progress, &self.0);
        unimplemented!()
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
        let _ = (request, progress);
        unimplemented!()
    }

    /// Rebuilds the state from the containers of all present engines and removes what a torn deploy left. An engine that
    /// does not answer is asked again in the background.
    pub async fn recover(&self) {
        unimplemented!()
    }

    /// Starts nothing new, gives running deploys `grace` to end, then cancels them and waits a bounded time for their undo.
    pub async fn shutdown(&self, grace: Duration) {
        let _ = grace;
        unimplemented!()
    }
}
