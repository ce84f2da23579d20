//! The step that leads requests to the new version.

use async_trait::async_trait;

use super::progress::DeployStep;
use super::run::{RouteChange, Run};
use super::saga::Step;
use super::{DeployError, route_id};
use crate::host::{Proxy, ProxyError, Route};

/// Requests go to the new version: the last step that can be undone.
pub(super) struct SwitchRoute;

#[async_trait]
impl Step<Run, DeployError> for SwitchRoute {
    fn name(&self) -> &'static str {
        "switch_route"
    }

    async fn run(&self, run: &mut Run) -> Result<(), DeployError> {
        run.progress.tell(DeployStep::SwitchRoute, "Switching the route").await;
        let proxy = run.host.proxies.proxy(&run.host.proxies.defaults());
        let id = route_id(&run.deployment.app_id);
        let switched = if run.deployment.domains.is_empty() {
            unroute(run, &*proxy, &id).await
        } else {
            route(run, &*proxy, &id).await
        };
        if let Err(source) = switched {
            run.progress.tell(DeployStep::SwitchRoute, format!("Failed: {source}")).await;
            return Err(DeployError::RouteSwitch { id, source });
        }
        Ok(())
    }

    async fn undo(&self, run: &mut Run) -> Result<(), String> {
        let RouteChange::Switched(before) = std::mem::take(&mut run.route) else { return Ok(()) };
        let proxy = run.host.proxies.proxy(&run.host.proxies.defaults());
        let restored = match before {
            Some(route) => proxy.put_route(&route).await,
            None => remove(&*proxy, &route_id(&run.deployment.app_id)).await,
        };
        restored.map_err(|error| error.to_string())
    }
}

async fn route(run: &mut Run, proxy: &dyn Proxy, id: &str) -> Result<(), ProxyError> {
    let before = find(proxy, id).await?;
    let route = Route { id: id.to_owned(), domains: run.deployment.domains.clone(), upstream_port: run.port() };
    let switched = proxy.put_route(&route).await;
    // A Caddy that was not there has changed nothing; of any other error it may be in doubt.
    if !matches!(switched, Err(ProxyError::Unavailable { .. })) {
        run.route = RouteChange::Switched(before);
    }
    switched
}

/// Without domains the route of the version before goes. Caddy need not be there for an application that had none.
async fn unroute(run: &mut Run, proxy: &dyn Proxy, id: &str) -> Result<(), ProxyError> {
    if run.old.is_some() && !run.had_domains() {
        return Ok(());
    }
    let outcome = async {
        let Some(before) = find(proxy, id).await? else { return Ok(()) };
        run.route = RouteChange::Switched(Some(before));
        remove(proxy, id).await
    };
    match outcome.await {
        Err(error) if run.old.is_none() => {
            tracing::debug!(id, %error, "no route is known that would have to go");
            Ok(())
        }
        outcome => outcome,
    }
}

async fn find(proxy: &dyn Proxy, id: &str) -> Result<Option<Route>, ProxyError> {
    match proxy.get_route(id).await {
        Ok(route) => Ok(Some(route)),
        Err(ProxyError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Removes a route; one that is not there is fine.
pub(super) async fn remove(proxy: &dyn Proxy, id: &str) -> Result<(), ProxyError> {
    match proxy.remove_route(id).await {
        Err(error) if is_gone(&error) => Ok(()),
        outcome => outcome,
    }
}

/// Whether Caddy says that it has no such route.
pub(super) fn is_gone(error: &ProxyError) -> bool {
    matches!(error, ProxyError::NotFound { .. } | ProxyError::UnexpectedStatus { status: 404, .. })
}
