//! Source trees from git repositories.

use std::io;
use std::path::{Path, PathBuf};

use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::checkout::{Checkout, NOT_LISTED};
use super::remote::{self, Reach, Remote};
use super::work_dir::WorkDir;
use crate::host::{CommandEnd, Host};
use crate::limits;

/// What of a repository is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitOptions {
    /// Branch, tag or commit.
    pub git_ref: String,
    /// How many commits of history; all if none is given.
    pub depth: Option<u32>,
    /// Private key for ssh.
    pub ssh_key: Option<PathBuf>,
    /// Whether submodules are fetched too.
    pub submodules: bool,
}

impl Default for GitOptions {
    /// The newest commit of `main`.
    fn default() -> Self {
        Self { git_ref: "main".to_owned(), depth: Some(1), ssh_key: None, submodules: false }
    }
}

/// A source tree on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Where it lies. Whoever has it removes it.
    pub path: PathBuf,
    /// The id of its commit.
    pub commit: String,
}

/// Why there is no source tree. Its directory is gone. Credentials of the url are taken out of all texts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GitError {
    /// It cannot be meant, or not here; of an argument nothing was run.
    #[error("{what} {value:?} is refused: {why}")]
    Refused {
        /// Which argument (`url`, `ref`), or what of the repository (`submodule`).
        what: &'static str,
        /// What came, without credentials.
        value: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The repository could not be fetched.
    #[error("git could not clone the repository")]
    CloneFailed {
        /// How git ended.
        end: CommandEnd,
        /// What it said.
        output: String,
    },
    /// The repository has no such branch, tag or commit, or its submodules could not be had.
    #[error("git could not check out the ref")]
    CheckoutFailed {
        /// How git ended.
        end: CommandEnd,
        /// What it said.
        output: String,
    },
    /// It takes more room than a source may.
    #[error("the repository takes more than {limit} bytes")]
    TooLarge {
        /// What it may take.
        limit: u64,
    },
    /// The tree that was checked out is not the commit that was asked for.
    #[error("the repository gave commit {got} for {wanted}")]
    WrongCommit {
        /// What was asked for.
        wanted: String,
        /// What is there.
        got: String,
    },
    /// No directory could be made.
    #[error("no source directory could be made: {reason}")]
    MkdirFailed {
        /// A POSIX name in lower case (`enospc`, `eacces`).
        reason: String,
    },
    /// The id of the commit could not be read.
    #[error("git could not tell the commit")]
    GetCommitHashFailed {
        /// How git ended.
        end: CommandEnd,
        /// What it said.
        output: String,
    },
}

/// Fetches source trees.
#[derive(Clone)]
pub struct Git {
    host: Host,
    tasks: TaskTracker,
}

impl Git {
    /// Fetches by the host's git; what is left of a broken clone is removed by tasks of `tasks`.
    pub fn new(host: Host, tasks: TaskTracker) -> Self {
        Self { host, tasks }
    }

    /// Clones `url` at a ref. A directory is left only by success; a dropped future leaves none.
    ///
    /// # Errors
    /// See [`GitError`].
    pub async fn clone_at(&self, url: &str, options: &GitOptions) -> Result<Source, GitError> {
        let (dir, commit) = self.clone_until(url, options, Instant::now() + limits::GIT).await?;
        let kept = dir.keep().await.map_err(|error| GitError::MkdirFailed { reason: posix_name(&error) })?;
        Ok(Source { path: kept, commit })
    }

    /// The same, all of it until `deadline`, into a directory that goes with its owner; with the commit.
    pub(super) async fn clone_until(
        &self,
        url: &str,
        options: &GitOptions,
        deadline: Instant,
    ) -> Result<(WorkDir, String), GitError> {
        let remote = self.remote(url)?;
        checked_ref(&options.git_ref, &remote)?;
        let made = WorkDir::make(&self.host, &self.tasks).await;
        let dir = made.map_err(|error| GitError::MkdirFailed { reason: posix_name(&error) })?;
        let checkout = Checkout { host: &self.host, dir: dir.path(), remote: &remote, options, deadline };
        match checkout.run().await {
            Ok(commit) => Ok((dir, commit)),
            Err(error) => {
                dir.remove().await;
                Err(error)
            }
        }
    }

