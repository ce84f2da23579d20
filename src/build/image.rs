//! Images built from repositories.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;

use super::git;
use super::{DiskLow, Git, GitError, GitOptions, WorkDir, check_room};
use crate::apps::{InvalidName, check_app_id};
use crate::host::{Batch, BuildImage, Host, Recipe, Resources, RuntimeError, RuntimeTarget};
use crate::limits;
use crate::secret::Secret;

/// What is built.
#[derive(Clone)]
pub struct BuildSource {
    /// The repository; its url may hold credentials.
    pub repo_url: Secret<String>,
    /// Branch, tag or commit.
    pub git_ref: String,
    /// How its image is built.
    pub recipe: Recipe,
    /// Build arguments.
    pub build_args: BTreeMap<String, String>,
    /// Build secrets by their ids.
    pub build_secrets: BTreeMap<String, Secret<String>>,
    /// Private key for ssh.
    pub ssh_key: Option<PathBuf>,
    /// Whether submodules are fetched too.
    pub submodules: bool,
    /// What the build may use.
    pub resources: Resources,
}

impl BuildSource {
    /// Whether it can be meant, as far as that is seen without looking anywhere.
    ///
    /// # Errors
    /// [`GitError::Refused`] with what is wrong.
    pub fn check(&self) -> Result<(), GitError> {
        git::check(self.repo_url.expose(), &self.git_ref)
    }

    /// The repository and what of it, for a person: without credentials.
    pub fn told(&self) -> String {
        git::told(self.repo_url.expose(), &self.git_ref)
    }
}

/// Without the values of the build arguments: tokens are often among them.
impl fmt::Debug for BuildSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let args: Vec<&String> = self.build_args.keys().collect();
        f.debug_struct("BuildSource")
            .field("git_ref", &self.git_ref)
            .field("recipe", &self.recipe)
            .field("build_args", &args)
            .finish_non_exhaustive()
    }
}

