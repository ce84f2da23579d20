//! What the agent knows of each application: the state that Mission Control reads and writes.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

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
    /// How it was shown last.
    pub shown: Shown,
}

/// What a reader made of an entry, kept so that it is made once: opaque here, and gone with any change.
#[derive(Debug, Default)]
pub struct Shown(OnceLock<Arc<dyn Any + Send + Sync>>);

impl Shown {
    /// What was made, or is made now. There is one kind of reader.
    pub fn get_or_make<T: Any + Send + Sync>(&self, make: impl Fn() -> T) -> Arc<T> {
        let kept = self.0.get_or_init(|| Arc::new(make())).clone();
        kept.downcast().unwrap_or_else(|_| Arc::new(make()))
    }
}

/// A copy is there to be changed.
impl Clone for Shown {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Shown {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Shown {}

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
    by_id: BTreeMap<String, Arc<AppEntry>>,
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
        self.by_id.insert(app_id.to_owned(), Arc::new(AppEntry { shown: Shown::default(), ..entry }));
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
        self.lock().by_id.get(app_id).map(|entry| AppEntry::clone(entry))
    }

    /// Forgets an application; gives what was known.
    pub fn delete(&self, app_id: &str) -> Option<AppEntry> {
        let mut entries = self.lock();
        let gone = entries.by_id.remove(app_id)?;
        entries.bytes -= gone.weight() + app_id.len();
        Some(Arc::unwrap_or_clone(gone))
    }

    /// All applications in the order of their ids.
    pub fn list(&self) -> Vec<(String, Arc<AppEntry>)> {
        self.lock().by_id.iter().map(|(id, entry)| (id.clone(), entry.clone())).collect()
    }

    /// Changes an application's status.
    ///
    /// # Errors
    /// Nothing is known of it.
    pub fn update_status(&self, app_id: &str, status: AppStatus) -> Result<(), UnknownApp> {
        let mut entries = self.lock();
        let entry = entries.by_id.get_mut(app_id).ok_or_else(|| UnknownApp { app_id: app_id.to_owned() })?;
        *entry = Arc::new(AppEntry { status: Some(status), ..AppEntry::clone(entry) });
        Ok(())
    }

    /// Changes an application's state in one step.
    ///
    /// # Errors
    /// Nothing is known of it, or the change does not fit and was not made.
    pub fn update_with(&self, app_id: &str, change: impl FnOnce(&mut AppEntry)) -> Result<(), UpdateError> {
        let mut entries = self.lock();
        let entry = entries.by_id.get(app_id).ok_or_else(|| UnknownApp { app_id: app_id.to_owned() })?;
        let mut entry = AppEntry::clone(entry);
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(rest: &[u8]) -> AppEntry {
        AppEntry { port: Some(10_001), rest: Bytes::copy_from_slice(rest), ..AppEntry::default() }
    }

    #[test]
    fn what_is_put_comes_back_until_it_is_deleted() {
        let state = AppState::default();
        state.put("shop", entry(b"notes")).unwrap();
        state.put("blog", entry(b"")).unwrap();
        assert_eq!(state.get("shop"), Some(entry(b"notes")));
        assert_eq!(state.list().into_iter().map(|(id, _)| id).collect::<Vec<_>>(), ["blog", "shop"]);
        assert_eq!(state.delete("shop"), Some(entry(b"notes")));
        assert_eq!((state.get("shop"), state.delete("shop")), (None, None));
        state.clear();
        assert!(state.list().is_empty());
    }

    #[test]
    fn changes_go_to_what_is_known_only() {
        let state = AppState::default();
        let unknown = UnknownApp { app_id: "shop".to_owned() };
        assert_eq!(state.update_status("shop", AppStatus::Stopped), Err(unknown.clone()));
        assert_eq!(state.update_with("shop", |entry| entry.port = None), Err(UpdateError::Unknown(unknown)));
        state.put("shop", entry(b"notes")).unwrap();
        state.update_status("shop", AppStatus::Stopped).unwrap();
        state.update_with("shop", |entry| entry.port = Some(7)).unwrap();
        let expected = AppEntry { port: Some(7), status: Some(AppStatus::Stopped), ..entry(b"notes") };
        assert_eq!(state.get("shop"), Some(expected));
    }

    #[test]
    fn what_does_not_fit_is_refused_and_changes_nothing() {
        let state = AppState::default();
        let half = vec![0; limits::APP_STATE_BYTES / 2];
        state.put("one", entry(&half)).unwrap();
        let full = StateFull { app_id: "two".to_owned() };
        assert_eq!(state.put("two", entry(&half)), Err(full.clone()));
        assert!(full.to_string().contains("10000 applications and 67108864 bytes"), "{full}");
        state.put("one", entry(&half)).unwrap();
        state.put("two", entry(b"small")).unwrap();
        let grown = state.update_with("two", |entry| entry.rest = half.into());
        assert_eq!((grown, state.get("two")), (Err(UpdateError::Full(full)), Some(entry(b"small"))));
    }

    #[test]
    fn only_so_many_applications_are_kept() {
        let state = AppState::default();
        (0..limits::APPS).for_each(|n| state.put(&n.to_string(), entry(b"")).unwrap());
        assert!(state.put("one more", entry(b"")).is_err());
        state.put("0", entry(b"again")).unwrap();
    }

    proptest! {
        #[test]
        fn the_bytes_counted_are_those_held(
            changes in proptest::collection::vec((0_u8..4, 0_usize..100, 0_u8..4), 0..50),
        ) {
            let state = AppState::default();
            for (app, size, change) in changes {
                let app = format!("app{app}");
                match change {
                    0 => drop(state.delete(&app)),
                    1 => drop(state.update_with(&app, |entry| entry.container_name = Some("c".repeat(size)))),
                    _ => state.put(&app, entry(&vec![0; size])).unwrap(),
                }
            }
            let held: usize = state.list().iter().map(|(id, entry)| id.len() + entry.weight()).sum();
            prop_assert_eq!(state.lock().bytes, held);
        }
    }
}
