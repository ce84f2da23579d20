//! Whether the proxy serves the routes that it is to serve.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::events::{About, Events, What};
use crate::host::{Host, ProxyError};
use crate::limits;

/// Has the configured proxy look after its routes until the end; tells that it is gone, that it is back, and which routes it
/// had to put back.
pub async fn keep_routes(host: Host, events: Events, stop: CancellationToken) {
    let proxy = host.proxies.proxy(&host.proxies.defaults());
    let mut trouble = None;
    loop {
        trouble = told(proxy.reconcile().await, trouble, &events);
        tokio::select! {
            () = tokio::time::sleep(pause()) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Tells what changed, and gives what is wrong now.
fn told(outcome: Result<Vec<String>, ProxyError>, before: Option<ProxyError>, events: &Events) -> Option<ProxyError> {
    let tell = |what| events.publish(About::outpost(), what);
    match (outcome, &before) {
        (Ok(routes), before) => {
            if before.is_some() {
                tracing::info!("Caddy answers again");
                tell(What::ProxyUp);
            }
            if !routes.is_empty() {
                tell(What::RouteRestored { routes });
            }
            None
        }
        (Err(error), None) => {
            if matches!(error, ProxyError::Unavailable { .. }) {
                tracing::warn!("{error}: start Caddy, or set CADDY_ADMIN_URL to its admin API");
            } else {
                tracing::warn!("Caddy's routes are not looked after: {error}");
            }
            tell(What::ProxyDown { reason: error.to_string() });
            Some(error)
        }
        (Err(_), Some(_)) => before,
    }
}

/// Not all agents of a machine at the same moment.
fn pause() -> Duration {
    limits::ROUTES_LOOK.mul_f64(rand::random_range(0.9..1.1))
}
