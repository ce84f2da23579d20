//! Whether the proxy serves the routes that it is to serve.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::host::{Host, ProxyError};
use crate::limits;

/// Has the configured proxy look after its routes until the end; says once that it is gone, and once that it is back.
pub async fn keep_routes(host: Host, stop: CancellationToken) {
    let proxy = host.proxies.proxy(&host.proxies.defaults());
    let mut trouble = None;
    loop {
        trouble = told(proxy.reconcile().await, trouble);
        tokio::select! {
            () = tokio::time::sleep(pause()) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Tells what changed, and gives what is wrong now.
fn told(outcome: Result<(), ProxyError>, before: Option<ProxyError>) -> Option<ProxyError> {
    match (outcome, &before) {
        (Ok(()), None) => None,
        (Ok(()), Some(_)) => {
            tracing::info!("Caddy answers again");
            None
        }
        (Err(error), None) => {
            if matches!(error, ProxyError::Unavailable { .. }) {
                tracing::warn!("{error}: start Caddy, or set CADDY_ADMIN_URL to its admin API");
            } else {
                tracing::warn!("Caddy's routes are not looked after: {error}");
            }
            Some(error)
        }
        (Err(_), Some(_)) => before,
    }
}

/// Not all agents of a machine at the same moment.
fn pause() -> Duration {
    limits::ROUTES_LOOK.mul_f64(rand::random_range(0.9..1.1))
}
