//! A page as `OpenMetrics` text.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use super::page::{App, Page};
use crate::host::{Disk, DiskOf, RuntimeKind};
use crate::watch::{CLASSES, Counts, Histogram, MachineSeen};

/// What every name begins with.
const PREFIX: &str = "otturnaut";

/// The text of a page.
pub(super) fn write(page: Page) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix(PREFIX);
    registry.register_collector(Box::new(page));
    let mut text = String::new();
    text::encode(&mut text, &registry)?;
    Ok(text)
}

type Labels<'a, const N: usize> = [(&'static str, &'a str); N];

/// Figures of one name.
struct Family<'a> {
    name: &'static str,
    help: &'static str,
    unit: Option<&'a Unit>,
}

const fn plain(name: &'static str, help: &'static str) -> Family<'static> {
    Family { name, help, unit: None }
}

const fn bytes(name: &'static str, help: &'static str) -> Family<'static> {
    Family { name, help, unit: Some(&Unit::Bytes) }
}

const fn seconds(name: &'static str, help: &'static str) -> Family<'static> {
    Family { name, help, unit: Some(&Unit::Seconds) }
}

/// Writes families one after the other.
struct Out<'a>(DescriptorEncoder<'a>);

impl Out<'_> {
    /// A family with a value for each set of labels; nothing where there are none.
    fn each<'v, const N: usize, V>(
        &mut self,
        (family, kind): (&Family<'_>, MetricType),
        values: impl IntoIterator<Item = (Labels<'v, N>, V)>,
        encode: impl Fn(MetricEncoder<'_>, V) -> fmt::Result,
    ) -> fmt::Result {
        let mut values = values.into_iter().peekable();
        if values.peek().is_none() {
            return Ok(());
        }
        let mut metric = self.0.encode_descriptor(family.name, family.help, family.unit, kind)?;
        values.try_for_each(|(labels, value)| encode(metric.encode_family(&labels)?, value))
    }

    fn gauges<'v, const N: usize>(
        &mut self,
        family: &Family<'_>,
        values: impl IntoIterator<Item = (Labels<'v, N>, f64)>,
    ) -> fmt::Result {
        self.each((family, MetricType::Gauge), values, |mut metric, value| metric.encode_gauge(&value))
    }

    fn counters<'v, const N: usize>(
        &mut self,
        family: &Family<'_>,
        values: impl IntoIterator<Item = (Labels<'v, N>, f64)>,
    ) -> fmt::Result {
        self.each((family, MetricType::Counter), values, |mut metric, value| {
            metric.encode_counter::<NoLabelSet, _, f64>(&value, None)
        })
    }

    fn histograms<'v, const N: usize>(
        &mut self,
        family: &Family<'_>,
        values: impl IntoIterator<Item = (Labels<'v, N>, &'v Histogram)>,
    ) -> fmt::Result {
        self.each((family, MetricType::Histogram), values, |mut metric, value| {
            let ends = CLASSES.into_iter().chain([f64::INFINITY]);
            let classes: Vec<(f64, u64)> = ends.zip(value.classes).collect();
            metric.encode_histogram::<NoLabelSet>(value.sum, value.count(), &classes, None)
        })
    }
}

impl Collector for Page {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = Out(encoder);
        self.agent(&mut out)?;
        if let Some(seen) = &self.machine {
            machine(&mut out, seen)?;
        }
        apps(&mut out, &self.apps)?;
        runs(&mut out, &self.counts)
    }
}

impl Page {
    fn agent(&self, out: &mut Out<'_>) -> fmt::Result {
        out.gauges(&plain("build_info", "The agent that runs"), [([("version", self.version)], 1.0)])?;
        out.gauges(&seconds("uptime", "Since the agent's start"), [([], self.uptime.as_secs_f64())])?;
        if let Some(seen) = &self.machine {
            let own = seen.look.agent;
            out.gauges(&bytes("process_resident_memory", "Memory of the agent"), [([], number(own.memory))])?;
            let cpu = seconds("process_cpu", "Time of processors that the agent used");
            out.counters(&cpu, [([], own.cpu.as_secs_f64())])?;
            out.gauges(&plain("process_threads", "Threads of the agent"), [([], number(own.threads))])?;
            let files = plain("process_open_fds", "Files and sockets that the agent has open");
            out.gauges(&files, [([], number(own.open_files))])?;
        }
        let connected = plain("mission_control_up", "Whether Mission Control is connected");
        out.gauges(&connected, self.mission_control.map(|up| ([], flag(up))))?;
        let proxy = plain("proxy_up", "Whether the admin API of Caddy answers");
        out.gauges(&proxy, self.proxy.map(|up| ([], flag(up))))?;
        let engines =
            self.engines.iter().map(|(kind, version)| ([("runtime", engine(*kind))], flag(version.is_some())));
        out.gauges(&plain("runtime_up", "Whether the container engine answers"), engines)?;
        let versions = self
            .engines
            .iter()
            .filter_map(|(kind, version)| Some(([("runtime", engine(*kind)), ("version", version.as_deref()?)], 1.0)));
        out.gauges(&plain("runtime_info", "The container engines that answer"), versions)?;
        out.gauges(&plain("apps", "Applications"), [([], number(self.apps.len() as u64))])?;
        out.gauges(&plain("deployments_active", "Runs under way or stuck"), [([], number(self.runs as u64))])
    }
}

