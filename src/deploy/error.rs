//! Why a deploy or an undeploy came to nothing.

use std::time::Duration;

use super::attributes::InvalidDeployment;
use super::journal::JournalError;
use super::origin::ObtainError;
use super::saga::Panicked;
use crate::apps::{Exhausted, InvalidName, StateFull};
use crate::host::{ProxyError, RuntimeError};
use crate::limits;
use crate::watch::NotReady;

/// Why a deploy failed.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// The caller's mistake, nothing was done.
    #[error("the deployment is not valid")]
    Invalid(#[source] InvalidDeployment),
    /// Its image was not had.
    #[error("the image of {app_id} could not be had")]
    Obtain {
        /// The application.
        app_id: String,
        /// Why.
        source: Box<ObtainError>,
    },
    /// No port is free.
    #[error("no port could be allocated")]
    PortAllocation(#[source] Exhausted),
    /// The new container did not start.
    #[error("the container {name} could not be started")]
    ContainerStart {
        /// The container.
        name: String,
        /// Why.
        source: RuntimeError,
    },
    /// The new container did not become healthy.
    #[error("the health check failed")]
    HealthCheckFailed(#[source] NotReady),
    /// Requests could not be led to the new container.
    #[error("the route {id} could not be switched")]
    RouteSwitch {
        /// The route.
        id: String,
        /// Why.
        source: ProxyError,
    },
    /// The release command did not end well.
    #[error("the release command {}", ended(*code))]
    ReleaseCommand {
        /// Its exit code; none if it did not end in time.
        code: Option<i64>,
        /// The last lines of its output.
        output: Vec<String>,
    },
    /// The old container did not stop, before the new one could start.
    #[error("the old container {name} could not be stopped")]
    StopOld {
        /// The container.
        name: String,
        /// Why.
        source: RuntimeError,
    },
    /// What the new version is started with could not be kept.
    #[error("the configuration could not be kept")]
    Save {
        /// Why.
        source: std::io::Error,
    },
    /// What it was about to do could not be put on record, so that it was not done.
    #[error("the journal could not be written")]
    Journal(#[source] JournalError),
    /// There is no room for the application's state.
    #[error("the state could not be kept")]
    State(#[source] StateFull),
    /// It was cancelled; what it had done is undone.
    #[error("the deploy was cancelled")]
    Cancelled,
    /// Its time was up; what it had done is undone.
    #[error("the deploy did not get to its switch within {within:?}")]
    DeadlineExceeded {
        /// The time that it had.
        within: Duration,
    },
    /// Too many wait for this application already.
    #[error("too many deploys of {app_id} wait already")]
    QueueFull {
        /// The application.
        app_id: String,
    },
    /// The agent is shutting down.
    #[error("the agent is shutting down and starts nothing new")]
    ShuttingDown,
    /// The run broke off by a fault of the agent's own.
    #[error("the run broke off by a fault of the agent")]
    Crashed,
}

impl DeployError {
    /// What a subscriber is told: the cause, since the step is known, with the last lines of output where there are some.
    pub(super) fn told(&self) -> String {
        match self {
            Self::ReleaseCommand { output, .. } if !output.is_empty() => {
                format!("{self}; its last output:\n{}", output.join("\n"))
            }
            // All of its causes: the last one has the engine's own words.
            Self::Obtain { source, .. } => super::execution::chain(source),
            _ => std::error::Error::source(self).map_or_else(|| self.to_string(), ToString::to_string),
        }
    }
}

impl From<Panicked> for DeployError {
    fn from(_: Panicked) -> Self {
        Self::Crashed
    }
}

/// How a command ended that did not end well.
fn ended(code: Option<i64>) -> String {
    match code {
        Some(code) => format!("exited with code {code}"),
        None => format!("did not end within {:?}", limits::RELEASE_COMMAND),
    }
}

/// Why an undeploy was not done at all; what fails within one is logged and does not stop it.
#[derive(Debug, thiserror::Error)]
pub enum UndeployError {
    /// The application's id is not valid: the caller's mistake.
    #[error("the application's id is not valid")]
    Invalid(#[source] InvalidName),
    /// It was cancelled while it waited for its turn.
    #[error("the undeploy was cancelled")]
    Cancelled,
    /// Too many wait for this application already.
    #[error("too many runs of {app_id} wait already")]
    QueueFull {
        /// The application.
        app_id: String,
    },
    /// The agent is shutting down.
    #[error("the agent is shutting down and starts nothing new")]
    ShuttingDown,
    /// The run broke off by a fault of the agent's own.
    #[error("the run broke off by a fault of the agent")]
    Crashed,
}
