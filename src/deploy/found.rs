//! What is found of an application after a start, and what is made of it.

use std::collections::BTreeSet;

use super::execution::Inner;
use super::journal::{Record, Work};
use super::kept_logs;
use super::recover::{Ours, Survey};
use super::releases::{self, Release};
use super::{Deployment, HealthPolicy, Status, route_id};
use crate::apps::{AppEntry, AppStatus};
use crate::host::{ContainerStatus, Document, Route};
use crate::limits;

impl Ours {
    fn runs(&self) -> bool {
        self.container.status == ContainerStatus::Running
    }

    fn serves(&self, route: &Route) -> bool {
        self.container.port == Some(route.upstream_port)
    }
}

/// What is known of an application's route.
enum Routed<'a> {
    To(&'a Route),
    Nowhere,
    /// Caddy does not tell.
    Unknown,
}

/// In the application's turn: its state is known again, its route is there, and of its containers only those stay that
/// are needed.
pub(super) async fn recover_app(engine: &Inner, app_id: &str, survey: &Survey) {
    let ours = survey.apps.get(app_id).map(Vec::as_slice).unwrap_or_default();
    for port in ours.iter().filter_map(|one| one.container.port) {
        engine.settings.ports.claim(port);
    }
    // It was deployed since.
    if engine.settings.state.get(app_id).is_some_and(|entry| entry.container_name.is_some()) {
        return;
    }
    let routed = match &survey.routes {
        None => Routed::Unknown,
        Some(routes) => routes.get(&route_id(app_id)).map_or(Routed::Nowhere, Routed::To),
    };
    let current = engine.journal.releases(app_id).pop().map(|release| release.deployment.id);
    // What a run that is not settled yet has started is neither the application nor certainly to go.
    let pending: BTreeSet<String> = engine.journal.open_runs().into_iter().map(|(_, open)| open.notes.mark).collect();
    let is_pending = |one: &Ours| one.labels.run.as_ref().is_some_and(|mark| pending.contains(mark));
    let ours: Vec<&Ours> = ours.iter().filter(|one| !is_pending(one)).collect();
    let Some(chosen) = choose(&ours, &routed, current.as_deref()) else { return };
    keep_state(engine, app_id, chosen);
    keep_watch(engine, app_id, chosen).await;
    if current.as_ref() != Some(&chosen.labels.deployment_id) {
        keep_release(engine, chosen).await;
    }
    let certain = match &routed {
        Routed::To(route) => chosen.serves(route),
        Routed::Nowhere => chosen.labels.domains.is_empty() && current.as_ref() == Some(&chosen.labels.deployment_id),
        Routed::Unknown => false,
    };
    if certain && survey.complete && chosen.runs() {
        // Only now is it certain which of them requests go to: the others were not switched to, or not removed yet.
        for other in ours.iter().filter(|one| one.container.id != chosen.container.id) {
            remove(engine, other).await;
        }
    }
    if !chosen.runs() || chosen.labels.domains.is_empty() {
        return;
    }
    let known = is_known(&ours, (chosen, current.as_deref()), (survey, app_id));
    match &routed {
        Routed::Nowhere => restore_route(engine, app_id, chosen).await,
        Routed::To(route) if known && !chosen.serves(route) => restore_route(engine, app_id, chosen).await,
        Routed::Unknown if known => note_route(engine, app_id, chosen).await,
        Routed::To(_) | Routed::Unknown => {}
    }
}

/// Whether the chosen one is certainly what requests are to go to, whatever the route says: it may be an older one, of a
/// backup. Not while a run that began is not settled, whose version may have the requests.
fn is_known(ours: &[&Ours], (chosen, current): (&Ours, Option<&str>), (survey, app_id): (&Survey, &str)) -> bool {
    let all = survey.apps.get(app_id).map_or(0, Vec::len);
    let alone = survey.complete && ours.iter().filter(|one| one.runs() && !one.labels.task).count() == 1;
    all == ours.len() && (current == Some(chosen.labels.deployment_id.as_str()) || alone)
}

/// The one that requests go to, else the one that the journal knows, else the newest that runs, else the newest.
fn choose<'a>(ours: &[&'a Ours], routed: &Routed<'_>, current: Option<&str>) -> Option<&'a Ours> {
    let is_routed = |one: &Ours| matches!(routed, Routed::To(route) if one.serves(route));
    let is_current = |one: &Ours| current == Some(one.labels.deployment_id.as_str());
    let apps = ours.iter().copied().filter(|one| !one.labels.task);
    apps.max_by_key(|one| (is_routed(one), is_current(one) && one.runs(), one.runs(), one.container.created))
}

fn keep_state(engine: &Inner, app_id: &str, chosen: &Ours) {
    let entry = AppEntry {
        deployment_id: Some(chosen.labels.deployment_id.clone()),
        container_name: Some(chosen.container.name.clone()),
        port: chosen.container.port,
        domains: Some(chosen.labels.domains.clone()),
        status: Some(if chosen.runs() { AppStatus::Running } else { AppStatus::Stopped }),
        runtime: Some(chosen.target.clone()),
        ..AppEntry::default()
    };
    match engine.settings.state.put(app_id, entry) {
        Ok(()) => tracing::info!(app_id, container = chosen.container.name, "found again"),
        Err(full) => tracing::warn!(app_id, error = %full, "found again and not kept"),
    }
}

