//! Applications: what the state says, joined with what was seen of their containers.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Figures, Seen, UsageSeen};
use crate::apps::{AppEntry, AppStatus};
use crate::host::ContainerStatus;
use crate::watch::live::{ContainerSeen, EngineSeen};
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
    /// What it does.
    pub does: AppDoes,
    /// How it is, if it is watched.
    pub health: Option<AppHealth>,
    /// What it uses, if that was looked at.
    pub usage: Option<Seen<UsageSeen>>,
}

/// What an application does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppDoes {
    /// Its container runs.
    Running,
    /// Its container is there and does not run.
    Stopped,
    /// A deployment of it is under way.
    Deploying,
    /// Its engine answers and has no such container.
    Missing,
    /// Nobody can tell.
    Unknown,
}

impl AppNow {
    /// Whether its container runs; none where its engine does not tell now.
    pub fn runs(&self) -> Option<bool> {
        let seen = self.container.as_ref().filter(|seen| seen.fresh)?;
        Some(seen.container.status == ContainerStatus::Running)
    }
}

impl Figures {
    /// All applications in the order of their ids. What they use is looked at from now on, for some minutes.
    pub fn apps(&self) -> Vec<AppNow> {
        self.ask();
        self.known_apps()
    }

    /// The same for those who do not want to know what they use.
    pub fn known_apps(&self) -> Vec<AppNow> {
        let engines = self.engines();
        let mut containers: HashMap<String, ContainerSeen> =
            self.0.live.containers().into_iter().map(|seen| (seen.container.name.clone(), seen)).collect();
        let mut health: HashMap<String, AppHealth> = self.0.monitor.all().into_iter().collect();
        let mut usage = self.lock().usage.clone();
        let all = self.0.state.list().into_iter().map(|(app_id, entry)| {
            let container = entry.container_name.as_deref().and_then(|name| containers.remove(name));
            let (health, usage) = (health.remove(&app_id), usage.remove(&app_id));
            let does = does(&entry, container.as_ref(), &engines);
            AppNow { app_id, entry, container, does, health, usage }
        });
        all.collect()
    }

    /// One application; as [`Self::apps`].
    pub fn app(&self, app_id: &str) -> Option<AppNow> {
        self.ask();
        let entry = Arc::new(self.0.state.get(app_id)?);
        let container = entry.container_name.as_deref().and_then(|name| self.0.live.container(name));
        let (health, usage) = (self.0.monitor.status(app_id), self.lock().usage.get(app_id).cloned());
        let does = does(&entry, container.as_ref(), &self.engines());
        Some(AppNow { app_id: app_id.to_owned(), entry, container, does, health, usage })
    }
}

/// The engine knows better than the state, if it tells.
fn does(entry: &AppEntry, container: Option<&ContainerSeen>, engines: &[EngineSeen]) -> AppDoes {
    if entry.status == Some(AppStatus::Deploying) {
        return AppDoes::Deploying;
    }
    if let Some(seen) = container {
        return match seen.container.status {
            _ if !seen.fresh => AppDoes::Unknown,
            ContainerStatus::Running => AppDoes::Running,
            ContainerStatus::Stopped => AppDoes::Stopped,
            ContainerStatus::Unknown => AppDoes::Unknown,
        };
    }
    let told = |engine: &EngineSeen| entry.runtime.as_ref() == Some(&engine.target) && engine.version.is_ok();
    if entry.container_name.is_some() && engines.iter().any(told) {
        return AppDoes::Missing;
    }
    match entry.status {
        Some(AppStatus::Stopped) => AppDoes::Stopped,
        // It may run on an engine that is not followed: whoever put it says so.
        Some(AppStatus::Running) if entry.runtime.is_none() => AppDoes::Running,
        _ => AppDoes::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::host::{RuntimeKind, RuntimeTarget};

    const DOCKER: RuntimeTarget = RuntimeTarget { kind: RuntimeKind::Docker, socket: None };

    fn entry(status: AppStatus, runtime: Option<RuntimeTarget>) -> AppEntry {
        AppEntry { status: Some(status), runtime, container_name: Some("c".to_owned()), ..AppEntry::default() }
    }

    fn engine(version: Result<&str, &str>) -> [EngineSeen; 1] {
        let version = version.map(str::to_owned).map_err(str::to_owned);
        [EngineSeen { target: DOCKER, version, since: Timestamp::UNIX_EPOCH }]
    }

    #[test]
    fn a_container_that_its_engine_does_not_have_is_missing() {
        let up = engine(Ok("20.10"));
        assert_eq!(does(&entry(AppStatus::Running, Some(DOCKER)), None, &up), AppDoes::Missing);
        assert_eq!(does(&entry(AppStatus::Deploying, Some(DOCKER)), None, &up), AppDoes::Deploying);
    }

    #[test]
    fn where_no_engine_tells_only_what_was_put_is_known() {
        let down = engine(Err("enoent"));
        assert_eq!(does(&entry(AppStatus::Running, Some(DOCKER)), None, &down), AppDoes::Unknown);
        assert_eq!(does(&entry(AppStatus::Running, None), None, &down), AppDoes::Running);
        assert_eq!(does(&entry(AppStatus::Stopped, None), None, &down), AppDoes::Stopped);
    }
}
