//! What follows the switch of a deploy: only forward. All of it can be done again after a death.

use std::io;

use futures::TryFutureExt;

use super::configuration;
use super::garbage;
use super::journal::Record;
use super::progress::DeployStep;
use super::releases::{self, Manifest, REPOSITORY, Release};
use super::retire::stop_old;
use super::run::Run;
use super::{Deployment, Status};
use crate::apps::{AppEntry, AppStatus};
use crate::host::{Host, RuntimeError};

/// The new version has the requests: it is known as the one that runs, kept as a release, and the old one goes.
pub(super) async fn go_on(run: &mut Run) {
    let switched = Record::Switched { run: run.id, notes: Box::new(run.notes.clone()) };
    if let Err(error) = run.journal.append(&switched).await {
        let (app_id, deployment_id) = (&run.deployment.app_id, &run.deployment.id);
        tracing::warn!(app_id, deployment_id, %error, "after a death now, the route would tell that it was switched");
    }
    run.progress.story.switched(run.deployment.port);
    keep_state(run);
    keep_watch(run).await;
    let (host, deployment) = (run.host().clone(), run.deployment.clone());
    let kept = keep_image(&host, &deployment);
    let (image_id, ports) = tokio::join!(kept, stop_old(run));
    release_ports(run, &ports).await;
    keep_release(run, image_id).await;
    let apps = [run.deployment.app_id.clone()];
    garbage::collect(&run.settings, &run.journal, &apps).await;
    run.journal.settle(&Record::Ended { run: run.id });
}

/// The state is that of the new version; nothing of what Mission Control put besides stays.
fn keep_state(run: &mut Run) {
    let deployment = &run.deployment;
    let entry = AppEntry {
        deployment_id: Some(deployment.id.clone()),
        container_name: deployment.container_name.clone(),
        port: deployment.port,
        domains: Some(deployment.domains.clone()),
        status: Some(AppStatus::Running),
        runtime: Some(deployment.runtime.clone()),
        ..AppEntry::default()
    };
    if let Err(full) = run.settings.state.put(&deployment.app_id, entry) {
        run.left(full.to_string());
    }
}

/// Its health is watched from now on, as it was asked for.
async fn keep_watch(run: &mut Run) {
    let deployment = &run.deployment;
    // After a death nobody knows what was asked for but the document.
    let kept = if run.torn { releases::load_of(run.host(), &deployment.app_id, &deployment.id).await } else { None };
    let health = kept.map_or(run.health.clone(), |(_, health)| health);
    if let Err(error) = run.settings.monitor.watch(&deployment.app_id, health.watched(deployment)) {
        run.left(format!("{} is not watched: {error}", run.deployment.app_id));
    }
}

/// Gives the image a name of the agent's own, so that it is there for a rollback; what it is by content.
async fn keep_image(host: &Host, deployment: &Deployment) -> String {
    let runtime = host.runtimes.runtime(&deployment.runtime);
    let container = deployment.container_id.as_deref().unwrap_or_default();
    let keep = || async {
        let image = runtime.inspect(container).await?.image_id;
        runtime.tag_image(&image, REPOSITORY, &Release::tag(&deployment.app_id, &deployment.id)).await?;
        Ok::<_, RuntimeError>(image)
    };
    // A second time, since nobody would notice before the image is gone.
    keep().or_else(|_| keep()).await.unwrap_or_else(|error| {
        tracing::warn!(app_id = deployment.app_id, deployment_id = deployment.id, %error, "the image is not kept by name");
        String::new()
    })
}

/// The ports of the old version are free again.
async fn release_ports(run: &mut Run, ports: &[u16]) {
    run.progress.tell(DeployStep::ReleasePort, "Releasing the old port").await;
    for port in ports.iter().filter(|port| Some(**port) != run.deployment.port) {
        run.settings.ports.release(*port);
    }
}

async fn keep_release(run: &mut Run, image_id: String) {
    if !run.notes.saved
        && !run.torn
        && let Err(error) = save_again(run).await
    {
        run.left(format!("the configuration of release {}: {error}", run.deployment.id));
    }
    let deployment = Deployment { status: Status::Completed, ..run.deployment.clone() };
    let configuration = configuration_sum(run).await;
    let release = Release { deployment, image_id, configuration, rolled_back: run.rollback };
    run.journal.note(&Record::Released(Box::new(release)));
}

async fn configuration_sum(run: &Run) -> String {
    let Deployment { app_id, id, .. } = &run.deployment;
    if !run.torn {
        return configuration::sum(&run.deployment);
    }
    // After a death nobody knows the environment but the document.
    let kept = releases::load_of(run.host(), app_id, id).await;
    kept.map_or_else(String::new, |(deployment, _)| configuration::sum(&deployment))
}

/// A deployment that was a release already was not saved before its start. After a death the document of then stays, since
/// an environment that nobody knows any more must not take its place.
async fn save_again(run: &Run) -> io::Result<()> {
    let document = releases::document(&run.deployment.app_id, &run.deployment.id);
    run.host().storage.put(&document, Manifest::write(&run.deployment, &run.health)).await
}
