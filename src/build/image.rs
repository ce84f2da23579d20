//! Images built from repositories.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use super::{Git, GitError};
use crate::host::{Batch, Host, RuntimeError, RuntimeTarget};
use crate::secret::Secret;

/// What is built.
#[derive(Debug, Clone)]
pub struct BuildSource {
    /// The repository; its url may hold credentials.
    pub repo_url: Secret<String>,
    /// Branch, tag or commit.
    pub git_ref: String,
    /// Path of the Dockerfile within the repository.
    pub dockerfile: String,
    /// Build arguments.
    pub build_args: BTreeMap<String, String>,
    /// Private key for ssh.
    pub ssh_key: Option<PathBuf>,
    /// Whether submodules are fetched too.
    pub submodules: bool,
}

/// How it is built.
#[derive(Debug, Clone)]
pub struct BuildOptions {
    /// Time for the whole: clone and build; without end if none is given.
    pub timeout: Option<Duration>,
    /// The engine.
    pub runtime: RuntimeTarget,
}

/// Which part of a build begins or has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BuildStep {
    /// The repository is fetched.
    Cloning,
    /// The image is built.
    Building,
    /// The image is there; the message is its tag.
    Complete,
    /// The source directory is removed.
    Cleanup,
}

/// What a build tells while it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuildProgress {
    /// A step, in words.
    Step {
        /// Which.
        step: BuildStep,
        /// For a person.
        message: String,
    },
    /// Lines that the engine wrote.
    Output(Batch),
}

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The application's id cannot be part of an image's name.
    #[error(transparent)]
    AppId(#[from] crate::apps::InvalidName),
    /// The source could not be had.
    #[error("the source of {tag_base} could not be fetched")]
    Clone {
        /// The image without its tag.
        tag_base: String,
        /// Why.
        source: GitError,
    },
    /// The engine did not build it.
    #[error("the image {tag} could not be built")]
    Build {
        /// The image.
        tag: String,
        /// Why.
        source: RuntimeError,
    },
    /// The time was up while the source was fetched or the image built.
    #[error("the build of {app_id} took longer than {} ms", after.as_millis())]
    Timeout {
        /// The application.
        app_id: String,
        /// What it was given.
        after: Duration,
    },
}

/// The tag of an application's image at a commit: `otturnaut-{app_id}:{commit}`.
pub fn image_tag(app_id: &str, commit: &str) -> String {
    format!("otturnaut-{app_id}:{commit}")
}

/// Builds images.
#[derive(Clone)]
pub struct Build {
    host: Host,
    git: Git,
}

impl Build {
    /// Builds with the host's git and engines; what is left of a broken build is removed by tasks of `tasks`.
    pub fn new(host: Host, tasks: TaskTracker) -> Self {
        Self { git: Git::new(host.clone(), tasks), host }
    }

    /// Fetches the source, builds the image, gives its tag. Progress goes to `progress`: a slow receiver slows the build's
    /// output, one that is gone changes nothing. The source directory is gone afterwards, whatever happened; a dropped
    /// future ends clone and build.
    ///
    /// # Errors
    /// See [`BuildError`].
    pub async fn run(
        &self,
        app_id: &str,
        source: &BuildSource,
        options: &BuildOptions,
        progress: Option<mpsc::Sender<BuildProgress>>,
    ) -> Result<String, BuildError> {
        let _ = (app_id, source, options, progress, &self.host, &self.git);
        unimplemented!()
    }
}
