//! The composition root: builds host, stores and node, wires them, runs them until the end is asked for.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use futures::FutureExt;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api::{self, Api, Receiver, Subscriptions};
use crate::apps::{AppState, PortManager};
use crate::build::{Build, Git};
use crate::config::Config;
use crate::control;
use crate::deploy::{Engine, EngineSettings};
use crate::host::{self, Host, HostSettings, OpenFiles, ProxySettings, UserManager};
use crate::limits;
use crate::metrics::{self, MetricsError, Sources};
use crate::node::{Node, Settings};
use crate::shell;
use crate::shutdown::Shutdown;
use crate::watch::{self, About, Events, Figures, Live, Logs, Monitor, Tally, What};

/// Runs the agent until it is asked to end; then running deploys end or are undone within a bounded time.
///
/// # Errors
/// The node could not start.
pub async fn run(config: Config, shutdown: Shutdown) -> anyhow::Result<()> {
    host::install_crypto();
    let tasks = TaskTracker::new();
    let host = Host::real(host_settings(&config, Some(OpenFiles::raise()))).context("cannot use this machine")?;
    look_around(&config);
    let parts = Parts::new(&config, &host, &tasks);
    let Parts { state, ports, events, monitor, live, figures, build, engine } = parts;
    say_up(&events);
    // Early, so that a Caddy that is not there has been waited for when the node is.
    tasks.spawn(watch::keep_routes(host.clone(), events.clone(), shutdown.requested.clone()).boxed());
    let metrics = Metrics::open(&config).await?;
    // The name first: whoever has it owns what carries it.
    let registered = Node::register(node_settings(&config, &shutdown)).await?;
    let written = begin_events(&events, &tasks).await;
    recover(&engine, &tasks).await;
    watch_all((&live, &monitor, &figures), &tasks, &shutdown);
    let (storage, git) = (host.storage.clone(), Git::new(host.clone(), tasks.clone()));
    let sources = git.clone();
    tasks.spawn(async move { sources.sweep().await }.boxed());
    let api = Api {
        git,
        build,
        engine: engine.clone(),
        runners: api::runners(),
        logs: Logs { outpost: config.node.to_string().into(), host: host.clone(), state: state.clone() },
        log_streams: api::log_streams(),
        events: events.clone(),
        subscriptions: Subscriptions::default(),
        monitor,
        figures: figures.clone(),
        host,
        state,
        ports,
    };
    let mut face = api::face(api);
    for module in shell::modules() {
        face.modules.add(module);
    }
    let node = registered.serve(face.modules, face.servers);
    if let Some(mission_control) = config.mission_control.clone() {
        let receiver = Receiver { node: mission_control, process: config.mission_control_process.clone() };
        api::report(&node, &events, (receiver, storage));
    }
    serve_commands(&config, &node, (&tasks, &shutdown)).await;
    metrics.serve((figures, &events), (&engine, &node), (&tasks, &shutdown));
    tracing::info!(node = %node.name(), version = env!("CARGO_PKG_VERSION"), "ready");
    shutdown.requested.cancelled().await;
    tokio::select! {
        () = end(&engine, &node, (&tasks, &written)) => tracing::info!("ended"),
        () = shutdown.forced.cancelled() => tracing::warn!("ended at once, nothing was waited for"),
    }
    Ok(())
}

/// The domain, wired together.
struct Parts {
    state: AppState,
    ports: PortManager,
    events: Events,
    monitor: Monitor,
    live: Live,
    figures: Figures,
    build: Build,
    engine: Engine,
}

impl Parts {
    fn new(config: &Config, host: &Host, tasks: &TaskTracker) -> Self {
        let (outpost, state) = (config.node.to_string(), AppState::default());
        let ports = PortManager::new(config.port_range.clone(), host.network.clone());
        let events = Events::new(host.storage.clone());
        let monitor = Monitor::new(host.clone(), state.clone(), events.clone());
        let live = Live::new(host.clone(), outpost.clone(), monitor.clone(), events.clone());
        let watching = (live.clone(), monitor.clone(), events.clone());
        let figures = Figures::new(host.clone(), state.clone(), watching, config.metrics.is_some());
        let build = Build::new(host.clone(), tasks.clone());
        let engine = Engine::new(EngineSettings {
            outpost,
            host: host.clone(),
            state: state.clone(),
            ports: ports.clone(),
            events: events.clone(),
            monitor: monitor.clone(),
            build: build.clone(),
        });
        Self { state, ports, events, monitor, live, figures, build, engine }
    }
}

/// Says at the start what is missing, and what to do: nothing of it stops the node. Caddy is looked for by the keeper of routes.
fn look_around(config: &Config) {
    if !config.container_socket.exists() {
        let socket = config.container_socket.display();
        tracing::warn!("there is no container engine at {socket}: start it, or set CONTAINER_SOCKET to its socket");
    }
    if config.tls.is_none() {
        tracing::warn!(
            "the cluster's connections are not encrypted, and the cookie protects only their start: keep them within a \
             private network, or set OTTURNAUT_DIST_TLS_CERT, _KEY and _CA"
        );
    }
}

/// Rebuilds the state from the engines. One that does not answer soon goes on in the background: the node must be
/// reachable then, all the more.
async fn recover(engine: &Engine, tasks: &TaskTracker) {
    let engine = engine.clone();
    let recovery = tasks.spawn(async move { engine.recover().await }.boxed());
    if tokio::time::timeout(limits::RECOVERY_BEFORE_SERVING, recovery).await.is_err() {
        tracing::warn!("a container engine is slow to answer; what runs there will be known when it does");
    }
}

