//! The runs of now: who they are, how far they are, and how they are asked to end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::watch;

use super::cancel::{Cancel, Cause};
use super::journal::RunId;

/// A run of now, or one of which something could not be undone yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunInfo {
    /// The application.
    pub app_id: String,
    /// The deployment, where one is known.
    pub deployment_id: Option<String>,
    /// What it does.
    pub kind: RunKind,
    /// How far it is.
    pub state: RunState,
    /// The step that it is at.
    pub step: Option<&'static str>,
    /// When it was asked for.
    pub since: Option<Timestamp>,
    /// What could not be undone, and why.
    pub stuck: Vec<String>,
}

/// What a run does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunKind {
    /// Puts a version in place.
    Deploy,
    /// Puts an earlier release in place.
    Rollback,
    /// Takes an application away.
    Undeploy,
}

impl RunKind {
    /// Its name, as Mission Control knows it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Deploy => "deploy",
            Self::Rollback => "rollback",
            Self::Undeploy => "undeploy",
        }
    }
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunState {
    /// Others of its application are before it.
    Queued,
    /// It can be cancelled.
    Running,
    /// Its version has the requests, or it takes the application away: only forward.
    Finishing,
    /// It failed, and what it did is taken back.
    Undoing,
    /// It failed, and some of what it did could not be taken back yet.
    Stuck,
}

/// Why a run cannot be cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CancelError {
    /// No run of that deployment is under way.
    #[error("no run of that deployment is under way")]
    NotFound,
    /// Its version has the requests already.
    #[error("the new version has the requests already")]
    TooLate,
}

/// All runs of now. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Runs(Arc<Mutex<BTreeMap<RunId, Entry>>>);

struct Entry {
    info: RunInfo,
    cancel: Cancel,
    /// Dropped with the entry.
    ended: watch::Sender<()>,
}

/// A run's place among the others, which it leaves when this is dropped.
pub(super) struct Place {
    runs: Runs,
    run: RunId,
}

impl Runs {
    /// Takes up a run.
    pub(super) fn enter(&self, run: RunId, info: RunInfo, cancel: Cancel) -> Arc<Place> {
        let (ended, _) = watch::channel(());
        self.lock().insert(run, Entry { info, cancel, ended });
        Arc::new(Place { runs: self.clone(), run })
    }

    /// All of them in the order of their coming.
    pub(super) fn list(&self) -> Vec<RunInfo> {
        self.lock().values().map(|entry| entry.info.clone()).collect()
    }

    /// Asks those that `chosen` says to end, and waits until they have; how many there were, and whether all could.
    pub(super) async fn cancel(&self, chosen: impl Fn(&RunInfo) -> bool) -> Result<(), CancelError> {
        let (ends, outcome) = self.ask(chosen);
        for mut end in ends {
            // It ends with an error when the run does.
            while end.changed().await.is_ok() {}
        }
        outcome
    }

    /// The same without waiting.
    pub(super) fn ask(&self, chosen: impl Fn(&RunInfo) -> bool) -> (Vec<watch::Receiver<()>>, Result<(), CancelError>) {
        let mut outcome = Err(CancelError::NotFound);
        let mut ends = Vec::new();
        for entry in self.lock().values().filter(|entry| chosen(&entry.info)) {
            if entry.info.state == RunState::Finishing {
                outcome = Err(CancelError::TooLate);
                continue;
            }
            entry.cancel.cancel(Cause::Asked);
            ends.push(entry.ended.subscribe());
            if outcome == Err(CancelError::NotFound) {
                outcome = Ok(());
            }
        }
        (ends, outcome)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<RunId, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Says how far the run is.
    pub(super) fn state(&self, state: RunState) {
        self.change(|info| info.state = state);
    }

    /// Says which step the run is at.
    pub(super) fn step(&self, step: &'static str) {
        self.change(|info| info.step = Some(step));
    }

    fn change(&self, change: impl FnOnce(&mut RunInfo)) {
        if let Some(entry) = self.runs.lock().get_mut(&self.run) {
            change(&mut entry.info);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.runs.lock().remove(&self.run);
    }
}
