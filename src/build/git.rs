//! Source trees from git repositories.

use std::io;
use std::path::{Path, PathBuf};

use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::checkout::Checkout;
use super::source_dir::SourceDir;
use super::url::redact;
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
    /// The argument cannot be meant; nothing was run.
    #[error("{what} {value:?} is refused: {why}")]
    Refused {
        /// Which argument (`url`, `ref`).
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
        self.clone_until(url, options, Instant::now() + limits::GIT).await
    }

    /// The same, all of it until `deadline`.
    pub(super) async fn clone_until(
        &self,
        url: &str,
        options: &GitOptions,
        deadline: Instant,
    ) -> Result<Source, GitError> {
        refuse("url", url, url)?;
        refuse("ref", &options.git_ref, url)?;
        let made = SourceDir::make(&self.host, &self.tasks).await;
        let dir = made.map_err(|error| GitError::MkdirFailed { reason: posix_name(&error) })?;
        let checkout = Checkout { host: &self.host, dir: dir.path(), url, options, deadline };
        match checkout.run().await {
            Ok(commit) => Ok(Source { path: dir.keep(), commit }),
            Err(error) => {
                dir.remove().await;
                Err(error)
            }
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

/// What git would take for an option, or for nothing.
fn refuse(what: &'static str, value: &str, url: &str) -> Result<(), GitError> {
    let why = if value.is_empty() {
        "it is empty"
    } else if value.starts_with('-') {
        "it begins with a dash"
    } else if value.contains('\0') {
        "it holds a zero byte"
    } else {
        return Ok(());
    };
    Err(GitError::Refused { what, value: redact(value, url), why })
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
