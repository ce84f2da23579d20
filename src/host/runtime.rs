//! Container engines: what the domain asks of Docker and Podman.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};

use super::{Batch, BuildImage, ContainerSpec, Line, LogQuery, LogReader, PullImage, Resources, Transfer};

/// Which engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuntimeKind {
    /// Docker.
    Docker,
    /// Podman, by its Docker-compatible API.
    Podman,
    /// systemd, for native programs.
    Systemd,
}

impl fmt::Display for RuntimeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
            Self::Systemd => "systemd",
        })
    }
}

/// An engine, and its socket where it is not the configured one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RuntimeTarget {
    /// Which engine.
    pub kind: RuntimeKind,
    /// Its API socket, if a call named one.
    pub socket: Option<PathBuf>,
}

/// What a container does now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContainerStatus {
    /// It runs.
    Running,
    /// It does not run: created, exited or dead.
    Stopped,
    /// The engine says something else (paused, restarting, removing).
    Unknown,
}

/// A container of an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// The engine's id.
    pub id: String,
    /// Its name, without a leading slash.
    pub name: String,
    /// What it does.
    pub status: ContainerStatus,
    /// Its image as the engine names it.
    pub image: String,
    /// Its image by content.
    pub image_id: String,
    /// The host port that its first published port has, if any.
    pub port: Option<u16>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Exit code, when it does not run.
    pub exit_code: Option<i64>,
    /// How often the engine restarted it (inspect only).
    pub restart_count: i64,
    /// Unix seconds of its making.
    pub created: i64,
    /// When it was started last (inspect only).
    pub started_at: Option<Timestamp>,
    /// When it ended last, also where it runs again (inspect only).
    pub finished_at: Option<Timestamp>,
    /// Whether the system killed it for want of memory (inspect only).
    pub oom_killed: bool,
    /// The engine's own words on why it does not run, empty if there are none (inspect only).
    pub error: String,
    /// What its image's own health check says (inspect only).
    pub health: Option<HealthState>,
}

impl Container {
    /// Whether it runs.
    pub fn runs(&self) -> bool {
        self.status == ContainerStatus::Running
    }
}

/// What an image's own health check says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HealthState {
    /// It has not decided yet.
    Starting,
    /// It is well.
    Healthy,
    /// It is not; the check's last output.
    Unhealthy(String),
}

/// An image of an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its content's id.
    pub id: String,
    /// Its names.
    pub tags: Vec<String>,
    /// Its names by content at registries: `repository@sha256:...`.
    pub digests: Vec<String>,
}

/// What a command in a container came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecEnd {
    /// Its exit code; none if it did not end in time.
    pub exit_code: Option<i64>,
    /// What it printed, to a bound.
    pub output: String,
}

/// What an engine keeps on its disk.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EngineSpace {
    /// Images.
    pub images: Vec<KeptImage>,
    /// Containers, running or not.
    pub containers: Vec<KeptContainer>,
    /// Volumes.
    pub volumes: Vec<KeptVolume>,
    /// Bytes of build cache.
    pub build_cache: u64,
}

/// An image on an engine's disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptImage {
    /// Its content's id.
    pub id: String,
    /// Its names.
    pub names: Vec<String>,
    /// Its bytes.
    pub size: u64,
    /// Those of them that other images have too.
    pub shared: u64,
}

/// A container on an engine's disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptContainer {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Bytes that it has written.
    pub size: u64,
}

/// A volume on an engine's disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptVolume {
    /// Its name.
    pub name: String,
    /// Its bytes, 0 where that is not known.
    pub size: u64,
}

/// Something happened to a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineEvent {
    /// The container's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What happened.
    pub action: EngineAction,
}

/// What happened to a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EngineAction {
    /// It was started, by somebody or by the engine again.
    Started,
    /// It ended, with this exit code where the engine tells one.
    Exited(Option<i64>),
    /// It is gone.
    Removed,
    /// It is to be looked at: its own health check decided, it was paused, ...
    Changed,
}

