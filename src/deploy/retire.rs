//! What a deploy does with the version before, once requests go to the new one.

use futures::future::join_all;

use super::progress::DeployStep;
use super::run::Run;
use crate::apps::Labels;
use crate::host::{Container, ContainerStatus, RuntimeError, RuntimeTarget};
use crate::limits;

/// Everything of this application that is not the new container is stopped and removed, once its requests had time to
/// end. The deploy has succeeded whatever comes of this.
pub(super) async fn stop_old(run: &mut Run) {
    run.progress.tell(DeployStep::StopOld, "Stopping the old version").await;
    let old = find_old(run).await;
    let known = run.old.as_ref().and_then(|entry| entry.container_name.clone());
    let newest = old.iter().max_by_key(|(_, container)| container.created);
    run.deployment.previous_container_name = known.or_else(|| newest.map(|(_, container)| container.name.clone()));
    run.deployment.previous_port =
        run.old.as_ref().and_then(|entry| entry.port).or_else(|| newest.and_then(|(_, container)| container.port));
    run.old_ports =
        old.iter().filter_map(|(_, container)| container.port).chain(run.deployment.previous_port).collect();
    let served = |container: &Container| {
        let labelled = Labels::read(&container.labels).is_some_and(|labels| !labels.domains.is_empty());
        container.status == ContainerStatus::Running && (labelled || run.had_domains())
    };
    if old.iter().any(|(_, container)| served(container)) {
        tokio::time::sleep(limits::DRAIN).await;
    }
    let removals = old.iter().map(|(target, container)| remove_old(run, target, container));
    for failed in join_all(removals).await.into_iter().flatten() {
        run.left(failed);
    }
}

async fn remove_old(run: &Run, target: &RuntimeTarget, container: &Container) -> Option<String> {
    let runtime = run.host.runtimes.runtime(target);
    if container.status != ContainerStatus::Stopped
        && let Err(error) = runtime.stop(&container.id, limits::STOP_GRACE).await
    {
        tracing::warn!(container = container.name, %error, "the old container did not stop, it is removed as it is");
    }
    match runtime.remove(&container.id).await {
        Ok(()) | Err(RuntimeError::NotFound { .. }) => None,
        Err(error) => Some(format!("the old container {}: {error}", container.name)),
    }
}

/// The containers of the versions before, by their labels and by the state, on this deployment's engine and the old one's.
async fn find_old(run: &mut Run) -> Vec<(RuntimeTarget, Container)> {
    let here = run.deployment.runtime.clone();
    let there = run.old.as_ref().and_then(|entry| entry.runtime.clone()).unwrap_or_else(|| here.clone());
    let new_id = run.deployment.container_id.clone().unwrap_or_default();
    let mut found: Vec<(RuntimeTarget, Container)> = Vec::new();
    let targets = if here == there { vec![here] } else { vec![here, there.clone()] };
    for target in targets {
        match run.host.runtimes.runtime(&target).list(&Labels::of_app(&run.deployment.app_id)).await {
            Ok(containers) => {
                let old = containers.into_iter().filter(|c| c.id != new_id && found.iter().all(|(_, f)| f.id != c.id));
                let old: Vec<_> = old.map(|c| (target.clone(), c)).collect();
                found.extend(old);
            }
            Err(error) => run.left(format!("the old containers on {}: {error}", target.kind)),
        }
    }
    // One that another agent started carries no label; the state knows it by name.
    let known = run.old.as_ref().and_then(|entry| entry.container_name.clone());
    if let Some(name) = known.filter(|name| *name != run.container() && found.iter().all(|(_, c)| c.name != *name)) {
        match run.host.runtimes.runtime(&there).inspect(&name).await {
            Ok(container) => found.push((there, container)),
            Err(RuntimeError::NotFound { .. }) => {}
            Err(error) => run.left(format!("the old container {name}: {error}")),
        }
    }
    found
}

/// The ports of the old version are free again.
pub(super) async fn release_port(run: &mut Run) {
    run.progress.tell(DeployStep::ReleasePort, "Releasing the old port").await;
    for port in run.old_ports.iter().filter(|port| Some(**port) != run.deployment.port) {
        run.ports.release(*port);
    }
}
