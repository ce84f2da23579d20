//! What the steps of one deploy share.

use tokio_util::sync::CancellationToken;

use super::progress::{DeployStep, Reporter};
use super::{Deployment, HealthPolicy};
use crate::apps::{AppEntry, AppState, PortManager};
use crate::host::{Host, Route};

/// One deploy under way.
pub(super) struct Run {
    /// This agent's name.
    pub(super) outpost: String,
    pub(super) host: Host,
    pub(super) state: AppState,
    pub(super) ports: PortManager,
    /// What is deployed; filled in as it becomes known.
    pub(super) deployment: Deployment,
    pub(super) health: HealthPolicy,
    pub(super) progress: Reporter<DeployStep>,
    pub(super) cancel: CancellationToken,
    /// The state before.
    pub(super) old: Option<AppEntry>,
    /// The name or id under which the new container is to be removed by an undo.
    pub(super) started: Option<String>,
    /// What was done to the route.
    pub(super) route: RouteChange,
    /// What of the old version is to be given back.
    pub(super) old_ports: Vec<u16>,
    /// What could not be removed after the switch.
    pub(super) leftovers: Vec<String>,
}

/// What a run did to the application's route.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum RouteChange {
    /// Nothing.
    #[default]
    None,
    /// It may be the new one; this was there before.
    Switched(Option<Route>),
}

impl Run {
    /// The new container's port; asked for by the steps after the one that allocates it.
    pub(super) fn port(&self) -> u16 {
        self.deployment.port.unwrap_or_default()
    }

    /// The new container's name.
    pub(super) fn container(&self) -> String {
        super::container_name(&self.deployment.app_id, &self.deployment.id)
    }

    /// Whether the version before had domains, as far as the state knows.
    pub(super) fn had_domains(&self) -> bool {
        self.old.as_ref().and_then(|old| old.domains.as_ref()).is_some_and(|domains| !domains.is_empty())
    }

    /// Notes what was left behind.
    pub(super) fn left(&mut self, what: String) {
        tracing::warn!(app_id = self.deployment.app_id, deployment_id = self.deployment.id, what, "left behind");
        self.leftovers.push(what);
    }
}
