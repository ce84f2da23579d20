//! The step after which the engine has the image: built, pulled or loaded.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::build::{BuildError, check_room};
use crate::deploy::DeployError;
use crate::deploy::origin::{Content, ObtainError, Origin};
use crate::deploy::progress::DeployStep;
use crate::deploy::run::{Fetched, Run};
use crate::deploy::saga::Step;
use crate::host::{DiskOf, PullImage, RegistryAuth, RuntimeError, Transfer};
use crate::limits;

/// The engine has the image.
pub(super) struct ObtainImage;

#[async_trait]
impl Step<Run, DeployError> for ObtainImage {
    fn name(&self) -> &'static str {
        "obtain_image"
    }

    /// Notes the names that it will bring, so that an undo takes them away and no others.
    async fn prepare(&self, run: &mut Run) -> Result<(), DeployError> {
        let looked = async {
            room(run).await?;
            names(run).await
        };
        let names = match looked.await {
            Ok(names) => names,
            Err(error) => {
                run.failed(DeployStep::ObtainImage, error.told()).await;
                return Err(error);
            }
        };
        let runtime = run.runtime();
        for name in names {
            if let Err(RuntimeError::NotFound { .. }) = runtime.image(&name).await {
                run.notes.brought.push(name);
            }
        }
        Ok(())
    }

    async fn run(&self, run: &mut Run) -> Result<(), DeployError> {
        let obtained = match (run.deployment.origin.clone(), run.fetched.take()) {
            (Origin::Source(_), Some(Fetched::Source(source))) => build(run, source).await,
            (Origin::Registry(auth), _) => pull(run, auth).await,
            (Origin::Fetch { .. }, Some(Fetched::Archive { _dir, path })) => load(run, &path).await,
            (Origin::Load { path }, _) => load(run, &path).await,
            (Origin::Image | Origin::Source(_) | Origin::Fetch { .. }, _) => Ok(()),
        };
        if let Err(error) = obtained {
            run.failed(DeployStep::ObtainImage, error.told()).await;
            return Err(error);
        }
        run.deployment.brought = !run.notes.brought.is_empty() || run.journal.has_brought(&run.deployment.image);
        Ok(())
    }

    async fn undo(&self, run: &mut Run) -> Result<(), String> {
        let runtime = run.runtime();
        let used = run.journal.images();
        for name in run.notes.brought.iter().filter(|name| !used.contains(*name)) {
            match runtime.remove_image(name).await {
                // Where a container uses it, somebody has found it useful.
                Ok(()) | Err(RuntimeError::NotFound { .. } | RuntimeError::Http { status: 409, .. }) => {}
                Err(error) => return Err(format!("the image {name}: {error}")),
            }
        }
        run.notes.brought.clear();
        Ok(())
    }
}

/// Whether the engine has room for it; an archive takes about as much as it has.
async fn room(run: &Run) -> Result<(), DeployError> {
    let path = match (&run.deployment.origin, &run.fetched) {
        (_, Some(Fetched::Archive { path, .. })) | (Origin::Load { path }, _) => Some(path),
        _ => None,
    };
    let needed = match path {
        Some(path) => run.host().files.size(path).await.unwrap_or(0),
        None => 0,
    };
    let of_engine = |of| of == DiskOf::Runtime(run.deployment.runtime.kind);
    check_room(&*run.host().machine, needed, of_engine).await.map_err(|low| run.not_obtained(low.into()))
}

/// The names that the image will have, as far as they are known.
async fn names(run: &Run) -> Result<Vec<String>, DeployError> {
    let path: PathBuf = match (&run.deployment.origin, &run.fetched) {
        (_, Some(Fetched::Source(source))) => return Ok(vec![source.tag().to_owned()]),
        (_, Some(Fetched::Archive { path, .. })) | (Origin::Load { path }, None) => path.clone(),
        (Origin::Registry(_), None) => return Ok(vec![run.deployment.image.clone()]),
        (Origin::Image | Origin::Source(_) | Origin::Fetch { .. }, None) => return Ok(Vec::new()),
    };
    run.runtime().archive_names(&path).await.map_err(|error| run.not_obtained(ObtainError::Load(error)))
}

