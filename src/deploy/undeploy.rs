//! Taking an application away. Nothing that is missing and nothing that fails stops the rest.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::future::join_all;

use super::drain::drain;
use super::engine::EngineSettings;
use super::execution::Inner;
use super::garbage;
use super::journal::{Journal, Record, RunId, Work};
use super::progress::{Reporter, UndeployStep};
use super::runs::RunState;
use super::steps::is_gone;
use super::{UndeployRequest, route_id};
use crate::apps::{AppEntry, Labels};
use crate::host::{Container, ContainerStatus, RuntimeError, RuntimeTarget};
use crate::limits;

/// One undeploy under way.
pub(super) struct Undeploy {
    id: RunId,
    settings: EngineSettings,
    journal: Journal,
    request: UndeployRequest,
    pub(super) progress: Reporter<UndeployStep>,
}

/// A container to take away, and where it is.
type Found = (RuntimeTarget, Container);

impl Undeploy {
    /// One that has not begun.
    pub(super) fn new(
        id: RunId,
        engine: &Arc<Inner>,
        request: UndeployRequest,
        progress: Reporter<UndeployStep>,
    ) -> Self {
        let (settings, journal) = (engine.settings.clone(), engine.journal.clone());
        Self { id, settings, journal, request, progress }
    }

    /// Whose it is.
    pub(super) fn app_id(&self) -> &str {
        &self.request.app_id
    }

    /// Route first, so that no request meets a container that is going; then containers, port and state. Only forward: after
    /// a death it is done again.
    pub(super) async fn run(mut self) {
        self.progress.state(RunState::Finishing);
        self.progress.story.started(None, None);
        self.record().await;
        self.settings.monitor.unwatch(&self.request.app_id);
        self.tell(UndeployStep::RetrieveState, "Looking up what is there").await;
        let entry = self.settings.state.get(&self.request.app_id);
        let was_routed = self.remove_route(entry.as_ref()).await;
        let found = self.find(entry.as_ref()).await;
        let known = entry.as_ref().and_then(|entry| entry.port);
        let ports = found.iter().filter_map(|(_, container)| container.port).chain(known);
        let ports = Vec::from_iter(ports.collect::<BTreeSet<_>>());

        self.tell(UndeployStep::StopContainer, "Stopping the containers").await;
        let running = found.iter().filter(|(_, container)| container.status != ContainerStatus::Stopped);
        let running: Vec<&Found> = running.collect();
        if was_routed == Ok(true) && !running.is_empty() {
            drain(&self.settings.host, &ports, limits::UNDEPLOY_DRAIN).await;
        }
        join_all(running.into_iter().map(|found| self.stop(found))).await;

        self.tell(UndeployStep::RemoveContainer, "Removing the containers").await;
        join_all(found.iter().map(|found| self.remove(found))).await;

        self.tell(UndeployStep::RemoveRoutes, "Removing the route").await;
        if was_routed.is_err() {
            self.remove_or_give_up_route(entry.as_ref()).await;
        }

        self.tell(UndeployStep::ReleasePort, "Releasing the port").await;
        for port in ports {
            self.settings.ports.release(port);
        }

        self.tell(UndeployStep::ClearState, "Forgetting the application").await;
        self.forget().await;
        self.progress.story.completed(None, &[]);
    }

    async fn record(&self) {
        let (app_id, runtime) = (self.request.app_id.clone(), self.request.runtime.clone());
        let begun = Record::Begun { run: self.id, work: Work::Undeploy { app_id, runtime } };
        if let Err(error) = self.journal.append(&begun).await {
            tracing::warn!(app_id = self.request.app_id, %error, "after a death now, the undeploy would have to be asked for again");
        }
    }

    async fn forget(&self) {
        let app_id = self.request.app_id.clone();
        for left in garbage::forget(&self.settings, &self.journal, &app_id).await {
            tracing::warn!(app_id, left, "part of a release stays");
        }
        self.settings.state.delete(&app_id);
        self.journal.note(&Record::Forgotten { app_id });
        self.journal.settle(&Record::Ended { run: self.id });
    }

