//! After a start: the state is rebuilt from what runs, and what a torn deploy left is removed.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::engine::Inner;
use super::route_id;
use super::switch::is_gone;
use crate::apps::{AppEntry, AppStatus, Labels};
use crate::host::{Container, ContainerStatus, Route, Runtime, RuntimeTarget};
use crate::limits;

/// One of the agent's containers.
struct Ours {
    target: RuntimeTarget,
    runtime: Arc<dyn Runtime>,
    container: Container,
    labels: Labels,
}

impl Ours {
    fn runs(&self) -> bool {
        self.container.status == ContainerStatus::Running
    }

    fn serves(&self, route: &Route) -> bool {
        self.container.port == Some(route.upstream_port)
    }
}

/// What is known of an application's route.
enum Routed {
    To(Route),
    Nowhere,
    /// Caddy does not tell.
    Unknown,
}

/// Rebuilds from the engines that answer; whether all did.
pub(super) async fn recover(engine: &Inner) -> bool {
    let mut apps = BTreeSet::new();
    let present = engine.settings.host.runtimes.present();
    // None at all is one that has not started yet.
    let mut all_answered = !present.is_empty();
    for (target, runtime) in present {
        match runtime.list(&Labels::all()).await {
            Ok(found) => {
                let labels = found.iter().filter_map(|container| Labels::read(&container.labels));
                let (ours, others): (Vec<_>, Vec<_>) = labels.partition(|labels| is_ours(engine, labels));
                if !others.is_empty() {
                    tracing::info!(count = others.len(), "containers of other agents are left alone");
                }
                apps.extend(ours.into_iter().map(|labels| labels.app_id));
            }
            Err(error) => {
                tracing::warn!(engine = %target.kind, %error, "the engine does not answer yet");
                all_answered = false;
            }
        }
    }
    for app_id in apps {
        // In its turn, so that no deploy of the application is under way meanwhile.
        let Ok(ticket) = engine.queue.enter(&app_id) else { continue };
        ticket.turn().await;
        recover_app(engine, &app_id).await;
    }
    all_answered
}

/// Several agents may share an engine, each with a name and a Caddy of its own.
fn is_ours(engine: &Inner, labels: &Labels) -> bool {
    labels.outpost == engine.settings.outpost
}

async fn recover_app(engine: &Inner, app_id: &str) {
    let (ours, complete) = containers(engine, app_id).await;
    for port in ours.iter().filter_map(|one| one.container.port) {
        engine.settings.ports.claim(port);
    }
    if engine.settings.state.get(app_id).is_some_and(|entry| entry.container_name.is_some()) {
        return;
    }
    let routed = routed(engine, app_id).await;
    let Some(chosen) = choose(&ours, &routed) else { return };
    keep_state(engine, app_id, chosen);
    match &routed {
        Routed::To(route) if complete && chosen.runs() && chosen.serves(route) => {
            // Only now is it certain which of them requests go to: the others were not switched to, or not removed yet.
            for other in ours.iter().filter(|one| one.container.id != chosen.container.id) {
                remove(engine, other).await;
            }
        }
        Routed::Nowhere if chosen.runs() && !chosen.labels.domains.is_empty() => {
            restore_route(engine, app_id, chosen).await;
        }
        _ => {}
    }
}

/// The application's containers on all engines, and whether all engines answered.
async fn containers(engine: &Inner, app_id: &str) -> (Vec<Ours>, bool) {
    let mut ours: Vec<Ours> = Vec::new();
    let mut complete = true;
    for (target, runtime) in engine.settings.host.runtimes.present() {
        let Ok(found) = runtime.list(&Labels::of_app(app_id)).await else {
            complete = false;
            continue;
        };
        for container in found {
            let known = ours.iter().any(|one| one.container.id == container.id);
            let labels = Labels::read(&container.labels).filter(|labels| is_ours(engine, labels));
            if let (Some(labels), false) = (labels, known) {
                ours.push(Ours { target: target.clone(), runtime: Arc::clone(&runtime), container, labels });
            }
        }
    }
    (ours, complete)
}

async fn routed(engine: &Inner, app_id: &str) -> Routed {
    let proxies = &engine.settings.host.proxies;
    match proxies.proxy(&proxies.defaults()).get_route(&route_id(app_id)).await {
        Ok(route) => Routed::To(route),
        Err(error) if is_gone(&error) => Routed::Nowhere,
        Err(error) => {
            tracing::warn!(app_id, %error, "whether there is a route is not known");
            Routed::Unknown
        }
    }
}

/// The one that requests go to, else the newest that runs, else the newest.
fn choose<'a>(ours: &'a [Ours], routed: &Routed) -> Option<&'a Ours> {
    let is_routed = |one: &Ours| match routed {
        Routed::To(route) => one.serves(route),
        Routed::Nowhere | Routed::Unknown => false,
    };
    ours.iter().max_by_key(|one| (is_routed(one), one.runs(), one.container.created))
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

async fn remove(engine: &Inner, leftover: &Ours) {
    let container = &leftover.container;
    tracing::info!(container = container.name, "a torn deploy left this container: it is removed");
    let stopped = leftover.runtime.stop(&container.id, limits::STOP_GRACE).await;
    match leftover.runtime.remove(&container.id).await {
        Ok(()) => container.port.iter().for_each(|port| engine.settings.ports.release(*port)),
        Err(error) => tracing::warn!(container = container.name, %error, ?stopped, "it could not be removed"),
    }
}

/// Caddy came back empty: the application is led to again.
async fn restore_route(engine: &Inner, app_id: &str, chosen: &Ours) {
    let Some(upstream_port) = chosen.container.port else { return };
    let route = Route { id: route_id(app_id), domains: chosen.labels.domains.clone(), upstream_port };
    let proxies = &engine.settings.host.proxies;
    match proxies.proxy(&proxies.defaults()).put_route(&route).await {
        Ok(()) => tracing::info!(app_id, port = upstream_port, "the route is put back"),
        Err(error) => tracing::warn!(app_id, %error, "the route could not be put back"),
    }
}
