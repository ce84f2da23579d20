//! The step that shows that a deploy is under way.

use async_trait::async_trait;

use crate::apps::{AppEntry, AppStatus};
use crate::deploy::DeployError;
use crate::deploy::run::{OldVersion, Run};
use crate::deploy::saga::Step;

/// The state says that a deployment is under way.
pub(super) struct MarkDeploying;

#[async_trait]
impl Step<Run, DeployError> for MarkDeploying {
    fn name(&self) -> &'static str {
        "mark_deploying"
    }

    async fn prepare(&self, run: &mut Run) -> Result<(), DeployError> {
        let entry = run.settings.state.get(&run.deployment.app_id);
        run.notes.old = entry.as_ref().map(OldVersion::of);
        Ok(())
    }

    async fn run(&self, run: &mut Run) -> Result<(), DeployError> {
        let app_id = &run.deployment.app_id;
        let mut entry = run.settings.state.get(app_id).unwrap_or_else(|| AppEntry {
            deployment_id: Some(run.deployment.id.clone()),
            domains: Some(run.deployment.domains.clone()),
            runtime: Some(run.deployment.runtime.clone()),
            ..AppEntry::default()
        });
        entry.status = Some(AppStatus::Deploying);
        run.settings.state.put(app_id, entry).map_err(DeployError::State)
    }

    async fn undo(&self, run: &mut Run) -> Result<(), String> {
        let (state, app_id) = (&run.settings.state, &run.deployment.app_id);
        // Only the status is this run's: what was put meanwhile stays.
        let mine = |entry: &AppEntry| entry.status == Some(AppStatus::Deploying);
        match &run.notes.old {
            None if state.get(app_id).is_some_and(|entry| mine(&entry)) => drop(state.delete(app_id)),
            None => {}
            Some(old) => drop(state.update_with(app_id, |entry| {
                if mine(entry) {
                    entry.status = Some(if old.running { AppStatus::Running } else { AppStatus::Stopped });
                }
            })),
        }
        Ok(())
    }
}
