//! What a deploy would do, without doing it.

use std::sync::Arc;

use super::difference::differences;
use super::engine::ExecuteOptions;
use super::execution::Inner;
use super::progress::DeployStep;
use super::steps::find_route;
use super::{Deployment, HealthProbe, Origin, Strategy, route_id};
use crate::apps::AppEntry;
use crate::host::{Recipe, Route, RuntimeError};

/// What a deploy would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The steps, each with what it would do.
    pub steps: Vec<PlannedStep>,
    /// Whether nobody would answer for a while.
    pub downtime: bool,
    /// What would make it fail, or is worth knowing.
    pub warnings: Vec<String>,
    /// How the new version differs from the one that runs.
    pub differences: Vec<String>,
}

/// A step and what it would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedStep {
    /// The step.
    pub step: DeployStep,
    /// For a person.
    pub what: String,
}

/// Looks at everything that the deploy would touch.
pub(super) async fn plan(engine: &Arc<Inner>, deployment: &Deployment, options: &ExecuteOptions) -> Plan {
    let mut warnings = Vec::new();
    let old = engine.settings.state.get(&deployment.app_id).filter(|entry| entry.container_name.is_some());
    let image = match &deployment.origin {
        Origin::Image => image(engine, deployment, &mut warnings).await,
        Origin::Registry(_) => "which is pulled first",
        Origin::Source(_) => "which is built first",
        Origin::Fetch { .. } | Origin::Load { .. } => "which is loaded first",
    };
    if let Err(error) = engine.settings.host.runtimes.runtime(&deployment.runtime).check(deployment.resources).await {
        warnings.push(error.to_string());
    }
    let route = route(engine, deployment, &mut warnings).await;
    let before = engine.queue.waiting(&deployment.app_id);
    let mut steps = Vec::new();
    let mut step = |step, what: String| steps.push(PlannedStep { step, what });
    if before > 0 {
        step(DeployStep::Queued, format!("waits for {before} runs of {}", deployment.app_id));
    }
    for (at, what) in origin(deployment) {
        step(at, what);
    }
    let (first, last) = engine.settings.ports.range();
    step(DeployStep::AllocatePort, format!("a free port between {first} and {last}"));
    if !deployment.release_command.is_empty() {
        step(DeployStep::ReleaseCommand, "runs the release command once in the new image".to_owned());
    }
    let downtime = deployment.strategy == Strategy::Recreate && old.is_some();
    if let Some(old) = old.as_ref().filter(|_| downtime) {
        step(DeployStep::StopOld, format!("stops {} first: nobody answers until the new one does", name(old)));
    }
    let container = super::container_name(&deployment.app_id, &deployment.id);
    let named = if deployment.image.is_empty() { "its image" } else { &deployment.image };
    step(DeployStep::StartContainer, format!("starts {container} from {named}, {image}"));
    step(DeployStep::HealthCheck, health(deployment, options));
    step(DeployStep::SwitchRoute, route);
    if let Some(old) = &old {
        let drain = deployment.drain_timeout.as_secs();
        step(DeployStep::StopOld, format!("removes {} when nobody uses it, after {drain} s at most", name(old)));
        let port = old.port.map_or("its port".to_owned(), |port| format!("port {port}"));
        step(DeployStep::ReleasePort, format!("gives {port} back"));
    }
    let differences = differences((&engine.settings.host, &engine.journal), deployment).await;
    Plan { steps, downtime, warnings, differences }
}

/// How the image comes here.
fn origin(deployment: &Deployment) -> Vec<(DeployStep, String)> {
    let obtain = |what: String| (DeployStep::ObtainImage, what);
    match &deployment.origin {
        Origin::Image => vec![],
        Origin::Source(source) => vec![
            (DeployStep::FetchSource, format!("clones the repository at {}", source.git_ref)),
            obtain(match &source.recipe {
                Recipe::Dockerfile { path } => format!("builds the image by {path}"),
                Recipe::Native { output, .. } => format!("runs its build command, which leaves {}", output.display()),
            }),
        ],
        Origin::Registry(_) => vec![obtain(format!("pulls {}", deployment.image))],
        Origin::Fetch { sha256, .. } => vec![
            (DeployStep::FetchSource, format!("fetches an archive and verifies that its SHA-256 is {sha256}")),
            obtain("loads it".to_owned()),
        ],
        Origin::Load { path } => vec![obtain(format!("loads {}", path.display()))],
    }
}

fn name(old: &AppEntry) -> &str {
    old.container_name.as_deref().unwrap_or("the old version")
}

async fn image(engine: &Inner, deployment: &Deployment, warnings: &mut Vec<String>) -> &'static str {
    let runtime = engine.settings.host.runtimes.runtime(&deployment.runtime);
    match runtime.image(&deployment.image).await {
        Ok(_) => "which is here",
        Err(RuntimeError::NotFound { .. }) => "which is pulled first",
        Err(error) => {
            warnings.push(error.to_string());
            "which may have to be pulled"
        }
    }
}

async fn route(engine: &Inner, deployment: &Deployment, warnings: &mut Vec<String>) -> String {
    let proxies = &engine.settings.host.proxies;
    let found = find_route(&*proxies.proxy(&proxies.defaults()), &route_id(&deployment.app_id)).await;
    let wanted = deployment.domains.join(", ");
    if deployment.domains.is_empty() {
        return match found {
            Ok(Some(_)) => "takes the route of the version before away".to_owned(),
            Ok(None) | Err(_) => "no route".to_owned(),
        };
    }
    match found {
        Ok(Some(Route { domains, .. })) if domains == deployment.domains => {
            format!("leads {wanted} to it, which no connection notices")
        }
        Ok(Some(Route { domains, .. })) => format!("leads {wanted} to it in place of {}", domains.join(", ")),
        Ok(None) => format!("leads {wanted} to it, with a new route"),
        Err(error) => {
            warnings.push(error.to_string());
            format!("leads {wanted} to it")
        }
    }
}

fn health(deployment: &Deployment, options: &ExecuteOptions) -> String {
    let deadline = options.health.deadline.as_secs();
    let mut what = match &options.health.probe {
        Some(HealthProbe::Http { path, .. }) => format!("it answers GET {}", path.as_deref().unwrap_or("/")),
        Some(HealthProbe::Tcp { .. }) => "it takes a connection".to_owned(),
        Some(HealthProbe::Command { .. }) => "a command in it succeeds".to_owned(),
        Some(HealthProbe::Engine) => "its image's health check is content".to_owned(),
        Some(HealthProbe::Running) | None => "it keeps running".to_owned(),
    };
    if !deployment.domains.is_empty() && !matches!(options.health.probe, Some(HealthProbe::Http { .. })) {
        what.push_str(" and answers HTTP");
    }
    format!("waits until {what}, {deadline} s at most")
}