fn machine(out: &mut Out<'_>, seen: &MachineSeen) -> fmt::Result {
    let look = &seen.look;
    out.gauges(&plain("host_cpus", "Processors"), [([], number(look.cpus as u64))])?;
    let idle = look.cpu.all.saturating_sub(look.cpu.busy);
    let modes = [("busy", look.cpu.busy), ("idle", idle)].map(|(mode, time)| ([("mode", mode)], time.as_secs_f64()));
    out.counters(&seconds("host_cpu", "Time of all processors"), modes)?;
    for (family, load) in LOADS.iter().zip(look.load) {
        out.gauges(family, [([], load)])?;
    }
    let room = [
        (bytes("host_memory_total", "Memory"), look.memory.total),
        (bytes("host_memory_available", "Memory that programs can get"), look.memory.free),
        (bytes("host_swap_total", "Swap"), look.swap.total),
        (bytes("host_swap_free", "Swap that is free"), look.swap.free),
    ];
    for (family, value) in room {
        out.gauges(&family, [([], number(value))])?;
    }
    out.gauges(&seconds("host_uptime", "Since the machine's start"), [([], look.uptime.as_secs_f64())])?;
    let disks = |value: fn(&Disk) -> u64| {
        look.disks.iter().map(move |disk| ([("disk", disk_name(disk.of))], number(value(disk))))
    };
    out.gauges(&bytes("host_disk_total", "Disk"), disks(|disk| disk.bytes.total))?;
    out.gauges(&bytes("host_disk_free", "Disk that is free"), disks(|disk| disk.bytes.free))?;
    out.gauges(&plain("host_disk_inodes", "Inodes of the disk"), disks(|disk| disk.inodes.total))?;
    out.gauges(&plain("host_disk_inodes_free", "Inodes that are free"), disks(|disk| disk.inodes.free))
}

const LOADS: [Family<'static>; 3] = [
    plain("host_load1", "Processes that want to run, over a minute"),
    plain("host_load5", "The same over 5 minutes"),
    plain("host_load15", "The same over 15 minutes"),
];

fn apps(out: &mut Out<'_>, apps: &[App]) -> fmt::Result {
    let up = apps.iter().filter_map(|app| Some(([("app", app.id.as_str())], flag(app.up?))));
    out.gauges(&plain("app_up", "Whether the application's container runs"), up)?;
    let restarts = apps.iter().filter_map(|app| Some(([("app", app.id.as_str())], number(app.restarts?))));
    out.gauges(&plain("app_restarts", "How often the engine restarted its container"), restarts)?;
    let used = || apps.iter().filter_map(|app| Some(([("app", app.id.as_str())], app.usage?)));
    let cpu = used().map(|(app, usage)| (app, usage.cpu.as_secs_f64()));
    out.counters(&seconds("app_cpu", "Time of processors that its container used"), cpu)?;
    let memory = used().map(|(app, usage)| (app, number(usage.memory)));
    out.gauges(&bytes("app_memory", "Memory of its container"), memory)?;
    let limit = used().map(|(app, usage)| (app, number(usage.memory_limit)));
    out.gauges(&bytes("app_memory_limit", "Memory that its container may have"), limit)?;
    let processes = used().map(|(app, usage)| (app, number(usage.processes)));
    out.gauges(&plain("app_processes", "Processes and threads of its container"), processes)?;
    let received = used().map(|(app, usage)| (app, number(usage.received)));
    out.counters(&bytes("app_network_received", "What came to its container over the network"), received)?;
    let sent = used().map(|(app, usage)| (app, number(usage.sent)));
    out.counters(&bytes("app_network_sent", "What its container sent over the network"), sent)
}

