//! The step that gets what an image is made of: a source tree, or an archive.

use async_trait::async_trait;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::obtain::told;
use crate::build::{WorkDir, check_room, room_for};
use crate::deploy::DeployError;
use crate::deploy::origin::{Content, ObtainError, Origin};
use crate::deploy::progress::DeployStep;
use crate::deploy::run::{Fetched, Run};
use crate::deploy::saga::Step;
use crate::host::{DiskOf, Download, Transfer};
use crate::limits;
use crate::secret::Secret;

/// What the image is made of is on this machine.
pub(super) struct Fetch;

#[async_trait]
impl Step<Run, DeployError> for Fetch {
    fn name(&self) -> &'static str {
        "fetch_source"
    }

    async fn run(&self, run: &mut Run) -> Result<(), DeployError> {
        let fetched = match run.deployment.origin.clone() {
            Origin::Source(source) => {
                run.progress.tell(DeployStep::FetchSource, "Cloning the repository").await;
                let (build, app_id) = (run.build.clone(), run.deployment.app_id.clone());
                let cloning = async {
                    let cloned = build.fetch(&app_id, &source, Instant::now() + limits::BUILD).await?;
                    Ok(Fetched::Source(cloned))
                };
                or_cancelled(run, cloning).await
            }
            Origin::Fetch { url, sha256 } => archive(run, (url, sha256)).await,
            Origin::Image | Origin::Registry(_) | Origin::Load { .. } => return Ok(()),
        };
        match fetched {
            Ok(fetched) => {
                run.fetched = Some(fetched);
                Ok(())
            }
            Err(error) => {
                run.failed(DeployStep::FetchSource, error.told()).await;
                Err(error)
            }
        }
    }

    /// What a death left in such a directory is swept at the next start.
    async fn undo(&self, run: &mut Run) -> Result<(), String> {
        run.fetched = None;
        Ok(())
    }
}

async fn or_cancelled(
    run: &Run,
    work: impl Future<Output = Result<Fetched, ObtainError>>,
) -> Result<Fetched, DeployError> {
    tokio::select! {
        fetched = work => fetched.map_err(|source| run.not_obtained(source)),
        () = run.cancel.cancelled() => Err(run.cancel.error()),
    }
}

async fn archive(run: &mut Run, (url, sha256): (Secret<String>, String)) -> Result<Fetched, DeployError> {
    check_room(&*run.host().machine, 0, |_| true).await.map_err(|low| run.not_obtained(low.into()))?;
    run.progress.tell(DeployStep::FetchSource, "Fetching the archive").await;
    let dir = run.build.work_dir().await.map_err(|error| run.not_obtained(ObtainError::Place(error)))?;
    let (path, network) = (WorkDir::path(&dir).join("archive"), run.host().network.clone());
    let room = room_for(&*run.host().machine, DiskOf::Data).await;
    let download = Download { url, sha256: sha256.clone(), to: path.clone(), most: limits::ARTIFACT_BYTES, room };
    let (progress, seen) = watch::channel(Transfer::default());
    let fetching = async {
        match timeout(limits::DOWNLOAD, network.download(&download, progress)).await {
            Ok(fetched) => fetched.map_err(ObtainError::Fetch),
            Err(_) => Err(ObtainError::Timeout(limits::DOWNLOAD)),
        }
    };
    told(run, (DeployStep::FetchSource, "Fetched"), (fetching, seen)).await?;
    run.deployment.content = Some(Content::Sha256(sha256.to_ascii_lowercase()));
    Ok(Fetched::Archive { _dir: dir, path })
}