    async fn tell(&mut self, step: UndeployStep, message: &str) {
        self.progress.tell(step, message).await;
    }

    /// Whether there was a route; an error if it may still be there.
    async fn remove_route(&self, entry: Option<&AppEntry>) -> Result<bool, ()> {
        let id = route_id(&self.request.app_id);
        let proxy = self.settings.host.proxies.proxy(&self.settings.host.proxies.defaults());
        match proxy.remove_route(&id).await {
            Ok(()) => Ok(true),
            Err(error) if is_gone(&error) => Ok(false),
            Err(error) => {
                // An application without domains runs well without Caddy.
                let routed = entry.and_then(|e| e.domains.as_ref()).is_some_and(|domains| !domains.is_empty());
                if routed {
                    tracing::warn!(app_id = self.request.app_id, route = id, %error, "the route could not be removed");
                } else {
                    tracing::debug!(app_id = self.request.app_id, route = id, %error, "whether there is a route is not known");
                }
                Err(())
            }
        }
    }

    /// The last attempt: what cannot be removed now is when Caddy answers again. Its port may be another application's by then.
    async fn remove_or_give_up_route(&self, entry: Option<&AppEntry>) {
        if self.remove_route(entry).await.is_ok() {
            return;
        }
        let (id, proxies) = (route_id(&self.request.app_id), &self.settings.host.proxies);
        if let Err(error) = proxies.proxy(&proxies.defaults()).give_up_route(&id).await {
            tracing::warn!(app_id = self.request.app_id, route = id, %error, "the route may come back");
        }
    }

    /// All containers of the application: by label on every engine that may have one, and the one that the state names.
    async fn find(&self, entry: Option<&AppEntry>) -> Vec<Found> {
        let there = entry.and_then(|entry| entry.runtime.clone());
        let present = self.settings.host.runtimes.present().into_iter().map(|(target, _)| target);
        let mut targets: Vec<RuntimeTarget> = Vec::new();
        for target in [self.request.runtime.clone()].into_iter().chain(there.clone()).chain(present) {
            if !targets.contains(&target) {
                targets.push(target);
            }
        }
        let mut found: Vec<Found> = Vec::new();
        for target in targets {
            match self.settings.host.runtimes.runtime(&target).list(&Labels::of_app(&self.request.app_id)).await {
                Ok(containers) => {
                    for container in containers {
                        let labels = Labels::read(&container.labels);
                        if labels.is_some_and(|labels| labels.outpost != self.settings.outpost) {
                            continue;
                        }
                        if found.iter().all(|(_, known)| known.id != container.id) {
                            found.push((target.clone(), container));
                        }
                    }
                }
                Err(error) => self.failed("the engine could not be asked", &target, &error),
            }
        }
        let known = entry.and_then(|entry| entry.container_name.clone());
        if let Some(name) = known.filter(|name| found.iter().all(|(_, container)| container.name != *name)) {
            let target = there.unwrap_or_else(|| self.request.runtime.clone());
            match self.settings.host.runtimes.runtime(&target).inspect(&name).await {
                Ok(container) => found.push((target, container)),
                Err(RuntimeError::NotFound { .. }) => {}
                Err(error) => self.failed("the container could not be looked up", &target, &error),
            }
        }
        found
    }

    async fn stop(&self, (target, container): &Found) {
        match self.settings.host.runtimes.runtime(target).stop(&container.id, limits::UNDEPLOY_GRACE).await {
            Ok(()) | Err(RuntimeError::NotFound { .. }) => {}
            Err(error) => self.failed("a container did not stop", target, &error),
        }
    }

    async fn remove(&self, (target, container): &Found) {
        match self.settings.host.runtimes.runtime(target).remove(&container.id).await {
            Ok(()) | Err(RuntimeError::NotFound { .. }) => {}
            Err(error) => self.failed("a container could not be removed", target, &error),
        }
    }

    fn failed(&self, what: &str, target: &RuntimeTarget, error: &RuntimeError) {
        tracing::warn!(app_id = self.request.app_id, engine = %target.kind, %error, "{what}");
    }
}
