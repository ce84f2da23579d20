//! The manager and the files of units: what the functions of the trait are made of.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use zbus::MessageStream;

use super::bus::{Bus, BusError, Properties};
use super::scope::{Scope, UserManager};
use super::store::{Store, StoreError};
use super::unit::{self, About, Places};
use crate::host::command::Processes;
use crate::host::docker::posix;
use crate::host::files::{blocking, write_new};
use crate::host::runtime::{Container, ContainerStatus, Runtime, RuntimeError, RuntimeKind};
use crate::host::spec::{ContainerSpec, Resources, Restart};
use crate::limits;

/// A manager of units.
pub(in crate::host) struct Systemd {
    pub(super) scope: Scope,
    pub(super) data_dir: PathBuf,
    pub(super) store: Store,
    pub(super) bus: Mutex<Option<Arc<Bus>>>,
    pub(super) processes: Arc<dyn Processes>,
}

impl Systemd {
    /// The manager of a user, or the system's where none is given.
    pub(in crate::host) fn new(user: Option<UserManager>, data_dir: &Path, processes: Arc<dyn Processes>) -> Self {
        Self::at(Scope::of(user), data_dir, processes)
    }

    fn at(scope: Scope, data_dir: &Path, processes: Arc<dyn Processes>) -> Self {
        Self { scope, data_dir: data_dir.to_owned(), store: Store::new(data_dir), bus: Mutex::default(), processes }
    }

    /// Whether it is there.
    pub(in crate::host) fn is_here(&self) -> bool {
        self.scope.is_here()
    }

    /// How the manager is called where no unit is meant.
    pub(super) fn name(&self) -> String {
        self.scope.bus.display().to_string()
    }

    /// The connection, made when it is first needed and anew after it broke.
    pub(super) async fn bus(&self) -> Result<Arc<Bus>, RuntimeError> {
        let mut bus = self.bus.lock().await;
        if let Some(bus) = bus.as_ref() {
            return Ok(Arc::clone(bus));
        }
        let opened = Arc::new(self.open(&self.name()).await?);
        *bus = Some(Arc::clone(&opened));
        Ok(opened)
    }

    /// Changes of units, on a connection of their own: a slow reader holds up nobody's answers.
    pub(super) async fn changes(&self, name: &str) -> Result<MessageStream, RuntimeError> {
        let bus = self.open(name).await?;
        bus.changes().await.map_err(|error| self.told(name, error))
    }

    async fn open(&self, name: &str) -> Result<Bus, RuntimeError> {
        if !self.is_here() {
            return Err(self.unreachable("enoent"));
        }
        Bus::open(&self.scope.bus).await.map_err(|error| self.told(name, error))
    }

    /// An error of the bus; a connection that broke is forgotten.
    pub(super) async fn failed(&self, name: &str, error: BusError) -> RuntimeError {
        if matches!(error, BusError::Bus(zbus::Error::InputOutput(_)) | BusError::Silent(_)) {
            *self.bus.lock().await = None;
        }
        self.told(name, error)
    }

    fn told(&self, name: &str, error: BusError) -> RuntimeError {
        match error {
            BusError::Timeout(_) | BusError::Silent(_) => self.unreachable("timeout"),
            BusError::Bus(zbus::Error::InputOutput(error)) => self.unreachable(match error.kind() {
                io::ErrorKind::NotFound => "enoent",
                io::ErrorKind::PermissionDenied => "eacces",
                io::ErrorKind::ConnectionRefused => "econnrefused",
                _ => "closed",
            }),
            other => RuntimeError::Unit { name: name.to_owned(), reason: other.to_string() },
        }
    }

    pub(super) fn unreachable(&self, reason: &str) -> RuntimeError {
        let socket = self.scope.bus.clone();
        RuntimeError::Transport { engine: RuntimeKind::Systemd, socket, reason: reason.to_owned() }
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.scope.units.join(service(name))
    }

    pub(super) fn environment(&self, name: &str) -> PathBuf {
        self.data_dir.join("units").join(format!("{name}.env"))
    }

    /// What the agent knows of a unit of its own.
    pub(super) async fn about(&self, name: &str) -> Result<About, RuntimeError> {
        if !is_own_name(name) {
            return Err(not_found(name));
        }
        let path = self.file(name);
        let read = blocking(move || std::fs::read_to_string(path)).await;
        read.ok().and_then(|unit| About::read(&unit)).ok_or_else(|| not_found(name))
    }

