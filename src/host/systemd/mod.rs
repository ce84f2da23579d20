//! systemd: native programs as units, behind the same trait as containers.
//!
//! ```text
//! mod.rs     units as the domain wants them: a unit's id is its name, its image a program by content
//! bus.rs     the manager over D-Bus
//! unit.rs    unit files and environments
//! store.rs   programs by content, and their names
//! journal.rs what units said;  watch.rs  their exits
//! ```

mod bus;
mod journal;
mod store;
mod unit;
mod watch;

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use jiff::Timestamp;
use tokio::sync::{Mutex, mpsc, watch as seen};

use self::bus::{Bus, BusError, Properties};
use self::store::{Store, StoreError};
use self::unit::{About, Places};
use super::command::{Batch, Command, CommandEnd, Line, Processes};
use super::download::Transfer;
use super::files::{blocking, gone_is_fine, write_atomic};
use super::log::{LogQuery, LogReader};
use super::runtime::{
    Container, ContainerStatus, EngineEvents, EngineSpace, ExecEnd, Image, KeptImage, Runtime, RuntimeError,
    RuntimeKind, Usage,
};
use super::spec::{BuildImage, ContainerSpec, PullImage, Restart};
use crate::limits;

/// Where the system's bus listens.
const BUS: &str = "/run/dbus/system_bus_socket";

/// Where units lie that come back with the machine.
const UNITS: &str = "/etc/systemd/system";

/// Whether this machine was started by systemd, and its bus is there.
pub(super) fn is_here() -> bool {
    Path::new("/run/systemd/system").is_dir() && Path::new(BUS).exists()
}

/// The system's manager.
pub(super) struct Systemd {
    data_dir: PathBuf,
    store: Store,
    bus: Mutex<Option<Arc<Bus>>>,
    processes: Arc<dyn Processes>,
}

impl Systemd {
    pub(super) fn new(data_dir: &Path, processes: Arc<dyn Processes>) -> Self {
        Self { data_dir: data_dir.to_owned(), store: Store::new(data_dir), bus: Mutex::default(), processes }
    }

    /// The connection, made when it is first needed and anew after it broke.
    async fn bus(&self) -> Result<Arc<Bus>, RuntimeError> {
        let mut bus = self.bus.lock().await;
        if let Some(bus) = bus.as_ref() {
            return Ok(Arc::clone(bus));
        }
        if !is_here() {
            return Err(unreachable("enoent"));
        }
        let opened = Arc::new(Bus::open(Path::new(BUS)).await.map_err(|error| failed(BUS, error))?);
        *bus = Some(Arc::clone(&opened));
        Ok(opened)
    }

    /// An error of the bus; a connection that broke is forgotten.
    async fn failed(&self, name: &str, error: BusError) -> RuntimeError {
        if matches!(error, BusError::Bus(zbus::Error::InputOutput(_)) | BusError::Timeout(_)) {
            *self.bus.lock().await = None;
        }
        failed(name, error)
    }

    fn file(name: &str) -> PathBuf {
        Path::new(UNITS).join(service(name))
    }

    fn environment(&self, name: &str) -> PathBuf {
        self.data_dir.join("units").join(format!("{name}.env"))
    }

    /// What the agent knows of a unit of its own.
    async fn about(&self, name: &str) -> Result<About, RuntimeError> {
        let path = Self::file(name);
        let read = blocking(move || std::fs::read_to_string(path)).await;
        read.ok().and_then(|unit| About::read(&unit)).ok_or_else(|| not_found(name))
    }

    /// Whether it comes back with the machine.
    async fn enable(&self, name: &str, enabled: bool) -> Result<(), RuntimeError> {
        let (bus, files) = (self.bus().await?, vec![service(name)]);
        let done = if enabled {
            let made: Result<(bool, Links), _> = bus.call("EnableUnitFiles", &(files, false, true)).await;
            made.map(drop)
        } else {
            let made: Result<Links, _> = bus.call("DisableUnitFiles", &(files, false)).await;
            made.map(drop)
        };
        match done {
            Ok(()) => Ok(()),
            Err(error) => Err(self.failed(name, error).await),
        }
    }

