//! The health of every application, all the time.
//!
//! ```text
//! watch (a deploy, recovery, a call) -> entries -> rounds: checks when they are due, exits when they come
//!                                                  -> wellness: damped -> events, a restart where it is asked for
//! ```

mod entry;
mod look;
mod rounds;
mod wellness;

pub use entry::{AppHealth, ContainerPlace, OnUnhealthy, Watched};
pub use wellness::Condition;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use self::entry::Entry;
use super::events::Events;
use crate::apps::{AppState, AppStatus};
use crate::host::{Container, Host, RuntimeKind};
use crate::limits;

/// Watches applications. Clones share it; every call answers at once.
#[derive(Clone)]
pub struct Monitor(Arc<Shared>);

struct Shared {
    host: Host,
    state: AppState,
    events: Events,
    entries: Mutex<BTreeMap<String, Entry>>,
    /// Engines that do not answer: what only they know is not asked then.
    down: Mutex<Vec<RuntimeKind>>,
    /// Something is due earlier than it was.
    wake: Notify,
}

/// So many applications are watched already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{} applications are watched already", limits::APPS)]
pub struct TooMany;

impl Monitor {
    /// One that watches nothing yet.
    pub fn new(host: Host, state: AppState, events: Events) -> Self {
        let (entries, down, wake) = (Mutex::default(), Mutex::default(), Notify::new());
        Self(Arc::new(Shared { host, state, events, entries, down, wake }))
    }

    /// Watches an application from now on, in place of what was watched of it.
    ///
    /// # Errors
    /// There is no room.
    pub fn watch(&self, app_id: &str, watched: Watched) -> Result<(), TooMany> {
        let mut entries = self.lock();
        if entries.len() >= limits::APPS && !entries.contains_key(app_id) {
            return Err(TooMany);
        }
        entries.insert(app_id.to_owned(), Entry::new(watched));
        drop(entries);
        self.0.wake.notify_one();
        Ok(())
    }

    /// Watches it no more; whether it was watched.
    pub fn unwatch(&self, app_id: &str) -> bool {
        self.lock().remove(app_id).is_some()
    }

    /// How an application is.
    pub fn status(&self, app_id: &str) -> Option<AppHealth> {
        self.lock().get(app_id).map(Entry::shown)
    }

    /// How all are, in the order of their ids.
    pub fn all(&self) -> Vec<(String, AppHealth)> {
        self.lock().iter().map(|(app_id, entry)| (app_id.clone(), entry.shown())).collect()
    }

    /// A container ended.
    pub(super) fn exited(&self, container: &str, code: Option<i64>) {
        if let Some(app_id) = self.with_container(container, |entry| entry.exited(code)) {
            self.turn(&app_id, AppStatus::Running, AppStatus::Stopped);
        }
    }

    /// A container was started.
    pub(super) fn started(&self, container: &str) {
        if let Some(app_id) = self.with_container(container, Entry::changed) {
            self.turn(&app_id, AppStatus::Stopped, AppStatus::Running);
        }
    }

    /// A container is to be looked at.
    pub(super) fn changed(&self, container: &str) {
        self.with_container(container, Entry::changed);
    }

    /// A container was looked at: what was not told of it may show.
    pub(super) fn looked_at(&self, container: &Container) {
        let Some(app_id) = self.with_container(&container.name, |entry| entry.looked_at(container)) else { return };
        if container.runs() {
            self.turn(&app_id, AppStatus::Stopped, AppStatus::Running);
        } else {
            self.turn(&app_id, AppStatus::Running, AppStatus::Stopped);
        }
    }

    /// An engine answers, or does not.
    pub(super) fn engine(&self, kind: RuntimeKind, answers: bool) {
        let mut down = self.0.down.lock().unwrap_or_else(PoisonError::into_inner);
        down.retain(|known| *known != kind);
        if answers {
            return;
        }
        down.push(kind);
        drop(down);
        let of_engine = |entry: &Entry| entry.watched.container.as_ref().is_some_and(|at| at.runtime.kind == kind);
        self.lock().values_mut().filter(|entry| of_engine(entry)).for_each(Entry::unseen);
    }

    /// A container is gone.
    pub(super) fn removed(&self, container: &str) {
        self.with_container(container, Entry::changed);
    }

    fn is_down(&self, kind: RuntimeKind) -> bool {
        self.0.down.lock().unwrap_or_else(PoisonError::into_inner).contains(&kind)
    }

    /// The state follows what the engine says, and nothing else does.
    fn turn(&self, app_id: &str, from: AppStatus, to: AppStatus) {
        let change = |entry: &mut crate::apps::AppEntry| {
            if entry.status == Some(from) {
                entry.status = Some(to);
            }
        };
        if self.0.state.get(app_id).is_some_and(|entry| entry.status == Some(from)) {
            self.0.state.update_with(app_id, change).unwrap_or_default();
        }
    }

    /// Does something with the application that has that container, and looks at it anew; gives which it is.
    fn with_container(&self, container: &str, change: impl FnOnce(&mut Entry)) -> Option<String> {
        let mut entries = self.lock();
        let (app_id, entry) = entries.iter_mut().find(|(_, entry)| entry.is_in(container))?;
        change(entry);
        let app_id = app_id.clone();
        drop(entries);
        self.0.wake.notify_one();
        Some(app_id)
    }

    /// Nothing panics under the lock: what a poisoned one holds is whole.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.0.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
