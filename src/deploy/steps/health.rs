//! The step that waits until the new version answers.

use std::time::Duration;

use async_trait::async_trait;

use crate::deploy::difference::differences;
use crate::deploy::progress::DeployStep;
use crate::deploy::run::Run;
use crate::deploy::saga::Step;
use crate::deploy::{DeployError, HealthProbe};
use crate::limits;
use crate::watch::{Check, ExpectedStatus, NotReady, Readiness, wait_ready};

/// The new version answers.
pub(super) struct HealthCheck;

#[async_trait]
impl Step<Run, DeployError> for HealthCheck {
    fn name(&self) -> &'static str {
        "health_check"
    }

    async fn run(&self, run: &mut Run) -> Result<(), DeployError> {
        let readiness = readiness(run);
        run.progress.tell(DeployStep::HealthCheck, format!("Waiting for {} to answer", readiness.container)).await;
        let waited = tokio::select! {
            waited = wait_ready(run.host(), &readiness) => waited,
            () = run.cancel.cancelled() => return Err(run.cancel.error()),
        };
        match waited {
            Ok(answer) => {
                tracing::debug!(container = readiness.container, answer, "healthy");
                Ok(())
            }
            Err(not_ready) => {
                run.failed(DeployStep::HealthCheck, told(run, &not_ready).await).await;
                Err(DeployError::HealthCheckFailed(not_ready))
            }
        }
    }

    async fn undo(&self, _run: &mut Run) -> Result<(), String> {
        Ok(())
    }
}

/// Why, what it said last, and what is different from the version that runs.
async fn told(run: &Run, not_ready: &NotReady) -> String {
    let mut parts = vec![not_ready.why.to_string()];
    if !not_ready.log.is_empty() {
        parts.push(format!("its last output:\n{}", not_ready.log.join("\n")));
    }
    let differences = differences((run.host(), &run.journal), &run.deployment).await;
    if !differences.is_empty() {
        parts.push(format!("different from the release that runs: {}", differences.join("; ")));
    }
    parts.join("\n")
}

/// What the new version must show before it gets requests: what is asked for, and with domains an HTTP answer.
fn readiness(run: &Run) -> Readiness {
    let deployment = &run.deployment;
    let asked = run.health.probe.clone().unwrap_or(HealthProbe::Running);
    let check = |probe: &HealthProbe| probe.check(deployment, &run.container(), run.port());
    let mut checks = vec![check(&asked)];
    if !deployment.domains.is_empty() && !matches!(asked, HealthProbe::Http { .. }) {
        let any_answer =
            HealthProbe::Http { path: None, host: None, expected: ExpectedStatus::default(), timeout: None };
        checks.push(check(&any_answer));
    }
    // What is well now and shows nothing by that is to stay so for a moment.
    let shows_nothing = |check: &Check| matches!(check, Check::Running { .. } | Check::Tcp { .. });
    let moment = if checks.iter().all(shows_nothing) { limits::SETTLE } else { Duration::ZERO };
    Readiness {
        runtime: deployment.runtime.clone(),
        container: run.container(),
        checks,
        interval: run.health.interval,
        within: run.health.deadline,
        healthy_for: run.health.healthy_for.unwrap_or(moment),
    }
}
