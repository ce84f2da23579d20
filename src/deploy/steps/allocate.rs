//! The step that chooses a port.

use async_trait::async_trait;

use crate::deploy::DeployError;
use crate::deploy::progress::DeployStep;
use crate::deploy::run::Run;
use crate::deploy::saga::Step;

/// A port of this machine for the new version.
pub(super) struct AllocatePort;

#[async_trait]
impl Step<Run, DeployError> for AllocatePort {
    fn name(&self) -> &'static str {
        "allocate_port"
    }

    async fn run(&self, run: &mut Run) -> Result<(), DeployError> {
        run.progress.tell(DeployStep::AllocatePort, "Allocating a port").await;
        match run.settings.ports.allocate() {
            Ok(port) => {
                run.notes.port = Some(port);
                Ok(())
            }
            Err(exhausted) => {
                run.failed(DeployStep::AllocatePort, &exhausted).await;
                Err(DeployError::PortAllocation(exhausted))
            }
        }
    }

    async fn undo(&self, run: &mut Run) -> Result<(), String> {
        if let Some(port) = run.notes.port.take() {
            run.settings.ports.release(port);
        }
        Ok(())
    }
}
