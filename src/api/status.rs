//! `Otturnaut` and `Otturnaut.Status`: how this outpost is, from what was seen; nobody is asked while a call waits.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::args::{arg, error, ok};
use super::deployment::run;
use super::{Api, health_monitor, runtime};
use crate::host::{Disk, DiskOf, Room, RuntimeKind};
use crate::node::{CallResult, Context, Module};
use crate::term::elixir::date_time;
use crate::term::{Float, Term, atom, binary, list, map, tuple};
use crate::watch::{AppDoes, AppNow, Condition, EngineSeen, MachineSeen, Seen, UsageSeen};

const VERSION: &str = env!("CARGO_PKG_VERSION");

pub(super) fn modules(api: &Arc<Api>) -> [Module; 2] {
    let (for_apps, for_app) = (api.clone(), api.clone());
    // What may be long is put together beside the link's reader.
    let outpost = Module::new("Elixir.Otturnaut")
        .immediate("version", 0..=0, |_, _| Ok(binary(VERSION)))
        .waiting("apps", 0..=0, move |_, _| {
            let api = for_apps.clone();
            async move { Ok(list(api.figures.apps().iter().map(|one| app(&api, one)))) }
        })
        .immediate("app", 1..=1, move |_, args| {
            let found = for_app.figures.app(arg(args, 0, "app_id").name()?);
            Ok(found.map_or_else(|| error(atom("not_found")), |one| ok(app(&for_app, &one))))
        });
    [with_status(outpost, api), with_status(Module::new("Elixir.Otturnaut.Status"), api)]
}

fn with_status(module: Module, api: &Arc<Api>) -> Module {
    let api = api.clone();
    module.waiting("status", 0..=0, move |context, _| {
        let api = api.clone();
        async move { status(&api, &context) }
    })
}

fn status(api: &Api, context: &Context) -> CallResult {
    let (started, uptime) = context.node.started();
    let (low, high) = api.ports.range();
    let ports = map([
        ("range", tuple([Term::from(low), Term::from(high)])),
        ("allocated", Term::from(api.ports.list_allocated().len())),
    ]);
    let machine = api.figures.machine();
    Ok(map([
        ("node", Term::from(context.node.name().clone())),
        ("version", binary(VERSION)),
        ("started_at", Timestamp::try_from(started).map_or(Term::NIL, date_time)),
        ("uptime_ms", milliseconds(uptime)),
        ("runtimes", engines(&api.figures.engines())),
        ("proxy", proxy(api)),
        ("mission_control", mission_control(context)),
        ("apps", counts(&api.figures.known_apps())),
        ("deployments", list(api.engine.list().iter().map(run))),
        ("ports", ports),
        ("host", machine.as_ref().map_or(Term::NIL, host)),
    ]))
}

fn engines(seen: &[EngineSeen]) -> Term {
    let one = |engine: &EngineSeen| {
        let (version, reason) = match &engine.version {
            Ok(version) => (Some(version.as_str()), None),
            Err(reason) => (None, Some(reason.as_str())),
        };
        let fields = [
            ("available", Term::from(version.is_some())),
            ("version", Term::from(version)),
            ("reason", Term::from(reason)),
            ("since", date_time(engine.since)),
        ];
        (engine_name(engine.target.kind), map(fields))
    };
    map(seen.iter().map(one))
}

fn proxy(api: &Api) -> Term {
    let seen = api.figures.proxy();
    let reason = seen.as_ref().and_then(|seen| seen.value.as_ref().err());
    map([
        ("available", seen.as_ref().map_or(Term::NIL, |seen| Term::from(seen.value.is_ok()))),
        // Its admin API does not say.
        ("version", Term::NIL),
        ("reason", Term::from(reason.map(String::as_str))),
        ("url", binary(api.host.proxies.defaults().base_url)),
        ("age_ms", age(seen.as_ref())),
    ])
}

fn mission_control(context: &Context) -> Term {
    let peer = context.node.peer();
    let since = peer.and_then(|(_, connected)| Timestamp::now().checked_sub(connected?).ok());
    map([
        ("node", peer.map_or(Term::NIL, |(name, _)| Term::from(name.clone()))),
        ("connected", Term::from(since.is_some())),
        ("since", since.map_or(Term::NIL, date_time)),
    ])
}

/// How many applications there are, by what they do, and how many are known not to be well.
fn counts(apps: &[AppNow]) -> Term {
    let mut by_status: BTreeMap<&'static str, usize> = ALL.iter().map(|does| (does_name(*does), 0)).collect();
    for app in apps {
        *by_status.entry(does_name(app.does)).or_default() += 1;
    }
    let ill = |app: &&AppNow| {
        let condition = app.health.as_ref().map_or(Condition::Unknown, |health| health.condition);
        !matches!(condition, Condition::Unknown | Condition::Healthy)
    };
    let more = [("total", apps.len()), ("unhealthy", apps.iter().filter(ill).count())];
    map(by_status.into_iter().chain(more).map(|(name, count)| (name, Term::from(count))))
}

