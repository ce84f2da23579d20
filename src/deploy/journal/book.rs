//! What a journal says: the releases of each application, and the runs that have not ended.

use std::collections::BTreeMap;

use super::record::{Record, RunId, Work};
use crate::deploy::Status;
use crate::deploy::releases::Release;
use crate::deploy::run::Notes;

/// The sum of a journal's records.
#[derive(Debug, Default, Clone)]
pub(in crate::deploy) struct Book {
    /// Releases by application, the one that runs last.
    pub(super) releases: BTreeMap<String, Vec<Release>>,
    /// Runs that have not ended.
    pub(super) open: BTreeMap<RunId, OpenRun>,
    /// The greatest number of a run so far.
    pub(super) last_run: RunId,
}

/// A run that has not ended.
#[derive(Debug, Clone)]
pub(in crate::deploy) struct OpenRun {
    /// What it is to do.
    pub(in crate::deploy) work: Work,
    /// The step that was begun last.
    pub(in crate::deploy) step: Option<String>,
    /// What is known of it.
    pub(in crate::deploy) notes: Notes,
    /// Whether requests go to its version.
    pub(in crate::deploy) switched: bool,
    /// Whether it is undone, and open for what comes late alone.
    pub(in crate::deploy) undone: bool,
    /// The steps that could not be undone, each with its reason.
    pub(in crate::deploy) stuck: Vec<(String, String)>,
}

impl Book {
    /// Takes up one more record.
    pub(super) fn apply(&mut self, record: &Record) {
        match record {
            Record::Begun { run, work } => {
                self.last_run = self.last_run.max(*run);
                let work = work.clone();
                let (step, notes, stuck) = (None, Notes::default(), Vec::new());
                self.open.insert(*run, OpenRun { work, step, notes, switched: false, undone: false, stuck });
            }
            Record::Step { run, step, notes } => self.change(*run, |open| {
                open.step = Some(step.clone());
                open.notes = Notes::clone(notes);
            }),
            Record::Switched { run, notes } => self.change(*run, |open| {
                open.switched = true;
                open.notes = Notes::clone(notes);
            }),
            Record::Stuck { run, steps } => self.change(*run, |open| open.stuck.clone_from(steps)),
            Record::Undone { run, notes } => self.change(*run, |open| {
                (open.undone, open.stuck) = (true, Vec::new());
                open.notes = Notes::clone(notes);
            }),
            Record::Ended { run } => drop(self.open.remove(run)),
            Record::Released(release) => self.release(release),
            Record::Dropped { app_id, deployment_id } => self.drop_release(app_id, deployment_id),
            Record::Forgotten { app_id } => drop(self.releases.remove(app_id)),
        }
    }

    /// Records that say the same as all that were taken up.
    pub(super) fn records(&self) -> Vec<Record> {
        let mut records: Vec<Record> = Vec::new();
        for release in self.releases.values().flatten() {
            records.push(Record::Released(Box::new(release.clone())));
        }
        for (run, open) in &self.open {
            let run = *run;
            records.push(Record::Begun { run, work: open.work.clone() });
            let notes = || Box::new(open.notes.clone());
            if let Some(step) = &open.step {
                records.push(Record::Step { run, step: step.clone(), notes: notes() });
            }
            if open.switched {
                records.push(Record::Switched { run, notes: notes() });
            }
            if open.undone {
                records.push(Record::Undone { run, notes: notes() });
            }
            if !open.stuck.is_empty() {
                records.push(Record::Stuck { run, steps: open.stuck.clone() });
            }
        }
        records
    }

    fn change(&mut self, run: RunId, change: impl FnOnce(&mut OpenRun)) {
        // One whose beginning was lost has nothing that could be changed.
        if let Some(open) = self.open.get_mut(&run) {
            change(open);
        }
    }

    fn release(&mut self, release: &Release) {
        let releases = self.releases.entry(release.deployment.app_id.clone()).or_default();
        releases.retain(|known| known.deployment.id != release.deployment.id);
        if let Some(last) = releases.last_mut().filter(|_| release.rolled_back) {
            last.deployment.status = Status::RolledBack;
        }
        releases.push(Release { rolled_back: false, ..release.clone() });
    }

    fn drop_release(&mut self, app_id: &str, deployment_id: &str) {
        let Some(releases) = self.releases.get_mut(app_id) else { return };
        releases.retain(|release| release.deployment.id != deployment_id);
        if releases.is_empty() {
            self.releases.remove(app_id);
        }
    }
}
