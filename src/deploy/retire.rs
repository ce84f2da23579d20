//! What a deploy does with the version before, once requests go to the new one.

use std::collections::BTreeSet;

use futures::future::join_all;

use super::drain::{drain, who};
use super::kept_logs;
use super::progress::DeployStep;
use super::run::{NewContainer, Run};
use crate::apps::Labels;
use crate::elapsed;
use crate::host::{Container, ContainerStatus, RuntimeError, RuntimeTarget};

/// A container of a version before, and where it is.
pub(super) type Old = (RuntimeTarget, Container);

/// Everything of this application that is not the new container is stopped and removed, once its requests have ended.
/// Gives the ports that are free then. The deploy has succeeded whatever comes of this.
pub(super) async fn stop_old(run: &mut Run) -> Vec<u16> {
    run.progress.tell(DeployStep::StopOld, "Stopping the old version").await;
    let old = find_old(run).await;
    note_previous(run, &old);
    let ports = old.iter().filter_map(|(_, container)| container.port).chain(run.deployment.previous_port);
    let ports = Vec::from_iter(ports.collect::<BTreeSet<_>>());
    if old.iter().any(|(_, container)| served(run, container)) {
        let open = drain(run.host(), &ports, run.deployment.drain_timeout).await;
        if !open.is_empty() {
            let after_ms = elapsed::millis(run.deployment.drain_timeout);
            let message = format!(
                "Stopping the old version with {} still open after {} s",
                who(run.host(), &open).await,
                run.deployment.drain_timeout.as_secs()
            );
            tracing::info!(app_id = run.deployment.app_id, deployment_id = run.deployment.id, after_ms, "{message}");
            run.progress.tell(DeployStep::StopOld, message).await;
        }
    }
    let removals = old.iter().map(|(target, container)| remove_old(run, target, container));
    for failed in join_all(removals).await.into_iter().flatten() {
        run.left(failed);
    }
    ports
}

/// What the caller is told of the version before.
fn note_previous(run: &mut Run, old: &[Old]) {
    let known = run.notes.old.as_ref();
    let newest = old.iter().map(|(_, container)| container).max_by_key(|container| container.created);
    let name = known.and_then(|known| known.container_name.clone());
    let port = known.and_then(|known| known.port);
    run.deployment.previous_container_name = name.or_else(|| newest.map(|container| container.name.clone()));
    run.deployment.previous_port = port.or_else(|| newest.and_then(|container| container.port));
}

/// Whether requests were led to it.
fn served(run: &Run, container: &Container) -> bool {
    let labelled = Labels::read(&container.labels).is_some_and(|labels| !labels.domains.is_empty());
    container.status == ContainerStatus::Running && (labelled || run.had_domains())
}

async fn remove_old(run: &Run, target: &RuntimeTarget, container: &Container) -> Option<String> {
    let runtime = run.host().runtimes.runtime(target);
    if container.status != ContainerStatus::Stopped
        && let Err(error) = runtime.stop(&container.id, run.deployment.stop_timeout).await
    {
        let (app_id, deployment_id) = (&run.deployment.app_id, &run.deployment.id);
        tracing::warn!(app_id, deployment_id, container = container.name, %error, "the old container did not stop, it is removed as it is");
    }
    kept_logs::keep(&run.settings, &run.journal, (target, container), false).await;
    match runtime.remove(&container.id).await {
        Ok(()) | Err(RuntimeError::NotFound { .. }) => None,
        Err(error) => Some(format!("the old container {}: {error}", container.name)),
    }
}

/// The containers of the versions before, by their labels and by the state, on this deployment's engine and the old one's.
pub(super) async fn find_old(run: &mut Run) -> Vec<Old> {
    let here = run.deployment.runtime.clone();
    let there = run.notes.old.as_ref().and_then(|old| old.runtime.clone()).unwrap_or_else(|| here.clone());
    let new = match &run.notes.container {
        NewContainer::Started(id) => id.clone(),
        NewContainer::None | NewContainer::Asked => String::new(),
    };
    let mut found: Vec<Old> = Vec::new();
    let targets = if here == there { vec![here] } else { vec![here, there.clone()] };
    for target in targets {
        match run.host().runtimes.runtime(&target).list(&Labels::of_app(&run.deployment.app_id)).await {
            Ok(containers) => {
                let ours = |container: &Container| {
                    Labels::read(&container.labels).is_none_or(|labels| labels.outpost == run.settings.outpost)
                };
                let old = containers
                    .into_iter()
                    .filter(|c| c.id != new && ours(c) && found.iter().all(|(_, f)| f.id != c.id));
                let old: Vec<_> = old.map(|c| (target.clone(), c)).collect();
                found.extend(old);
            }
            Err(error) => run.left(format!("the old containers on {}: {error}", target.kind)),
        }
    }
    // One that another agent started carries no label; the state knows it by name.
    let known = run.notes.old.as_ref().and_then(|old| old.container_name.clone());
    if let Some(name) = known.filter(|name| *name != run.container() && found.iter().all(|(_, c)| c.name != *name)) {
        match run.host().runtimes.runtime(&there).inspect(&name).await {
            Ok(container) => found.push((there, container)),
            Err(RuntimeError::NotFound { .. }) => {}
            Err(error) => run.left(format!("the old container {name}: {error}")),
        }
    }
    found
}