fn runs(out: &mut Out<'_>, counts: &Counts) -> fmt::Result {
    let outcome = |completed: bool| if completed { "completed" } else { "failed" };
    let runs = counts
        .runs
        .iter()
        .map(|((kind, completed), durations)| ([("kind", kind.as_str()), ("outcome", outcome(*completed))], durations));
    out.histograms(
        &seconds("deployment_duration", "Deploys, rollbacks and undeploys from their turn to their end"),
        runs,
    )?;
    let steps = counts
        .steps
        .iter()
        .map(|((kind, step), durations)| ([("kind", kind.as_str()), ("step", step.as_str())], durations));
    out.histograms(&seconds("deployment_step_duration", "Their steps"), steps)?;
    let exits = plain("app_exits", "Containers of applications that ended without being asked to");
    out.counters(&exits, [([], number(counts.exits))])?;
    let restored = plain("routes_restored", "Routes that were put back into Caddy");
    out.counters(&restored, [([], number(counts.routes_restored))])?;
    out.counters(&plain("events_lost", "Events that were not counted here"), [([], number(counts.lost))])
}

fn disk_name(of: DiskOf) -> &'static str {
    match of {
        DiskOf::Data => "data",
        DiskOf::Runtime(kind) => engine(kind),
    }
}

fn engine(kind: RuntimeKind) -> &'static str {
    match kind {
        RuntimeKind::Docker => "docker",
        RuntimeKind::Podman => "podman",
        RuntimeKind::Systemd => "systemd",
    }
}

fn flag(value: bool) -> f64 {
    if value { 1.0 } else { 0.0 }
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus has floats alone")]
fn number(value: u64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::host::Usage;

    fn page(apps: Vec<App>) -> Page {
        let mut counts = Counts::default();
        let mut durations = Histogram { sum: 3.5, ..Histogram::default() };
        durations.classes[6] = 2;
        durations.classes[12] = 1;
        counts.runs.insert(("deploy".to_owned(), true), durations);
        counts.steps.insert(("deploy".to_owned(), "health_check".to_owned()), durations);
        Page {
            version: "0.1.0",
            uptime: Duration::from_millis(1500),
            machine: None,
            proxy: Some(true),
            engines: vec![(RuntimeKind::Docker, Some("20.10".to_owned())), (RuntimeKind::Podman, None)],
            mission_control: None,
            apps,
            runs: 0,
            counts,
        }
    }

    fn app(id: &str) -> App {
        let usage = Usage { cpu: Duration::from_millis(250), memory: 4096, received: 7, ..Usage::default() };
        App { id: id.to_owned(), up: Some(true), restarts: Some(2), usage: Some(usage) }
    }

    #[test]
    fn a_page_tells_what_it_knows_and_leaves_out_the_rest() {
        let text = write(page(vec![app("shop"), App { up: None, usage: None, ..app("blog") }])).unwrap();
        for line in [
            "# TYPE otturnaut_uptime_seconds gauge",
            "otturnaut_uptime_seconds 1.5",
            "otturnaut_build_info{version=\"0.1.0\"} 1.0",
            "otturnaut_runtime_up{runtime=\"podman\"} 0.0",
            "otturnaut_runtime_info{runtime=\"docker\",version=\"20.10\"} 1.0",
            "otturnaut_app_up{app=\"shop\"} 1.0",
            "otturnaut_app_cpu_seconds_total{app=\"shop\"} 0.25",
            "otturnaut_app_restarts{app=\"blog\"} 2.0",
            "otturnaut_deployment_duration_seconds_count{kind=\"deploy\",outcome=\"completed\"} 3",
            "otturnaut_deployment_step_duration_seconds_bucket{le=\"1.0\",kind=\"deploy\",step=\"health_check\"} 2",
            "otturnaut_deployment_step_duration_seconds_bucket{le=\"+Inf\",kind=\"deploy\",step=\"health_check\"} 3",
        ] {
            assert!(text.lines().any(|there| there == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("app_up{app=\"blog\"}") && !text.contains("mission_control"), "{text}");
        assert!(text.ends_with("\n# EOF\n"));
    }

    #[test]
    fn no_name_can_break_a_line() {
        let text = write(page(vec![app("a\"b\\c\nd")])).unwrap();
        assert!(text.contains("app_up{app=\"a\\\"b\\\\c\\nd\"} 1.0\n"), "{text}");
    }
}
