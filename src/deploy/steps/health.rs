//! The step that waits until the new version answers.

use async_trait::async_trait;

use crate::deploy::progress::DeployStep;
use crate::deploy::run::Run;
use crate::deploy::saga::Step;
use crate::deploy::{DeployError, HealthProbe};
use crate::limits;
use crate::watch::{ExpectedStatus, Readiness, ReadyProbe, wait_ready};

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
            Ok(answer) => tracing::debug!(container = readiness.container, answer, "healthy"),
            Err(not_ready) => {
                run.failed(DeployStep::HealthCheck, &not_ready.reason).await;
                return Err(DeployError::HealthCheckFailed(not_ready));
            }
        }
        Ok(())
    }

    async fn undo(&self, _run: &mut Run) -> Result<(), String> {
        Ok(())
    }
}

/// What the new version must show before it gets requests: with domains an HTTP answer, whatever else was asked.
fn readiness(run: &Run) -> Readiness {
    let deployment = &run.deployment;
    let any_answer = HealthProbe::Http { path: None, host: None, expected: ExpectedStatus::default(), timeout: None };
    let asked = match (&run.health.probe, deployment.domains.is_empty()) {
        (Some(http @ HealthProbe::Http { .. }), _) => http.clone(),
        (_, false) => any_answer,
        (other, true) => other.clone().unwrap_or(HealthProbe::Running),
    };
    // The name that requests come with, where it is one.
    let domain = deployment.domains.first().filter(|domain| !domain.contains('*'));
    let probe = match asked {
        HealthProbe::Running => ReadyProbe::Running,
        HealthProbe::Tcp { timeout } => ReadyProbe::Tcp { timeout: timeout.unwrap_or(limits::PROBE) },
        HealthProbe::Http { path, host, expected, timeout } => ReadyProbe::Http {
            path: path.unwrap_or_else(|| "/".to_owned()),
            host: host.or_else(|| domain.cloned()),
            expected,
            timeout: timeout.unwrap_or(limits::PROBE),
        },
    };
    Readiness {
        runtime: deployment.runtime.clone(),
        container: run.container(),
        port: run.port(),
        probe,
        interval: run.health.interval,
        within: run.health.deadline,
    }
}
