//! One question to an application, or a few.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::exit;
use crate::host::{Container, HealthState, Host, HttpAnswer, Probe, ProbeAnswer, RuntimeKind, RuntimeTarget};
use crate::limits;

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
    /// Whether a command in the container succeeds.
    Command {
        /// The engine.
        runtime: RuntimeTarget,
        /// The container.
        name: String,
        /// The program and its arguments.
        command: Vec<String>,
        /// Time for it.
        timeout: Duration,
    },
    /// Whether the image's own health check is content.
    Engine {
        /// The engine.
        runtime: RuntimeTarget,
        /// The container.
        name: String,
    },
}

impl Check {
    /// The engine that answers it, where none but an engine can.
    pub(super) fn engine(&self) -> Option<RuntimeKind> {
        match self {
            Self::Running { runtime, .. } | Self::Command { runtime, .. } | Self::Engine { runtime, .. } => {
                Some(runtime.kind)
            }
            Self::Http { .. } | Self::Tcp { .. } => None,
        }
    }
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it is healthy.
    pub healthy: bool,
    /// What was seen, for a person: a status, an exit code, a reason.
    pub detail: String,
    /// Whether it can never be healthy.
    pub hopeless: bool,
}

impl Verdict {
    /// It is well.
    pub(super) fn healthy(detail: impl Into<String>) -> Self {
        Self { healthy: true, detail: detail.into(), hopeless: false }
    }

    /// It is not, and may become so.
    pub(super) fn unhealthy(detail: impl Into<String>) -> Self {
        Self { healthy: false, detail: detail.into(), hopeless: false }
    }

    fn of(healthy: bool, detail: String) -> Self {
        Self { healthy, detail, hopeless: false }
    }
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
        Check::Command { runtime, name, command: line, timeout } => {
            command(host, (runtime, name), line, *timeout).await
        }
        Check::Engine { runtime, name } => engine(host, runtime, name).await,
    }
}

/// Asks until the answer is good, at most as often as `retry` says; gives the last answer.
pub async fn check_with_retry(host: &Host, what: &Check, retry: Retry) -> Verdict {
    let mut verdict = Verdict::unhealthy("not asked: no attempts were allowed");
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
fn judge(answer: ProbeAnswer, expected: &ExpectedStatus) -> Verdict {
    match answer {
        ProbeAnswer::Http(answer) if expected.contains(answer.status) => {
            Verdict::healthy(format!("answered {}", answer.status))
        }
        ProbeAnswer::Http(answer) => Verdict::unhealthy(wrong(&answer, expected)),
        ProbeAnswer::Connected => Verdict::healthy("took the connection"),
        ProbeAnswer::Failed(reason) => Verdict::unhealthy(reason),
    }
}

/// An answer of another status than the ones that are right.
fn wrong(answer: &HttpAnswer, expected: &ExpectedStatus) -> String {
    let location = answer.location.as_ref().map(|location| format!(", it leads to {location}"));
    let head = (!answer.head.is_empty()).then(|| format!(": {:?}", answer.head));
    let answered = format!("answered {}, expected {expected}", answer.status);
    [Some(answered), location, head].into_iter().flatten().collect()
}

/// The container as it is now, if the engine says so in time.
async fn look(host: &Host, runtime: &RuntimeTarget, name: &str) -> Result<Container, Verdict> {
    match timeout(limits::PROBE, host.runtimes.runtime(runtime).inspect(name)).await {
        Ok(found) => found.map_err(|error| Verdict::unhealthy(error.to_string())),
        Err(_) => Err(Verdict::unhealthy(format!("{} did not answer in time", runtime.kind))),
    }
}

/// Whether a container runs.
pub(super) fn runs(container: &Container) -> Verdict {
    Verdict::of(container.runs(), exit::state(container))
}

async fn running(host: &Host, runtime: &RuntimeTarget, name: &str) -> Verdict {
    match look(host, runtime, name).await {
        Ok(container) => runs(&container),
        Err(verdict) => verdict,
    }
}

async fn command(host: &Host, (runtime, name): (&RuntimeTarget, &str), command: &[String], limit: Duration) -> Verdict {
    let said = |output: &str| match output.lines().last() {
        Some(line) if !line.is_empty() => format!(": {}", exit::printable(line.as_bytes())),
        _ => String::new(),
    };
    match host.runtimes.runtime(runtime).exec(name, command, limit).await {
        Ok(end) => match end.exit_code {
            Some(0) => Verdict::healthy("the command succeeded"),
            Some(code) => Verdict::unhealthy(format!("the command exited with code {code}{}", said(&end.output))),
            None => Verdict::unhealthy(format!("the command did not end within {limit:?}")),
        },
        Err(error) => Verdict::unhealthy(format!("the command could not be run: {error}")),
    }
}

async fn engine(host: &Host, runtime: &RuntimeTarget, name: &str) -> Verdict {
    let container = match look(host, runtime, name).await {
        Ok(container) => container,
        Err(verdict) => return verdict,
    };
    match container.health {
        Some(HealthState::Healthy) => Verdict::healthy("the image's health check is content"),
        Some(HealthState::Starting) => Verdict::unhealthy("the image's health check has not decided yet"),
        Some(HealthState::Unhealthy(output)) => {
            Verdict::unhealthy(format!("the image's health check fails: {}", exit::printable(output.trim().as_bytes())))
        }
        None => Verdict { hopeless: true, ..Verdict::unhealthy("the image has no health check of its own") },
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
    fn a_wrong_status_says_which_was_wanted_and_what_was_answered() {
        let told = |answer| judge(ProbeAnswer::Http(answer), &ExpectedStatus(vec![200..=200])).detail;
        let plain = HttpAnswer { status: 503, location: None, head: String::new() };
        assert_eq!(told(plain.clone()), "answered 503, expected 200");
        let redirect = HttpAnswer { status: 302, location: Some("/login".to_owned()), ..plain.clone() };
        assert_eq!(told(redirect), "answered 302, expected 200, it leads to /login");
        let body = HttpAnswer { status: 500, head: "no \"database\"".to_owned(), ..plain };
        assert_eq!(told(body), r#"answered 500, expected 200: "no \"database\"""#);
    }
}
