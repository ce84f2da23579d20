//! systemd: native programs as units, behind the same trait as containers.
//!
//! ```text
//! mod.rs     units as the domain wants them: a unit's id is its name, its image a program by content
//! manager.rs what they are made of;  bus.rs  the manager over D-Bus;  scope.rs  the system's, or a user's
//! unit.rs    unit files and environments
//! store.rs   programs by content, and their names;  build.rs  those that are built here
//! journal.rs what units said;  watch.rs  their exits
//! ```

mod build;
mod bus;
mod journal;
mod manager;
mod scope;
mod store;
mod unit;
mod watch;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use tokio::sync::{mpsc, watch as seen};

pub(super) use self::manager::Systemd;
use self::manager::{EndUnit, has_run, loaded_name, not_found, not_taken, service, status, unsupported};
pub use self::scope::UserManager;
use self::store::Store;
use super::command::{Batch, CommandEnd, Line};
use super::download::Transfer;
use super::files::{blocking, gone_is_fine};
use super::log::{LogQuery, LogReader};
use super::runtime::{
    Container, ContainerStatus, EngineEvents, EngineSpace, ExecEnd, Image, KeptImage, Runtime, RuntimeError, Usage,
};
use super::spec::{BuildImage, ContainerSpec, PullImage, Resources, Restart};
use crate::limits;

#[async_trait]
impl Runtime for Systemd {
    async fn list(&self, labels: &[String]) -> Result<Vec<Container>, RuntimeError> {
        self.bus().await?;
        let units = self.scope.units.clone();
        let names = blocking(move || {
            let entries = match std::fs::read_dir(units) {
                // A user has none before the first.
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
                entries => entries?.flatten(),
            };
            let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
            Ok(names.filter_map(|name| name.strip_suffix(".service").map(str::to_owned)).collect::<Vec<_>>())
        });
        let names = names.await.map_err(|error| RuntimeError::Unit { name: self.name(), reason: error.to_string() })?;
        let mut found = Vec::new();
        for name in names {
            let Ok(about) = self.about(&name).await else { continue };
            let has = |label: &String| match label.split_once('=') {
                Some((label, value)) => about.labels.get(label).is_some_and(|found| found == value),
                None => about.labels.contains_key(label),
            };
            if labels.iter().all(has) {
                let properties = self.properties(&name).await?;
                found.push(Self::container(&name, about, &properties));
            }
        }
        Ok(found)
    }

    async fn check(&self, resources: Resources) -> Result<(), RuntimeError> {
        self.check_bounds(resources).await
    }

    async fn start(&self, spec: &ContainerSpec) -> Result<String, RuntimeError> {
        self.check(spec.resources).await?;
        self.bus().await?;
        self.write(spec).await?;
        let starting = async {
            if spec.restart != Restart::No {
                self.enable(&spec.name, true).await?;
            }
            self.reload(&spec.name).await?;
            self.job("StartUnit", &spec.name, limits::ENGINE_REQUEST).await
        };
        match starting.await {
            Ok(()) => Ok(spec.name.clone()),
            Err(error) => self.not_started(&spec.name, error).await,
        }
    }

    async fn stop(&self, name: &str, grace: Duration) -> Result<(), RuntimeError> {
        let about = self.about(name).await?;
        if !about.always {
            // Somebody stopped it: it does not come back with the machine.
            self.enable(name, false).await?;
        }
        match self.job("StopUnit", name, grace).await {
            Err(RuntimeError::Transport { reason, .. }) if reason == "timeout" => {
                let killed = self.bus().await?.call::<_, ()>("KillUnit", &(service(name), "all", 9_i32)).await;
                if let Err(error) = killed {
                    tracing::debug!(unit = name, %error, "it ended by itself meanwhile");
                }
                self.job("StopUnit", name, limits::ENGINE_REQUEST).await
            }
            stopped => stopped,
        }
    }

    async fn remove(&self, name: &str) -> Result<(), RuntimeError> {
        self.about(name).await?;
        self.stop(name, Duration::ZERO).await?;
        self.enable(name, false).await?;
        let (unit, environment) = (self.file(name), self.environment(name));
        let removed = blocking(move || {
            gone_is_fine(std::fs::remove_file(environment))?;
            gone_is_fine(std::fs::remove_file(unit))
        });
        removed.await.map_err(|error| RuntimeError::Unit { name: name.to_owned(), reason: error.to_string() })?;
        self.reload(name).await?;
        // One that failed is remembered; one that did not need not be forgotten.
        if let Err(error) = self.bus().await?.call::<_, ()>("ResetFailedUnit", &service(name)).await {
            tracing::trace!(unit = name, %error, "nothing is left of it");
        }
        Ok(())
    }

    async fn inspect(&self, name: &str) -> Result<Container, RuntimeError> {
        let about = self.about(name).await?;
        Ok(Self::container(name, about, &self.properties(name).await?))
    }

    async fn start_again(&self, name: &str) -> Result<(), RuntimeError> {
        self.about(name).await?;
        self.enable(name, true).await?;
        self.job("StartUnit", name, limits::ENGINE_REQUEST).await
    }

    async fn events(&self, labels: &[String]) -> Result<EngineEvents, RuntimeError> {
        let changes = self.changes(&self.name()).await?;
        let known = self.list(labels).await?;
        let watcher = watch::Watcher::new(self.handle(), labels.to_vec(), known);
        Ok(watcher.events(changes).boxed())
    }

