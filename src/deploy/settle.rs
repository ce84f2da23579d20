//! A run that a death tore: undone, or ended where its version had the requests already.

use std::sync::Arc;

use super::aftermath;
use super::cancel::Cancel;
use super::execution::Inner;
use super::forward;
use super::journal::{OpenRun, Record, RunId, Work};
use super::progress::Reporter;
use super::run::{NewContainer, RouteChange, Run};
use super::runs::RunKind;
use super::saga::{self, Shared, Stuck};
use super::steps::{self, find_route};
use super::undeploy::Undeploy;
use super::{Deployment, HealthPolicy, UndeployRequest, route_id};
use crate::host::{ProxyError, Route};

/// Settles a run in its application's turn; gives it back where it cannot be told yet which way to go.
pub(super) async fn settle(engine: &Arc<Inner>, id: RunId, open: OpenRun) -> Option<(RunId, OpenRun)> {
    match &open.work {
        Work::Undeploy { app_id, runtime } => {
            let request = UndeployRequest {
                app_id: app_id.clone(),
                runtime: runtime.clone(),
                deployment_id: None,
                cancel: false,
            };
            tracing::info!(app_id, "an undeploy that was torn is ended");
            let about = (RunKind::Undeploy, app_id.as_str(), None);
            let progress = Reporter::new(&engine.settings.events, about, None);
            Undeploy::new(id, engine, request, progress).run().await;
            None
        }
        Work::Deploy { deployment, .. } => {
            let mut run = run(engine, id, (deployment, &open));
            let (app_id, deployment_id) = (&deployment.app_id, &deployment.id);
            match decide(&run, &open).await {
                Ok(true) => {
                    tracing::info!(app_id, deployment_id, "a deploy that was torn after its switch is ended");
                    forward::go_on(&mut run).await;
                    run.progress.story.completed(run.deployment.port, &run.leftovers);
                    None
                }
                Ok(false) => {
                    tracing::info!(app_id, deployment_id, step = open.step, "a deploy that was torn is undone");
                    undo(engine, run, &open).await;
                    None
                }
                Err(error) => {
                    tracing::warn!(app_id, deployment_id, %error, "whether a torn deploy was switched is not known yet");
                    Some((id, open))
                }
            }
        }
    }
}

fn run(engine: &Arc<Inner>, id: RunId, (deployment, open): (&Deployment, &OpenRun)) -> Run {
    let notes = open.notes.clone();
    let mut deployment = deployment.clone();
    deployment.port = notes.port;
    if let NewContainer::Started(container) = &notes.container {
        deployment.container_id = Some(container.clone());
        deployment.container_name = Some(super::container_name(&deployment.app_id, &deployment.id));
    }
    // Nobody else may get it before it is certain that it is free.
    let rollback = matches!(open.work, Work::Deploy { rollback: true, .. });
    let kind = if rollback { RunKind::Rollback } else { RunKind::Deploy };
    let about = (kind, deployment.app_id.as_str(), Some(deployment.id.as_str()));
    let progress = Reporter::new(&engine.settings.events, about, None);
    notes.port.iter().for_each(|port| engine.settings.ports.claim(*port));
    Run {
        id,
        settings: engine.settings.clone(),
        journal: engine.journal.clone(),
        health: HealthPolicy::default(),
        build: engine.settings.build.clone(),
        fetched: None,
        image: None,
        rollback,
        torn: true,
        progress,
        cancel: Cancel::child_of(&engine.cancelled),
        deployment,
        notes,
        leftovers: Vec::new(),
        down_since: None,
    }
}

/// Whether to go on. Then the route is led to its version once more: a death may have come in the middle of that.
async fn decide(run: &Run, open: &OpenRun) -> Result<bool, ProxyError> {
    let switched = was_switched(run, open).await?;
    if switched && !run.deployment.domains.is_empty() {
        let domains = run.deployment.domains.clone();
        let route = Route { id: route_id(&run.deployment.app_id), domains, upstream_port: run.port() };
        run.host().proxies.proxy(&run.host().proxies.defaults()).put_route(&route).await?;
    }
    Ok(switched)
}

/// Whether requests go to its version. Between its last record and its death it may have switched.
async fn was_switched(run: &Run, open: &OpenRun) -> Result<bool, ProxyError> {
    if open.undone {
        return Ok(false);
    }
    if open.switched || !open.stuck.is_empty() {
        return Ok(open.switched);
    }
    if open.step.as_deref() != Some("switch_route") {
        return Ok(false);
    }
    if run.notes.route == RouteChange::None {
        // Nothing was to be switched: that was its last step.
        return Ok(true);
    }
    let proxy = run.host().proxies.proxy(&run.host().proxies.defaults());
    let now = find_route(&*proxy, &route_id(&run.deployment.app_id)).await?;
    Ok(match now {
        Some(route) => !run.deployment.domains.is_empty() && Some(route.upstream_port) == run.notes.port,
        None => run.deployment.domains.is_empty(),
    })
}

async fn undo(engine: &Arc<Inner>, mut run: Run, open: &OpenRun) {
    let Some(last) = &open.step else {
        return engine.journal.settle(&Record::Ended { run: run.id });
    };
    if open.undone {
        aftermath::look(&run).await;
    }
    let begun = saga::begun(steps::of(run.deployment.strategy, true), last);
    run.undoing(begun.iter().rev().map(|step| step.name()).collect());
    let stuck: Vec<Stuck> = saga::undo(begun, &mut run).await;
    let left: Vec<String> = stuck.iter().map(ToString::to_string).collect();
    run.progress.story.failed(format!("the agent ended during {last}"), &left);
    if stuck.is_empty() && aftermath::is_due(open) {
        aftermath::wait(engine, run);
    } else {
        engine.give_up(run, &stuck);
    }
}
