//! Ports, probes, directories.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use super::download::{Download, DownloadError, Transfer};

/// A question to an application from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// `GET url`, no redirects followed.
    Http {
        /// The address.
        url: String,
        /// The `Host` header, where it is not the address's own.
        host: Option<String>,
        /// Time for the whole answer.
        timeout: Duration,
    },
    /// A connection to a port.
    Tcp {
        /// Name or address.
        host: String,
        /// Port.
        port: u16,
        /// Time for the connection.
        timeout: Duration,
    },
}

/// An HTTP answer to a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpAnswer {
    /// Its status.
    pub status: u16,
    /// Where it leads to, if it is a redirect.
    pub location: Option<String>,
    /// The first bytes of its body where it is no redirect, as far as they can be printed.
    pub head: String,
}

/// What a probe came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeAnswer {
    /// An HTTP answer.
    Http(HttpAnswer),
    /// The connection was taken.
    Connected,
    /// No answer, and why, in words for an operator.
    Failed(String),
}

/// A connection from this machine to one of its own ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connection {
    /// Where it comes from.
    pub from: SocketAddr,
    /// The port that it goes to.
    pub port: u16,
    /// The socket of the side that made it, by which its process is found.
    pub inode: u64,
}

/// Probes and ports of this machine.
#[async_trait]
pub trait Network: Send + Sync {
    /// Asks once.
    async fn probe(&self, probe: &Probe) -> ProbeAnswer;
    /// Whether nobody on this machine listens on the port (any address). Answers at once.
    fn port_is_free(&self, port: u16) -> bool;
    /// The established connections from this machine to its own `ports`.
    async fn connections(&self, ports: &[u16]) -> std::io::Result<Vec<Connection>>;
    /// Fetches a file; tells how far it is. Dropping the future ends it, and leaves what came so far.
    async fn download(&self, download: &Download, progress: watch::Sender<Transfer>) -> Result<(), DownloadError>;
    /// The processes that made these connections, as `name (pid)`, as far as they can be seen.
    async fn owners(&self, connections: &[Connection]) -> Vec<String>;
}

/// Names this start of the machine; empty where the system does not tell.
pub fn boot_id() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_owned()
}

/// Directories and files of the agent.
#[async_trait]
pub trait Files: Send + Sync {
    /// Makes a new empty directory for a source tree, under the agent's own directory for them.
    async fn make_source_dir(&self) -> std::io::Result<PathBuf>;
    /// Gives a source directory to somebody who will remove it: until now a death of the agent would have been its end.
    async fn keep_source_dir(&self, path: &Path) -> std::io::Result<PathBuf>;
    /// Removes what a death of the agent left of source directories, and those that nobody came back for.
    async fn sweep_source_dirs(&self) -> std::io::Result<()>;
    /// Bytes of a file, or of all files under a directory.
    async fn size(&self, path: &Path) -> std::io::Result<u64>;
    /// Bytes of what the agent keeps, by name: the journal, the events, releases, logs, sources, ...
    async fn own_sizes(&self) -> std::io::Result<Vec<(String, u64)>>;
    /// Whether repositories may be taken from this path of the machine.
    fn is_local_source(&self, path: &Path) -> bool;
    /// Removes a source directory with all that is in it; `Ok` if it is not there.
    ///
    /// # Errors
    /// The path does not lie within the agent's own directory of sources (`PermissionDenied`), or the system refuses.
    async fn remove_source_dir(&self, path: &Path) -> std::io::Result<()>;
}