    async fn reload(&self, name: &str) -> Result<(), RuntimeError> {
        match self.bus().await?.call::<_, ()>("Reload", &()).await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.failed(name, error).await),
        }
    }

    async fn job(&self, method: &str, name: &str, limit: Duration) -> Result<(), RuntimeError> {
        match self.bus().await?.job(method, &service(name), limit).await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.failed(name, error).await),
        }
    }

    async fn properties(&self, name: &str) -> Result<Properties, RuntimeError> {
        match self.bus().await?.properties(&service(name)).await {
            Ok(properties) => Ok(properties),
            Err(error) => Err(self.failed(name, error).await),
        }
    }

    /// What a start came to whose job did not end well: a program that ended at once has run all the same. Else nothing is
    /// left of the unit.
    async fn not_started(&self, name: &str, error: RuntimeError) -> Result<String, RuntimeError> {
        let properties = self.properties(name).await.unwrap_or_default();
        if has_run(&properties) {
            return Ok(name.to_owned());
        }
        let said = self.tail(name, limits::TOLD_LINES).await.unwrap_or_default();
        if let Err(left) = self.remove(name).await {
            tracing::warn!(unit = name, "a unit that did not start is left: {left}");
        }
        let RuntimeError::Unit { name, reason } = error else { return Err(error) };
        let said: Vec<_> = said.iter().map(|line| String::from_utf8_lossy(&line.text)).collect();
        let reason = format!("it did not start: {reason} ({}) {}", properties.text("Result"), said.join("; "));
        Err(RuntimeError::Unit { name, reason: reason.trim_end().to_owned() })
    }

    /// Writes the parts of a unit.
    async fn write(&self, spec: &ContainerSpec) -> Result<(), RuntimeError> {
        let image_id = self.find(&spec.image).await.ok_or_else(|| not_found(&spec.image))?;
        let about = About {
            labels: spec.labels.clone(),
            image: spec.image.clone(),
            port: spec.publish.map(|publish| publish.port),
            created: Timestamp::now().as_second(),
            always: spec.restart == Restart::Always,
            image_id,
        };
        let (path, environment) = (Self::file(&spec.name), self.environment(&spec.name));
        let artifact = self.store.place(&about.image_id);
        let places = Places { artifact: &artifact, environment: &environment };
        let (unit, variables) = (unit::file(spec, &about, &places)?, unit::environment(spec)?);
        let name = spec.name.clone();
        let written = blocking(move || {
            if path.exists() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            private_dir(environment.parent())?;
            // The unit first: by it an undo finds the other, after a death in between.
            write_atomic(&path, unit.as_bytes(), 0o644)?;
            write_atomic(&environment, &variables, 0o600)
        });
        written.await.map_err(|error| RuntimeError::Unit { name, reason: error.to_string() })
    }

    async fn find(&self, image: &str) -> Option<String> {
        let (store, image) = (self.store.clone(), image.to_owned());
        blocking(move || Ok(store.find(&image))).await.ok().flatten()
    }

    fn container(name: &str, about: About, properties: &Properties) -> Container {
        let status = status(&properties.text("ActiveState"), &properties.text("SubState"));
        let time = |name| properties.number(name).filter(|micros| *micros > 0);
        let time = |name| time(name).and_then(|micros| Timestamp::from_microsecond(i64::try_from(micros).ok()?).ok());
        let result = properties.text("Result");
        let restarts = properties.number("NRestarts").and_then(|count| i64::try_from(count).ok());
        Container {
            id: name.to_owned(),
            name: name.to_owned(),
            status,
            image: about.image,
            image_id: about.image_id,
            port: about.port,
            labels: about.labels,
            exit_code: (status != ContainerStatus::Running).then(|| exit_code(properties)),
            restart_count: restarts.unwrap_or(0),
            created: about.created,
            started_at: time("ExecMainStartTimestamp"),
            finished_at: time("ExecMainExitTimestamp"),
            oom_killed: result == "oom-kill",
            error: if matches!(result.as_str(), "" | "success" | "exit-code" | "signal") {
                String::new()
            } else {
                result
            },
            health: None,
        }
    }
}