/// What happens to containers, as it happens; ends with an error.
pub type EngineEvents = BoxStream<'static, Result<EngineEvent, RuntimeError>>;

/// What a running container has used since its start, and what it has now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Time of processors.
    pub cpu: Duration,
    /// Bytes of memory, without what the system only keeps of files.
    pub memory: u64,
    /// Bytes that it may have; the machine's own where nothing is set.
    pub memory_limit: u64,
    /// Bytes that came over the network.
    pub received: u64,
    /// Bytes that went out.
    pub sent: u64,
    /// Its processes and threads.
    pub processes: u64,
}

/// Why an engine did not do what was asked. `Display` never holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// There is no such container or image.
    #[error("{name} does not exist")]
    NotFound {
        /// What was asked for.
        name: String,
    },
    /// The container publishes no port.
    #[error("{name} publishes no port")]
    NoPort {
        /// The container.
        name: String,
    },
    /// The engine answered with an error status.
    #[error("{engine} answered {status}: {body}")]
    Http {
        /// Which engine.
        engine: RuntimeKind,
        /// HTTP status.
        status: u16,
        /// The engine's JSON (`{"message": ...}`).
        body: serde_json::Value,
    },
    /// The engine could not be reached; `reason` as Elixir knows it (`enoent`, `econnrefused`, `closed`, `timeout`).
    #[error("cannot reach {engine} at {socket}: {reason}")]
    Transport {
        /// Which engine.
        engine: RuntimeKind,
        /// Its socket.
        socket: PathBuf,
        /// A POSIX name in lower case, or `closed` or `timeout`.
        reason: String,
    },
    /// The build ran and failed; the engine's words.
    #[error("the build of {tag} failed: {reason}")]
    Build {
        /// The image.
        tag: String,
        /// Why.
        reason: String,
    },
    /// A local file could not be read; `reason` is a POSIX name in lower case.
    #[error("cannot read {path}: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// A POSIX name in lower case.
        reason: String,
    },
    /// A unit of systemd did not do what was asked, or cannot.
    #[error("{name}: {reason}")]
    Unit {
        /// The unit, or what was to become one.
        name: String,
        /// Why.
        reason: String,
    },
    /// The engine cannot do what is asked of it, and would leave it out.
    #[error("{engine} cannot do it: {reason}")]
    Unsupported {
        /// Which engine.
        engine: RuntimeKind,
        /// What it cannot do.
        reason: String,
    },
    /// A file is no archive of one image.
    #[error("{path} is refused: {reason}")]
    Archive {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The engine's answer could not be understood.
    #[error("{engine} gave an answer that is not understood: {reason}")]
    Answer {
        /// Which engine.
        engine: RuntimeKind,
        /// What is wrong with it.
        reason: String,
    },
}

impl RuntimeError {
    /// Of an attribute that the engine would leave out, since it has nothing to bound it with.
    pub(super) fn unbounded(engine: RuntimeKind, attribute: &str) -> Self {
        let reason = format!("it bounds no {attribute} here, where it has no control group to do it with");
        Self::Unsupported { engine, reason }
    }
}

