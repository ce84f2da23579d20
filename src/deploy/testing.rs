//! A machine in memory for the tests of this room: it records what is done to it, in order, and fails where it is told.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::apps::{AppState, Labels, PortManager};
use crate::deploy::{Deployment, Engine, EngineSettings};
use crate::host::{
    Batch, BuildImage, Command, CommandEnd, CommandResult, Container, ContainerSpec, ContainerStatus, Files, Host,
    Network, Probe, ProbeAnswer, Processes, Proxies, Proxy, ProxyError, ProxySettings, ProxyWriter, Route, Runtime,
    RuntimeError, RuntimeKind, RuntimeTarget, Runtimes,
};

pub(super) const DOCKER: RuntimeTarget = RuntimeTarget { kind: RuntimeKind::Docker, socket: None };

/// The name of the agent under test.
pub(super) const OUTPOST: &str = "outpost@test";

/// What the application in a new container does.
#[derive(Debug, Clone, Copy)]
pub(super) enum App {
    /// Answers this status after a while.
    Answers(u16, Duration),
    /// Runs and never answers.
    Silent,
    /// Ends after a while with this code.
    Exits(i64, Duration),
    /// Ends after a while and is restarted by the engine.
    Restarts(Duration),
}

/// How an operation of the machine fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The engine or Caddy refuses with this status and message.
    Refused(u16, &'static str),
    /// Nobody is there.
    Down,
    /// It is done, and the answer is lost.
    AnswerLost,
}

struct Running {
    container: Container,
    started: Instant,
    app: App,
}

#[derive(Default)]
pub(super) struct Inside {
    running: Vec<Running>,
    pub(super) routes: BTreeMap<String, Route>,
    pub(super) listeners: BTreeSet<u16>,
    pub(super) images: BTreeSet<String>,
    /// Operation (`start`, `put_route`, ...) and how it fails, each time.
    pub(super) faults: BTreeMap<&'static str, Fault>,
    pub(super) app: Option<App>,
    pub(super) log: Vec<String>,
    made: i64,
}

/// The machine. Clones share it.
#[derive(Clone)]
pub(super) struct Machine(Arc<Mutex<Inside>>);

/// What can be seen of the machine from outside: containers with their state, routes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) containers: Vec<(String, ContainerStatus)>,
    pub(super) routes: Vec<Route>,
}

impl Machine {
    pub(super) fn new() -> Self {
        let inside = Inside { app: Some(App::Answers(200, Duration::ZERO)), ..Inside::default() };
        Self(Arc::new(Mutex::new(inside)))
    }

    pub(super) fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap()
    }

    pub(super) fn fault(&self, operation: &'static str, fault: Fault) {
        self.inside().faults.insert(operation, fault);
    }

    pub(super) fn app(&self, app: App) {
        self.inside().app = Some(app);
    }

    pub(super) fn host(&self) -> Host {
        let all = Arc::new(self.clone());
        Host { runtimes: all.clone(), proxies: all.clone(), processes: all.clone(), network: all.clone(), files: all }
    }

    /// An engine on this machine with ports 10000 to 10009.
    pub(super) fn engine(&self) -> (Engine, AppState, PortManager) {
        let (state, ports) = (AppState::default(), PortManager::new(10_000..=10_009, Arc::new(self.clone())));
        let outpost = OUTPOST.to_owned();
        let settings = EngineSettings { outpost, host: self.host(), state: state.clone(), ports: ports.clone() };
        (Engine::new(settings), state, ports)
    }

    pub(super) fn seen(&self) -> Seen {
        let inside = self.inside();
        let seen = |running: &Running| (running.container.name.clone(), running.now().status);
        Seen {
            containers: inside.running.iter().map(seen).collect(),
            routes: inside.routes.values().cloned().collect(),
        }
    }

    pub(super) fn log(&self) -> Vec<String> {
        self.inside().log.clone()
    }

    /// A container that was there before the agent, with the labels of a deployment.
    pub(super) fn container(&self, labels: &Labels, port: u16) {
        let name = crate::deploy::container_name(&labels.app_id, &labels.deployment_id);
        self.foreign(&name, labels.write(), port);
    }

    pub(super) fn foreign(&self, name: &str, labels: BTreeMap<String, String>, port: u16) {
        self.inside().add(name, labels, port);
    }

    pub(super) fn stop_now(&self, name: &str) {
        let mut inside = self.inside();
        let running = inside.running.iter_mut().find(|r| r.container.name == name).unwrap();
        running.app = App::Exits(0, Duration::ZERO);
    }

    /// Notes the operation, takes its time, and says how it is to fail.
    async fn begin(&self, operation: &'static str, what: &str) -> Option<Fault> {
        self.inside().log.push(format!("{operation} {what}").trim_end().to_owned());
        tokio::time::sleep(Duration::from_millis(2)).await;
        self.inside().faults.get(operation).copied()
    }
}

