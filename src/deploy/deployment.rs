//! The deployment: one run of putting a version of an application in place.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::attributes::{self, InvalidDeployment};
use super::{Content, Origin};
use crate::host::{Resources, Restart, RuntimeTarget};
use crate::limits;
use crate::secret::Secret;

/// Where a deployment is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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

/// How a version takes the place of the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// Both run until the new one has the requests.
    BlueGreen,
    /// The old one stops before the new one starts: for a volume that only one may write. Nobody answers in between.
    Recreate,
}

/// One run of putting a version of an application in place. What may hold secrets is not written down with it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Deployment {
    /// Its id.
    pub id: String,
    /// The application.
    pub app_id: String,
    /// The image to run; empty until it is built or loaded.
    pub image: String,
    /// Where it comes from. That may hold secrets, and is not asked again for a rollback.
    #[serde(skip)]
    pub origin: Origin,
    /// What it is by content.
    #[serde(default)]
    pub content: Option<Content>,
    /// Whether it is here because of this deployment: it goes with the release then.
    #[serde(default)]
    pub brought: bool,
    /// The port that the application listens on inside.
    pub container_port: u16,
    /// The application's environment.
    #[serde(skip)]
    pub env: BTreeMap<String, Secret<String>>,
    /// The host names that lead to it; without one it gets no route.
    pub domains: Vec<String>,
    /// The engine to run it on.
    pub runtime: RuntimeTarget,
    /// How it takes the place of the version before.
    pub strategy: Strategy,
    /// `name:/path` or `/host:/path`, each with `:ro` at its end where wanted.
    pub volumes: Vec<String>,
    /// Networks of the engine that it joins in place of the default one.
    #[serde(default)]
    pub networks: Vec<String>,
    /// Labels of its container beside the agent's own.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// What to run in place of the image's own command; empty: that.
    #[serde(skip)]
    pub command: Vec<String>,
    /// What the engine does when it ends.
    #[serde(default)]
    pub restart: Restart,
    /// What it may use.
    #[serde(default)]
    pub resources: Resources,
    /// A command that runs once in the new image before the new version starts; empty: none.
    #[serde(skip)]
    pub release_command: Vec<String>,
    /// How many releases of the application are kept, this one among them.
    pub keep_releases: usize,
    /// Time for connections to the version before to end by themselves.
    pub drain_timeout: Duration,
    /// Time for the version before between SIGTERM and SIGKILL.
    pub stop_timeout: Duration,
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
            origin: Origin::Image,
            content: None,
            brought: false,
            container_port,
            env: BTreeMap::new(),
            domains: Vec::new(),
            runtime,
            strategy: Strategy::BlueGreen,
            volumes: Vec::new(),
            networks: Vec::new(),
            labels: BTreeMap::new(),
            command: Vec::new(),
            restart: Restart::default(),
            resources: Resources::default(),
            release_command: Vec::new(),
            keep_releases: limits::KEPT_RELEASES,
            drain_timeout: limits::DRAIN,
            stop_timeout: limits::STOP_GRACE,
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

    /// Checks everything in it that can be checked without touching anything.
    ///
    /// # Errors
    /// See [`InvalidDeployment`].
    pub fn validate(&self) -> Result<(), InvalidDeployment> {
        attributes::check(self)
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::apps::check_deployment_id;

    #[test]
    fn ids_are_eight_characters_and_do_not_repeat() {
        let ids: BTreeSet<String> = (0..1000).map(|_| generate_id()).collect();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(|id| id.len() == 8 && check_deployment_id(id).is_ok()));
    }
}
