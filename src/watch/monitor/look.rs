//! A look at one application: its exits, its checks, and what follows from them.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Monitor;
use super::entry::{ContainerPlace, Entry, OnUnhealthy, Watched};
use super::rounds::Due;
use super::wellness::{Change, Condition};
use crate::apps::AppStatus;
use crate::elapsed;
use crate::limits;
use crate::watch::events::{About, What};
use crate::watch::exit;
use crate::watch::health::{self, Verdict};

impl Monitor {
    pub(super) async fn look(&self, due: Due) {
        let Due { app_id, watched, exits } = due;
        for code in exits {
            self.take_exit(&app_id, &watched, code).await;
        }
        if let Some(verdict) = self.ask(&app_id, &watched).await {
            self.take(&app_id, &watched, verdict);
        }
        self.restart(&app_id, &watched).await;
        self.with(&app_id, &watched, |entry| {
            entry.busy = false;
            // An exit that came meanwhile has its turn at once.
            let pause = if entry.exits.is_empty() { pause(entry) } else { Duration::ZERO };
            entry.due = Instant::now() + pause;
        });
    }

    /// Asks all; the first answer that is not good. Of an engine that is down nothing is known.
    async fn ask(&self, app_id: &str, watched: &Arc<Watched>) -> Option<Verdict> {
        let mut good = Vec::new();
        for check in &watched.checks {
            if check.engine().is_some_and(|kind| self.is_down(kind)) {
                continue;
            }
            let verdict = match self.with(app_id, watched, |entry| entry.answer(check)).flatten() {
                Some(known) => known,
                None => health::check(&self.0.host, check).await,
            };
            if !verdict.healthy {
                // It may have gone down meanwhile.
                return check.engine().is_none_or(|kind| !self.is_down(kind)).then_some(verdict);
            }
            good.push(verdict.detail);
        }
        (!good.is_empty()).then(|| Verdict::healthy(good.join(", ")))
    }

    fn take(&self, app_id: &str, watched: &Arc<Watched>, verdict: Verdict) {
        if !verdict.healthy && self.is_deploying(app_id) {
            // It may be stopped for that.
            return;
        }
        let (healthy, detail) = (verdict.healthy, verdict.detail.clone());
        let change = self.with(app_id, watched, |entry| {
            entry.checked(verdict);
            let before = entry.wellness.condition;
            let change = entry.wellness.checked(healthy, Instant::now());
            entry.turned(before);
            change
        });
        match change.flatten() {
            Some(Change::Unhealthy(failures)) => {
                tracing::warn!(app_id, failures, detail, "the application is not well");
                self.tell(app_id, watched, What::AppUnhealthy { detail, failures });
            }
            Some(Change::Recovered(after)) => {
                let after_ms = elapsed::millis(after);
                tracing::info!(app_id, after_ms, detail, "the application is well again");
                self.tell(app_id, watched, What::AppRecovered { detail, after_ms });
            }
            _ => {}
        }
    }

    async fn take_exit(&self, app_id: &str, watched: &Arc<Watched>, code: Option<i64>) {
        let Some(place) = &watched.container else { return };
        if self.is_deploying(app_id) {
            // It is stopped for that.
            return;
        }
        let change = self.with(app_id, watched, |entry| {
            let before = entry.wellness.condition;
            let change = entry.wellness.exited(Instant::now());
            entry.turned(before);
            change
        });
        let Some(change) = change.flatten() else { return };
        let seen = self.0.host.runtimes.runtime(&place.runtime).inspect(&place.name).await.ok();
        let exit_code = code.or(seen.as_ref().and_then(|seen| seen.exit_code));
        let detail = match exit_code {
            Some(code) => exit::describe(code, seen.as_ref()),
            None => "the container exited".to_owned(),
        };
        let log = exit::last_lines(&self.0.host, &place.runtime, &place.name).await;
        let out_of_memory = seen.is_some_and(|seen| seen.oom_killed);
        if let Change::CrashLooping(exits) = change {
            tracing::warn!(app_id, exits, detail, "the application ends again and again");
            self.tell(app_id, watched, What::AppCrashLooping { exits, exit_code, detail, log });
        } else {
            tracing::warn!(app_id, detail, "the application's container ended");
            self.tell(app_id, watched, What::AppExited { exit_code, out_of_memory, detail, log });
        }
    }

    /// Starts it anew, where that is asked for and its time has come.
    async fn restart(&self, app_id: &str, watched: &Arc<Watched>) {
        let (OnUnhealthy::Restart, Some(place)) = (watched.on_unhealthy, &watched.container) else { return };
        let now = Instant::now();
        let attempt = self.with(app_id, watched, |entry| {
            let is_due = entry.wellness.condition == Condition::Unhealthy && entry.restart_from <= now;
            is_due.then(|| {
                entry.restarts = entry.restarts.saturating_add(1);
                entry.restart_from = now + back_off(entry.restarts);
                entry.restarting = true;
                entry.restarts
            })
        });
        let Some(attempt) = attempt.flatten().filter(|_| !self.is_deploying(app_id)) else { return };
        let done = self.start_anew(place).await;
        self.with(app_id, watched, |entry| entry.restarting = false);
        let detail = match &done {
            Ok(()) => "its container was started anew".to_owned(),
            Err(error) => format!("its container could not be started anew: {error}"),
        };
        tracing::warn!(app_id, attempt, detail, "the application is not well");
        self.tell(app_id, watched, What::AppRestarted { attempt, detail, done: done.is_ok() });
    }

    async fn start_anew(&self, place: &ContainerPlace) -> Result<(), crate::host::RuntimeError> {
        let runtime = self.0.host.runtimes.runtime(&place.runtime);
        runtime.stop(&place.name, limits::STOP_GRACE).await?;
        runtime.start_again(&place.name).await
    }

    fn is_deploying(&self, app_id: &str) -> bool {
        self.0.state.get(app_id).is_some_and(|entry| entry.status == Some(AppStatus::Deploying))
    }

    /// Does something with an application's entry, if the same is watched of it still.
    fn with<T>(&self, app_id: &str, watched: &Arc<Watched>, change: impl FnOnce(&mut Entry) -> T) -> Option<T> {
        let mut entries = self.lock();
        entries.get_mut(app_id).filter(|entry| Arc::ptr_eq(&entry.watched, watched)).map(change)
    }

    fn tell(&self, app_id: &str, watched: &Watched, what: What) {
        self.0.events.publish(About::app(app_id, watched.deployment_id.as_deref()), what);
    }
}

/// Until the next look: sooner while it is not certain how it is.
fn pause(entry: &Entry) -> Duration {
    let interval = entry.watched.interval;
    let is_settled = entry.wellness.is_steady() || entry.wellness.failures > limits::FAILURES_TO_TELL;
    let pause = if is_settled { interval } else { interval.min(limits::MONITOR_AGAIN) };
    // Not all at the same moment.
    pause.mul_f64(rand::random_range(0.9..1.1))
}

/// Until it may be started anew once more.
fn back_off(restarts: u32) -> Duration {
    let (first, longest) = limits::RESTART_PAUSES;
    first.saturating_mul(1 << restarts.min(10)).min(longest)
}