/// How it is built.
#[derive(Debug, Clone)]
pub struct BuildOptions {
    /// Time for the whole: clone and build; [`limits::BUILD`] if none is given.
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
    AppId(#[from] InvalidName),
    /// The source could not be had.
    #[error("the source of {app_id} could not be fetched")]
    Clone {
        /// The application.
        app_id: String,
        /// Why.
        source: GitError,
    },
    /// There is too little room for it.
    #[error(transparent)]
    DiskLow(#[from] DiskLow),
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

/// A source tree that an image is built from; it goes with its owner.
#[derive(Debug)]
pub struct Fetched {
    dir: WorkDir,
    commit: String,
    tag: String,
}

impl Fetched {
    /// Its commit.
    pub fn commit(&self) -> &str {
        &self.commit
    }

    /// The name that its image will have.
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// Removes it now.
    pub async fn remove(self) {
        self.dir.remove().await;
    }
}

/// Builds images, so many at once among all that are cloned from one.
#[derive(Clone)]
pub struct Build {
    host: Host,
    git: Git,
    tasks: TaskTracker,
    turns: Arc<Semaphore>,
}

impl Build {
    /// Builds with the host's git and engines; what is left of a broken build is removed by tasks of `tasks`.
    pub fn new(host: Host, tasks: TaskTracker) -> Self {
        Self {
            git: Git::new(host.clone(), tasks.clone()),
            host,
            tasks,
            turns: Arc::new(Semaphore::new(limits::BUILDS)),
        }
    }

    /// Fetches the source, builds the image, gives its tag. Progress goes to `progress`: a slow receiver slows the build's
    /// output, one that is gone changes nothing. The source directory is gone afterwards, whatever happened; a dropped
    /// future ends clone and build.
    ///
    /// # Errors
    /// See [`BuildError`].
    #[expect(clippy::too_many_arguments, reason = "four beside the receiver, which the lint counts too")]
    pub async fn run(
        &self,
        app_id: &str,
        source: &BuildSource,
        options: &BuildOptions,
        progress: Option<mpsc::Sender<BuildProgress>>,
    ) -> Result<String, BuildError> {
        let limit = options.timeout.unwrap_or(limits::BUILD).min(limits::LONGEST_BUILD);
        let deadline = Instant::now() + limit;
        let timed_out = || BuildError::Timeout { app_id: app_id.to_owned(), after: limit };

        tell(progress.as_ref(), BuildStep::Cloning, "Cloning repository...").await;
        let fetched = match self.fetch(app_id, source, deadline).await {
            Err(BuildError::Clone { .. }) if Instant::now() >= deadline => return Err(timed_out()),
            fetched => fetched?,
        };
        let tag = fetched.tag.clone();
        tell(progress.as_ref(), BuildStep::Building, &format!("Building image {tag}...")).await;
        let building = self.build((&fetched, source, &options.runtime), progress.as_ref());
        let built = timeout_at(deadline, building).await;
        if matches!(built, Ok(Ok(()))) {
            tell(progress.as_ref(), BuildStep::Complete, &tag).await;
        }
        tell(progress.as_ref(), BuildStep::Cleanup, "Cleaning up source directory...").await;
        fetched.remove().await;
        match built {
            Ok(Ok(())) => Ok(tag),
            Ok(Err(source)) => Err(BuildError::Build { tag, source }),
            Err(_) => Err(timed_out()),
        }
    }

    /// Fetches the source of an image.
    ///
    /// # Errors
    /// See [`BuildError`].
    pub async fn fetch(&self, app_id: &str, source: &BuildSource, deadline: Instant) -> Result<Fetched, BuildError> {
        check_app_id(app_id)?;
        check_room(&*self.host.machine, 0, |_| true).await?;
        let git_options = GitOptions {
            git_ref: source.git_ref.clone(),
            ssh_key: source.ssh_key.clone(),
            submodules: source.submodules,
            ..GitOptions::default()
        };
        let cloned = self.git.clone_until(source.repo_url.expose(), &git_options, deadline).await;
        let (dir, commit) = cloned.map_err(|source| BuildError::Clone { app_id: app_id.to_owned(), source })?;
        Ok(Fetched { tag: image_tag(app_id, &commit), dir, commit })
    }

    /// Builds the image of a source; the engine's output goes to `lines`.
    ///
    /// # Errors
    /// The engine's.
    pub async fn image(
        &self,
        fetched: &Fetched,
        (source, runtime): (&BuildSource, &RuntimeTarget),
        lines: Option<mpsc::Sender<Batch>>,
    ) -> Result<(), RuntimeError> {
        let image = BuildImage {
            context: fetched.dir.path().to_owned(),
            recipe: source.recipe.clone(),
            tag: fetched.tag.clone(),
            build_args: source.build_args.clone(),
            secrets: source.build_secrets.clone(),
            resources: source.resources,
        };
        // A closed queue of turns there is not: nobody closes it.
        let _turn = self.turns.acquire().await;
        self.host.runtimes.runtime(runtime).build_image(&image, lines).await
    }

    /// An empty directory for work; it goes with its owner.
    ///
    /// # Errors
    /// The system's.
    pub async fn work_dir(&self) -> std::io::Result<WorkDir> {
        WorkDir::make(&self.host, &self.tasks).await
    }

    /// Builds, and hands the engine's output on as it comes.
    async fn build(
        &self,
        (fetched, source, runtime): (&Fetched, &BuildSource, &RuntimeTarget),
        progress: Option<&mpsc::Sender<BuildProgress>>,
    ) -> Result<(), RuntimeError> {
        let what = (source, runtime);
        let Some(progress) = progress else { return self.image(fetched, what, None).await };
        let (lines, mut batches) = mpsc::channel(limits::OUTPUT_BATCHES);
        let forward = async move {
            while let Some(batch) = batches.recv().await {
                if progress.send(BuildProgress::Output(batch)).await.is_err() {
                    break;
                }
            }
        };
        let (built, ()) = tokio::join!(self.image(fetched, what, Some(lines)), forward);
        built
    }
}

/// Tells a step; a subscriber that does not read does not hold the build up for long.
async fn tell(progress: Option<&mpsc::Sender<BuildProgress>>, step: BuildStep, message: &str) {
    if let Some(progress) = progress {
        let told = BuildProgress::Step { step, message: message.to_owned() };
        drop(progress.send_timeout(told, limits::PROGRESS_WAIT).await);
    }
}