/// One engine.
#[async_trait]
pub trait Runtime: Send + Sync {
    /// Containers with all of these labels (`name` or `name=value`), stopped ones too.
    async fn list(&self, labels: &[String]) -> Result<Vec<Container>, RuntimeError>;
    /// Creates and starts a container; gives its id. If the start fails the created container is gone again.
    async fn start(&self, spec: &ContainerSpec) -> Result<String, RuntimeError>;
    /// Stops a container: SIGTERM, then after `grace` SIGKILL. Success if it did not run.
    async fn stop(&self, name: &str, grace: Duration) -> Result<(), RuntimeError>;
    /// Removes a container, running or not.
    async fn remove(&self, name: &str) -> Result<(), RuntimeError>;
    /// The container, [`RuntimeError::NotFound`] if there is none.
    async fn inspect(&self, name: &str) -> Result<Container, RuntimeError>;
    /// Starts a container that is there and does not run; success if it runs.
    async fn start_again(&self, name: &str) -> Result<(), RuntimeError>;
    /// What happens to the containers with all of these labels, from now on. Dropping it ends the engine's telling.
    async fn events(&self, labels: &[String]) -> Result<EngineEvents, RuntimeError>;
    /// Waits until the container does not run, at once if it does not; gives its exit code. Dropping the future ends the
    /// waiting.
    async fn wait(&self, name: &str) -> Result<i64, RuntimeError>;
    /// The last `count` lines of its output, oldest first; long lines are cut.
    async fn tail(&self, name: &str, count: usize) -> Result<Vec<Line>, RuntimeError>;
    /// Its log. Nothing is read that is not asked for, so that a slow reader slows the engine, and its size costs no memory;
    /// dropping the reader closes the connection.
    async fn logs(&self, name: &str, query: &LogQuery) -> Result<LogReader, RuntimeError>;
    /// Runs a command inside the running container, at most for `limit`.
    async fn exec(&self, name: &str, command: &[String], limit: Duration) -> Result<ExecEnd, RuntimeError>;
    /// What of this it would leave out, if anything.
    ///
    /// # Errors
    /// [`RuntimeError::Unsupported`], or the engine does not say.
    async fn check(&self, _resources: Resources) -> Result<(), RuntimeError> {
        Ok(())
    }
    /// Ends the builds that a death of the agent left; an engine ends them itself when the connection breaks.
    async fn end_builds(&self) {}
    /// What a container uses; nothing if it does not run.
    async fn usage(&self, name: &str) -> Result<Option<Usage>, RuntimeError>;
    /// What it keeps on its disk; adding it up takes an engine a while.
    async fn space(&self) -> Result<EngineSpace, RuntimeError>;
    /// The image of that name or id, [`RuntimeError::NotFound`] if it is not here.
    async fn image(&self, name: &str) -> Result<Image, RuntimeError>;
    /// Gives an image a further name, `repository:tag`.
    async fn tag_image(&self, image: &str, repository: &str, tag: &str) -> Result<(), RuntimeError>;
    /// Takes a name from an image; the image goes with its last one. [`RuntimeError::NotFound`] if it is not here.
    async fn remove_image(&self, name: &str) -> Result<(), RuntimeError>;
    /// Loads an image archive by streaming; gives its name.
    async fn load_image(&self, archive: &Path) -> Result<String, RuntimeError>;
    /// Builds an image, its context streamed in constant memory; the engine's output goes to `lines`.
    /// Dropping the future ends the build.
    async fn build_image(&self, build: &BuildImage, lines: Option<mpsc::Sender<Batch>>) -> Result<(), RuntimeError>;
    /// The names that an archive would bring, as far as it tells them: a look, nothing is loaded.
    async fn archive_names(&self, archive: &Path) -> Result<Vec<String>, RuntimeError>;
    /// Pulls an image, also one that is here: its name may lead to another now. Tells how far it is.
    async fn pull_image(
        &self,
        image: &PullImage,
        progress: Option<watch::Sender<Transfer>>,
    ) -> Result<(), RuntimeError>;
    /// The engine's version; an error if it does not answer.
    async fn version(&self) -> Result<String, RuntimeError>;
}

/// Gives out engines.
pub trait Runtimes: Send + Sync {
    /// The engine at its socket: the target's, else the configured one (Docker), else Podman's own.
    fn runtime(&self, target: &RuntimeTarget) -> Arc<dyn Runtime>;
    /// All engines that exist on this machine (their socket is there), for recovery.
    fn present(&self) -> Vec<(RuntimeTarget, Arc<dyn Runtime>)>;
}
