//! One question to an application, or a few.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::host::{Container, ContainerStatus, Host, Probe, ProbeAnswer, RuntimeTarget};

/// HTTP statuses that count as healthy: codes and ranges; empty means any.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpectedStatus(pub Vec<RangeInclusive<u16>>);

impl ExpectedStatus {
    /// Whether `status` is one of them.
    pub fn contains(&self, status: u16) -> bool {
        self.0.is_empty() || self.0.iter().any(|range| range.contains(&status))
    }
}

impl fmt::Display for ExpectedStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one = |range: &RangeInclusive<u16>| match (range.start(), range.end()) {
            (start, end) if start == end => start.to_string(),
            (start, end) => format!("{start}..{end}"),
        };
        match self.0.as_slice() {
            [] => f.write_str("any status"),
            ranges => f.write_str(&ranges.iter().map(one).collect::<Vec<_>>().join(" or ")),
        }
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
    match check {
        Check::Running { runtime, name } => running(host, runtime, name).await,
        Check::Http { url, host: name, expected, timeout } => {
            let probe = Probe::Http { url: url.clone(), host: name.clone(), timeout: *timeout };
            judge(host.network.probe(&probe).await, expected)
        }
        Check::Tcp { host: name, port, timeout } => {
            let probe = Probe::Tcp { host: name.clone(), port: *port, timeout: *timeout };
            judge(host.network.probe(&probe).await, &ExpectedStatus::default())
        }
    }
}

/// Asks until the answer is good, at most as often as `retry` says; gives the last answer.
pub async fn check_with_retry(host: &Host, what: &Check, retry: Retry) -> Verdict {
    let mut verdict = Verdict { healthy: false, detail: "not asked: no attempts were allowed".to_owned() };
    for attempt in 1..=retry.max_attempts {
        verdict = check(host, what).await;
        if verdict.healthy {
            break;
        }
        if attempt < retry.max_attempts {
            tokio::time::sleep(retry.interval).await;
        }
    }
    verdict
}

/// What a probe's answer means.
pub(super) fn judge(answer: ProbeAnswer, expected: &ExpectedStatus) -> Verdict {
    match answer {
        ProbeAnswer::Status(status) if expected.contains(status) => {
            Verdict { healthy: true, detail: format!("answered {status}") }
        }
        ProbeAnswer::Status(status) => {
            Verdict { healthy: false, detail: format!("answered {status}, expected {expected}") }
        }
        ProbeAnswer::Connected => Verdict { healthy: true, detail: "took the connection".to_owned() },
        ProbeAnswer::Failed(reason) => Verdict { healthy: false, detail: reason },
    }
}

async fn running(host: &Host, runtime: &RuntimeTarget, name: &str) -> Verdict {
    match host.runtimes.runtime(runtime).inspect(name).await {
        Ok(container) => {
            Verdict { healthy: container.status == ContainerStatus::Running, detail: describe(&container) }
        }
        Err(error) => Verdict { healthy: false, detail: error.to_string() },
    }
}

/// What a container does, for a person.
pub(super) fn describe(container: &Container) -> String {
    let restarts = match container.restart_count {
        0 => String::new(),
        count => format!(", restarted by the engine (count {count})"),
    };
    match (container.status, container.exit_code) {
        (ContainerStatus::Running, _) => format!("the container runs{restarts}"),
        (_, Some(code)) => format!("the container exited with code {code}{restarts}"),
        (_, None) => format!("the container does not run{restarts}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expected_statuses_are_codes_and_ranges_and_any_if_none_is_named() {
        let expected = ExpectedStatus(vec![200..=299, 401..=401]);
        assert!([200, 299, 401].iter().all(|s| expected.contains(*s)));
        assert!([199, 300, 400, 402, 500].iter().all(|s| !expected.contains(*s)));
        assert!(ExpectedStatus::default().contains(503));
        assert_eq!(expected.to_string(), "200..299 or 401");
    }

    #[test]
    fn a_wrong_status_says_which_was_wanted() {
        let verdict = judge(ProbeAnswer::Status(503), &ExpectedStatus(vec![200..=200]));
        assert_eq!(verdict, Verdict { healthy: false, detail: "answered 503, expected 200".to_owned() });
    }
}