async fn build(run: &mut Run, fetched: crate::build::Fetched) -> Result<(), DeployError> {
    let Origin::Source(source) = run.deployment.origin.clone() else { return Ok(()) };
    let tag = fetched.tag().to_owned();
    run.progress.tell(DeployStep::ObtainImage, format!("Building {tag}")).await;
    let (lines, mut batches) = mpsc::channel(limits::OUTPUT_BATCHES);
    let (builder, target, cancel) = (run.build.clone(), run.deployment.runtime.clone(), run.cancel.clone());
    let app_id = run.deployment.app_id.clone();
    let building = timeout(limits::BUILD, builder.image(&fetched, (&source, &target), Some(lines)));
    let forward = async {
        while let Some(batch) = batches.recv().await {
            run.progress.output(batch).await;
        }
    };
    let built = tokio::select! {
        (built, ()) = async { tokio::join!(building, forward) } => built,
        () = cancel.cancelled() => return Err(cancel.error()),
    };
    match built {
        Ok(Ok(())) => {
            run.deployment.image = tag;
            run.deployment.content = Some(Content::Commit(fetched.commit().to_owned()));
            fetched.remove().await;
            Ok(())
        }
        Ok(Err(source)) => Err(run.not_obtained(BuildError::Build { tag, source }.into())),
        Err(_) => Err(run.not_obtained(BuildError::Timeout { app_id, after: limits::BUILD }.into())),
    }
}

async fn pull(run: &mut Run, auth: Option<RegistryAuth>) -> Result<(), DeployError> {
    let image = PullImage { reference: run.deployment.image.clone(), auth };
    run.progress.tell(DeployStep::ObtainImage, format!("Pulling {}", image.reference)).await;
    let runtime = run.runtime();
    let (progress, seen) = watch::channel(Transfer::default());
    let pulling = async {
        match timeout(limits::PULL, runtime.pull_image(&image, Some(progress))).await {
            Ok(pulled) => pulled.map_err(ObtainError::Pull),
            Err(_) => Err(ObtainError::Timeout(limits::PULL)),
        }
    };
    told(run, (DeployStep::ObtainImage, "Pulled"), (pulling, seen)).await?;
    pin(run, &image.reference, ObtainError::Pull).await
}

async fn load(run: &mut Run, archive: &Path) -> Result<(), DeployError> {
    run.progress.tell(DeployStep::ObtainImage, "Loading the archive").await;
    let (runtime, cancel) = (run.runtime(), run.cancel.clone());
    let loaded = tokio::select! {
        loaded = timeout(limits::PULL, runtime.load_image(archive)) => loaded,
        () = cancel.cancelled() => return Err(cancel.error()),
    };
    let name = match loaded {
        Ok(Ok(name)) => name,
        Ok(Err(error)) => return Err(run.not_obtained(ObtainError::Load(error))),
        Err(_) => return Err(run.not_obtained(ObtainError::Timeout(limits::PULL))),
    };
    run.deployment.image.clone_from(&name);
    pin(run, &name, ObtainError::Load).await
}

/// Starts by content what may get another content under its name.
async fn pin(run: &mut Run, name: &str, failed: fn(RuntimeError) -> ObtainError) -> Result<(), DeployError> {
    let runtime = run.runtime();
    let image = runtime.image(name).await.map_err(|error| run.not_obtained(failed(error)))?;
    if run.deployment.content.is_none() {
        let repository = name.split('@').next().unwrap_or(name);
        let repository =
            repository.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')).map_or(repository, |(r, _)| r);
        let own = image.digests.iter().find_map(|digest| digest.strip_prefix(repository)?.strip_prefix('@'));
        run.deployment.content = own.map(|digest| Content::Digest(digest.to_owned()));
    }
    run.image = Some(image.id);
    Ok(())
}

/// Waits for a transfer, or for its cancellation; tells now and then how far it is.
pub(super) async fn told(
    run: &mut Run,
    (step, verb): (DeployStep, &'static str),
    (work, seen): (impl Future<Output = Result<(), ObtainError>>, watch::Receiver<Transfer>),
) -> Result<(), DeployError> {
    let cancel = run.cancel.clone();
    let mut ticks = interval(limits::TRANSFER_TOLD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.reset();
    tokio::pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done.map_err(|source| run.not_obtained(source)),
            () = cancel.cancelled() => return Err(cancel.error()),
            _ = ticks.tick() => {
                let transfer = *seen.borrow();
                run.progress.tell(step, format!("{verb} {}", amount(transfer))).await;
            }
        }
    }
}

/// How far something is, for a person.
fn amount(Transfer { done, total }: Transfer) -> String {
    let mebibytes = |bytes: u64| bytes / (1 << 20);
    match total {
        Some(total) if total > 0 => {
            let percent = done.min(total) * 100 / total;
            format!("{} of {} MiB ({percent} %)", mebibytes(done), mebibytes(total))
        }
        _ => format!("{} MiB", mebibytes(done)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_far_it_is_is_told_in_mebibytes_and_percent() {
        assert_eq!(amount(Transfer { done: 5 << 20, total: Some(20 << 20) }), "5 of 20 MiB (25 %)");
        assert_eq!(amount(Transfer { done: 5 << 20, total: None }), "5 MiB");
        assert_eq!(amount(Transfer { done: 0, total: Some(0) }), "0 MiB");
    }
}
