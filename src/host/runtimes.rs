//! Everything that runs applications on this machine: the container engines and systemd.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::command::Processes;
use super::docker::Engines;
use super::runtime::{Runtime, RuntimeKind, RuntimeTarget, Runtimes};
use super::systemd::{Systemd, UserManager};

/// The runtimes of this machine.
pub(super) struct AllRuntimes {
    engines: Engines,
    systemd: Arc<Systemd>,
}

impl AllRuntimes {
    /// Engines whose Docker is at `configured` where a call names no other socket, and systemd (the manager of a user, where one
    /// is given) with its programs in `data_dir`.
    pub(super) fn new(
        (configured, user): (PathBuf, Option<UserManager>),
        data_dir: &Path,
        processes: Arc<dyn Processes>,
    ) -> Self {
        Self { engines: Engines::new(configured), systemd: Arc::new(Systemd::new(user, data_dir, processes)) }
    }
}

impl Runtimes for AllRuntimes {
    fn runtime(&self, target: &RuntimeTarget) -> Arc<dyn Runtime> {
        match target.kind {
            RuntimeKind::Systemd => Arc::clone(&self.systemd) as Arc<dyn Runtime>,
            RuntimeKind::Docker | RuntimeKind::Podman => self.engines.runtime(target),
        }
    }

    fn present(&self) -> Vec<(RuntimeTarget, Arc<dyn Runtime>)> {
        let mut present = self.engines.present();
        if self.systemd.is_here() {
            let target = RuntimeTarget { kind: RuntimeKind::Systemd, socket: None };
            present.push((target.clone(), self.runtime(&target)));
        }
        present
    }
}
