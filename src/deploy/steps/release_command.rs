//! The step that runs a command once in the new image, before anything of it gets requests.

use async_trait::async_trait;

use super::start::{remove_marked, with_image};
use crate::deploy::DeployError;
use crate::deploy::progress::DeployStep;
use crate::deploy::run::Run;
use crate::deploy::saga::Step;
use crate::host::{ContainerSpec, Restart, RuntimeError};
use crate::limits;

/// The release command ended well: migrations and the like.
pub(super) struct ReleaseCommand;

#[async_trait]
impl Step<Run, DeployError> for ReleaseCommand {
    fn name(&self) -> &'static str {
        "release_command"
    }

    async fn prepare(&self, run: &mut Run) -> Result<(), DeployError> {
        run.notes.task = !run.deployment.release_command.is_empty();
        Ok(())
    }

    async fn run(&self, run: &mut Run) -> Result<(), DeployError> {
        if !run.notes.task {
            return Ok(());
        }
        run.progress.tell(DeployStep::ReleaseCommand, "Running the release command").await;
        let outcome = match once(run).await {
            Ok(outcome) => outcome,
            Err(error) => Err(error),
        };
        match outcome {
            Ok(()) => self.undo(run).await.or_else(|left| {
                // It does not stop the deploy: the container has ended, and the next deploy takes it away.
                run.left(left);
                Ok(())
            }),
            Err(error) => {
                run.failed(DeployStep::ReleaseCommand, error.told()).await;
                Err(error)
            }
        }
    }

    async fn undo(&self, run: &mut Run) -> Result<(), String> {
        if run.notes.task {
            remove_marked(run, &run.task_container()).await?;
            run.notes.task = false;
        }
        Ok(())
    }
}

/// Runs it to its end; what it came to.
async fn once(run: &mut Run) -> Result<Result<(), DeployError>, DeployError> {
    let name = run.task_container();
    let failed = |source: RuntimeError, name: &str| DeployError::ContainerStart { name: name.to_owned(), source };
    let spec = spec(run, name.clone());
    let id = with_image(run, spec, DeployStep::ReleaseCommand).await?;
    let runtime = run.host().runtimes.runtime(&run.deployment.runtime);
    let ended = tokio::select! {
        ended = tokio::time::timeout(limits::RELEASE_COMMAND, runtime.wait(&id)) => ended,
        () = run.cancel.cancelled() => return Err(run.cancel.error()),
    };
    let code = match ended {
        Ok(Ok(code)) => Some(code),
        Ok(Err(error)) => return Err(failed(error, &name)),
        Err(_) => None,
    };
    if code == Some(0) {
        return Ok(Ok(()));
    }
    let log = runtime.tail(&id, limits::TOLD_LINES).await.unwrap_or_default();
    let output = log.iter().map(|line| String::from_utf8_lossy(&line.text).into_owned()).collect();
    Ok(Err(DeployError::ReleaseCommand { code, output }))
}

fn spec(run: &Run, name: String) -> ContainerSpec {
    let command = run.deployment.release_command.clone();
    ContainerSpec { name, command, restart: Restart::No, ..run.spec(true) }
}
