//! An event as Mission Control gets it.

use std::collections::BTreeMap;

use crate::node::Node;
use crate::term::elixir::date_time;
use crate::term::{Atom, Map, Term, atom, binary, list, map, tuple};
use crate::watch::{Event, What};

/// `{:otturnaut_event, node, event}`.
pub(super) fn message(node: &Node, event: &Event) -> Term {
    tuple([atom("otturnaut_event"), Term::from(node.name().clone()), encode(event)])
}

/// The map of an event: what all have, and what is of its type.
pub(super) fn encode(event: &Event) -> Term {
    let of_all = [
        ("seq", Term::from(event.seq)),
        ("at", date_time(event.at)),
        ("type", atom(kind(&event.what))),
        ("app_id", Term::from(event.app_id.as_deref())),
        ("deployment_id", Term::from(event.deployment_id.as_deref())),
    ];
    map(of_all.into_iter().chain(details(&event.what)))
}

/// Names of all types.
pub(super) const KINDS: [&str; 17] = [
    "outpost_up",
    "deployment_started",
    "deployment_step",
    "deployment_completed",
    "deployment_failed",
    "app_unhealthy",
    "app_recovered",
    "app_exited",
    "app_crash_looping",
    "app_restarted",
    "route_restored",
    "runtime_down",
    "runtime_up",
    "proxy_down",
    "proxy_up",
    "disk_low",
    "events_lost",
];

/// The name of its type.
pub(super) fn kind(what: &What) -> &'static str {
    match what {
        What::OutpostUp { .. } => "outpost_up",
        What::DeploymentStarted { .. } => "deployment_started",
        What::DeploymentStep { .. } => "deployment_step",
        What::DeploymentCompleted { .. } => "deployment_completed",
        What::DeploymentFailed { .. } => "deployment_failed",
        What::AppUnhealthy { .. } => "app_unhealthy",
        What::AppRecovered { .. } => "app_recovered",
        What::AppExited { .. } => "app_exited",
        What::AppCrashLooping { .. } => "app_crash_looping",
        What::AppRestarted { .. } => "app_restarted",
        What::RouteRestored { .. } => "route_restored",
        What::RuntimeDown { .. } => "runtime_down",
        What::RuntimeUp { .. } => "runtime_up",
        What::ProxyDown { .. } => "proxy_down",
        What::ProxyUp => "proxy_up",
        What::DiskLow { .. } => "disk_low",
        What::EventsLost { .. } => "events_lost",
    }
}

fn details(what: &What) -> Vec<(&'static str, Term)> {
    match what {
        What::OutpostUp { version, mission_control, .. } => {
            let node = mission_control.as_deref().map_or(Term::NIL, name);
            vec![("version", text(version)), ("mission_control", node)]
        }
        What::DeploymentStarted { kind, image } => vec![("kind", name(kind)), ("image", Term::from(image.as_deref()))],
        What::DeploymentStep { step, message } => vec![("step", name(step)), ("message", text(message))],
        What::DeploymentCompleted { kind, port, duration_ms, steps_ms, left } => vec![
            ("kind", name(kind)),
            ("port", Term::from(*port)),
            ("duration_ms", Term::from(*duration_ms)),
            ("steps_ms", steps(steps_ms)),
            ("left", texts(left)),
        ],
        What::DeploymentFailed { kind, step, reason, why, duration_ms, steps_ms, stuck } => vec![
            ("kind", name(kind)),
            ("step", step.as_deref().map_or(Term::NIL, name)),
            ("reason", text(reason)),
            ("why", Term::from(why.as_deref())),
            ("duration_ms", Term::from(*duration_ms)),
            ("steps_ms", steps(steps_ms)),
            ("stuck", texts(stuck)),
        ],
        What::DiskLow { path, free, total } => {
            vec![("path", text(path)), ("free", Term::from(*free)), ("total", Term::from(*total))]
        }
        What::EventsLost { count } => vec![("count", Term::from(*count))],
        of_outpost_or_app => of_app(of_outpost_or_app),
    }
}

fn of_app(what: &What) -> Vec<(&'static str, Term)> {
    match what {
        What::AppUnhealthy { detail, failures } => vec![("detail", text(detail)), ("failures", Term::from(*failures))],
        What::AppRecovered { detail, after_ms } => vec![("detail", text(detail)), ("after_ms", Term::from(*after_ms))],
        What::AppExited { exit_code, out_of_memory, detail, log } => vec![
            ("exit_code", Term::from(*exit_code)),
            ("out_of_memory", Term::from(*out_of_memory)),
            ("detail", text(detail)),
            ("log", texts(log)),
        ],
        What::AppCrashLooping { exits, exit_code, detail, log } => vec![
            ("exits", Term::from(*exits)),
            ("exit_code", Term::from(*exit_code)),
            ("detail", text(detail)),
            ("log", texts(log)),
        ],
        What::AppRestarted { attempt, detail, done } => {
            vec![("attempt", Term::from(*attempt)), ("detail", text(detail)), ("done", Term::from(*done))]
        }
        What::RouteRestored { routes } => vec![("routes", texts(routes))],
        What::RuntimeDown { runtime, reason } => {
            vec![("runtime", name(&runtime.to_string())), ("reason", text(reason))]
        }
        What::RuntimeUp { runtime, version } => {
            vec![("runtime", name(&runtime.to_string())), ("version", text(version))]
        }
        What::ProxyDown { reason } => vec![("reason", text(reason))],
        _ => Vec::new(),
    }
}

fn text(text: &str) -> Term {
    binary(text)
}

fn texts(texts: &[String]) -> Term {
    list(texts.iter().map(|text| binary(text.as_str())))
}

/// A name of this program as an atom.
fn name(name: &str) -> Term {
    Atom::new(name).map_or_else(|_| binary(name), Term::Atom)
}

fn steps(steps: &BTreeMap<String, u64>) -> Term {
    steps.iter().map(|(step, ms)| (name(step), Term::from(*ms))).collect::<Map>().into()
}
