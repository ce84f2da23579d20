//! Waiting for a new version to be ready for requests.

use std::fmt;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::exit;
use super::health::{self, Check, Verdict};
use crate::host::{Host, Runtime, RuntimeError, RuntimeTarget};
use crate::limits;

/// What to wait for, and how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readiness {
    /// The engine.
    pub runtime: RuntimeTarget,
    /// The container.
    pub container: String,
    /// What is asked; all of it must be good.
    pub checks: Vec<Check>,
    /// Longest time between two questions; the first follow one another faster.
    pub interval: Duration,
    /// Time for it all to become good; one question more may be under way.
    pub within: Duration,
    /// How long it must stay good.
    pub healthy_for: Duration,
}

/// It is not ready, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{container} is not ready: {why}")]
pub struct NotReady {
    /// The container.
    pub container: String,
    /// Why.
    pub why: Why,
    /// The last lines of its output.
    pub log: Vec<String>,
}

/// Why a container is not ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Why {
    /// What ended the waiting: an exit, a deadline, a check that can never be good.
    pub reason: String,
    /// Its exit code, if it exited.
    pub exit_code: Option<i64>,
    /// Whether the system killed it for want of memory.
    pub out_of_memory: bool,
    /// What the last question came to.
    pub last: Option<String>,
    /// How many questions were asked.
    pub probes: u32,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)?;
        match &self.last {
            Some(last) if *last != self.reason => write!(f, "; last answer: {last}"),
            _ => Ok(()),
        }
    }
}

/// What was seen so far.
#[derive(Default)]
struct Seen {
    last: Option<String>,
    probes: u32,
}

/// Why the waiting ended badly.
struct Ended {
    reason: String,
    exit_code: Option<i64>,
    out_of_memory: bool,
    /// It runs again, and what ended it is not known.
    restarted: bool,
}

/// Waits until the container is ready; gives what it answered. Ends at once where it exits.
///
/// # Errors
/// It exited, the time was up, or what is asked can never be good.
pub async fn wait_ready(host: &Host, readiness: &Readiness) -> Result<String, NotReady> {
    let mut seen = Seen::default();
    let runtime = host.runtimes.runtime(&readiness.runtime);
    let mut exit = runtime.wait(&readiness.container);
    let outcome = tokio::select! {
        // What exits at the moment of a good answer is gone all the same.
        biased;
        ended = until_gone((&*runtime, &mut exit), readiness) => Err(ended),
        outcome = until_good(host, readiness, &mut seen) => outcome,
    };
    let mut ended = match outcome {
        Ok(answer) => return Ok(answer),
        Err(ended) => ended,
    };
    // A restart that was seen before the engine told of the exit: its word has the code.
    if ended.restarted
        && let Ok(Ok(code)) = timeout(limits::EXIT_WORD, exit).await
    {
        ended = exited(&*runtime, readiness, code).await;
    }
    let log = exit::last_lines(host, &readiness.runtime, &readiness.container).await;
    let Ended { reason, exit_code, out_of_memory, .. } = ended;
    let why = Why { reason, exit_code, out_of_memory, last: seen.last, probes: seen.probes };
    Err(NotReady { container: readiness.container.clone(), why, log })
}

async fn until_good(host: &Host, readiness: &Readiness, seen: &mut Seen) -> Result<String, Ended> {
    let ended = |reason| Ended { reason, exit_code: None, out_of_memory: false, restarted: false };
    let within = readiness.within.min(limits::HEALTH);
    let deadline = Instant::now() + within;
    let longest = readiness.interval.max(limits::FIRST_PAUSE);
    let mut pause = limits::FIRST_PAUSE;
    let mut good_since = None;
    loop {
        let now = Instant::now();
        let verdict = ask(host, &readiness.checks).await;
        seen.probes += 1;
        seen.last = Some(verdict.detail.clone());
        let wait = if verdict.healthy {
            let settled = *good_since.get_or_insert(now) + readiness.healthy_for;
            if now >= settled {
                return Ok(verdict.detail);
            }
            settled - now
        } else if verdict.hopeless {
            return Err(ended(verdict.detail));
        } else if Instant::now() >= deadline {
            let (within, probes) = (within.as_secs_f64(), seen.probes);
            return Err(ended(format!("it was not ready within {within} s, asked {probes} times")));
        } else {
            good_since = None;
            deadline.saturating_duration_since(now)
        };
        sleep(pause.min(wait)).await;
        pause = pause.saturating_mul(2).min(longest);
    }
}

/// The first that is not good, else the last that is.
async fn ask(host: &Host, checks: &[Check]) -> Verdict {
    let mut verdict = Verdict::healthy("nothing was asked");
    for check in checks {
        verdict = health::check(host, check).await;
        if !verdict.healthy {
            break;
        }
    }
    verdict
}

/// Waits until the container exits; one that the engine starts again has exited all the same.
async fn until_gone(
    (runtime, exit): (&dyn Runtime, &mut (impl Future<Output = Result<i64, RuntimeError>> + Unpin)),
    readiness: &Readiness,
) -> Ended {
    let exit = tokio::select! {
        biased;
        exit = exit => exit,
        restarted = until_restarted(runtime, &readiness.container) => return restarted,
    };
    match exit {
        Ok(code) => exited(runtime, readiness, code).await,
        Err(RuntimeError::NotFound { .. }) => {
            let reason = "the container is gone".to_owned();
            Ended { reason, exit_code: None, out_of_memory: false, restarted: false }
        }
        Err(error) => {
            tracing::debug!(container = readiness.container, %error, "an exit would not be noticed at once");
            Ended { restarted: false, ..until_restarted(runtime, &readiness.container).await }
        }
    }
}

async fn exited(runtime: &dyn Runtime, readiness: &Readiness, code: i64) -> Ended {
    let seen = runtime.inspect(&readiness.container).await.ok();
    let out_of_memory = seen.as_ref().is_some_and(|seen| seen.oom_killed);
    Ended { reason: exit::describe(code, seen.as_ref()), exit_code: Some(code), out_of_memory, restarted: false }
}

/// Looks now and then whether it was started again: an exit may have come before anybody waited for it.
async fn until_restarted(runtime: &dyn Runtime, container: &str) -> Ended {
    loop {
        sleep(limits::EXIT_LOOK).await;
        if let Ok(seen) = runtime.inspect(container).await
            && (seen.restart_count > 0 || seen.exit_code.is_some())
        {
            let (exit_code, out_of_memory) = (seen.exit_code, seen.oom_killed);
            return Ended { reason: exit::state(&seen), exit_code, out_of_memory, restarted: exit_code.is_none() };
        }
    }
}
