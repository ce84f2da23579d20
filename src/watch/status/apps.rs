//! Applications: what the state says, joined with what was seen of their containers.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Figures, Seen, UsageSeen};
use crate::apps::AppEntry;
use crate::host::ContainerStatus;
use crate::watch::live::ContainerSeen;
use crate::watch::monitor::AppHealth;

/// An application as it is known now.
#[derive(Debug, Clone)]
pub struct AppNow {
    /// Its id.
    pub app_id: String,
    /// What the state says.
    pub entry: Arc<AppEntry>,
    /// Its container, as its engine told last; none if there is none.
    pub container: Option<ContainerSeen>,
    /// How it is, if it is watched.
    pub health: Option<AppHealth>,
    /// What it uses, if that was looked at.
    pub usage: Option<Seen<UsageSeen>>,
}

impl AppNow {
    /// Whether its container runs; none where its engine has not told yet, or does not answer now.
    pub fn runs(&self) -> Option<bool> {
        let seen = self.container.as_ref().filter(|seen| seen.fresh)?;
        Some(seen.container.status == ContainerStatus::Running)
    }
}

impl Figures {
    /// All applications in the order of their ids.
    pub fn apps(&self) -> Vec<AppNow> {
        let mut containers: HashMap<String, ContainerSeen> =
            self.0.live.containers().into_iter().map(|seen| (seen.container.name.clone(), seen)).collect();
        let mut health: HashMap<String, AppHealth> = self.0.monitor.all().into_iter().collect();
        let mut usage = self.usage();
        let all = self.0.state.list().into_iter().map(|(app_id, entry)| {
            let container = entry.container_name.as_deref().and_then(|name| containers.remove(name));
            let (health, usage) = (health.remove(&app_id), usage.remove(&app_id));
            AppNow { app_id, entry, container, health, usage }
        });
        all.collect()
    }

    /// One application.
    pub fn app(&self, app_id: &str) -> Option<AppNow> {
        let entry = Arc::new(self.0.state.get(app_id)?);
        let container = entry.container_name.as_deref().and_then(|name| self.0.live.container(name));
        let (health, usage) = (self.0.monitor.status(app_id), self.usage_of(app_id));
        Some(AppNow { app_id: app_id.to_owned(), entry, container, health, usage })
    }
}
