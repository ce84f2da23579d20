//! The deployment: one run of putting a version of an application in place.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;

use crate::apps::{InvalidName, check_app_id, check_deployment_id};
use crate::host::RuntimeTarget;
use crate::limits;
use crate::secret::Secret;
use crate::watch::ExpectedStatus;

/// Where a deployment is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// Not begun.
    Pending,
    /// Its steps run.
    InProgress,
    /// Its version runs.
    Completed,
    /// It ended in an error and is undone.
    Failed,
    /// Its version was replaced by the one before.
    RolledBack,
}

/// One run of putting a version of an application in place.
#[derive(Debug, Clone)]
pub struct Deployment {
    /// Its id.
    pub id: String,
    /// The application.
    pub app_id: String,
    /// The image to run.
    pub image: String,
    /// The port that the application listens on inside.
    pub container_port: u16,
    /// The application's environment.
    pub env: BTreeMap<String, Secret<String>>,
    /// The host names that lead to it; without one it gets no route.
    pub domains: Vec<String>,
    /// The engine to run it on.
    pub runtime: RuntimeTarget,
    /// Where it is in its life.
    pub status: Status,
    /// Its port on this machine, once it runs.
    pub port: Option<u16>,
    /// Its container's name, once it runs.
    pub container_name: Option<String>,
    /// Its container's id, once it runs.
    pub container_id: Option<String>,
    /// The container that it replaced.
    pub previous_container_name: Option<String>,
    /// The port of the container that it replaced.
    pub previous_port: Option<u16>,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it ended, well or not.
    pub completed_at: Option<Timestamp>,
}

impl Deployment {
    /// A deployment that has not begun, of an application without environment and domains.
    pub fn pending((app_id, id): (String, String), image: String, container_port: u16, runtime: RuntimeTarget) -> Self {
        Self {
            id,
            app_id,
            image,
            container_port,
            env: BTreeMap::new(),
            domains: Vec::new(),
            runtime,
            status: Status::Pending,
            port: None,
            container_name: None,
            container_id: None,
            previous_container_name: None,
            previous_port: None,
            started_at: None,
            completed_at: None,
        }
    }

    /// Checks the names that end up in those of containers and routes.
    ///
    /// # Errors
    /// An engine or Caddy would not take one.
    pub fn validate(&self) -> Result<(), InvalidName> {
        check_app_id(&self.app_id)?;
        check_deployment_id(&self.id)
    }
}

/// An id for a deployment: 6 random bytes as 8 characters of URL-safe base64.
pub fn generate_id() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 6]>())
}

/// The name of a deployment's container: `otturnaut-{app_id}-{id}`.
pub fn container_name(app_id: &str, id: &str) -> String {
    format!("otturnaut-{app_id}-{id}")
}

/// The id of an application's route: `{app_id}-route`.
pub fn route_id(app_id: &str) -> String {
    format!("{app_id}-route")
}

/// When a new version counts as healthy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthPolicy {
    /// With `interval` the time that it has: `max_attempts * interval`. It is asked more often than that at first.
    pub max_attempts: u32,
    /// Longest time between two questions.
    pub interval: Duration,
    /// What to ask. An application with domains must answer HTTP whatever else is asked.
    pub probe: Option<HealthProbe>,
}

impl Default for HealthPolicy {
    fn default() -> Self {
        Self { max_attempts: limits::HEALTH_ATTEMPTS, interval: limits::HEALTH_INTERVAL, probe: None }
    }
}

/// What to ask a new version.
#[derive(Debug, Clone, PartialEq, Eq)]
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
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ids_are_eight_characters_and_do_not_repeat() {
        let ids: BTreeSet<String> = (0..1000).map(|_| generate_id()).collect();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(|id| id.len() == 8 && check_deployment_id(id).is_ok()));
    }
}