/// The unit of a name.
fn service(name: &str) -> String {
    format!("{name}.service")
}

fn private_dir(dir: Option<&Path>) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    let dir = dir.ok_or(io::ErrorKind::InvalidInput)?;
    std::fs::DirBuilder::new().mode(0o700).recursive(true).create(dir)
}

fn status(active: &str, sub: &str) -> ContainerStatus {
    match active {
        "inactive" | "failed" => ContainerStatus::Stopped,
        // Between two lives.
        "activating" if sub == "auto-restart" => ContainerStatus::Unknown,
        "active" | "reloading" | "activating" => ContainerStatus::Running,
        _ => ContainerStatus::Unknown,
    }
}

/// As shells have it: a death by signal is 128 and its number. What a unit has not come to is 0.
fn exit_code(properties: &Properties) -> i64 {
    const EXITED: i64 = 1;
    let status = properties.signed("ExecMainStatus").unwrap_or(0);
    match properties.signed("ExecMainCode") {
        Some(EXITED | 0) | None => status,
        Some(_) => 128 + status,
    }
}

/// Whether the program itself ended, and not what systemd does before it (which ends with a code of systemd's own).
fn has_run(properties: &Properties) -> bool {
    const BEFORE: std::ops::RangeInclusive<i64> = 200..=245;
    match properties.signed("ExecMainCode") {
        None | Some(0) => false,
        Some(1) => !BEFORE.contains(&properties.signed("ExecMainStatus").unwrap_or(0)),
        Some(_) => true,
    }
}

/// A program's own name, by which it goes like an image does.
fn loaded_name(id: &str) -> String {
    format!("otturnaut-loaded:{}", id.trim_start_matches("sha256:"))
}

fn not_taken(program: &Path, error: &StoreError) -> RuntimeError {
    match error {
        StoreError::Io(error) => RuntimeError::File { path: program.to_owned(), reason: super::docker::posix(error) },
        StoreError::NoProgram => RuntimeError::Archive { path: program.to_owned(), reason: error.to_string() },
    }
}

fn not_found(name: &str) -> RuntimeError {
    RuntimeError::NotFound { name: name.to_owned() }
}

fn unreachable(reason: &str) -> RuntimeError {
    RuntimeError::Transport { engine: RuntimeKind::Systemd, socket: BUS.into(), reason: reason.to_owned() }
}

fn failed(name: &str, error: BusError) -> RuntimeError {
    match error {
        BusError::Timeout(_) => unreachable("timeout"),
        BusError::Bus(zbus::Error::InputOutput(error)) => unreachable(match error.kind() {
            io::ErrorKind::NotFound => "enoent",
            io::ErrorKind::PermissionDenied => "eacces",
            io::ErrorKind::ConnectionRefused => "econnrefused",
            _ => "closed",
        }),
        other => RuntimeError::Unit { name: name.to_owned(), reason: other.to_string() },
    }
}

fn unsupported(name: &str, what: &str) -> RuntimeError {
    RuntimeError::Unit { name: name.to_owned(), reason: format!("systemd {what}") }
}

