//! The limit of open files: this program's own, and that of the commands it starts.

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit};

/// The limit that this program was started with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenFiles(Rlimit);

impl OpenFiles {
    /// Lets this program have as many open files as the system allows it: the usual 1,024 are fewer than its connections may
    /// be.
    pub fn raise() -> Self {
        let before = getrlimit(Resource::Nofile);
        if let Err(e) = setrlimit(Resource::Nofile, Rlimit { current: before.maximum, ..before }) {
            tracing::warn!("the limit of open files stays as it is: {e}");
        }
        Self(before)
    }

    /// Gives a command the limit that this program was started with: some go through all files that they may have open. It
    /// has begun by then, but hardly looks that early.
    pub(super) fn give(self, command: Pid) {
        // One that has ended needs none.
        if let Err(e) = prlimit(Some(command), Resource::Nofile, self.0) {
            tracing::debug!("a command keeps the raised limit of open files: {e}");
        }
    }
}