    /// Whether it comes back with the machine.
    pub(super) async fn enable(&self, name: &str, enabled: bool) -> Result<(), RuntimeError> {
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

    /// Whether it can give these bounds: a user's manager has what the system's gives it.
    pub(super) async fn check_bounds(&self, resources: Resources) -> Result<(), RuntimeError> {
        if !self.scope.is_of_user() || resources == Resources::default() {
            return Ok(());
        }
        let group = match self.bus().await?.manager("ControlGroup").await {
            Ok(group) => <&str>::try_from(&group).unwrap_or_default().to_owned(),
            Err(error) => return Err(self.failed(&self.name(), error).await),
        };
        // There is no such file in the first version of control groups, of which a user gets none.
        let path = format!("/sys/fs/cgroup{group}/cgroup.controllers");
        let given = blocking(move || std::fs::read_to_string(path)).await.unwrap_or_default();
        let asked = [
            ("memory", resources.memory.is_some()),
            ("cpu", resources.cpu_millis.is_some()),
            ("pids", resources.pids.is_some()),
        ];
        let left_out = |name: &str| !given.split_whitespace().any(|given| given == name);
        match asked.into_iter().find(|(name, asked)| *asked && left_out(name)) {
            Some((name, _)) => Err(RuntimeError::unbounded(RuntimeKind::Systemd, name)),
            None => Ok(()),
        }
    }

    pub(super) async fn reload(&self, name: &str) -> Result<(), RuntimeError> {
        match self.bus().await?.call::<_, ()>("Reload", &()).await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.failed(name, error).await),
        }
    }

    pub(super) async fn job(&self, method: &str, name: &str, limit: Duration) -> Result<(), RuntimeError> {
        match self.bus().await?.job(method, &service(name), limit).await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.failed(name, error).await),
        }
    }

    pub(super) async fn properties(&self, name: &str) -> Result<Properties, RuntimeError> {
        match self.bus().await?.properties(&service(name)).await {
            Ok(properties) => Ok(properties),
            Err(error) => Err(self.failed(name, error).await),
        }
    }

    /// What a start came to whose job did not end well: a program that ended at once has run all the same. Else nothing is
    /// left of the unit.
    pub(super) async fn not_started(&self, name: &str, error: RuntimeError) -> Result<String, RuntimeError> {
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
    pub(super) async fn write(&self, spec: &ContainerSpec) -> Result<(), RuntimeError> {
        if !is_own_name(&spec.name) {
            let reason = "wanted is otturnaut- and letters, digits, `_`, `.` or `-`".to_owned();
            return Err(RuntimeError::Unit { name: spec.name.clone(), reason });
        }
        let image_id = self.find(&spec.image).await.ok_or_else(|| not_found(&spec.image))?;
        let about = About {
            labels: spec.labels.clone(),
            image: spec.image.clone(),
            port: spec.publish.map(|publish| publish.port),
            created: Timestamp::now().as_second(),
            always: spec.restart == Restart::Always,
            image_id,
        };
        let (path, environment) = (self.file(&spec.name), self.environment(&spec.name));
        let artifact = self.store.place(&about.image_id);
        let places = self.places(&artifact, &environment);
        let (unit, variables) = (unit::file(spec, &about, &places)?, unit::environment(spec)?);
        let (name, units) = (spec.name.clone(), self.scope.units.clone());
        let written = blocking(move || {
            private_dir(environment.parent())?;
            std::fs::create_dir_all(&units)?;
            // The unit first: by it an undo finds the other, after a death in between.
            write_new(&path, unit.as_bytes(), 0o644)?;
            write_new(&environment, &variables, 0o600)
        });
        written.await.map_err(|error| RuntimeError::Unit { name, reason: error.to_string() })
    }

    /// Where the parts of a unit lie.
    pub(super) fn places<'a>(&'a self, artifact: &'a Path, environment: &'a Path) -> Places<'a> {
        Places { scope: &self.scope, data_dir: &self.data_dir, artifact, environment }
    }

    pub(super) async fn find(&self, image: &str) -> Option<String> {
        let (store, image) = (self.store.clone(), image.to_owned());
        blocking(move || Ok(store.find(&image))).await.ok().flatten()
    }

    pub(super) fn container(name: &str, about: About, properties: &Properties) -> Container {
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

/// Whether a unit of the agent may be called so: no path, and none that could stand before one of the system's.
fn is_own_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    name.strip_prefix("otturnaut-").is_some_and(|rest| !rest.is_empty())
        && name.len() <= limits::UNIT_NAME_BYTES
        && name.bytes().all(plain)
}

