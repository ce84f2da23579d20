//! What a new version must show before it gets requests, as the caller says it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::limits;
use crate::watch::ExpectedStatus;

/// When a new version counts as healthy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthPolicy {
    /// What to ask. An application with domains must answer HTTP whatever else is asked.
    pub probe: Option<HealthProbe>,
    /// Longest time between two questions; the first follow one another faster.
    pub interval: Duration,
    /// Time for it all.
    pub deadline: Duration,
    /// How long it must stay well, if at all.
    pub healthy_for: Option<Duration>,
}

impl Default for HealthPolicy {
    fn default() -> Self {
        let (interval, deadline) = (limits::HEALTH_INTERVAL, limits::HEALTH_DEADLINE);
        Self { probe: None, interval, deadline, healthy_for: None }
    }
}

/// What to ask a new version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HealthProbe {
    /// Nothing; its container is to keep running.
    Running,
    /// A `GET` on its port.
    Http {
        /// Path and query, `/` if none is given.
        path: Option<String>,
        /// The `Host` header.
        host: Option<String>,
        /// Which statuses are right.
        expected: ExpectedStatus,
        /// Time for one answer, 5 s if none is given.
        timeout: Option<Duration>,
    },
    /// A connection to its port.
    Tcp {
        /// Time for one connection, 5 s if none is given.
        timeout: Option<Duration>,
    },
    /// A command in its container that is to succeed.
    Command {
        /// The program and its arguments.
        command: Vec<String>,
        /// Time for it, 5 s if none is given.
        timeout: Option<Duration>,
    },
    /// The image's own health check.
    Engine,
}
