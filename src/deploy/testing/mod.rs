//! A machine in memory for the tests of this room: it records what is done to it, in order, fails where it is told, and
//! outlives the agents that work on it.

mod containers;
mod surroundings;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::apps::{AppState, Labels, PortManager};
use crate::build::Build;
use crate::deploy::{Deployment, Engine, EngineSettings};
use crate::host::{Container, ContainerStatus, Document, HealthState, Host, Route, RuntimeKind, RuntimeTarget};
use crate::watch::{Events, Monitor};

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

/// What new containers say to those who ask the engine.
#[derive(Debug, Clone, Default)]
pub(super) struct Says {
    /// How commands in it end, and what they print.
    pub(super) command: (i64, &'static str),
    /// The image's own health check, if there is one.
    pub(super) health: Option<HealthState>,
    /// Its output.
    pub(super) output: &'static [&'static str],
    /// Whether an exit is for want of memory, and the engine's words on it.
    pub(super) ended: (bool, &'static str),
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

#[derive(Clone)]
struct Running {
    container: Container,
    started: Instant,
    app: App,
}

#[derive(Clone, Default)]
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
    /// What the next containers say of their own.
    pub(super) says: Says,
    pub(super) log: Vec<String>,
    pub(super) journal: Vec<u8>,
    pub(super) events: Vec<u8>,
    /// Where the last write to it began.
    last_write: usize,
    pub(super) documents: BTreeMap<Document, Vec<u8>>,
    /// Logs that are kept.
    pub(super) logs: BTreeMap<Document, Vec<u8>>,
    /// Connections to a port, until then.
    pub(super) connected: BTreeMap<u16, Instant>,
    made: i64,
    /// The agent that is alive; operations of others never end.
    alive: u32,
    /// Moments before and after operations so far, and the one at which the agent dies.
    moments: usize,
    dies_at: Option<usize>,
    /// The operation that fails once, counted like the moments.
    fails_at: Option<(usize, Fault)>,
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
            storage: all.clone(),
            machine: all,
        }
    }

    /// An engine on this machine with ports 10000 to 10009.
    pub(super) fn engine(&self) -> (Engine, AppState, PortManager) {
        let settings = self.settings();
        (Engine::new(settings.clone()), settings.state, settings.ports)
    }

    /// What such an engine works with.
    pub(super) fn settings(&self) -> EngineSettings {
        let (host, state) = (self.host(), AppState::default());
        let events = Events::new(host.storage.clone());
        EngineSettings {
            outpost: OUTPOST.to_owned(),
            ports: PortManager::new(10_000..=10_009, host.network.clone()),
            monitor: Monitor::new(host.clone(), state.clone(), events.clone()),
            build: Build::new(host.clone(), TaskTracker::new()),
            host,
            state,
            events,
        }
    }

    /// The agent dies at that moment, counted from now: before an operation acts if it is even, after it if it is odd.
    pub(super) fn dies_at(&self, moment: usize) {
        let mut inside = self.inside();
        inside.dies_at = Some(inside.moments + moment);
    }

    /// Operation number `at` from now fails once.
    pub(super) fn fails_at(&self, at: usize, fault: Fault) {
        let mut inside = self.inside();
        inside.fails_at = Some((inside.log.len() + at, fault));
    }

    /// Whether that operation came.
    pub(super) fn has_failed(&self) -> bool {
        self.inside().fails_at.is_none()
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

    /// Another machine on which the same is.
    pub(super) fn copy(&self) -> Self {
        let inside = self.inside().clone();
        Self { inside: Arc::new(Mutex::new(inside)), died: Arc::default(), agent: self.agent }
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

    /// From where to where in the journal the last write went.
    pub(super) fn last_write(&self) -> (usize, usize) {
        let inside = self.inside();
        (inside.last_write, inside.journal.len())
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
        inside.add((name, "image:1"), labels, (Some(port), app));
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
        let once = {
            let mut inside = self.inside();
            let now = inside.log.len();
            inside.log.push(format!("{operation} {what}").trim_end().to_owned());
            inside.fails_at.take_if(|(at, _)| *at == now).map(|(_, fault)| fault)
        };
        tokio::time::sleep(Duration::from_millis(2)).await;
        let outcome = {
            let mut inside = self.inside();
            match once.or(inside.faults.get(operation).copied()) {
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
        let dead = {
            let mut inside = self.inside();
            inside.moments += 1;
            if inside.alive == self.agent && inside.dies_at.is_some_and(|at| inside.moments > at) {
                inside.alive += 1;
                self.died.notify_one();
            }
            inside.alive != self.agent
        };
        if dead {
            std::future::pending::<()>().await;
        }
    }
}

/// A deployment of `app_id`, with the domain `{app_id}.test`.
pub(super) fn deployment(app_id: &str, id: &str) -> Deployment {
    let names = (app_id.to_owned(), id.to_owned());
    let domains = vec![format!("{app_id}.test")];
    Deployment { domains, ..Deployment::pending(names, "image:1".to_owned(), 8080, DOCKER) }
}