/// Says that this agent is here, before anything else is said.
fn say_up(events: &Events) {
    let (version, boot) = (env!("CARGO_PKG_VERSION").to_owned(), host::boot_id());
    events.publish(About::outpost(), What::OutpostUp { version, mission_control: None, boot });
}

/// Goes on with the numbers of the events. They are written until the token is cancelled.
async fn begin_events(events: &Events, tasks: &TaskTracker) -> CancellationToken {
    events.open(&host::boot_id()).await;
    let end = CancellationToken::new();
    let (events, written) = (events.clone(), end.clone());
    tasks.spawn(async move { events.run(written).await }.boxed());
    end
}

/// Follows the engines, the health of what runs, and the figures.
fn watch_all((live, monitor, figures): (&Live, &Monitor, &Figures), tasks: &TaskTracker, shutdown: &Shutdown) {
    let (live, monitor, figures) = (live.clone(), monitor.clone(), figures.clone());
    let [stop_live, stop_monitor, stop_figures] = std::array::from_fn(|_| shutdown.requested.clone());
    tasks.spawn(async move { live.run(stop_live).await }.boxed());
    tasks.spawn(async move { monitor.run(stop_monitor).await }.boxed());
    tasks.spawn(async move { figures.run(stop_figures).await }.boxed());
}

/// Lets commands of this machine reach the agent. Without them it does its work all the same.
async fn serve_commands(config: &Config, node: &Node, (tasks, shutdown): (&TaskTracker, &Shutdown)) {
    match control::Server::open(&config.data_dir).await {
        Ok(server) => drop(tasks.spawn(server.serve(node.clone(), shutdown.requested.clone()).boxed())),
        Err(e) => {
            let e = anyhow::Error::from(e);
            tracing::warn!("commands such as `otturnaut rpc` will not reach this agent: {e:#}");
        }
    }
}

/// Metrics, if they are wanted.
struct Metrics(Option<metrics::Server>);

impl Metrics {
    /// Takes the port, if one is set.
    async fn open(config: &Config) -> Result<Self, MetricsError> {
        let Some(address) = config.metrics else { return Ok(Self(None)) };
        Ok(Self(Some(metrics::Server::open(address).await?)))
    }

    fn serve(
        self,
        (figures, events): (Figures, &Events),
        (engine, node): (&Engine, &Node),
        (tasks, shutdown): (&TaskTracker, &Shutdown),
    ) {
        let Some(server) = self.0 else { return };
        let (tally, node) = (Tally::default(), node.clone());
        let sources = Sources {
            version: env!("CARGO_PKG_VERSION"),
            started: Instant::now(),
            figures,
            tally: tally.clone(),
            engine: engine.clone(),
            mission_control: Arc::new(move || node.peer().map(|(_, since)| since.is_some())),
        };
        let (events, until, end) = (events.clone(), shutdown.requested.clone(), shutdown.requested.clone());
        tasks.spawn(async move { tally.follow(events, until).await }.boxed());
        tasks.spawn(server.serve(sources, end).boxed());
    }
}

async fn end(engine: &Engine, node: &Node, (tasks, written): (&TaskTracker, &CancellationToken)) {
    engine.shutdown(limits::SHUTDOWN_GRACE).await;
    node.shutdown(limits::SHUTDOWN_CALLS).await;
    written.cancel();
    tasks.close();
    if tokio::time::timeout(limits::SHUTDOWN_CALLS, tasks.wait()).await.is_err() {
        tracing::warn!("some background work was cut off");
    }
}

/// What of the machine is configured.
pub fn host_settings(config: &Config, open_files: Option<OpenFiles>) -> HostSettings {
    HostSettings {
        container_socket: config.container_socket.clone(),
        data_dir: config.data_dir.clone(),
        proxy: ProxySettings {
            base_url: config.caddy_admin_url.clone(),
            http_port: config.http_port,
            https_port: config.https_port,
            disable_auto_https: !config.auto_https,
        },
        caddy_routes_dir: config.caddy_routes_dir.clone(),
        local_sources: config.local_sources.clone(),
        user_manager: user_manager(config),
        open_files,
    }
}

/// Who is not root has a manager of units of its own.
fn user_manager(config: &Config) -> Option<UserManager> {
    let user = rustix::process::geteuid();
    let usual = || PathBuf::from(format!("/run/user/{}", user.as_raw()));
    (!user.is_root()).then(|| UserManager {
        runtime_dir: config.runtime_dir.clone().unwrap_or_else(usual),
        config_dir: config.config_dir.clone(),
    })
}

fn node_settings(config: &Config, shutdown: &Shutdown) -> Settings {
    Settings {
        name: config.node.clone(),
        cookie: config.cookie.clone(),
        epmd_port: config.epmd_port,
        dist_port: config.dist_port,
        dist_bind: config.dist_bind,
        tls: config.tls.clone(),
        tick_time: config.tick_time,
        peer: config.mission_control.clone(),
        supervisor: "Elixir.Otturnaut.Supervisor",
        application: ("otturnaut", env!("CARGO_PKG_VERSION")),
        stop: shutdown.requested.clone(),
        again: shutdown.again.clone(),
    }
}
