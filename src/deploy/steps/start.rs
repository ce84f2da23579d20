//! The step that starts the new container.

use async_trait::async_trait;

use crate::apps::Labels;
use crate::deploy::DeployError;
use crate::deploy::kept_logs;
use crate::deploy::progress::DeployStep;
use crate::deploy::releases::{self, Manifest};
use crate::deploy::run::{NewContainer, Run};
use crate::deploy::saga::Step;
use crate::elapsed;
use crate::host::{ContainerSpec, Publish, PullImage, RuntimeError};
use crate::limits;

/// The new container runs, and what it was started with is kept.
pub(super) struct StartContainer;

#[async_trait]
impl Step<Run, DeployError> for StartContainer {
    fn name(&self) -> &'static str {
        "start_container"
    }

    async fn prepare(&self, run: &mut Run) -> Result<(), DeployError> {
        let deployment = &run.deployment;
        let known =
            run.journal.releases(&deployment.app_id).iter().any(|release| release.deployment.id == deployment.id);
        // The document of a release that is kept already stays as it is until this run has succeeded.
        run.notes.saved = !known;
        run.notes.container = NewContainer::Asked;
        Ok(())
    }

    async fn run(&self, run: &mut Run) -> Result<(), DeployError> {
        let name = run.container();
        run.progress.tell(DeployStep::StartContainer, format!("Starting {name}")).await;
        let saving = save(run);
        let spec = spec(run);
        let (saved, started) = tokio::join!(saving, with_image(run, spec, DeployStep::StartContainer));
        match started {
            Ok(id) => {
                run.notes.container = NewContainer::Started(id.clone());
                run.deployment.port = run.notes.port;
                run.deployment.container_id = Some(id);
                run.deployment.container_name = Some(name);
            }
            Err(error) => {
                run.failed(DeployStep::StartContainer, error.told()).await;
                return Err(error);
            }
        }
        saved.map_err(|source| DeployError::Save { source })
    }

    async fn undo(&self, run: &mut Run) -> Result<(), String> {
        match &run.notes.container {
            NewContainer::None => {}
            NewContainer::Asked => drop(remove_marked(run, &run.container()).await?),
            NewContainer::Started(id) => remove_started(run, id).await?,
        }
        run.notes.container = NewContainer::None;
        forget(run).await
    }
}

