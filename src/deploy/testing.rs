//! A machine in memory for the tests of this room: it records what is done to it, in order, fails where it is told, and
//! outlives the agents that work on it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use crate::apps::{AppState, Labels, PortManager};
use crate::deploy::{Deployment, Engine, EngineSettings};
use crate::host::{
    Batch, BuildImage, Command, CommandEnd, CommandResult, Connection, Container, ContainerSpec, ContainerStatus,
    Document, ExecEnd, Files, Host, Image, Line, Network, Probe, ProbeAnswer, Processes, Proxies, Proxy, ProxyError,
    ProxySettings, ProxyWriter, Route, Runtime, RuntimeError, RuntimeKind, RuntimeTarget, Runtimes, Storage,
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
    /// Names of images and what they are by content; others than those that begin with `missing` are here anyway.
    pub(super) images: BTreeMap<String, String>,
    /// Operation (`start`, `put_route`, ...) and how it fails, each time.
    pub(super) faults: BTreeMap<&'static str, Fault>,
    pub(super) app: Option<App>,
    /// What the command of a container that runs once ends with.
    pub(super) task_exits: i64,
    pub(super) log: Vec<String>,
    pub(super) journal: Vec<u8>,
    pub(super) documents: BTreeMap<Document, Vec<u8>>,
    /// Connections to a port, until then.
    pub(super) connected: BTreeMap<u16, Instant>,
    made: i64,
    /// The agent that is alive; operations of others never end.
    alive: u32,
    /// Moments before and after operations so far, and the one at which the agent dies.
    moments: usize,
    dies_at: Option<usize>,
}

/// The machine as one agent has it. Clones share it.
#[derive(Clone)]
pub(super) struct Machine {
    inside: Arc<Mutex<Inside>>,
    died: Arc<Notify>,
    agent: u32,
}

/// What can be seen of the machine from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) containers: Vec<(String, ContainerStatus)>,
    pub(super) routes: Vec<Route>,
    pub(super) images: Vec<String>,
    pub(super) documents: Vec<(String, String)>,
}

impl Machine {
    pub(super) fn new() -> Self {
        let inside = Inside { app: Some(App::Answers(200, Duration::ZERO)), ..Inside::default() };
        Self { inside: Arc::new(Mutex::new(inside)), died: Arc::default(), agent: 0 }
    }