/// The unit of a name.
pub(super) fn service(name: &str) -> String {
    format!("{name}.service")
}

pub(super) fn private_dir(dir: Option<&Path>) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    let dir = dir.ok_or(io::ErrorKind::InvalidInput)?;
    std::fs::DirBuilder::new().mode(0o700).recursive(true).create(dir)
}

pub(super) fn status(active: &str, sub: &str) -> ContainerStatus {
    match active {
        "inactive" | "failed" => ContainerStatus::Stopped,
        // Between two lives.
        "activating" if sub == "auto-restart" => ContainerStatus::Unknown,
        "active" | "reloading" | "activating" => ContainerStatus::Running,
        _ => ContainerStatus::Unknown,
    }
}

/// As shells have it: a death by signal is 128 and its number. What a unit has not come to is 0.
pub(super) fn exit_code(properties: &Properties) -> i64 {
    const EXITED: i64 = 1;
    let status = properties.signed("ExecMainStatus").unwrap_or(0);
    match properties.signed("ExecMainCode") {
        Some(EXITED | 0) | None => status,
        Some(_) => 128 + status,
    }
}

/// Whether the program itself ended, and not what systemd does before it (which ends with a code of systemd's own).
pub(super) fn has_run(properties: &Properties) -> bool {
    const BEFORE: std::ops::RangeInclusive<i64> = 200..=245;
    match properties.signed("ExecMainCode") {
        None | Some(0) => false,
        Some(1) => !BEFORE.contains(&properties.signed("ExecMainStatus").unwrap_or(0)),
        Some(_) => true,
    }
}

/// A program's own name, by which it goes like an image does.
pub(super) fn loaded_name(id: &str) -> String {
    format!("otturnaut-loaded:{}", id.trim_start_matches("sha256:"))
}

pub(super) fn not_taken(program: &Path, error: &StoreError) -> RuntimeError {
    match error {
        StoreError::Io(error) => RuntimeError::File { path: program.to_owned(), reason: posix(error) },
        StoreError::NoProgram => RuntimeError::Archive { path: program.to_owned(), reason: error.to_string() },
    }
}

pub(super) fn not_found(name: &str) -> RuntimeError {
    RuntimeError::NotFound { name: name.to_owned() }
}

pub(super) fn unsupported(name: &str, what: &str) -> RuntimeError {
    RuntimeError::Unit { name: name.to_owned(), reason: format!("systemd {what}") }
}

impl Systemd {
    /// One that shares nothing but the places: for what goes on in the background.
    pub(super) fn handle(&self) -> Self {
        Self::at(self.scope.clone(), &self.data_dir, Arc::clone(&self.processes))
    }
}

/// Links that were made or removed: kind, file, target.
pub(super) type Links = Vec<(String, String, String)>;

/// Ends a transient unit when it is dropped, unless it has ended.
pub(super) struct EndUnit {
    pub(super) name: String,
    pub(super) scope: Scope,
    pub(super) processes: Arc<dyn Processes>,
}

impl EndUnit {
    /// It has.
    pub(super) fn ended(mut self) {
        self.name.clear();
    }
}

impl Drop for EndUnit {
    fn drop(&mut self) {
        let (name, processes) = (std::mem::take(&mut self.name), Arc::clone(&self.processes));
        let Some(runtime) = Handle::try_current().ok().filter(|_| !name.is_empty()) else { return };
        let mut stop = self.scope.command("systemctl", ["kill", "--signal=KILL", &service(&name)]);
        stop.timeout = Some(limits::ENGINE_REQUEST);
        runtime.spawn(async move {
            let ended = processes.run(stop, None).await;
            if !ended.succeeded() {
                tracing::debug!(unit = name, "it has ended already");
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_the_agents_own_are_units_of_its_own() {
        assert!(is_own_name("otturnaut-my.app_1--aB3_x-release"));
        let long = format!("otturnaut-{}", "a".repeat(limits::UNIT_NAME_BYTES));
        for name in [
            "",
            "ssh",
            "otturnaut-",
            "otturnaut-../../tmp/x",
            "../otturnaut-x",
            "otturnaut-a\nb",
            "otturnaut-a b",
            &long,
        ] {
            assert!(!is_own_name(name), "{name}");
        }
    }
}
