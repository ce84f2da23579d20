//! The container engines and the agent's containers as they are now, kept fresh by what the engines tell.
//!
//! ```text
//! each engine: version, events, list --> seen here --> an exit: the monitor
//!              the stream ends: down, and tried again
//! ```

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::StreamExt;
use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::events::{About, Events, What};
use super::monitor::Monitor;
use crate::apps::Labels;
use crate::host::{
    Container, EngineAction, EngineEvent, EngineEvents, Host, Runtime, RuntimeError, RuntimeKind, RuntimeTarget,
};
use crate::limits;

/// The engines and the agent's containers. Clones share them; every question is answered at once.
#[derive(Clone)]
pub struct Live(Arc<Shared>);

struct Shared {
    host: Host,
    /// The agent's name: others may share an engine.
    outpost: String,
    monitor: Monitor,
    events: Events,
    inside: Mutex<Inside>,
}

#[derive(Default)]
struct Inside {
    engines: Vec<EngineSeen>,
    /// By id.
    containers: BTreeMap<String, ContainerSeen>,
}

/// An engine as it was seen last.
#[derive(Debug, Clone)]
pub struct EngineSeen {
    /// Which.
    pub target: RuntimeTarget,
    /// Its version while it answers, else why it does not.
    pub version: Result<String, String>,
    /// Since when that is so.
    pub since: Timestamp,
}

/// One of the agent's containers as it was seen last.
#[derive(Debug, Clone)]
pub struct ContainerSeen {
    /// Its engine.
    pub target: RuntimeTarget,
    /// What the engine says.
    pub container: Container,
    /// What its labels say.
    pub labels: Labels,
    /// When it was looked at.
    pub at: Instant,
    /// Whether its engine tells of changes: then it is as it was seen.
    pub fresh: bool,
}

impl Live {
    /// One that has seen nothing.
    pub fn new(host: Host, outpost: String, monitor: Monitor, events: Events) -> Self {
        Self(Arc::new(Shared { host, outpost, monitor, events, inside: Mutex::default() }))
    }

    /// The engines of this machine.
    pub fn engines(&self) -> Vec<EngineSeen> {
        self.lock().engines.clone()
    }

    /// The agent's containers, those of its engines that do not answer as they were seen last.
    pub fn containers(&self) -> Vec<ContainerSeen> {
        self.lock().containers.values().cloned().collect()
    }

    /// The container of that name, if there is one.
    pub fn container(&self, name: &str) -> Option<ContainerSeen> {
        self.lock().containers.values().find(|seen| seen.container.name == name).cloned()
    }

    /// Follows all engines until the end; looks now and then whether there are others.
    pub async fn run(&self, stop: CancellationToken) {
        let mut followed = JoinSet::new();
        let mut known: Vec<RuntimeTarget> = Vec::new();
        let look = async {
            loop {
                for (target, runtime) in self.0.host.runtimes.present() {
                    if !known.contains(&target) {
                        known.push(target.clone());
                        let live = self.clone();
                        followed.spawn(async move { live.follow(target, runtime).await }.boxed());
                    }
                }
                sleep(limits::ENGINES_LOOK).await;
            }
        };
        stop.run_until_cancelled(look).await;
        followed.shutdown().await;
    }

    async fn follow(&self, target: RuntimeTarget, runtime: Arc<dyn Runtime>) {
        let (first, longest) = limits::ENGINE_PAUSES;
        let mut pause = first;
        loop {
            let began = Instant::now();
            let Err(error) = self.while_up(&target, runtime.as_ref()).await;
            self.down(&target, &error);
            if began.elapsed() > longest {
                pause = first;
            }
            sleep(pause).await;
            pause = (pause * 2).min(longest);
        }
    }

    /// Follows an engine for as long as it answers.
    async fn while_up(&self, target: &RuntimeTarget, runtime: &dyn Runtime) -> Result<Never, RuntimeError> {
        let version = runtime.version().await?;
        let labels = Labels::all();
        // Before the list, so that nothing happens in between unseen.
        let mut events = runtime.events(&labels).await?;
        self.survey(target, runtime).await?;
        self.up(target, version);
        loop {
            self.until_quiet(target, runtime, &mut events).await?;
            // Whatever was not told.
            self.survey(target, runtime).await?;
        }
    }

