//! Deploys, undeploys and recovery on a machine in memory.

mod death;
mod deploys;
mod health;
mod kept_logs;
mod recovery;
mod releases;
mod told;
mod turns;
mod undeploys;
mod undo;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::testing::{App, DOCKER, Fault, Machine, OUTPOST, Says, Seen, deployment};
use super::*;
use crate::apps::{AppEntry, AppState, AppStatus, Labels, PortManager};
use crate::host::{ContainerStatus, HealthState, ProxyError, Route, RuntimeError};
use crate::limits;
use crate::watch::ExpectedStatus;

async fn run(engine: &Engine, deployment: Deployment) -> Result<Deployed, Box<DeployFailure>> {
    engine.execute(deployment, ExecuteOptions::default(), None).await
}

/// Runs a deploy and gathers its steps.
async fn run_told(
    engine: &Engine,
    deployment: Deployment,
) -> (Result<Deployed, Box<DeployFailure>>, Vec<Progress<DeployStep>>) {
    let (sender, mut receiver) = mpsc::channel(limits::PROGRESS_QUEUE);
    let outcome = engine.execute(deployment, ExecuteOptions::default(), Some(sender)).await;
    let mut told = Vec::new();
    while let Ok(progress) = receiver.try_recv() {
        told.push(progress);
    }
    (outcome, told)
}

fn undeploy_of(app_id: &str) -> UndeployRequest {
    UndeployRequest { app_id: app_id.to_owned(), runtime: DOCKER, deployment_id: None, cancel: false }
}

fn labels(app_id: &str, deployment_id: &str) -> Labels {
    Labels {
        outpost: OUTPOST.to_owned(),
        app_id: app_id.to_owned(),
        deployment_id: deployment_id.to_owned(),
        domains: vec![format!("{app_id}.test")],
        container_port: 8080,
        run: None,
        task: false,
    }
}

/// A machine on which nothing is.
fn nothing() -> (Seen, Entries, Vec<u16>) {
    let seen = Seen { containers: vec![], routes: vec![], images: vec![], documents: vec![] };
    (seen, vec![], vec![])
}

/// What a completed deployment of `shop` leaves, and nothing else.
fn only(id: &str, port: u16) -> Seen {
    Seen {
        containers: vec![(format!("otturnaut-shop-{id}"), RUNS)],
        routes: vec![route("shop", port)],
        images: vec![format!("otturnaut-release:shop-{id}")],
        documents: vec![("shop".to_owned(), id.to_owned())],
    }
}

fn route(app_id: &str, upstream_port: u16) -> Route {
    Route { id: format!("{app_id}-route"), domains: vec![format!("{app_id}.test")], upstream_port }
}

type Entries = Vec<(String, std::sync::Arc<AppEntry>)>;

/// What there is, of machine and agent.
fn everything(machine: &Machine, state: &AppState, ports: &PortManager) -> (Seen, Entries, Vec<u16>) {
    (machine.seen(), state.list(), ports.list_allocated())
}

const RUNS: ContainerStatus = ContainerStatus::Running;
