//! `Otturnaut.Deployment.execute`: a struct in, a run of the engine, the struct with what became of it out.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::structure::changed;
use super::{Asked, exit, progress};
use crate::api::args::ok;
use crate::api::{Api, errors, health_check, runtime};
use crate::deploy::{DeployError, DeployFailure, Deployment, ExecuteOptions, HealthPolicy, HealthProbe, Status};
use crate::host::{RuntimeKind, RuntimeTarget};
use crate::limits;
use crate::node::{CallResult, Context, Raise};
use crate::secret::Secret;
use crate::term::elixir::date_time;
use crate::term::read::{Fields, ReadError, Reader};
use crate::term::{Term, atom, binary, tuple};

pub(super) async fn run(api: Arc<Api>, context: Context, (came, opts): Asked<'_>) -> CallResult {
    let deployment = read(&came)?;
    deployment.validate().map_err(|e| Raise::argument(e.to_string()))?;
    let options = options(&opts.fields()?)?;
    let result = match progress::subscriber(&opts)? {
        None => api.engine.execute(deployment, options, None).await,
        Some(subscriber) => {
            let (progress, received) = mpsc::channel(limits::PROGRESS_QUEUE);
            let run = api.engine.execute(deployment, options, Some(progress));
            let forward = progress::forward(&context, &subscriber, received);
            tokio::join!(run, context.node.while_alive(&context.this, &subscriber, forward)).0
        }
    };
    match result {
        Ok(deployed) => Ok(ok(answer(&came, &deployed.deployment, Term::NIL)?)),
        Err(failure) => failed(&came, &failure),
    }
}

/// The deployment of a struct.
fn read(came: &Reader<'_>) -> Result<Deployment, ReadError> {
    let fields = came.fields().map_err(|_| came.refuse("a %Otturnaut.Deployment{}"))?;
    let text = |key| fields.required(key)?.name().map(str::to_owned);
    let env = fields.read("env", |env| env.variables())?.unwrap_or_default();
    let (names, port) = ((text("app_id")?, text("id")?), fields.required("container_port")?.port()?);
    Ok(Deployment {
        env: env.into_iter().map(|(name, value)| (name, Secret::new(value))).collect(),
        domains: fields.read("domains", |domains| domains.texts())?.unwrap_or_default(),
        ..Deployment::pending(names, text("image")?, port, target(&fields)?)
    })
}

/// The engine that a deployment names.
pub(super) fn target(fields: &Fields<'_>) -> Result<RuntimeTarget, ReadError> {
    let opts = fields.read("runtime_opts", |opts| opts.fields())?;
    match fields.given("runtime") {
        Some(module) => runtime::target(&module, opts.as_ref()),
        None => runtime::with_socket(RuntimeKind::Docker, opts.as_ref()),
    }
}

fn options(opts: &Fields<'_>) -> Result<ExecuteOptions, ReadError> {
    let Some(check) = opts.read("health_check", |check| check.fields())? else { return Ok(ExecuteOptions::default()) };
    let defaults = HealthPolicy::default();
    let health = HealthPolicy {
        max_attempts: health_check::attempts(&check)?.unwrap_or(defaults.max_attempts),
        interval: check.read("interval", |interval| interval.milliseconds())?.unwrap_or(defaults.interval),
        probe: probe(&check)?,
    };
    Ok(ExecuteOptions { health })
}

fn probe(check: &Fields<'_>) -> Result<Option<HealthProbe>, ReadError> {
    let text = |value: Reader<'_>| Ok(value.name()?.to_owned());
    let timeout = check.read("timeout", |timeout| timeout.milliseconds())?;
    let http = || {
        Ok(HealthProbe::Http {
            path: check.read("path", text)?,
            host: check.read("host", text)?,
            expected: health_check::expected(check)?,
            timeout,
        })
    };
    let Some(kind) = check.given("type") else {
        // A path or a status without a type can only mean HTTP.
        let meant = ["path", "host", "expected_status"].iter().any(|key| check.given(key).is_some());
        return if meant { http().map(Some) } else { Ok(None) };
    };
    Ok(Some(match kind.choice(&[("http", "http"), ("tcp", "tcp"), ("running", "running")])? {
        "http" => http()?,
        "tcp" => HealthProbe::Tcp { timeout },
        _ => HealthProbe::Running,
    }))
}

/// The struct as it came with what the run made of it.
fn answer(came: &Reader<'_>, deployment: &Deployment, error: Term) -> Result<Term, ReadError> {
    let text = |text: &Option<String>| Term::from(text.as_deref());
    let time = |time: Option<jiff::Timestamp>| time.map_or(Term::NIL, date_time);
    let status = match deployment.status {
        Status::Pending => "pending",
        Status::InProgress => "in_progress",
        Status::Completed => "completed",
        Status::Failed => "failed",
        Status::RolledBack => "rolled_back",
    };
    changed(
        came,
        [
            ("port", Term::from(deployment.port)),
            ("container_name", text(&deployment.container_name)),
            ("container_id", text(&deployment.container_id)),
            ("previous_container_name", text(&deployment.previous_container_name)),
            ("previous_port", Term::from(deployment.previous_port)),
            ("started_at", time(deployment.started_at)),
            ("completed_at", time(deployment.completed_at)),
            ("status", atom(status)),
            ("error", error),
        ],
    )
}

fn failed(came: &Reader<'_>, failure: &DeployFailure) -> CallResult {
    let reason = reason(&failure.reason)?;
    let deployment = answer(came, &failure.deployment, reason.clone())?;
    Ok(tuple([atom("error"), reason, deployment]))
}

/// Why a deploy failed, as Mission Control matches on it.
fn reason(error: &DeployError) -> Result<Term, Raise> {
    Ok(match error {
        DeployError::PortAllocation(_) => tuple([atom("port_allocation_failed"), atom("exhausted")]),
        DeployError::ContainerStart { source, .. } => tuple([atom("container_start_failed"), errors::runtime(source)]),
        DeployError::HealthCheckFailed(_) => atom("health_check_failed"),
        DeployError::RouteSwitch { source, .. } => tuple([atom("route_switch_failed"), errors::proxy(source)]),
        DeployError::State(full) => tuple([atom("state_failed"), binary(full.to_string())]),
        DeployError::Cancelled => atom("cancelled"),
        DeployError::QueueFull { .. } => atom("queue_full"),
        DeployError::ShuttingDown => atom("shutting_down"),
        DeployError::Invalid(invalid) => return Err(Raise::argument(invalid.to_string())),
        DeployError::Crashed => return Err(exit(atom("crashed"))),
    })
}