impl Inside {
    fn add(&mut self, name: &str, labels: BTreeMap<String, String>, port: u16) -> String {
        self.made += 1;
        let id = format!("id-{}", self.made);
        let container = Container {
            id: id.clone(),
            name: name.to_owned(),
            status: ContainerStatus::Running,
            image: "image:1".to_owned(),
            port: Some(port),
            labels,
            exit_code: None,
            restart_count: 0,
            created: self.made,
        };
        self.listeners.insert(port);
        self.running.push(Running { container, started: Instant::now(), app: self.app.unwrap() });
        id
    }

    fn find(&self, name: &str) -> Option<Container> {
        let named = |r: &&Running| r.container.id == name || r.container.name == name;
        self.running.iter().find(named).map(Running::now)
    }
}

impl Running {
    fn now(&self) -> Container {
        let mut now = self.container.clone();
        match self.app {
            App::Exits(code, after) if self.started.elapsed() >= after => {
                now.status = ContainerStatus::Stopped;
                now.exit_code = Some(code);
                now.port = None;
            }
            App::Restarts(after) if self.started.elapsed() >= after => now.restart_count = 1,
            _ => {}
        }
        now
    }
}

fn engine_error(fault: Fault) -> RuntimeError {
    let engine = RuntimeKind::Docker;
    match fault {
        Fault::Refused(status, message) => RuntimeError::Http { engine, status, body: json!({ "message": message }) },
        Fault::Down => {
            RuntimeError::Transport { engine, socket: PathBuf::from("/run/docker.sock"), reason: "enoent".to_owned() }
        }
        Fault::AnswerLost => {
            RuntimeError::Transport { engine, socket: PathBuf::from("/run/docker.sock"), reason: "closed".to_owned() }
        }
    }
}

fn proxy_error(fault: Fault) -> ProxyError {
    let url = "http://127.0.0.1:2019".to_owned();
    match fault {
        Fault::Refused(status, message) => ProxyError::UnexpectedStatus { status, body: json!({ "error": message }) },
        Fault::Down => ProxyError::Unavailable { url },
        Fault::AnswerLost => ProxyError::Timeout { url },
    }
}

#[async_trait]
impl Runtime for Machine {
    async fn list(&self, labels: &[String]) -> Result<Vec<Container>, RuntimeError> {
        if let Some(fault) = self.begin("list", "").await {
            return Err(engine_error(fault));
        }
        let has = |container: &Container, label: &String| match label.split_once('=') {
            Some((name, value)) => container.labels.get(name).is_some_and(|v| v == value),
            None => container.labels.contains_key(label),
        };
        let all = self.inside().running.iter().map(Running::now).collect::<Vec<_>>();
        Ok(all.into_iter().filter(|c| labels.iter().all(|label| has(c, label))).collect())
    }

    async fn start(&self, spec: &ContainerSpec) -> Result<String, RuntimeError> {
        let fault = self.begin("start", &spec.name).await;
        let mut inside = self.inside();
        let refusal = match fault {
            Some(fault @ (Fault::Refused(..) | Fault::Down)) => return Err(engine_error(fault)),
            Some(lost) if inside.find(&spec.name).is_some() => return Err(engine_error(lost)),
            None if inside.find(&spec.name).is_some() => Some((409, "Conflict")),
            _ if spec.image.starts_with("missing") && !inside.images.contains(&spec.image) => {
                Some((404, "No such image: missing:latest"))
            }
            _ if inside.listeners.contains(&spec.port) => Some((500, "Bind failed: port is already allocated")),
            _ => None,
        };
        if let Some((status, message)) = refusal {
            return Err(engine_error(Fault::Refused(status, message)));
        }
        let id = inside.add(&spec.name, spec.labels.clone(), spec.port);
        fault.map_or(Ok(id), |lost| Err(engine_error(lost)))
    }

    async fn stop(&self, name: &str, _grace: Duration) -> Result<(), RuntimeError> {
        let found = self.inside().find(name).ok_or_else(|| RuntimeError::NotFound { name: name.to_owned() })?;
        if let Some(fault) = self.begin("stop", &found.name).await {
            return Err(engine_error(fault));
        }
        self.stop_now(&found.name);
        Ok(())
    }

    async fn remove(&self, name: &str) -> Result<(), RuntimeError> {
        let found = self.inside().find(name).ok_or_else(|| RuntimeError::NotFound { name: name.to_owned() })?;
        if let Some(fault) = self.begin("remove", &found.name).await {
            return Err(engine_error(fault));
        }
        let mut inside = self.inside();
        let gone = inside.running.iter().position(|r| r.container.id == found.id).unwrap();
        let port = inside.running.remove(gone).container.port.unwrap();
        inside.listeners.remove(&port);
        Ok(())
    }

    async fn inspect(&self, name: &str) -> Result<Container, RuntimeError> {
        if let Some(fault) = self.begin("inspect", name).await {
            return Err(engine_error(fault));
        }
        self.inside().find(name).ok_or_else(|| RuntimeError::NotFound { name: name.to_owned() })
    }

