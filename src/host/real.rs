//! The machine as it is.

use std::path::PathBuf;
use std::sync::Arc;

use super::caddy::{Caddys, RoutesDir};
use super::files::DataFiles;
use super::machine::LinuxMachine;
use super::network::SystemNetwork;
use super::process::{OpenFiles, SystemProcesses};
use super::runtimes::AllRuntimes;
use super::storage::DataStorage;
use super::{Host, Processes, ProxySettings, UserManager};

/// What of the machine is configured.
#[derive(Debug, Clone)]
pub struct HostSettings {
    /// The engine's socket when a call names no other.
    pub container_socket: PathBuf,
    /// The agent's directory.
    pub data_dir: PathBuf,
    /// Caddy when a call names no other.
    pub proxy: ProxySettings,
    /// The directory of Caddy's routes, under the agent's, as Caddy sees it, if that is elsewhere.
    pub caddy_routes_dir: Option<PathBuf>,
    /// Directories of this machine whose repositories may be taken.
    pub local_sources: Vec<PathBuf>,
    /// The manager of the agent's user, where that is not root: units are its own then.
    pub user_manager: Option<UserManager>,
    /// The limit that commands get back, if this program raised its own.
    pub open_files: Option<OpenFiles>,
}

/// Chooses the implementation of TLS for the whole process; more than once changes nothing.
pub fn install_crypto() {
    // The one that was installed before is the same.
    rustls::crypto::ring::default_provider().install_default().unwrap_or_default();
}

impl Host {
    /// This machine.
    ///
    /// # Errors
    /// The HTTP clients cannot be made.
    pub fn real(settings: HostSettings) -> Result<Self, reqwest::Error> {
        let routes = RoutesDir { path: settings.data_dir.join("routes"), seen_by_caddy: settings.caddy_routes_dir };
        let processes: Arc<dyn Processes> = Arc::new(SystemProcesses { open_files: settings.open_files });
        Ok(Self {
            runtimes: Arc::new(AllRuntimes::new(
                (settings.container_socket, settings.user_manager),
                &settings.data_dir,
                processes.clone(),
            )),
            proxies: Arc::new(Caddys::new(settings.proxy, &routes)?),
            processes,
            network: Arc::new(SystemNetwork::new()?),
            files: Arc::new(DataFiles::new(&settings.data_dir).with_local_sources(settings.local_sources)),
            storage: Arc::new(DataStorage::new(&settings.data_dir)),
            machine: Arc::new(LinuxMachine::new(&settings.data_dir)),
        })
    }
}