    /// Takes up what an engine tells, until it is time to look at all again.
    async fn until_quiet(
        &self,
        target: &RuntimeTarget,
        runtime: &dyn Runtime,
        events: &mut EngineEvents,
    ) -> Result<(), RuntimeError> {
        let end = Instant::now() + limits::ENGINE_SURVEY;
        while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| *left > Duration::ZERO) {
            match timeout(left, events.next()).await {
                Err(_) => break,
                Ok(None) => return Err(ended(target)),
                Ok(Some(event)) => self.happened(target, runtime, &event?).await?,
            }
        }
        Ok(())
    }

    async fn happened(
        &self,
        target: &RuntimeTarget,
        runtime: &dyn Runtime,
        event: &EngineEvent,
    ) -> Result<(), RuntimeError> {
        match &event.action {
            EngineAction::Removed => {
                self.lock().containers.remove(&event.id);
                self.0.monitor.removed(&event.name);
                return Ok(());
            }
            EngineAction::Exited(code) => self.0.monitor.exited(&event.name, *code),
            EngineAction::Started => self.0.monitor.started(&event.name),
            EngineAction::Changed => self.0.monitor.changed(&event.name),
        }
        self.look(target, runtime, &event.id).await
    }

    /// Looks at one container.
    async fn look(&self, target: &RuntimeTarget, runtime: &dyn Runtime, id: &str) -> Result<(), RuntimeError> {
        match runtime.inspect(id).await {
            Ok(container) => self.seen(target, container),
            Err(RuntimeError::NotFound { .. }) => {
                let gone = self.lock().containers.remove(id);
                if let Some(seen) = gone {
                    self.0.monitor.removed(&seen.container.name);
                }
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Looks at all containers of an engine.
    async fn survey(&self, target: &RuntimeTarget, runtime: &dyn Runtime) -> Result<(), RuntimeError> {
        let listed = runtime.list(&Labels::all()).await?;
        let gone =
            |seen: &ContainerSeen| seen.target == *target && listed.iter().all(|one| one.id != seen.container.id);
        self.lock().containers.retain(|_, seen| !gone(seen));
        for container in &listed {
            self.look(target, runtime, &container.id).await?;
        }
        Ok(())
    }

    fn seen(&self, target: &RuntimeTarget, container: Container) {
        let Some(labels) = Labels::read(&container.labels) else { return };
        if labels.outpost != self.0.outpost {
            return;
        }
        self.0.monitor.looked_at(&container);
        let id = container.id.clone();
        let seen = ContainerSeen { target: target.clone(), container, labels, at: Instant::now(), fresh: true };
        self.lock().containers.insert(id, seen);
    }

    fn up(&self, target: &RuntimeTarget, version: String) {
        self.0.monitor.engine(target.kind, true);
        let changed = self.set(target, Ok(version.clone()));
        if changed {
            tracing::info!(engine = %target.kind, version, "the container engine answers");
            self.tell(What::RuntimeUp { runtime: target.kind, version });
        }
    }

    fn down(&self, target: &RuntimeTarget, error: &RuntimeError) {
        self.lock().containers.values_mut().filter(|seen| seen.target == *target).for_each(|seen| seen.fresh = false);
        self.0.monitor.engine(target.kind, false);
        let reason = error.to_string();
        if self.set(target, Err(reason.clone())) {
            tracing::warn!(engine = %target.kind, error = reason, "the container engine does not answer");
            self.tell(What::RuntimeDown { runtime: target.kind, reason });
        }
    }

    fn tell(&self, what: What) {
        self.0.events.publish(About::outpost(), what);
    }

    /// Whether an engine went up or down by that.
    fn set(&self, target: &RuntimeTarget, version: Result<String, String>) -> bool {
        let mut inside = self.lock();
        let since = Timestamp::now();
        let Some(seen) = inside.engines.iter_mut().find(|seen| seen.target == *target) else {
            inside.engines.push(EngineSeen { target: target.clone(), version, since });
            return true;
        };
        let changed = seen.version.is_ok() != version.is_ok();
        if changed {
            seen.since = since;
        }
        seen.version = version;
        changed
    }

    /// Nothing panics under the lock: what a poisoned one holds is whole.
    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.0.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What only ends with an error.
enum Never {}

fn ended(target: &RuntimeTarget) -> RuntimeError {
    RuntimeError::Answer { engine: target.kind, reason: "its events ended".to_owned() }
}

impl EngineSeen {
    /// Which engine.
    pub fn kind(&self) -> RuntimeKind {
        self.target.kind
    }
}
