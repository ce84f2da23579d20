//! The step that leads requests to the new version.

use async_trait::async_trait;

use crate::deploy::progress::DeployStep;
use crate::deploy::run::{RouteChange, Run};
use crate::deploy::saga::Step;
use crate::deploy::{DeployError, route_id};
use crate::host::{Proxy, ProxyError, Route};

/// Requests go to the new version: the last step that can be undone.
pub(super) struct SwitchRoute;

#[async_trait]
impl Step<Run, DeployError> for SwitchRoute {
    fn name(&self) -> &'static str {
        "switch_route"
    }

    async fn prepare(&self, run: &mut Run) -> Result<(), DeployError> {
        run.progress.tell(DeployStep::SwitchRoute, "Switching the route").await;
        let found = look(run).await;
        run.notes.route = done(run, found).await?;
        Ok(())
    }

    async fn run(&self, run: &mut Run) -> Result<(), DeployError> {
        if run.notes.route == RouteChange::None {
            return Ok(());
        }
        let proxy = run.host().proxies.proxy(&run.host().proxies.defaults());
        let id = route_id(&run.deployment.app_id);
        let switched = if run.deployment.domains.is_empty() {
            remove(&*proxy, &id).await
        } else {
            let domains = run.deployment.domains.clone();
            proxy.put_route(&Route { id, domains, upstream_port: run.port() }).await
        };
        // A Caddy that was not there has changed nothing; of any other error it may be in doubt.
        if matches!(switched, Err(ProxyError::Unavailable { .. })) {
            run.notes.route = RouteChange::None;
        }
        done(run, switched).await?;
        if let Some(since) = run.down_since.take() {
            let down = since.elapsed().as_millis();
            run.progress.tell(DeployStep::SwitchRoute, format!("Nobody answered for {down} ms")).await;
        }
        Ok(())
    }

    async fn undo(&self, run: &mut Run) -> Result<(), String> {
        if let RouteChange::Switched(before) = &run.notes.route {
            put_back(run, before.as_ref()).await.map_err(|error| error.to_string())?;
            run.notes.route = RouteChange::None;
        }
        Ok(())
    }
}

/// What is to be done, and what would have to be put back.
async fn look(run: &Run) -> Result<RouteChange, ProxyError> {
    let proxy = run.host().proxies.proxy(&run.host().proxies.defaults());
    let first = run.notes.old.is_none();
    let routed = !run.deployment.domains.is_empty();
    // Caddy need not be there for an application that has no domains and had none.
    if !routed && !first && !run.had_domains() {
        return Ok(RouteChange::None);
    }
    match find(&*proxy, &route_id(&run.deployment.app_id)).await {
        Ok(before) if routed || before.is_some() => Ok(RouteChange::Switched(before)),
        Ok(_) => Ok(RouteChange::None),
        Err(error) if first && !routed => {
            tracing::debug!(%error, "no route is known that would have to go");
            Ok(RouteChange::None)
        }
        Err(error) => Err(error),
    }
}

/// Tells a failure.
async fn done<T>(run: &mut Run, outcome: Result<T, ProxyError>) -> Result<T, DeployError> {
    match outcome {
        Ok(done) => Ok(done),
        Err(source) => {
            run.failed(DeployStep::SwitchRoute, &source).await;
            Err(DeployError::RouteSwitch { id: route_id(&run.deployment.app_id), source })
        }
    }
}

/// Puts back what was there, if the route is as this run left it: another one may have changed it since.
async fn put_back(run: &Run, before: Option<&Route>) -> Result<(), ProxyError> {
    let proxy = run.host().proxies.proxy(&run.host().proxies.defaults());
    let id = route_id(&run.deployment.app_id);
    let now = find(&*proxy, &id).await?;
    let mine = match &now {
        Some(route) => !run.deployment.domains.is_empty() && route.upstream_port == run.port(),
        None => run.deployment.domains.is_empty(),
    };
    match before {
        Some(before) if mine => proxy.put_route(before).await,
        // Or it is not there yet, and what it needs may be.
        None if mine || now.is_none() => remove(&*proxy, &id).await,
        _ => Ok(()),
    }
}

/// The route of that id, if there is one.
pub(in crate::deploy) async fn find(proxy: &dyn Proxy, id: &str) -> Result<Option<Route>, ProxyError> {
    match proxy.get_route(id).await {
        Ok(route) => Ok(Some(route)),
        Err(ProxyError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Removes a route; one that is not there is fine.
pub(in crate::deploy) async fn remove(proxy: &dyn Proxy, id: &str) -> Result<(), ProxyError> {
    match proxy.remove_route(id).await {
        Err(error) if is_gone(&error) => Ok(()),
        outcome => outcome,
    }
}

/// Whether Caddy says that it has no such route.
pub(in crate::deploy) fn is_gone(error: &ProxyError) -> bool {
    matches!(error, ProxyError::NotFound { .. } | ProxyError::UnexpectedStatus { status: 404, .. })
}