async fn remove_started(run: &Run, id: &str) -> Result<(), String> {
    let target = &run.deployment.runtime;
    let runtime = run.host().runtimes.runtime(target);
    if let Ok(container) = runtime.inspect(id).await {
        kept_logs::keep(&run.settings, &run.journal, (target, &container), true).await;
    }
    match runtime.remove(id).await {
        Ok(()) | Err(RuntimeError::NotFound { .. }) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

/// Writes the release's document.
fn save(run: &Run) -> impl Future<Output = std::io::Result<()>> + use<> {
    let document = releases::document(&run.deployment.app_id, &run.deployment.id);
    let content = run.notes.saved.then(|| Manifest::write(&run.deployment, &run.health));
    let storage = run.host().storage.clone();
    async move {
        match content {
            Some(content) => storage.put(&document, content).await,
            None => Ok(()),
        }
    }
}

/// Removes the release's document, unless the same deployment has become a release since.
async fn forget(run: &mut Run) -> Result<(), String> {
    let Run { deployment, .. } = run;
    let kept = run.journal.releases(&deployment.app_id).iter().any(|release| release.deployment.id == deployment.id);
    if run.notes.saved && !kept {
        let document = releases::document(&deployment.app_id, &deployment.id);
        run.host().storage.delete(&document).await.map_err(|error| format!("its configuration: {error}"))?;
    }
    run.notes.saved = false;
    Ok(())
}

/// Removes a container of that name if this run started it; gives the port that it had.
pub(in crate::deploy) async fn remove_marked(run: &Run, name: &str) -> Result<Option<u16>, String> {
    let runtime = run.host().runtimes.runtime(&run.deployment.runtime);
    let container = match runtime.inspect(name).await {
        Ok(container) => container,
        Err(RuntimeError::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let mark = Labels::read(&container.labels).and_then(|labels| labels.run);
    if mark.as_ref() != Some(&run.notes.mark) {
        return Ok(None);
    }
    kept_logs::keep(&run.settings, &run.journal, (&run.deployment.runtime, &container), true).await;
    match runtime.remove(&container.id).await {
        Ok(()) | Err(RuntimeError::NotFound { .. }) => Ok(container.port),
        Err(error) => Err(error.to_string()),
    }
}

/// Starts; with an image that is not here after a pull, with a port that is taken on another one.
pub(super) async fn with_image(
    run: &mut Run,
    mut spec: ContainerSpec,
    step: DeployStep,
) -> Result<String, DeployError> {
    let runtime = run.host().runtimes.runtime(&run.deployment.runtime);
    let failed = |name: String, source| DeployError::ContainerStart { name, source };
    let (mut pulled, mut retries) = (false, 0);
    loop {
        // Never dropped half-way: a container that the engine is about to make could not be undone.
        let error = match runtime.start(&spec).await {
            Ok(id) => return Ok(id),
            Err(error) => error,
        };
        if !pulled && is_image_missing(&error) && !is_built_here(&spec.image) {
            pulled = true;
            if !pull(run, &spec.image, step).await? {
                return Err(failed(spec.name, error));
            }
        } else if let Some(publish) =
            spec.publish.as_mut().filter(|_| retries < limits::PORT_RETRIES && is_port_taken(&error))
        {
            retries += 1;
            let ports = &run.settings.ports;
            let Ok(port) = ports.allocate() else { return Err(failed(spec.name, error)) };
            let (app_id, deployment_id) = (&run.deployment.app_id, &run.deployment.id);
            tracing::info!(
                app_id,
                deployment_id,
                container = spec.name,
                taken = publish.port,
                port,
                "the port was taken meanwhile"
            );
            ports.release(publish.port);
            publish.port = port;
            run.notes.port = Some(port);
        } else {
            return Err(failed(spec.name, error));
        }
    }
}

fn spec(run: &Run) -> ContainerSpec {
    let deployment = &run.deployment;
    ContainerSpec {
        name: run.container(),
        publish: Some(Publish { container_port: deployment.container_port, port: run.port() }),
        command: deployment.command.clone(),
        restart: deployment.restart,
        ..run.spec(false)
    }
}

/// Whether the image is here now. Why it is not goes to the log: the caller gets the engine's first answer.
async fn pull(run: &mut Run, image: &str, step: DeployStep) -> Result<bool, DeployError> {
    run.progress.tell(step, format!("Pulling {image}")).await;
    let runtime = run.host().runtimes.runtime(&run.deployment.runtime);
    let wanted = PullImage { reference: image.to_owned(), auth: None };
    let pulled = tokio::select! {
        pulled = tokio::time::timeout(limits::PULL, runtime.pull_image(&wanted, None)) => pulled,
        () = run.cancel.cancelled() => return Err(run.cancel.error()),
    };
    let (app_id, deployment_id) = (&run.deployment.app_id, &run.deployment.id);
    match pulled {
        Ok(Ok(())) => return Ok(true),
        Ok(Err(error)) => tracing::warn!(app_id, deployment_id, image, %error, "the image could not be pulled"),
        Err(_) => {
            let limit_ms = elapsed::millis(limits::PULL);
            tracing::warn!(app_id, deployment_id, image, limit_ms, "the image was not pulled in time");
        }
    }
    Ok(false)
}

/// An image of the agent's own build, or of a release: no registry has it.
fn is_built_here(image: &str) -> bool {
    image.starts_with("otturnaut-") && image.contains(':') || image.starts_with("sha256:")
}

/// Docker: `No such image: x`; Podman: `x: image not known`.
fn is_image_missing(error: &RuntimeError) -> bool {
    match error {
        RuntimeError::Http { status: 404, body, .. } => {
            let body = body.to_string().to_lowercase();
            body.contains("no such image") || body.contains("image not known")
        }
        _ => false,
    }
}

/// Docker: `port is already allocated` (by another container) or `address already in use` (by a process), as Podman has it.
fn is_port_taken(error: &RuntimeError) -> bool {
    match error {
        RuntimeError::Http { body, .. } => {
            let body = body.to_string();
            body.contains("port is already allocated") || body.contains("address already in use")
        }
        _ => false,
    }
}
