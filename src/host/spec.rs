//! What a runtime is asked to start and to build.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::secret::Secret;

/// A container to start.
#[derive(Debug, Clone, Default)]
pub struct ContainerSpec {
    /// Its name.
    pub name: String,
    /// Its image.
    pub image: String,
    /// Its port; none for a command that runs once.
    pub publish: Option<Publish>,
    /// Its environment.
    pub env: BTreeMap<String, Secret<String>>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// What to run in place of the image's own command; empty: that.
    pub command: Vec<String>,
    /// `name:/path` or `/host:/path`, each with `:ro` at its end where wanted.
    pub volumes: Vec<String>,
    /// Networks of the engine that it joins in place of the default one.
    pub networks: Vec<String>,
    /// What the engine does when it ends.
    pub restart: Restart,
    /// What it may use.
    pub resources: Resources,
    /// Time between SIGTERM and SIGKILL where somebody else than the agent stops it; the engine's own if none is given.
    pub stop_timeout: Option<Duration>,
}

/// A port of a container that can be reached from this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Publish {
    /// The port that the application listens on inside.
    pub container_port: u16,
    /// The port of 127.0.0.1 that leads there.
    pub port: u16,
}

/// What an engine does with a container that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Restart {
    /// Starts it again, unless it was stopped.
    #[default]
    UnlessStopped,
    /// Starts it again, also after a restart of the engine when it was stopped.
    Always,
    /// Starts it again after an exit code that is not 0, [`limits::RESTARTS`](crate::limits::RESTARTS) times: then it has
    /// shown that it will not stay.
    OnFailure,
    /// Nothing.
    No,
}

/// What a container, a unit or a build may use; no bound where nothing is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
pub struct Resources {
    /// Bytes of memory, without swap beyond it.
    pub memory: Option<u64>,
    /// Thousandths of a processor.
    pub cpu_millis: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u64>,
}

/// An image of a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullImage {
    /// Its name, with a tag or a digest.
    pub reference: String,
    /// Who asks, where the registry wants to know.
    pub auth: Option<RegistryAuth>,
}

/// Who asks a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryAuth {
    /// The user.
    pub username: String,
    /// The password, or a token.
    pub password: Secret<String>,
}

/// An image to build.
#[derive(Debug, Clone)]
pub struct BuildImage {
    /// The build context.
    pub context: PathBuf,
    /// How it is built.
    pub recipe: Recipe,
    /// Tag of the result.
    pub tag: String,
    /// Build arguments.
    pub build_args: BTreeMap<String, String>,
    /// What steps of it may read while they run, by ids; in no layer of the image.
    pub secrets: BTreeMap<String, Secret<String>>,
    /// What it may use.
    pub resources: Resources,
}

/// How an image is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recipe {
    /// By an engine, from a Dockerfile.
    Dockerfile {
        /// Its path within the context.
        path: String,
    },
    /// By a command that leaves a program.
    Native {
        /// What runs in the context.
        command: Vec<String>,
        /// The program's path within the context.
        output: PathBuf,
    },
}
