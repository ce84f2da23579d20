//! Waiting for a new version to be ready for requests.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::ExpectedStatus;
use super::health::{describe, judge};
use crate::host::{ContainerStatus, Host, Probe, ProbeAnswer, RuntimeError, RuntimeTarget};
use crate::limits;

/// What shows that a version is ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadyProbe {
    /// Its container kept running for a moment, without a restart.
    Running,
    /// It answered a `GET` on its port.
    Http {
        /// Path and query.
        path: String,
        /// The `Host` header; the address if none is given.
        host: Option<String>,
        /// Which statuses are right.
        expected: ExpectedStatus,
        /// Time for one answer.
        timeout: Duration,
    },
    /// It took a connection on its port, and kept running for a moment.
    Tcp {
        /// Time for one connection.
        timeout: Duration,
    },
}

/// What to wait for, and how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readiness {
    /// The engine.
    pub runtime: RuntimeTarget,
    /// The container.
    pub container: String,
    /// Its port on this machine.
    pub port: u16,
    /// What shows that it is ready.
    pub probe: ReadyProbe,
    /// Longest time between two questions; the first follow one another faster.
    pub interval: Duration,
    /// Time for it all; one question more may be under way.
    pub within: Duration,
}

/// It is not ready, and why: the last answer, an exit code, a restart.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{container} is not ready: {reason}")]
pub struct NotReady {
    /// The container.
    pub container: String,
    /// What was seen last, for a person.
    pub reason: String,
}

/// Waits until the container is ready; gives what it answered. Ends early where it exited or was restarted.
///
/// # Errors
/// It exited, restarted, or the time was up.
pub async fn wait_ready(host: &Host, readiness: &Readiness) -> Result<String, NotReady> {
    let not_ready = |reason| NotReady { container: readiness.container.clone(), reason };
    let deadline = Instant::now() + readiness.within.min(limits::HEALTH);
    let longest = readiness.interval.max(limits::FIRST_PAUSE);
    let mut pause = limits::FIRST_PAUSE;
    let mut well_since = None;
    loop {
        let now = Instant::now();
        let wait = match ask(host, readiness).await {
            Seen::Ready(detail) => return Ok(detail),
            Seen::Dead(reason) => return Err(not_ready(reason)),
            Seen::NotYet(reason) if Instant::now() >= deadline => return Err(not_ready(reason)),
            Seen::NotYet(_) => {
                well_since = None;
                deadline.saturating_duration_since(now)
            }
            Seen::Well(detail) => {
                let settled = *well_since.get_or_insert(now) + limits::SETTLE;
                if now >= settled {
                    return Ok(detail);
                }
                settled - now
            }
        };
        sleep(pause.min(wait)).await;
        pause = pause.saturating_mul(2).min(longest);
    }
}

/// What one question came to.
enum Seen {
    /// It is ready.
    Ready(String),
    /// It is well, and ready when it stays so for a moment.
    Well(String),
    /// It may become ready.
    NotYet(String),
    /// It will not.
    Dead(String),
}

async fn ask(host: &Host, readiness: &Readiness) -> Seen {
    let port = readiness.port;
    let (probe, expected) = match &readiness.probe {
        ReadyProbe::Running => return container(host, readiness).await,
        ReadyProbe::Http { path, host, expected, timeout } => {
            let slash = if path.starts_with('/') { "" } else { "/" };
            let url = format!("http://127.0.0.1:{port}{slash}{path}");
            (Probe::Http { url, host: host.clone(), timeout: *timeout }, expected.clone())
        }
        ReadyProbe::Tcp { timeout } => {
            let probe = Probe::Tcp { host: "127.0.0.1".to_owned(), port, timeout: *timeout };
            (probe, ExpectedStatus::default())
        }
    };
    let answer = host.network.probe(&probe).await;
    let took_connection = answer == ProbeAnswer::Connected;
    let verdict = judge(answer, &expected);
    if verdict.healthy && !took_connection {
        return Seen::Ready(verdict.detail);
    }
    match container(host, readiness).await {
        // Taken by the engine's own proxy, maybe: what stays up is believed.
        Seen::Well(_) if took_connection => Seen::Well(verdict.detail),
        Seen::Dead(reason) => Seen::Dead(format!("{reason}; last answer: {}", verdict.detail)),
        _ => Seen::NotYet(verdict.detail),
    }
}

async fn container(host: &Host, readiness: &Readiness) -> Seen {
    match host.runtimes.runtime(&readiness.runtime).inspect(&readiness.container).await {
        Ok(seen) => match seen.status {
            _ if seen.restart_count > 0 => Seen::Dead(describe(&seen)),
            ContainerStatus::Running => Seen::Well(describe(&seen)),
            ContainerStatus::Stopped => Seen::Dead(describe(&seen)),
            ContainerStatus::Unknown => Seen::NotYet(describe(&seen)),
        },
        Err(RuntimeError::NotFound { .. }) => Seen::Dead("the container is gone".to_owned()),
        Err(error) => Seen::NotYet(error.to_string()),
    }
}
