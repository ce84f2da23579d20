//! The machine: traits that the domain uses, and the adapters that touch it.
//!
//! ```text
//! domain --> Runtime   (docker/: Docker and Podman, systemd/)  containers and units, images and programs
//!        --> Proxy     (caddy/)                            routes
//!        --> Processes (process/)                          commands of the host
//!        --> Network   (network.rs)                        probes and free ports
//!        --> Files     (files.rs)                          source directories, atomic writes
//!        --> Storage   (storage.rs)                        the journal, documents of releases, events
//!        --> Machine   (machine/)                          how busy it is, what room it has
//! ```

mod command;
mod download;
mod event_file;
mod https;
mod log;
mod proxy;
mod real;
mod records;
mod runtime;
mod runtimes;
mod shell;
mod sockets;
mod spec;
mod world;

pub mod caddy;
pub mod docker;
pub mod files;
pub mod machine;
pub mod network;
pub mod process;
pub mod storage;
mod systemd;

pub use command::{Batch, Command, CommandEnd, CommandError, CommandResult, Line, Processes, Stream};
pub use download::{Download, DownloadError, Transfer, hexadecimal};
pub use log::{LogEntry, LogQuery, LogReader, LogSource};
pub use machine::{CpuTime, Disk, DiskOf, Machine, MachineLook, OwnProcess, Room};
pub use process::OpenFiles;
pub use proxy::{Proxies, Proxy, ProxyError, ProxySettings, ProxyWriter, Route};
pub use real::{HostSettings, install_crypto};
pub use records::{read_records, write_record};
pub use runtime::{
    Container, ContainerStatus, EngineAction, EngineEvent, EngineEvents, EngineSpace, ExecEnd, HealthState, Image,
    KeptContainer, KeptImage, KeptVolume, Runtime, RuntimeError, RuntimeKind, RuntimeTarget, Runtimes, Usage,
};
pub use shell::shell_word;
pub use spec::{BuildImage, ContainerSpec, Publish, PullImage, Recipe, RegistryAuth, Resources, Restart};
pub use storage::{Document, Storage};
pub use systemd::UserManager;
pub use world::{Connection, Files, HttpAnswer, Network, Probe, ProbeAnswer, boot_id};

use std::sync::Arc;

/// Everything the domain may do to the machine. Cheap to clone.
#[derive(Clone)]
pub struct Host {
    /// Container engines by kind and socket.
    pub runtimes: Arc<dyn Runtimes>,
    /// Caddy by admin address.
    pub proxies: Arc<dyn Proxies>,
    /// Commands.
    pub processes: Arc<dyn Processes>,
    /// Probes and ports.
    pub network: Arc<dyn Network>,
    /// Directories and files.
    pub files: Arc<dyn Files>,
    /// What outlives the agent.
    pub storage: Arc<dyn Storage>,
    /// Figures of the machine itself.
    pub machine: Arc<dyn Machine>,
}