    pub(super) fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap()
    }

    pub(super) fn fault(&self, operation: &'static str, fault: Fault) {
        self.inside().faults.insert(operation, fault);
    }

    pub(super) fn app(&self, app: App) {
        self.inside().app = Some(app);
    }

    pub(super) fn host(&self) -> Host {
        let all = Arc::new(self.clone());
        Host {
            runtimes: all.clone(),
            proxies: all.clone(),
            processes: all.clone(),
            network: all.clone(),
            files: all.clone(),
            storage: all,
        }
    }

    /// An engine on this machine with ports 10000 to 10009.
    pub(super) fn engine(&self) -> (Engine, AppState, PortManager) {
        let (state, ports) = (AppState::default(), PortManager::new(10_000..=10_009, Arc::new(self.clone())));
        let outpost = OUTPOST.to_owned();
        let settings = EngineSettings { outpost, host: self.host(), state: state.clone(), ports: ports.clone() };
        (Engine::new(settings), state, ports)
    }

    /// The agent dies at that moment, counted from now: before an operation acts if it is even, after it if it is odd.
    pub(super) fn dies_at(&self, moment: usize) {
        let mut inside = self.inside();
        inside.dies_at = Some(inside.moments + moment);
    }

    /// Waits for its death.
    pub(super) async fn died(&self) {
        self.died.notified().await;
    }

    /// The machine as the next agent has it. What the one before is at is never done.
    pub(super) fn next_agent(&self) -> Self {
        let mut inside = self.inside();
        inside.dies_at = None;
        inside.alive += 1;
        Self { agent: inside.alive, ..self.clone() }
    }

    pub(super) fn seen(&self) -> Seen {
        let inside = self.inside();
        let seen = |running: &Running| (running.container.name.clone(), running.now().status);
        Seen {
            containers: inside.running.iter().map(seen).collect(),
            routes: inside.routes.values().cloned().collect(),
            images: inside.images.keys().cloned().collect(),
            documents: inside.documents.keys().map(|d| (d.folder.clone(), d.name.clone())).collect(),
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
        let mut inside = self.inside();
        let app = inside.app.unwrap();
        inside.add((name, "image:1"), labels, Some(port), app);
    }

    pub(super) fn stop_now(&self, name: &str) {
        let mut inside = self.inside();
        let running = inside.running.iter_mut().find(|r| r.container.name == name).unwrap();
        running.app = App::Exits(0, Duration::ZERO);
    }

    /// Does something to the machine: notes it, takes its time, and fails as it is told to.
    async fn act<T>(
        &self,
        (operation, what): (&'static str, &str),
        effect: impl FnOnce(&mut Inside) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        self.moment().await;
        self.inside().log.push(format!("{operation} {what}").trim_end().to_owned());
        tokio::time::sleep(Duration::from_millis(2)).await;
        let outcome = {
            let mut inside = self.inside();
            match inside.faults.get(operation).copied() {
                None => effect(&mut inside),
                Some(Fault::AnswerLost) => effect(&mut inside).and(Err(Fault::AnswerLost)),
                Some(fault) => Err(fault),
            }
        };
        self.moment().await;
        outcome
    }

    /// A moment at which the agent may die: it never goes on then.
    async fn moment(&self) {
        let dies = {
            let mut inside = self.inside();
            if inside.alive != self.agent {
                true
            } else {
                inside.moments += 1;
                let dies = inside.dies_at.is_some_and(|at| inside.moments > at);
                if dies {
                    inside.alive += 1;
                    self.died.notify_one();
                }
                dies
            }
        };
        if dies {
            std::future::pending::<()>().await;
        }
    }
}

impl Inside {
    fn add(
        &mut self,
        (name, image): (&str, &str),
        labels: BTreeMap<String, String>,
        port: Option<u16>,
        app: App,
    ) -> String {
        self.made += 1;
        let id = format!("id-{}", self.made);
        let image_id = self.images.get(image).cloned().unwrap_or_else(|| format!("sha256:{image}"));
        let container = Container {
            id: id.clone(),
            name: name.to_owned(),
            status: ContainerStatus::Running,
            image: image.to_owned(),
            image_id,
            port,
            labels,
            exit_code: None,
            restart_count: 0,
            created: self.made,
            oom_killed: false,
            error: String::new(),
            health: None,
        };
        self.listeners.extend(port);
        self.running.push(Running { container, started: Instant::now(), app });
        id
    }

    fn at(&mut self, name: &str) -> Option<&mut Running> {
        self.running.iter_mut().find(|r| r.container.id == name || r.container.name == name)
    }

    fn find(&self, name: &str) -> Option<Container> {
        let named = |r: &&Running| r.container.id == name || r.container.name == name;
        self.running.iter().find(named).map(Running::now)
    }

    fn image(&self, name: &str) -> Option<String> {
        let by_id = || name.starts_with("sha256:").then(|| name.to_owned());
        let here = || {
            (!name.starts_with("missing") && !name.starts_with("otturnaut-release:")).then(|| format!("sha256:{name}"))
        };
        self.images.get(name).cloned().or_else(by_id).or_else(here)
    }

    fn start(&mut self, spec: &ContainerSpec) -> Result<String, Fault> {
        if self.find(&spec.name).is_some() {
            return Err(Fault::Refused(409, "Conflict"));
        }
        if self.image(&spec.image).is_none() {
            return Err(Fault::Refused(404, "No such image: missing:latest"));
        }
        let port = spec.publish.map(|publish| publish.port);
        if port.is_some_and(|port| self.listeners.contains(&port)) {
            return Err(Fault::Refused(500, "Bind failed: port is already allocated"));
        }
        let app = match port {
            Some(_) => self.app.unwrap(),
            None => App::Exits(self.task_exits, Duration::from_millis(5)),
        };
        Ok(self.add((&spec.name, &spec.image), spec.labels.clone(), port, app))
    }
}

impl Running {
    fn now(&self) -> Container {
        let mut now = self.container.clone();
        match self.app {
            App::Exits(code, after) if self.started.elapsed() >= after => {
                now.status = ContainerStatus::Stopped;
                now.exit_code = Some(code);
            }
            App::Restarts(after) if self.started.elapsed() >= after => now.restart_count = 1,
            _ => {}
        }
        now
    }
}

fn engine_error(fault: Fault) -> RuntimeError {
    let engine = RuntimeKind::Docker;
    let transport = |reason: &str| RuntimeError::Transport {
        engine,
        socket: PathBuf::from("/run/docker.sock"),
        reason: reason.to_owned(),
    };
    match fault {
        Fault::Refused(404, "") => RuntimeError::NotFound { name: "it".to_owned() },
        Fault::Refused(status, message) => RuntimeError::Http { engine, status, body: json!({ "message": message }) },
        Fault::Down => transport("enoent"),
        Fault::AnswerLost => transport("closed"),
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

/// The engine says that there is none.
const GONE: Fault = Fault::Refused(404, "");

#[async_trait]
impl Runtime for Machine {
    async fn list(&self, labels: &[String]) -> Result<Vec<Container>, RuntimeError> {
        let has = |container: &Container, label: &String| match label.split_once('=') {
            Some((name, value)) => container.labels.get(name).is_some_and(|v| v == value),
            None => container.labels.contains_key(label),
        };
        let listed = self.act(("list", ""), |inside| {
            // As engines have it: what does not run has no port now.
            let port = |c: &Container| c.port.filter(|_| c.status == ContainerStatus::Running);
            let all = inside.running.iter().map(Running::now).map(|c| Container { port: port(&c), ..c });
            Ok(all.filter(|container| labels.iter().all(|label| has(container, label))).collect())
        });
        listed.await.map_err(engine_error)
    }

    async fn start(&self, spec: &ContainerSpec) -> Result<String, RuntimeError> {
        self.act(("start", &spec.name), |inside| inside.start(spec)).await.map_err(engine_error)
    }

    async fn stop(&self, name: &str, _grace: Duration) -> Result<(), RuntimeError> {
        let known = self.inside().find(name).ok_or_else(|| engine_error(GONE))?.name;
        let stopped = self.act(("stop", &known), |inside| {
            inside.at(name).ok_or(GONE)?.app = App::Exits(0, Duration::ZERO);
            Ok(())
        });
        stopped.await.map_err(engine_error)
    }

    async fn remove(&self, name: &str) -> Result<(), RuntimeError> {
        let known = self.inside().find(name).ok_or_else(|| engine_error(GONE))?.name;
        let removed = self.act(("remove", &known), |inside| {
            let at = inside.running.iter().position(|r| r.container.name == known).ok_or(GONE)?;
            let port = inside.running.remove(at).container.port;
            inside.listeners.retain(|listener| Some(*listener) != port);
            Ok(())
        });
        removed.await.map_err(engine_error)
    }

    async fn inspect(&self, name: &str) -> Result<Container, RuntimeError> {
        self.act(("inspect", name), |inside| inside.find(name).ok_or(GONE)).await.map_err(engine_error)
    }

    async fn start_again(&self, name: &str) -> Result<(), RuntimeError> {
        let started = self.act(("start_again", name), |inside| {
            let app = inside.app.unwrap();
            let running = inside.at(name).ok_or(GONE)?;
            if running.now().status != ContainerStatus::Running {
                (running.app, running.started) = (app, Instant::now());
            }
            Ok(())
        });
        started.await.map_err(engine_error)
    }

    async fn wait(&self, name: &str) -> Result<i64, RuntimeError> {
        loop {
            let container = self.inside().find(name).ok_or_else(|| engine_error(GONE))?;
            if let Some(code) = container.exit_code {
                return self.act(("wait", name), |_| Ok(code)).await.map_err(engine_error);
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn tail(&self, _name: &str, _count: usize) -> Result<Vec<Line>, RuntimeError> {
        Ok(Vec::new())
    }

    async fn exec(&self, _: &str, _: &[String], _: Duration) -> Result<ExecEnd, RuntimeError> {
        Ok(ExecEnd { exit_code: Some(0), output: String::new() })
    }

    async fn image(&self, name: &str) -> Result<Image, RuntimeError> {
        let image = |id| Image { id, tags: vec![name.to_owned()] };
        self.act(("image", name), |inside| inside.image(name).map(image).ok_or(GONE)).await.map_err(engine_error)
    }

    async fn tag_image(&self, image: &str, repository: &str, tag: &str) -> Result<(), RuntimeError> {
        let name = format!("{repository}:{tag}");
        let tagged = self.act(("tag_image", &name), |inside| {
            let id = inside.image(image).ok_or(GONE)?;
            inside.images.insert(name.clone(), id);
            Ok(())
        });
        tagged.await.map_err(engine_error)
    }

    async fn remove_image(&self, name: &str) -> Result<(), RuntimeError> {
        let removed = |inside: &mut Inside| inside.images.remove(name).map(drop).ok_or(GONE);
        self.act(("remove_image", name), removed).await.map_err(engine_error)
    }

    async fn image_tags(&self, repository: &str) -> Result<Vec<String>, RuntimeError> {
        Ok(self.inside().images.keys().filter(|name| name.starts_with(repository)).cloned().collect())
    }

    async fn load_image(&self, _archive: &Path) -> Result<String, RuntimeError> {
        unreachable!("no deploy loads an image")
    }

    async fn build_image(&self, _build: &BuildImage, _: Option<mpsc::Sender<Batch>>) -> Result<(), RuntimeError> {
        unreachable!("no deploy builds an image")
    }

    async fn pull_image(&self, image: &str) -> Result<(), RuntimeError> {
        let pulled = self.act(("pull", image), |inside| {
            inside.images.insert(image.to_owned(), format!("sha256:{image}"));
            Ok(())
        });
        pulled.await.map_err(engine_error)
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
        let what = format!("{} {}", route.id, route.upstream_port);
        let put = self.act(("put_route", &what), |inside| {
            inside.routes.insert(route.id.clone(), route.clone());
            Ok(())
        });
        put.await.map_err(proxy_error)
    }

    async fn remove_route(&self, id: &str) -> Result<(), ProxyError> {
        let unknown = Fault::Refused(404, "unknown object ID");
        let removed = |inside: &mut Inside| inside.routes.remove(id).map(drop).ok_or(unknown);
        self.act(("remove_route", id), removed).await.map_err(proxy_error)
    }

    async fn list_routes(&self) -> Result<Vec<Route>, ProxyError> {
        let listed = |inside: &mut Inside| Ok(inside.routes.values().cloned().collect());
        self.act(("list_routes", ""), listed).await.map_err(proxy_error)
    }

    async fn get_route(&self, id: &str) -> Result<Route, ProxyError> {
        let found = self.act(("get_route", id), |inside| Ok(inside.routes.get(id).cloned())).await;
        found.map_err(proxy_error)?.ok_or_else(|| ProxyError::NotFound { id: id.to_owned() })
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

    async fn connections(&self, ports: &[u16]) -> io::Result<Vec<Connection>> {
        let inside = self.inside();
        let open = |port: &&u16| inside.connected.get(port).is_some_and(|until| Instant::now() < *until);
        let connection = |port: &u16| Connection { from: ([127, 0, 0, 1], 50_000).into(), port: *port, inode: 1 };
        Ok(ports.iter().filter(open).map(connection).collect())
    }

    async fn owners(&self, _connections: &[Connection]) -> Vec<String> {
        vec!["caddy (7)".to_owned()]
    }
}

#[async_trait]
impl Storage for Machine {
    async fn open_journal(&self) -> io::Result<Vec<u8>> {
        let opened = self.act(("open_journal", ""), |inside| Ok(inside.journal.clone()));
        opened.await.map_err(|_| io::ErrorKind::PermissionDenied.into())
    }

    async fn append_journal(&self, bytes: Vec<u8>) -> io::Result<()> {
        let appended = self.act(("append_journal", ""), |inside| {
            inside.journal.extend_from_slice(&bytes);
            Ok(())
        });
        appended.await.map_err(|_| io::ErrorKind::StorageFull.into())
    }

    async fn replace_journal(&self, bytes: Vec<u8>) -> io::Result<()> {
        let replaced = self.act(("replace_journal", ""), |inside| {
            inside.journal = bytes;
            Ok(())
        });
        replaced.await.map_err(|_| io::ErrorKind::StorageFull.into())
    }

    async fn put(&self, document: &Document, content: Vec<u8>) -> io::Result<()> {
        let put = self.act(("put", &document.name), |inside| {
            inside.documents.insert(document.clone(), content);
            Ok(())
        });
        put.await.map_err(|_| io::ErrorKind::StorageFull.into())
    }

    async fn get(&self, document: &Document) -> io::Result<Option<Vec<u8>>> {
        Ok(self.inside().documents.get(document).cloned())
    }

    async fn delete(&self, document: &Document) -> io::Result<()> {
        let deleted = self.act(("delete", &document.name), |inside| {
            inside.documents.remove(document);
            Ok(())
        });
        deleted.await.map_err(|_| io::ErrorKind::ReadOnlyFilesystem.into())
    }

    async fn documents(&self) -> io::Result<Vec<Document>> {
        Ok(self.inside().documents.keys().cloned().collect())
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
    async fn make_source_dir(&self) -> io::Result<PathBuf> {
        unreachable!("no deploy needs a directory")
    }

    async fn remove_source_dir(&self, _path: &Path) -> io::Result<()> {
        unreachable!("no deploy removes a directory")
    }
}

/// A deployment of `app_id`, with the domain `{app_id}.test`.
pub(super) fn deployment(app_id: &str, id: &str) -> Deployment {
    let names = (app_id.to_owned(), id.to_owned());
    let domains = vec![format!("{app_id}.test")];
    Deployment { domains, ..Deployment::pending(names, "image:1".to_owned(), 8080, DOCKER) }
}
