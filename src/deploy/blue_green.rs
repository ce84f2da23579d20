//! Blue-green: the new version starts beside the old one, is asked until it answers, then gets the requests.

use async_trait::async_trait;

use super::progress::DeployStep;
use super::retire::{release_port, stop_old};
use super::run::Run;
use super::saga::{self, Broken, Failed, Step};
use super::start::StartContainer;
use super::switch::SwitchRoute;
use super::{DeployError, HealthProbe};
use crate::apps::{AppEntry, AppStatus};
use crate::limits;
use crate::watch::{ExpectedStatus, Readiness, ReadyProbe, wait_ready};

/// Runs a deploy: up to the switch of the route with undo, from there only forward.
pub(super) async fn deploy(run: &mut Run) -> Result<(), Failed<DeployError>> {
    let cancel = run.cancel.clone();
    saga::run(&[&MarkDeploying, &AllocatePort, &StartContainer, &HealthCheck, &SwitchRoute], run, &cancel).await?;
    keep_state(run);
    stop_old(run).await;
    release_port(run).await;
    Ok(())
}

impl From<Broken> for DeployError {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Cancelled => Self::Cancelled,
            Broken::Panicked => Self::Crashed,
        }
    }
}

/// The state says that a deployment is under way.
struct MarkDeploying;

#[async_trait]
impl Step<Run, DeployError> for MarkDeploying {
    fn name(&self) -> &'static str {
        "mark_deploying"
    }

    async fn run(&self, run: &mut Run) -> Result<(), DeployError> {
        let app_id = &run.deployment.app_id;
        run.old = run.state.get(app_id);
        let mut entry = run.old.clone().unwrap_or_else(|| AppEntry {
            deployment_id: Some(run.deployment.id.clone()),
            domains: Some(run.deployment.domains.clone()),
            runtime: Some(run.deployment.runtime.clone()),
            ..AppEntry::default()
        });
        entry.status = Some(AppStatus::Deploying);
        run.state.put(app_id, entry).map_err(DeployError::State)
    }

    async fn undo(&self, run: &mut Run) -> Result<(), String> {
        let app_id = &run.deployment.app_id;
        match &run.old {
            None => drop(run.state.delete(app_id)),
            // Only the status is this run's: what was put meanwhile stays.
            Some(old) => drop(run.state.update_with(app_id, |entry| {
                if entry.status == Some(AppStatus::Deploying) {
                    entry.status = old.status;
                }
            })),
        }
        Ok(())
    }
}

/// A port of this machine for the new version.
struct AllocatePort;

#[async_trait]
impl Step<Run, DeployError> for AllocatePort {
    fn name(&self) -> &'static str {
        "allocate_port"
    }

    async fn run(&self, run: &mut Run) -> Result<(), DeployError> {
        run.progress.tell(DeployStep::AllocatePort, "Allocating a port").await;
        match run.ports.allocate() {
            Ok(port) => run.deployment.port = Some(port),
            Err(exhausted) => {
                run.progress.tell(DeployStep::AllocatePort, format!("Failed: {exhausted}")).await;
                return Err(DeployError::PortAllocation(exhausted));
            }
        }
        Ok(())
    }

    async fn undo(&self, run: &mut Run) -> Result<(), String> {
        if let Some(port) = run.deployment.port.take() {
            run.ports.release(port);
        }
        Ok(())
    }
}

/// The new version answers.
struct HealthCheck;

#[async_trait]
impl Step<Run, DeployError> for HealthCheck {
    fn name(&self) -> &'static str {
        "health_check"
    }

    async fn run(&self, run: &mut Run) -> Result<(), DeployError> {
        let readiness = readiness(run);
        run.progress.tell(DeployStep::HealthCheck, format!("Waiting for {} to answer", readiness.container)).await;
        let waited = tokio::select! {
            waited = wait_ready(&run.host, &readiness) => waited,
            () = run.cancel.cancelled() => return Err(DeployError::Cancelled),
        };
        match waited {
            Ok(answer) => tracing::debug!(container = readiness.container, answer, "healthy"),
            Err(not_ready) => {
                run.progress.tell(DeployStep::HealthCheck, format!("Failed: {}", not_ready.reason)).await;
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
        within: run.health.interval.saturating_mul(run.health.max_attempts),
    }
}

/// The state is that of the new version; nothing of what Mission Control put besides stays.
fn keep_state(run: &mut Run) {
    let deployment = &run.deployment;
    let entry = AppEntry {
        deployment_id: Some(deployment.id.clone()),
        container_name: deployment.container_name.clone(),
        port: deployment.port,
        domains: Some(deployment.domains.clone()),
        status: Some(AppStatus::Running),
        runtime: Some(deployment.runtime.clone()),
        ..AppEntry::default()
    };
    if let Err(full) = run.state.put(&deployment.app_id, entry) {
        run.left(full.to_string());
    }
}
