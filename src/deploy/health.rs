//! What a new version must show before it gets requests, as the caller says it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Deployment;
use crate::limits;
use crate::watch::{Check, ContainerPlace, ExpectedStatus, OnUnhealthy, Watched};

/// When a new version counts as healthy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthPolicy {
    /// What to ask. An application with domains must answer HTTP whatever else is asked.
    pub probe: Option<HealthProbe>,
    /// Longest time between two questions; the first follow one another faster.
    pub interval: Duration,
    /// Time for it all.
    pub deadline: Duration,
    /// How long it must stay well, if at all.
    pub healthy_for: Option<Duration>,
    /// What is done later, when it runs and is not well.
    #[serde(default)]
    pub on_unhealthy: OnUnhealthy,
}

impl Default for HealthPolicy {
    fn default() -> Self {
        let (interval, deadline) = (limits::HEALTH_INTERVAL, limits::HEALTH_DEADLINE);
        Self { probe: None, interval, deadline, healthy_for: None, on_unhealthy: OnUnhealthy::Report }
    }
}

/// What to ask a new version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HealthProbe {
    /// Nothing; its container is to keep running.
    Running,
    /// A `GET` on its port.
    Http {
        /// Path and query, `/` if none is given.
        path: Option<String>,
        /// The `Host` header.
        host: Option<String>,
        /// Which statuses are right.
        expected: ExpectedStatus,
        /// Time for one answer, 5 s if none is given.
        timeout: Option<Duration>,
    },
    /// A connection to its port.
    Tcp {
        /// Time for one connection, 5 s if none is given.
        timeout: Option<Duration>,
    },
    /// A command in its container that is to succeed.
    Command {
        /// The program and its arguments.
        command: Vec<String>,
        /// Time for it, 5 s if none is given.
        timeout: Option<Duration>,
    },
    /// The image's own health check.
    Engine,
}

impl HealthPolicy {
    /// What is watched of a version that runs: what was asked of it when it came, or whether it runs.
    pub(super) fn watched(&self, deployment: &Deployment) -> Watched {
        let container = super::container_name(&deployment.app_id, &deployment.id);
        let probe = self.probe.as_ref().unwrap_or(&HealthProbe::Running);
        Watched {
            deployment_id: Some(deployment.id.clone()),
            checks: vec![probe.check(deployment, &container, deployment.port.unwrap_or_default())],
            container: Some(ContainerPlace { runtime: deployment.runtime.clone(), name: container }),
            interval: self.interval.max(limits::MONITOR_INTERVAL),
            on_unhealthy: self.on_unhealthy,
        }
    }
}

impl HealthProbe {
    /// What is asked of a version of `deployment` in that container, with that port.
    pub(super) fn check(&self, deployment: &Deployment, container: &str, port: u16) -> Check {
        let (runtime, name) = (deployment.runtime.clone(), container.to_owned());
        // The name that requests come with, where it is one.
        let domain = deployment.domains.first().filter(|domain| !domain.contains('*'));
        let or_usual = |timeout: &Option<Duration>| timeout.unwrap_or(limits::PROBE);
        match self {
            Self::Running => Check::Running { runtime, name },
            Self::Tcp { timeout } => Check::Tcp { host: "127.0.0.1".to_owned(), port, timeout: or_usual(timeout) },
            Self::Http { path, host, expected, timeout } => {
                let path = path.as_deref().unwrap_or("/");
                let slash = if path.starts_with('/') { "" } else { "/" };
                Check::Http {
                    url: format!("http://127.0.0.1:{port}{slash}{path}"),
                    host: host.clone().or_else(|| domain.cloned()),
                    expected: expected.clone(),
                    timeout: or_usual(timeout),
                }
            }
            Self::Command { command, timeout } => {
                Check::Command { runtime, name, command: command.clone(), timeout: or_usual(timeout) }
            }
            Self::Engine => Check::Engine { runtime, name },
        }
    }
}