fn host(seen: &Seen<MachineSeen>) -> Term {
    let MachineSeen { look, cpu_percent } = &seen.value;
    map([
        ("cpus", Term::from(look.cpus)),
        ("cpu_percent", float(*cpu_percent)),
        ("load", tuple(look.load.map(|load| float(Some(load))))),
        ("memory", room(look.memory)),
        ("swap", room(look.swap)),
        ("disk", map(look.disks.iter().map(disk))),
        ("uptime_ms", milliseconds(look.uptime)),
        ("age_ms", milliseconds(seen.age())),
    ])
}

fn room(room: Room) -> Term {
    map([("total", Term::from(room.total)), ("free", Term::from(room.free)), ("used", Term::from(room.used()))])
}

pub(super) fn disk(disk: &Disk) -> (&'static str, Term) {
    let of = match disk.of {
        DiskOf::Data => "data",
        DiskOf::Runtime(kind) => engine_name(kind),
    };
    let fields =
        [("path", binary(disk.path.display().to_string())), ("bytes", room(disk.bytes)), ("inodes", room(disk.inodes))];
    (of, map(fields))
}

fn app(api: &Api, app: &AppNow) -> Term {
    let AppNow { app_id, entry, container, health, usage, does } = app;
    let seen = container.as_ref();
    let inside = seen.map(|seen| &seen.container);
    let text = |text: Option<&str>| Term::from(text);
    let releases = api.engine.release_ids(app_id).into_iter().rev().map(binary);
    let port = entry.port.or_else(|| inside?.port);
    let domains = entry.domains.iter().flatten().map(|domain| binary(domain.as_str()));
    let kind = entry.runtime.as_ref().map(|target| target.kind).or_else(|| Some(seen?.target.kind));
    map([
        ("app_id", binary(app_id.as_str())),
        ("status", atom(does_name(*does))),
        ("health", atom(health_monitor::condition(health.as_ref().map_or(Condition::Unknown, |h| h.condition)))),
        ("health_detail", text(health.as_ref().and_then(|health| health.detail.as_deref()))),
        ("deployment_id", text(entry.deployment_id.as_deref())),
        ("container_name", text(entry.container_name.as_deref())),
        ("container_id", text(inside.map(|inside| inside.id.as_str()))),
        ("image", text(inside.map(|inside| inside.image.as_str()))),
        ("image_id", text(inside.map(|inside| inside.image_id.as_str()))),
        ("port", port.map_or(Term::NIL, Term::from)),
        ("domains", list(domains)),
        ("runtime", kind.map_or(Term::NIL, |kind| atom(runtime::module_name(kind)))),
        ("restarts", inside.map_or(Term::NIL, |inside| Term::from(inside.restart_count))),
        ("exits", health.as_ref().map_or(Term::NIL, |health| Term::from(health.exits))),
        ("exit_code", inside.and_then(|inside| inside.exit_code).map_or(Term::NIL, Term::from)),
        ("started_at", inside.and_then(|inside| inside.started_at).map_or(Term::NIL, date_time)),
        ("releases", list(releases)),
        ("usage", usage.as_ref().map_or(Term::NIL, used)),
        ("fresh", Term::from(seen.is_some_and(|seen| seen.fresh))),
        ("age_ms", seen.map_or(Term::NIL, |seen| milliseconds(seen.at.elapsed()))),
    ])
}

fn used(seen: &Seen<UsageSeen>) -> Term {
    let UsageSeen { usage, cpu_percent, .. } = &seen.value;
    map([
        ("cpu_ns", Term::from(u64::try_from(usage.cpu.as_nanos()).unwrap_or(u64::MAX))),
        ("cpu_percent", float(*cpu_percent)),
        ("memory", Term::from(usage.memory)),
        ("memory_limit", Term::from(usage.memory_limit)),
        ("network_received", Term::from(usage.received)),
        ("network_sent", Term::from(usage.sent)),
        ("processes", Term::from(usage.processes)),
        ("age_ms", milliseconds(seen.age())),
    ])
}

const ALL: [AppDoes; 5] = [AppDoes::Running, AppDoes::Stopped, AppDoes::Deploying, AppDoes::Missing, AppDoes::Unknown];

fn does_name(does: AppDoes) -> &'static str {
    match does {
        AppDoes::Running => "running",
        AppDoes::Stopped => "stopped",
        AppDoes::Deploying => "deploying",
        AppDoes::Missing => "missing",
        AppDoes::Unknown => "unknown",
    }
}

pub(super) fn engine_name(kind: RuntimeKind) -> &'static str {
    match kind {
        RuntimeKind::Docker => "docker",
        RuntimeKind::Podman => "podman",
        RuntimeKind::Systemd => "systemd",
    }
}

/// A figure for people, to a hundredth.
fn float(value: Option<f64>) -> Term {
    let rounded = value.map(|value| (value * 100.0).round() / 100.0);
    rounded.and_then(|value| Float::new(value).ok()).map_or(Term::NIL, Term::Float)
}

fn age<T>(seen: Option<&Seen<T>>) -> Term {
    seen.map_or(Term::NIL, |seen| milliseconds(seen.age()))
}

fn milliseconds(duration: Duration) -> Term {
    Term::from(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}
