//! One question to an application, or a few.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::host::{Host, RuntimeTarget};

/// HTTP statuses that count as healthy: codes and ranges; empty means any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExpectedStatus(pub Vec<RangeInclusive<u16>>);

impl ExpectedStatus {
    /// Whether `status` is one of them.
    pub fn contains(&self, status: u16) -> bool {
        self.0.is_empty() || self.0.iter().any(|range| range.contains(&status))
    }
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// Whether the container runs.
    Running {
        /// The engine.
        runtime: RuntimeTarget,
        /// The container.
        name: String,
    },
    /// Whether a `GET` is answered.
    Http {
        /// The address.
        url: String,
        /// The `Host` header, where it is not the address's own.
        host: Option<String>,
        /// Which statuses are right.
        expected: ExpectedStatus,
        /// Time for the answer.
        timeout: Duration,
    },
    /// Whether a connection is taken.
    Tcp {
        /// Name or address.
        host: String,
        /// Port.
        port: u16,
        /// Time for the connection.
        timeout: Duration,
    },
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it is healthy.
    pub healthy: bool,
    /// What was seen, for a person: a status, an exit code, a reason.
    pub detail: String,
}

/// How often to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// Most questions.
    pub max_attempts: u32,
    /// Time between two.
    pub interval: Duration,
}

/// Asks once.
pub async fn check(host: &Host, check: &Check) -> Verdict {
    let _ = (host, check);
    unimplemented!()
}

/// Asks until the answer is good, at most as often as `retry` says; gives the last answer.
pub async fn check_with_retry(host: &Host, what: &Check, retry: Retry) -> Verdict {
    let _ = (host, what, retry);
    unimplemented!()
}
