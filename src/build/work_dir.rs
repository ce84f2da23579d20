//! A directory for a source tree or an archive, which does not outlive the work on it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::FutureExt;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

use crate::host::{Files, Host};
use crate::limits;

/// Removes its directory when it is dropped, unless it was kept.
pub struct WorkDir {
    files: Arc<dyn Files>,
    tasks: TaskTracker,
    path: PathBuf,
    kept: bool,
}

impl WorkDir {
    /// Makes an empty directory.
    pub(super) async fn make(host: &Host, tasks: &TaskTracker) -> io::Result<Self> {
        let path = host.files.make_source_dir().await?;
        Ok(Self { files: Arc::clone(&host.files), tasks: tasks.clone(), path, kept: false })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves it to the caller.
    pub(super) async fn keep(mut self) -> io::Result<PathBuf> {
        let path = self.files.keep_source_dir(&self.path).await?;
        self.kept = true;
        Ok(path)
    }

    /// Removes it now.
    pub(super) async fn remove(mut self) {
        remove(&*self.files, &self.path).await;
        // Only now: where this future is dropped half-way, the removal goes on as a task.
        self.kept = true;
    }
}

impl fmt::Debug for WorkDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WorkDir").field(&self.path).finish()
    }
}

impl Drop for WorkDir {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        let (files, path) = (Arc::clone(&self.files), std::mem::take(&mut self.path));
        if let Ok(runtime) = Handle::try_current() {
            self.tasks.spawn_on(async move { remove(&*files, &path).await }.boxed(), &runtime);
        } else {
            tracing::warn!(path = %path.display(), "a source directory is left: the agent has ended");
        }
    }
}

/// Removes a directory; again if what was killed a moment ago still wrote into it.
async fn remove(files: &dyn Files, path: &Path) {
    for pause in limits::REMOVAL_PAUSES {
        match files.remove_source_dir(path).await {
            Ok(()) => return,
            Err(error) => tracing::debug!(path = %path.display(), %error, "a source directory is not removed yet"),
        }
        tokio::time::sleep(pause).await;
    }
    if let Err(error) = files.remove_source_dir(path).await {
        tracing::warn!(path = %path.display(), %error, "a source directory could not be removed");
    }
}