/// Watches its health as it was watched before.
async fn keep_watch(engine: &Inner, app_id: &str, chosen: &Ours) {
    let (labels, container) = (&chosen.labels, &chosen.container);
    let known = releases::load_of(&engine.settings.host, app_id, &labels.deployment_id).await;
    let names = (labels.app_id.clone(), labels.deployment_id.clone());
    let deployment = Deployment {
        port: container.port,
        domains: labels.domains.clone(),
        ..Deployment::pending(names, container.image.clone(), labels.container_port, chosen.target.clone())
    };
    let health = known.map_or(HealthPolicy::default(), |(_, health)| health);
    if let Err(error) = engine.settings.monitor.watch(app_id, health.watched(&deployment)) {
        tracing::warn!(app_id, %error, "its health is not watched");
    }
}

/// A journal that was lost learns which release runs, from its document if that is there.
async fn keep_release(engine: &Inner, chosen: &Ours) {
    let labels = &chosen.labels;
    let (names, container) = ((labels.app_id.clone(), labels.deployment_id.clone()), &chosen.container);
    let from_labels = Deployment::pending(names, container.image.clone(), labels.container_port, chosen.target.clone());
    let known = releases::load_of(&engine.settings.host, &labels.app_id, &labels.deployment_id).await;
    let deployment = Deployment {
        status: Status::Completed,
        port: container.port,
        domains: labels.domains.clone(),
        container_name: Some(container.name.clone()),
        container_id: Some(container.id.clone()),
        ..known.map_or(from_labels, |(deployment, _)| deployment)
    };
    let release = Release::found(deployment, container.image_id.clone());
    engine.journal.settle(&Record::Released(Box::new(release)));
}

async fn remove(engine: &Inner, leftover: &Ours) {
    let container = &leftover.container;
    tracing::info!(container = container.name, "a torn deploy left this container: it is removed");
    let stopped = leftover.runtime.stop(&container.id, limits::STOP_GRACE).await;
    kept_logs::keep(&engine.settings, &engine.journal, (&leftover.target, container), false).await;
    match leftover.runtime.remove(&container.id).await {
        Ok(()) => container.port.iter().for_each(|port| engine.settings.ports.release(*port)),
        Err(error) => tracing::warn!(container = container.name, %error, ?stopped, "it could not be removed"),
    }
}

/// Caddy came back empty, or with a route that leads elsewhere: the application is led to again.
async fn restore_route(engine: &Inner, app_id: &str, chosen: &Ours) {
    let Some(route) = route_to(app_id, chosen) else { return };
    let proxies = &engine.settings.host.proxies;
    match proxies.proxy(&proxies.defaults()).put_route(&route).await {
        Ok(()) => tracing::info!(app_id, port = route.upstream_port, "the route is put back"),
        Err(error) => tracing::warn!(app_id, %error, "the route could not be put back"),
    }
}

/// Caddy does not answer: once it does, the application is led to.
async fn note_route(engine: &Inner, app_id: &str, chosen: &Ours) {
    let Some(route) = route_to(app_id, chosen) else { return };
    let proxies = &engine.settings.host.proxies;
    if let Err(error) = proxies.proxy(&proxies.defaults()).note_route(&route).await {
        tracing::warn!(app_id, %error, "where the route leads could not be put down");
    }
}

fn route_to(app_id: &str, chosen: &Ours) -> Option<Route> {
    let upstream_port = chosen.container.port?;
    Some(Route { id: route_id(app_id), domains: chosen.labels.domains.clone(), upstream_port })
}

/// Documents of no release and of no run go.
pub(super) async fn clear_documents(engine: &Inner) {
    let storage = &engine.settings.host.storage;
    let Ok(documents) = storage.documents().await else { return };
    let mut needed: BTreeSet<Document> = BTreeSet::new();
    let releases = engine.journal.apps().into_iter().flat_map(|app_id| engine.journal.releases(&app_id));
    needed.extend(releases.map(|release| releases::document(&release.deployment.app_id, &release.deployment.id)));
    for (_, open) in engine.journal.open_runs() {
        if let Work::Deploy { deployment, .. } = &open.work {
            needed.insert(releases::document(&deployment.app_id, &deployment.id));
        }
    }
    for document in documents.iter().filter(|document| !needed.contains(document)) {
        tracing::info!(
            app_id = document.folder,
            deployment_id = document.name,
            "a document that no release needs is removed"
        );
        if let Err(error) = storage.delete(document).await {
            tracing::warn!(app_id = document.folder, deployment_id = document.name, %error, "it could not be removed");
        }
    }
    kept_logs::clear(&engine.settings, &needed).await;
}