    async fn wait(&self, name: &str) -> Result<i64, RuntimeError> {
        self.about(name).await?;
        let mut changes = self.changes(name).await?;
        loop {
            let about = self.about(name).await?;
            let properties = self.properties(name).await?;
            let seen = Self::container(name, about, &properties);
            // One that is on its way to its end has no code yet.
            if seen.status == ContainerStatus::Stopped || !seen.runs() && has_run(&properties) {
                return Ok(seen.exit_code.unwrap_or(0));
            }
            tokio::select! {
                change = changes.next() => if change.is_none() {
                    return Err(self.unreachable("closed"));
                },
                () = tokio::time::sleep(limits::EXIT_LOOK) => {}
            }
        }
    }

    async fn tail(&self, name: &str, count: usize) -> Result<Vec<Line>, RuntimeError> {
        journal::tail((&self.scope, &service(name)), count).await
    }

    async fn logs(&self, name: &str, query: &LogQuery) -> Result<LogReader, RuntimeError> {
        self.about(name).await?;
        journal::open(&service(name), query, self.handle())
    }

    async fn exec(&self, name: &str, command: &[String], limit: Duration) -> Result<ExecEnd, RuntimeError> {
        let container = self.inspect(name).await?;
        if !container.runs() {
            return Err(not_found(name));
        }
        let (artifact, environment) = (self.store.place(&container.image_id), self.environment(name));
        let places = self.places(&artifact, &environment);
        let beside = format!("{name}-exec-{:08x}", rand::random::<u32>());
        let mut run = self.scope.command("systemd-run", unit::beside(&beside, &places, command)?);
        run.timeout = Some(limit);
        // The client alone ends with its time, or with whoever waits for it.
        let ending = EndUnit { name: beside, scope: self.scope.clone(), processes: Arc::clone(&self.processes) };
        let ended = self.processes.run(run, None).await;
        let exit_code = match ended.end {
            CommandEnd::Exited(code) => {
                ending.ended();
                Some(i64::from(code))
            }
            CommandEnd::TimedOut => None,
            CommandEnd::NotFound | CommandEnd::Failed(_) => return Err(unsupported(name, "has no systemd-run here")),
        };
        Ok(ExecEnd { exit_code, output: String::from_utf8_lossy(&ended.output).into_owned() })
    }

    async fn end_builds(&self) {
        build::end_all(self).await;
    }

    async fn usage(&self, name: &str) -> Result<Option<Usage>, RuntimeError> {
        self.about(name).await?;
        let properties = self.properties(name).await?;
        if status(&properties.text("ActiveState"), &properties.text("SubState")) != ContainerStatus::Running {
            return Ok(None);
        }
        let number = |name| properties.number(name).unwrap_or(0);
        Ok(Some(Usage {
            cpu: Duration::from_nanos(number("CPUUsageNSec")),
            memory: number("MemoryCurrent"),
            memory_limit: number("MemoryMax"),
            received: number("IPIngressBytes"),
            sent: number("IPEgressBytes"),
            processes: number("TasksCurrent"),
        }))
    }

    async fn space(&self) -> Result<EngineSpace, RuntimeError> {
        let store = self.store.clone();
        let images = blocking(move || {
            let mut images = Vec::new();
            for (id, size) in store.all()? {
                images.push(KeptImage { names: store.names(&id), id, size, shared: 0 });
            }
            Ok(images)
        });
        let images = images
            .await
            .map_err(|error| RuntimeError::Unit { name: "artifacts".to_owned(), reason: error.to_string() })?;
        Ok(EngineSpace { images, ..EngineSpace::default() })
    }

    async fn image(&self, name: &str) -> Result<Image, RuntimeError> {
        let id = self.find(name).await.ok_or_else(|| not_found(name))?;
        Ok(Image { tags: self.store.names(&id), id, digests: Vec::new() })
    }

    async fn tag_image(&self, image: &str, repository: &str, tag: &str) -> Result<(), RuntimeError> {
        let (store, program, name) = (self.store.clone(), image.to_owned(), format!("{repository}:{tag}"));
        match blocking(move || store.name(&program, &name)).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(not_found(image)),
            Err(error) => Err(RuntimeError::Unit { name: image.to_owned(), reason: error.to_string() }),
        }
    }

    async fn remove_image(&self, name: &str) -> Result<(), RuntimeError> {
        let (store, gone) = (self.store.clone(), name.to_owned());
        match blocking(move || store.remove(&gone)).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(not_found(name)),
            Err(error) => Err(RuntimeError::Unit { name: name.to_owned(), reason: error.to_string() }),
        }
    }

    async fn load_image(&self, archive: &Path) -> Result<String, RuntimeError> {
        let (store, path) = (self.store.clone(), archive.to_owned());
        let taken = tokio::task::spawn_blocking(move || store.load(&path, loaded_name));
        let taken = taken.await.unwrap_or_else(|error| Err(io::Error::other(error).into()));
        taken.map_err(|error| not_taken(archive, &error))
    }

    async fn build_image(&self, build: &BuildImage, lines: Option<mpsc::Sender<Batch>>) -> Result<(), RuntimeError> {
        build::build(self, build, lines).await
    }

    async fn archive_names(&self, archive: &Path) -> Result<Vec<String>, RuntimeError> {
        let path = archive.to_owned();
        let id = tokio::task::spawn_blocking(move || Store::id(&path)).await;
        let id = id.unwrap_or_else(|error| Err(io::Error::other(error).into()));
        id.map(|id| vec![loaded_name(&id)]).map_err(|error| not_taken(archive, &error))
    }

    async fn pull_image(&self, image: &PullImage, _: Option<seen::Sender<Transfer>>) -> Result<(), RuntimeError> {
        Err(unsupported(&image.reference, "pulls no images: a registry has none for it"))
    }

    async fn version(&self) -> Result<String, RuntimeError> {
        match self.bus().await?.manager("Version").await {
            Ok(version) => Ok(<&str>::try_from(&version).unwrap_or_default().to_owned()),
            Err(error) => Err(self.failed(&self.name(), error).await),
        }
    }
}
