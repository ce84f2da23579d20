//! Waiting for a new version to be ready for requests.

use std::time::Duration;

use super::ExpectedStatus;
use crate::host::{Host, RuntimeTarget};

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
    let _ = (host, readiness);
    unimplemented!()
}
