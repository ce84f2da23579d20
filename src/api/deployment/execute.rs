//! `Otturnaut.Deployment.execute`: a struct in, a run of the engine, the struct with what became of it out.

use std::sync::Arc;
use std::time::Duration;

use super::structure::changed;
use super::{Asked, exit, origin, progress};
use crate::api::args::ok;
use crate::api::attributes::{self, Attributes};
use crate::api::health_check::Kind;
use crate::api::{Api, errors, health_check, runtime};
use crate::deploy::{
    DeployError, DeployFailure, Deployed, Deployment, ExecuteOptions, HealthPolicy, HealthProbe, Status, Strategy,
};
use crate::host::{RuntimeKind, RuntimeTarget};
use crate::limits;
use crate::node::{CallResult, Context, Raise};
use crate::secret::Secret;
use crate::term::elixir::date_time;
use crate::term::read::{Fields, ReadError, Reader};
use crate::term::{Term, atom, binary, tuple};

pub(super) async fn run(api: Arc<Api>, context: Context, strategy: Strategy, (came, opts): Asked<'_>) -> CallResult {
    let deployment = Deployment { strategy, ..read(&came)? };
    deployment.validate().map_err(|e| Raise::argument(e.to_string()))?;
    let options = options(&came, &opts.fields()?)?;
    let result = progress::told(&context, &opts, |progress| api.engine.execute(deployment, options, progress)).await?;
    outcome(&came, result)
}

/// What became of a deploy, with the struct as it came.
pub(super) fn outcome(came: &Reader<'_>, outcome: Result<Deployed, Box<DeployFailure>>) -> CallResult {
    match outcome {
        Ok(deployed) => Ok(ok(answer(came, &deployed.deployment, Term::NIL)?)),
        Err(failure) => failed(came, &failure),
    }
}

/// The deployment of a struct.
pub(super) fn read(came: &Reader<'_>) -> Result<Deployment, ReadError> {
    let fields = came.fields().map_err(|_| came.refuse("a %Otturnaut.Deployment{}"))?;
    let text = |key| fields.required(key)?.name().map(str::to_owned);
    let env = fields.read("env", |env| env.variables())?.unwrap_or_default();
    let (names, port) = ((text("app_id")?, text("id")?), fields.required("container_port")?.port()?);
    let grace = |key, default| Ok(fields.read(key, |time| grace(&time))?.unwrap_or(default));
    let most_kept = i64::try_from(limits::MOST_KEPT_RELEASES).unwrap_or(i64::MAX);
    let kept = fields.read("keep_releases", |count| count.integer(1..=most_kept))?;
    let Attributes { command, volumes, networks, labels, restart, resources } = attributes::read(&fields)?;
    let (image, origin) = origin::read(&fields)?;
    Ok(Deployment {
        origin,
        command,
        volumes,
        networks,
        labels,
        restart,
        resources,
        release_command: fields.read("release_command", |value| health_check::command(&value))?.unwrap_or_default(),
        keep_releases: kept.and_then(|count| usize::try_from(count).ok()).unwrap_or(limits::KEPT_RELEASES),
        drain_timeout: grace("drain_timeout", limits::DRAIN)?,
        stop_timeout: grace("stop_timeout", limits::STOP_GRACE)?,
        env: env.into_iter().map(|(name, value)| (name, Secret::new(value))).collect(),
        domains: fields.read("domains", |domains| domains.texts())?.unwrap_or_default(),
        ..Deployment::pending(names, image, port, target(&fields)?)
    })
}

/// A time in milliseconds that a version is given.
fn grace(value: &Reader<'_>) -> Result<Duration, ReadError> {
    let given = value.milliseconds()?;
    if given > limits::LONGEST_GRACE {
        return Err(value.refuse(format!("at most {} ms", limits::LONGEST_GRACE.as_millis())));
    }
    Ok(given)
}

