//! Waiting until a version that gets no new requests is not in use any more.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::host::{Connection, Host};
use crate::limits;

/// Waits until nobody is connected to `ports`, `within` at most; gives the connections that are left then.
///
/// The proxy gives up connections that it does not use within half a second, so that those that stay are in use.
pub(super) async fn drain(host: &Host, ports: &[u16], within: Duration) -> Vec<Connection> {
    let until = Instant::now() + within;
    sleep(limits::SHORTEST_DRAIN.min(within)).await;
    let mut pause = limits::DRAIN_PAUSE;
    loop {
        let open = match host.network.connections(ports).await {
            Ok(open) => open,
            Err(error) => {
                tracing::warn!(%error, "who is connected to the old version is not known");
                return Vec::new();
            }
        };
        let left = until.saturating_duration_since(Instant::now());
        if open.is_empty() || left.is_zero() {
            return open;
        }
        sleep(pause.min(left)).await;
        pause = (pause * 2).min(limits::LONGEST_DRAIN_PAUSE);
    }
}

/// Who they are, for a person.
pub(super) async fn who(host: &Host, open: &[Connection]) -> String {
    let count = open.len();
    let mut names: Vec<String> = host.network.owners(open).await;
    names.sort();
    names.dedup();
    let connections = if count == 1 { "1 connection".to_owned() } else { format!("{count} connections") };
    if names.is_empty() { connections } else { format!("{connections} of {}", names.join(", ")) }
}