    fn remote(&self, url: &str) -> Result<Remote, GitError> {
        let remote = parsed(url)?;
        match &remote.reach {
            Reach::Local(path) if !self.host.files.is_local_source(path) => Err(refused_url(url, NOT_LISTED)),
            Reach::Local(_) | Reach::Web(_) | Reach::Other => Ok(remote),
        }
    }

    /// Removes what a death of the agent left of clones and builds.
    pub async fn sweep(&self) {
        for (_, runtime) in self.host.runtimes.present() {
            runtime.end_builds().await;
        }
        if let Err(error) = self.host.files.sweep_source_dirs().await {
            tracing::warn!(%error, "source directories that were left could not be removed");
        }
    }

    /// Removes a source directory; fine if it is gone already.
    ///
    /// # Errors
    /// The path is none of the agent's source directories, or the system refuses.
    pub async fn cleanup(&self, path: &Path) -> io::Result<()> {
        self.host.files.remove_source_dir(path).await
    }
}

/// Whether a url and a ref can be meant, as far as that is seen without looking anywhere.
pub(super) fn check(url: &str, git_ref: &str) -> Result<(), GitError> {
    checked_ref(git_ref, &parsed(url)?)
}

fn parsed(url: &str) -> Result<Remote, GitError> {
    Remote::parse(url).map_err(|why| refused_url(url, why))
}

/// Of a url that cannot be taken apart nobody knows where its secrets are.
fn refused_url(url: &str, why: &'static str) -> GitError {
    GitError::Refused { what: "url", value: without_user(url), why }
}

fn checked_ref(git_ref: &str, remote: &Remote) -> Result<(), GitError> {
    check_ref(git_ref).map_err(|why| GitError::Refused { what: "ref", value: remote.redact(git_ref), why })
}

/// What is no name of a branch, a tag or a commit, and could become something else on its way.
fn check_ref(git_ref: &str) -> Result<(), &'static str> {
    remote::check(git_ref)?;
    if git_ref.contains("..") || git_ref.contains("@{") || git_ref.starts_with('/') {
        return Err("it is no name of a branch, a tag or a commit");
    }
    Ok(())
}

/// A repository and what of it, for a person. A query may hold a token: it is left out.
pub(super) fn told(url: &str, git_ref: &str) -> String {
    let Ok(remote) = Remote::parse(url) else { return "a url that cannot be meant".to_owned() };
    let address = remote.address.split('?').next().unwrap_or_default();
    format!("{address} at {}", remote.redact(git_ref))
}

/// A url without what may be its credentials, whatever else is wrong with it.
fn without_user(url: &str) -> String {
    let shown = |scheme: &str, rest: &str| match rest.rsplit_once('@') {
        Some((_, place)) => format!("{scheme}***@{place}"),
        None => format!("{scheme}{rest}"),
    };
    let text = url.find("//").map_or_else(
        || shown("", url),
        |at| {
            let (scheme, rest) = url.split_at(at + 2);
            shown(scheme, rest)
        },
    );
    text.chars().take(limits::NAME_BYTES).collect()
}

/// The system's error as Elixir names it.
fn posix_name(error: &io::Error) -> String {
    let name = match error.kind() {
        io::ErrorKind::NotFound => "enoent",
        io::ErrorKind::PermissionDenied => "eacces",
        io::ErrorKind::StorageFull => "enospc",
        io::ErrorKind::ReadOnlyFilesystem => "erofs",
        io::ErrorKind::NotADirectory => "enotdir",
        io::ErrorKind::AlreadyExists => "eexist",
        _ => "eio",
    };
    name.to_owned()
}