    async fn load_image(&self, _archive: &Path) -> Result<String, RuntimeError> {
        unreachable!("no deploy loads an image")
    }

    async fn build_image(&self, _build: &BuildImage, _: Option<mpsc::Sender<Batch>>) -> Result<(), RuntimeError> {
        unreachable!("no deploy builds an image")
    }

    async fn pull_image(&self, image: &str) -> Result<(), RuntimeError> {
        if let Some(fault) = self.begin("pull", image).await {
            return Err(engine_error(fault));
        }
        self.inside().images.insert(image.to_owned());
        Ok(())
    }

    async fn version(&self) -> Result<String, RuntimeError> {
        Ok("20.10".to_owned())
    }
}

impl Runtimes for Machine {
    fn runtime(&self, _target: &RuntimeTarget) -> Arc<dyn Runtime> {
        Arc::new(self.clone())
    }

    fn present(&self) -> Vec<(RuntimeTarget, Arc<dyn Runtime>)> {
        let absent = self.inside().faults.contains_key("present");
        if absent { Vec::new() } else { vec![(DOCKER, Arc::new(self.clone()))] }
    }
}

#[async_trait]
impl Proxy for Machine {
    async fn health(&self) -> Result<(), ProxyError> {
        Ok(())
    }

    async fn put_route(&self, route: &Route) -> Result<(), ProxyError> {
        let fault = self.begin("put_route", &format!("{} {}", route.id, route.upstream_port)).await;
        if matches!(fault, None | Some(Fault::AnswerLost)) {
            self.inside().routes.insert(route.id.clone(), route.clone());
        }
        fault.map_or(Ok(()), |fault| Err(proxy_error(fault)))
    }

    async fn remove_route(&self, id: &str) -> Result<(), ProxyError> {
        if let Some(fault) = self.begin("remove_route", id).await {
            return Err(proxy_error(fault));
        }
        let unknown = || ProxyError::UnexpectedStatus { status: 404, body: json!({ "error": "unknown object ID" }) };
        self.inside().routes.remove(id).map(drop).ok_or_else(unknown)
    }

    async fn list_routes(&self) -> Result<Vec<Route>, ProxyError> {
        Ok(self.inside().routes.values().cloned().collect())
    }

    async fn get_route(&self, id: &str) -> Result<Route, ProxyError> {
        if let Some(fault) = self.begin("get_route", id).await {
            return Err(proxy_error(fault));
        }
        self.inside().routes.get(id).cloned().ok_or_else(|| ProxyError::NotFound { id: id.to_owned() })
    }

    async fn read(&self, _path: &str) -> Result<Value, ProxyError> {
        unreachable!("no deploy reads Caddy's configuration")
    }

    async fn write(&self, _: ProxyWriter, _: &str, _: Option<&Value>) -> Result<(), ProxyError> {
        unreachable!("no deploy writes Caddy's configuration")
    }
}

impl Proxies for Machine {
    fn defaults(&self) -> ProxySettings {
        let base_url = "http://127.0.0.1:2019".to_owned();
        ProxySettings { base_url, http_port: 80, https_port: 443, disable_auto_https: true }
    }

    fn proxy(&self, _settings: &ProxySettings) -> Arc<dyn Proxy> {
        Arc::new(self.clone())
    }
}

#[async_trait]
impl Network for Machine {
    async fn probe(&self, probe: &Probe) -> ProbeAnswer {
        let (Probe::Http { url, .. }, inside) = (probe, self.inside()) else { return ProbeAnswer::Connected };
        let port: u16 = url.split(':').nth(2).unwrap().split('/').next().unwrap().parse().unwrap();
        match inside.running.iter().find(|r| r.container.port == Some(port)).map(|r| (r.app, r.started.elapsed())) {
            Some((App::Answers(status, after), up)) if up >= after => ProbeAnswer::Status(status),
            _ => ProbeAnswer::Failed("connection refused".to_owned()),
        }
    }

    fn port_is_free(&self, port: u16) -> bool {
        !self.inside().listeners.contains(&port)
    }
}

#[async_trait]
impl Processes for Machine {
    async fn run(&self, _command: Command, _lines: Option<mpsc::Sender<Batch>>) -> CommandResult {
        CommandResult { end: CommandEnd::NotFound, output: bytes::Bytes::new(), duration: Duration::ZERO }
    }
}

#[async_trait]
impl Files for Machine {
    async fn make_source_dir(&self) -> std::io::Result<PathBuf> {
        unreachable!("no deploy needs a directory")
    }

    async fn remove_source_dir(&self, _path: &Path) -> std::io::Result<()> {
        unreachable!("no deploy removes a directory")
    }
}

/// A deployment of `app_id`, with the domain `{app_id}.test`.
pub(super) fn deployment(app_id: &str, id: &str) -> Deployment {
    let names = (app_id.to_owned(), id.to_owned());
    let domains = vec![format!("{app_id}.test")];
    Deployment { domains, ..Deployment::pending(names, "image:1".to_owned(), 8080, DOCKER) }
}