#[async_trait]
impl Runtime for Systemd {
    async fn list(&self, labels: &[String]) -> Result<Vec<Container>, RuntimeError> {
        self.bus().await?;
        let names = blocking(|| {
            let entries = std::fs::read_dir(UNITS)?.flatten();
            let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
            Ok(names.filter_map(|name| name.strip_suffix(".service").map(str::to_owned)).collect::<Vec<_>>())
        });
        let names =
            names.await.map_err(|error| RuntimeError::Unit { name: UNITS.to_owned(), reason: error.to_string() })?;
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

    async fn start(&self, spec: &ContainerSpec) -> Result<String, RuntimeError> {
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
        let (unit, environment) = (Self::file(name), self.environment(name));
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
        let changes = match self.bus().await?.changes().await {
            Ok(changes) => changes,
            Err(error) => return Err(self.failed(BUS, error).await),
        };
        let known = self.list(labels).await?;
        let watcher = watch::Watcher::new(self.handle(), labels.to_vec(), known);
        Ok(watcher.events(changes).boxed())
    }

    async fn wait(&self, name: &str) -> Result<i64, RuntimeError> {
        self.about(name).await?;
        let mut changes = match self.bus().await?.changes().await {
            Ok(changes) => changes,
            Err(error) => return Err(self.failed(name, error).await),
        };
        loop {
            let seen = self.inspect(name).await?;
            if let Some(code) = seen.exit_code.filter(|_| !seen.runs()) {
                return Ok(code);
            }
            tokio::select! {
                change = changes.next() => if change.is_none() {
                    return Err(unreachable("closed"));
                },
                () = tokio::time::sleep(limits::EXIT_LOOK) => {}
            }
        }
    }

    async fn tail(&self, name: &str, count: usize) -> Result<Vec<Line>, RuntimeError> {
        journal::tail(&service(name), count).await
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
        let environment = format!("--property=EnvironmentFile={}", self.environment(name).display());
        let program = format!(
            "--property=BindReadOnlyPaths={}:/run/otturnaut-app",
            self.store.place(&container.image_id).display()
        );
        let sandbox =
            ["--quiet", "--wait", "--pipe", "--collect", "--property=DynamicUser=yes", "--property=ProtectHome=yes"];
        let args = sandbox.map(str::to_owned).into_iter().chain([environment, program, "--".to_owned()]);
        let mut run = Command::new("systemd-run", args.chain(command.iter().cloned()));
        run.timeout = Some(limit);
        let ended = self.processes.run(run, None).await;
        let exit_code = match ended.end {
            CommandEnd::Exited(code) => Some(i64::from(code)),
            CommandEnd::TimedOut => None,
            CommandEnd::NotFound | CommandEnd::Failed(_) => return Err(unsupported(name, "has no systemd-run here")),
        };
        Ok(ExecEnd { exit_code, output: String::from_utf8_lossy(&ended.output).into_owned() })
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
        let id = self.find(image).await.ok_or_else(|| not_found(image))?;
        let (store, name) = (self.store.clone(), format!("{repository}:{tag}"));
        let named = blocking(move || store.name(&name, &id)).await;
        named.map_err(|error| RuntimeError::Unit { name: image.to_owned(), reason: error.to_string() })
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
        let taken = tokio::task::spawn_blocking(move || {
            let id = store.take(&path)?;
            let name = loaded_name(&id);
            store.name(&name, &id)?;
            Ok::<_, StoreError>(name)
        });
        let taken = taken.await.unwrap_or_else(|error| Err(io::Error::other(error).into()));
        taken.map_err(|error| not_taken(archive, &error))
    }

    async fn build_image(&self, build: &BuildImage, _: Option<mpsc::Sender<Batch>>) -> Result<(), RuntimeError> {
        let reason = "systemd builds no images: load a program that was built elsewhere".to_owned();
        Err(RuntimeError::Build { tag: build.tag.clone(), reason })
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
            Err(error) => Err(self.failed(BUS, error).await),
        }
    }
}

impl Systemd {
    /// One that shares nothing but the places: for what goes on in the background.
    fn handle(&self) -> Self {
        Self::new(&self.data_dir, Arc::clone(&self.processes))
    }
}

/// What is known of units, by name.
type Known = HashMap<String, Container>;

/// Links that were made or removed: kind, file, target.
type Links = Vec<(String, String, String)>;
