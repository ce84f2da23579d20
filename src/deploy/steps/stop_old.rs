//! The step of the Recreate strategy that stops the old version before the new one starts.

use async_trait::async_trait;
use futures::future::join_all;

use crate::deploy::DeployError;
use crate::deploy::progress::DeployStep;
use crate::deploy::retire::find_old;
use crate::deploy::run::{Place, Run};
use crate::deploy::saga::Step;
use crate::host::{ContainerStatus, RuntimeError};

/// Nothing of the application runs.
pub(super) struct StopOld;

#[async_trait]
impl Step<Run, DeployError> for StopOld {
    fn name(&self) -> &'static str {
        "stop_old"
    }

    async fn prepare(&self, run: &mut Run) -> Result<(), DeployError> {
        let running = find_old(run).await.into_iter().filter(|(_, old)| old.status != ContainerStatus::Stopped);
        let place = |(runtime, old): (_, crate::host::Container)| Place { runtime, id: old.id, name: old.name };
        run.notes.stopped = running.map(place).collect();
        Ok(())
    }

    async fn run(&self, run: &mut Run) -> Result<(), DeployError> {
        let message = match run.notes.stopped.len() {
            0 => "There is no old version to stop".to_owned(),
            _ => "Stopping the old version: nobody answers until the new one does".to_owned(),
        };
        run.progress.tell(DeployStep::StopOld, message).await;
        run.down_since = (!run.notes.stopped.is_empty()).then(tokio::time::Instant::now);
        let (host, grace) = (run.host(), run.deployment.stop_timeout);
        let stops = run.notes.stopped.iter().map(|old| async move {
            let stopped = host.runtimes.runtime(&old.runtime).stop(&old.id, grace).await;
            stopped.map_err(|source| DeployError::StopOld { name: old.name.clone(), source })
        });
        let failed = join_all(stops).await.into_iter().find_map(Result::err);
        match failed {
            None => Ok(()),
            Some(error) => {
                run.failed(DeployStep::StopOld, &error).await;
                Err(error)
            }
        }
    }

    /// The new container is gone by now, so that the old one has its volumes for itself again.
    async fn undo(&self, run: &mut Run) -> Result<(), String> {
        let host = run.host();
        let starts = run.notes.stopped.iter().map(|old| async move {
            match host.runtimes.runtime(&old.runtime).start_again(&old.id).await {
                // Or somebody took it away, a later deploy maybe.
                Ok(()) | Err(RuntimeError::NotFound { .. }) => Ok(()),
                Err(error) => Err(format!("the old container {}: {error}", old.name)),
            }
        });
        join_all(starts).await.into_iter().collect()
    }
}
