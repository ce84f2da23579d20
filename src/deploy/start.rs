//! The step that starts the new container.

use async_trait::async_trait;

use super::DeployError;
use super::progress::DeployStep;
use super::run::Run;
use super::saga::Step;
use crate::apps::Labels;
use crate::host::{ContainerSpec, RuntimeError};
use crate::limits;

/// The new container runs beside the old one.
pub(super) struct StartContainer;

#[async_trait]
impl Step<Run, DeployError> for StartContainer {
    fn name(&self) -> &'static str {
        "start_container"
    }

    async fn run(&self, run: &mut Run) -> Result<(), DeployError> {
        let name = run.container();
        run.progress.tell(DeployStep::StartContainer, format!("Starting {name}")).await;
        match start(run).await {
            Ok(id) => {
                run.started = Some(id.clone());
                run.deployment.container_id = Some(id);
                run.deployment.container_name = Some(name);
                Ok(())
            }
            Err(Ended::Cancelled) => Err(DeployError::Cancelled),
            Err(Ended::Failed(error)) => {
                // An engine that refused has left nothing; one that could not be heard may have started it. A container
                // that an earlier run of this very deployment left running is not ours to remove.
                let was_there = run.old.as_ref().is_some_and(|old| old.container_name.as_ref() == Some(&name));
                if !matches!(error, RuntimeError::Http { .. }) && !was_there {
                    run.started = Some(name.clone());
                }
                run.progress.tell(DeployStep::StartContainer, format!("Failed: {error}")).await;
                Err(DeployError::ContainerStart { name, source: error })
            }
        }
    }

    async fn undo(&self, run: &mut Run) -> Result<(), String> {
        let Some(container) = run.started.take() else { return Ok(()) };
        match run.host.runtimes.runtime(&run.deployment.runtime).remove(&container).await {
            Ok(()) | Err(RuntimeError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }
}

enum Ended {
    Cancelled,
    Failed(RuntimeError),
}

/// Starts; with an image that is not here after a pull, with a port that is taken on another one.
async fn start(run: &mut Run) -> Result<String, Ended> {
    let runtime = run.host.runtimes.runtime(&run.deployment.runtime);
    let mut spec = spec(run);
    let (mut pulled, mut retries) = (false, 0);
    loop {
        // Never dropped half-way: a container that the engine is about to make could not be undone.
        let error = match runtime.start(&spec).await {
            Ok(id) => return Ok(id),
            Err(error) => error,
        };
        if !pulled && is_image_missing(&error) && !is_built_here(&spec.image) {
            pulled = true;
            if !pull(run, &spec.image).await? {
                return Err(Ended::Failed(error));
            }
        } else if retries < limits::PORT_RETRIES && is_port_taken(&error) {
            retries += 1;
            let Ok(port) = run.ports.allocate() else { return Err(Ended::Failed(error)) };
            tracing::info!(container = spec.name, taken = spec.port, port, "the port was taken meanwhile");
            run.ports.release(spec.port);
            run.deployment.port = Some(port);
            spec.port = port;
        } else {
            return Err(Ended::Failed(error));
        }
    }
}

fn spec(run: &Run) -> ContainerSpec {
    let deployment = &run.deployment;
    let labels = Labels {
        outpost: run.outpost.clone(),
        app_id: deployment.app_id.clone(),
        deployment_id: deployment.id.clone(),
        domains: deployment.domains.clone(),
        container_port: deployment.container_port,
    };
    ContainerSpec {
        name: run.container(),
        image: deployment.image.clone(),
        container_port: deployment.container_port,
        port: run.port(),
        env: deployment.env.clone(),
        labels: labels.write(),
    }
}

/// Whether the image is here now. Why it is not goes to the log: the caller gets the engine's first answer.
async fn pull(run: &mut Run, image: &str) -> Result<bool, Ended> {
    run.progress.tell(DeployStep::StartContainer, format!("Pulling {image}")).await;
    let runtime = run.host.runtimes.runtime(&run.deployment.runtime);
    let pulled = tokio::select! {
        pulled = tokio::time::timeout(limits::PULL, runtime.pull_image(image)) => pulled,
        () = run.cancel.cancelled() => return Err(Ended::Cancelled),
    };
    match pulled {
        Ok(Ok(())) => return Ok(true),
        Ok(Err(error)) => tracing::warn!(image, %error, "the image could not be pulled"),
        Err(_) => tracing::warn!(image, limit = ?limits::PULL, "the image was not pulled in time"),
    }
    Ok(false)
}

/// An image of the agent's own build: no registry has it.
fn is_built_here(image: &str) -> bool {
    image.starts_with("otturnaut-") && image.contains(':')
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
