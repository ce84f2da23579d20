//! Why a deploy or an undeploy came to nothing.

use crate::apps::{Exhausted, InvalidName, StateFull};
use crate::host::{ProxyError, RuntimeError};
use crate::watch::NotReady;

/// Why a deploy failed.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// A name in it is not valid: the caller's mistake, nothing was done.
    #[error("the deployment is not valid")]
    Invalid(#[source] InvalidName),
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
    /// There is no room for the application's state.
    #[error("the state could not be kept")]
    State(#[source] StateFull),
    /// It was cancelled; what it had done is undone.
    #[error("the deploy was cancelled")]
    Cancelled,
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
