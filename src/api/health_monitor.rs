//! `Otturnaut.HealthMonitor`: how the applications are, all the time.

use std::sync::Arc;

use super::args::{arg, error, ok, opts};
use super::{Api, health_check};
use crate::apps::check_app_id;
use crate::limits;
use crate::node::{CallResult, Module, Raise};
use crate::term::elixir::date_time;
use crate::term::{Term, atom, binary, list, map, tuple};
use crate::watch::{AppHealth, Check, Condition, ContainerPlace, Watched};

pub(super) fn module(api: &Arc<Api>) -> Module {
    let (for_status, for_watch, for_unwatch) = (api.clone(), api.clone(), api.clone());
    Module::new("Elixir.Otturnaut.HealthMonitor")
        .immediate("status", 0..=1, move |_, args| status(&for_status, args))
        .immediate("watch", 2..=3, move |_, args| watch(&for_watch, args))
        .immediate("unwatch", 1..=1, move |_, args| {
            for_unwatch.monitor.unwatch(arg(args, 0, "app_id").name()?);
            Ok(Term::OK)
        })
}

fn status(api: &Api, args: &[Term]) -> CallResult {
    if args.is_empty() {
        let all = api.monitor.all();
        return Ok(list(all.iter().map(|(app_id, health)| tuple([binary(app_id.as_str()), encode(health)]))));
    }
    Ok(match api.monitor.status(arg(args, 0, "app_id").name()?) {
        Some(health) => ok(encode(&health)),
        None => error(atom("not_found")),
    })
}

/// Watches with a configuration of `Otturnaut.HealthCheck.check`, until a deploy of the application puts its own in place.
fn watch(api: &Api, args: &[Term]) -> CallResult {
    let app_id = arg(args, 0, "app_id").name()?;
    check_app_id(app_id).map_err(|e| Raise::argument(e.to_string()))?;
    let config = arg(args, 1, "config");
    let check = health_check::check(&config)?;
    let opts = opts(args, 2)?;
    let interval = opts.read("interval", |interval| {
        let shortest = limits::SHORTEST_MONITOR_INTERVAL;
        let given = interval.milliseconds()?;
        let wanted = || format!("{} ms at least", shortest.as_millis());
        if given < shortest { Err(interval.refuse(wanted())) } else { Ok(given) }
    })?;
    let container = match &check {
        Check::Running { runtime, name } | Check::Command { runtime, name, .. } | Check::Engine { runtime, name } => {
            Some(ContainerPlace { runtime: runtime.clone(), name: name.clone() })
        }
        Check::Http { .. } | Check::Tcp { .. } => own_container(api, app_id),
    };
    let watched = Watched {
        deployment_id: api.state.get(app_id).and_then(|entry| entry.deployment_id),
        container,
        checks: vec![check],
        interval: interval.unwrap_or(limits::MONITOR_INTERVAL),
        on_unhealthy: health_check::on_unhealthy(&opts)?,
    };
    Ok(match api.monitor.watch(app_id, watched) {
        Ok(()) => Term::OK,
        Err(_) => error(atom("too_many")),
    })
}

/// The container of an application that was deployed.
fn own_container(api: &Api, app_id: &str) -> Option<ContainerPlace> {
    let entry = api.state.get(app_id)?;
    Some(ContainerPlace { runtime: entry.runtime?, name: entry.container_name? })
}

/// The name of a condition.
pub(super) fn condition(condition: Condition) -> &'static str {
    match condition {
        Condition::Unknown => "unknown",
        Condition::Healthy => "healthy",
        Condition::Unhealthy => "unhealthy",
        Condition::Exited => "exited",
        Condition::CrashLooping => "crash_looping",
    }
}

fn encode(health: &AppHealth) -> Term {
    map([
        ("status", atom(condition(health.condition))),
        ("since", date_time(health.since)),
        ("deployment_id", Term::from(health.deployment_id.as_deref())),
        ("detail", Term::from(health.detail.as_deref())),
        ("checked_at", health.checked_at.map_or(Term::NIL, date_time)),
        ("failures", Term::from(health.failures)),
        ("exits", Term::from(health.exits)),
        ("restarts", Term::from(health.restarts)),
    ])
}
