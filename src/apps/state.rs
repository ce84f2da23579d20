//! What the agent knows of each application: the state that Mission Control reads and writes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::host::RuntimeTarget;
use crate::limits;

/// What an application does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AppStatus {
    /// Its container runs.
    Running,
    /// Its container is there and does not run.
    Stopped,
    /// A deployment of it is under way.
    Deploying,
}

/// What is known of an application.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AppEntry {
    /// The deployment that runs.
    pub deployment_id: Option<String>,
    /// Its container.
    pub container_name: Option<String>,
    /// Its port on this machine.
    pub port: Option<u16>,
    /// The host names that lead to it.
    pub domains: Option<Vec<String>>,
    /// What it does.
    pub status: Option<AppStatus>,
    /// The engine that it runs on.
    pub runtime: Option<RuntimeTarget>,
    /// What Mission Control put besides; opaque here, the caller's encoding. A deployment that completes keeps nothing of it.
    pub rest: Bytes,
}

impl AppEntry {
    /// Estimate of the memory it holds, in bytes.
    fn weight(&self) -> usize {
        let text = |t: &Option<String>| t.as_ref().map_or(0, String::len);
        let domains = self.domains.iter().flatten().map(|d| d.len() + size_of::<String>()).sum::<usize>();
        size_of::<Self>() + text(&self.deployment_id) + text(&self.container_name) + domains + self.rest.len()
    }
}

/// There is no room for what was put.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the state of {app_id} does not fit: at most {} applications and {} bytes are kept",
    limits::APPS,
    limits::APP_STATE_BYTES
)]
pub struct StateFull {
    /// The application.
    pub app_id: String,
}

/// Nothing is known of the application.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("nothing is known of application {app_id}")]
pub struct UnknownApp {
    /// The application.
    pub app_id: String,
}

/// The state of all applications. Clones share it; every call answers at once.
#[derive(Debug, Clone, Default)]
pub struct AppState(Arc<Mutex<Entries>>);

#[derive(Debug, Default)]
struct Entries {
    by_id: BTreeMap<String, AppEntry>,
    bytes: usize,
}

impl Entries {
    /// Puts `entry`, or says that it does not fit and leaves all as it was.
    fn put(&mut self, app_id: &str, entry: AppEntry) -> Result<(), StateFull> {
        let before = self.by_id.get(app_id);
        let freed = before.map_or(0, |b| b.weight() + app_id.len());
        let bytes = self.bytes - freed + entry.weight() + app_id.len();
        if bytes > limits::APP_STATE_BYTES || (before.is_none() && self.by_id.len() >= limits::APPS) {
            return Err(StateFull { app_id: app_id.to_owned() });
        }
        self.bytes = bytes;
        self.by_id.insert(app_id.to_owned(), entry);
        Ok(())
    }
}

impl AppState {
    /// Puts an application's state in place of what was there.
    ///
    /// # Errors
    /// There is no room; the state is as it was.
    pub fn put(&self, app_id: &str, entry: AppEntry) -> Result<(), StateFull> {
        self.lock().put(app_id, entry)
    }

    /// What is known of an application.
    pub fn get(&self, app_id: &str) -> Option<AppEntry> {
        self.lock().by_id.get(app_id).cloned()
    }

    /// Forgets an application; gives what was known.
    pub fn delete(&self, app_id: &str) -> Option<AppEntry> {
        let mut entries = self.lock();
        let gone = entries.by_id.remove(app_id)?;
        entries.bytes -= gone.weight() + app_id.len();
        Some(gone)
    }

    /// All applications in the order of their ids.
    pub fn list(&self) -> Vec<(String, AppEntry)> {
        self.lock().by_id.iter().map(|(id, entry)| (id.clone(), entry.clone())).collect()
    }

    /// Changes an application's status.
    ///
    /// # Errors
    /// Nothing is known of it.
    pub fn update_status(&self, app_id: &str, status: AppStatus) -> Result<(), UnknownApp> {
        let mut entries = self.lock();
        let entry = entries.by_id.get_mut(app_id).ok_or_else(|| UnknownApp { app_id: app_id.to_owned() })?;
        entry.status = Some(status);
        Ok(())
    }

    /// Changes an application's state in one step.
    ///
    /// # Errors
    /// Nothing is known of it, or the change does not fit and was not made.
    pub fn update_with(&self, app_id: &str, change: impl FnOnce(&mut AppEntry)) -> Result<(), UpdateError> {
        let mut entries = self.lock();
        let mut entry = entries.by_id.get(app_id).cloned().ok_or_else(|| UnknownApp { app_id: app_id.to_owned() })?;
        change(&mut entry);
        Ok(entries.put(app_id, entry)?)
    }

    /// Forgets all.
    pub fn clear(&self) {
        *self.lock() = Entries::default();
    }

    /// Nothing panics under the lock but a caller's `change`, which works on a copy: what a poisoned lock holds is whole.
    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a change was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UpdateError {
    /// Nothing is known of the application.
    #[error(transparent)]
    Unknown(#[from] UnknownApp),
    /// The change does not fit.
    #[error(transparent)]
    Full(#[from] StateFull),
}