/// The engine that a deployment names.
pub(super) fn target(fields: &Fields<'_>) -> Result<RuntimeTarget, ReadError> {
    let opts = fields.read("runtime_opts", |opts| opts.fields())?;
    match fields.given("runtime") {
        Some(module) => runtime::target(&module, opts.as_ref()),
        None => runtime::with_socket(RuntimeKind::Docker, opts.as_ref()),
    }
}

/// How a deploy is to run: the call's options over the deployment's own.
pub(super) fn options(came: &Reader<'_>, opts: &Fields<'_>) -> Result<ExecuteOptions, ReadError> {
    let defaults = ExecuteOptions::default();
    let deadline = opts.read("deadline", |deadline| deadline.milliseconds())?;
    let own = came.fields()?.read("health_check", |check| check.fields())?;
    let check = opts.read("health_check", |check| check.fields())?.or(own);
    Ok(ExecuteOptions {
        health: check.map(|check| health(&check)).transpose()?.unwrap_or_default(),
        deadline: deadline.unwrap_or(defaults.deadline).min(limits::LONGEST_DEPLOY),
    })
}

fn health(check: &Fields<'_>) -> Result<HealthPolicy, ReadError> {
    let defaults = HealthPolicy::default();
    let time = |key| check.read(key, |time| time.milliseconds());
    let interval = time("interval")?.unwrap_or(defaults.interval);
    let attempts = health_check::attempts(check)?;
    Ok(HealthPolicy {
        probe: probe(check)?,
        interval,
        deadline: match (time("deadline")?, attempts) {
            (Some(deadline), _) => deadline,
            (None, Some(attempts)) => interval.saturating_mul(attempts),
            (None, None) => defaults.deadline,
        },
        healthy_for: time("healthy_for")?,
        on_unhealthy: health_check::on_unhealthy(check)?,
    })
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
    Ok(Some(match kind.choice(&health_check::KINDS)? {
        Kind::Http => http()?,
        Kind::Tcp => HealthProbe::Tcp { timeout },
        Kind::Running => HealthProbe::Running,
        Kind::Command => HealthProbe::Command { command: health_check::command(&check.required("command")?)?, timeout },
        Kind::Engine => HealthProbe::Engine,
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
            ("image", if deployment.image.is_empty() { Term::NIL } else { binary(deployment.image.as_str()) }),
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
        DeployError::Obtain { source, .. } => origin::reason(source)?,
        DeployError::PortAllocation(_) => tuple([atom("port_allocation_failed"), atom("exhausted")]),
        DeployError::ContainerStart { source, .. } => tuple([atom("container_start_failed"), errors::runtime(source)]),
        DeployError::HealthCheckFailed(_) => atom("health_check_failed"),
        DeployError::RouteSwitch { source, .. } => tuple([atom("route_switch_failed"), errors::proxy(source)]),
        DeployError::ReleaseCommand { code: Some(code), output } => {
            tuple([atom("release_command_failed"), Term::from(*code), binary(output.join("\n"))])
        }
        DeployError::ReleaseCommand { code: None, output } => {
            tuple([atom("release_command_failed"), atom("timeout"), binary(output.join("\n"))])
        }
        DeployError::StopOld { source, .. } => tuple([atom("stop_old_failed"), errors::runtime(source)]),
        DeployError::Save { source } => tuple([atom("configuration_not_kept"), errors::io(source)]),
        DeployError::Journal(error) => tuple([atom("journal_failed"), errors::io_kind(error.kind())]),
        DeployError::DeadlineExceeded { .. } => atom("deadline_exceeded"),
        DeployError::State(full) => tuple([atom("state_failed"), binary(full.to_string())]),
        DeployError::Cancelled => atom("cancelled"),
        DeployError::QueueFull { .. } => atom("queue_full"),
        DeployError::ShuttingDown => atom("shutting_down"),
        DeployError::Invalid(invalid) => return Err(Raise::argument(invalid.to_string())),
        DeployError::Crashed => return Err(exit(atom("crashed"))),
    })
}
