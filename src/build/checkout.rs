//! How a ref comes into a directory with as little of the history as will do.
//!
//! ```text
//! branch or tag:  git clone --depth 1 --branch REF        one connection
//! commit:         git init; git fetch --depth 1 REF       one connection, where the server gives single commits
//! short commit:   git init; git fetch all                 only git itself can tell what it is short for
//! ```

use std::ffi::OsString;
use std::path::Path;

use tokio::time::Instant;

use super::url::{redact, shell_word};
use super::{GitError, GitOptions};
use crate::host::{Command, CommandEnd, CommandResult, Host};

/// One repository on its way into one empty directory.
pub(super) struct Checkout<'a> {
    pub(super) host: &'a Host,
    pub(super) dir: &'a Path,
    pub(super) url: &'a str,
    pub(super) options: &'a GitOptions,
    pub(super) deadline: Instant,
}

/// How a command failed, and what it said.
struct Said {
    end: CommandEnd,
    output: String,
}

impl Said {
    /// Whether the repository answered and only has no such ref; in the words of git and its servers.
    fn has_no_such_ref(&self) -> bool {
        let branch = self.output.contains("Remote branch") && self.output.contains("not found in upstream");
        let says = ["couldn't find remote ref", "not our ref", "unadvertised object"];
        branch || says.iter().any(|text| self.output.contains(text))
    }

    fn clone_failed(self) -> GitError {
        GitError::CloneFailed { end: self.end, output: self.output }
    }

    fn checkout_failed(self) -> GitError {
        GitError::CheckoutFailed { end: self.end, output: self.output }
    }
}

impl Checkout<'_> {
    /// Fetches and checks out; gives the commit's id.
    pub(super) async fn run(&self) -> Result<String, GitError> {
        if is_commit(&self.options.git_ref) || !self.clone_branch().await? {
            self.fetch_ref().await?;
        }
        if self.options.submodules {
            let mut args = vec!["submodule", "update", "--init", "--recursive"];
            if self.options.depth.is_some() {
                args.push("--depth=1");
            }
            self.git(args).await.map_err(Said::checkout_failed)?;
        }
        match self.git(["rev-parse", "HEAD"]).await {
            // A warning may stand before it.
            Ok(output) => match output.lines().next_back().filter(|line| is_commit(line)) {
                Some(commit) => Ok(commit.to_owned()),
                None => Err(GitError::GetCommitHashFailed { end: CommandEnd::Exited(0), output }),
            },
            Err(said) => Err(GitError::GetCommitHashFailed { end: said.end, output: said.output }),
        }
    }

    /// Clones a branch or tag; `false` if the repository has none of that name, and then the directory is empty.
    async fn clone_branch(&self) -> Result<bool, GitError> {
        let mut args: Vec<OsString> = ["clone", "--single-branch", "--branch"].map(OsString::from).into();
        args.push(self.options.git_ref.clone().into());
        args.extend(self.depth().map(OsString::from));
        args.extend(["--".into(), self.url.into(), self.dir.into()]);
        match self.git(args).await {
            Ok(_) => Ok(true),
            Err(said) if said.has_no_such_ref() => Ok(false),
            Err(said) => Err(said.clone_failed()),
        }
    }

    /// Fetches a commit, or a ref by its full name, or what a short id stands for.
    async fn fetch_ref(&self) -> Result<(), GitError> {
        let git_ref = self.options.git_ref.as_str();
        self.git(["init", "--quiet"]).await.map_err(Said::clone_failed)?;
        self.git(["remote", "add", "origin", self.url]).await.map_err(Said::clone_failed)?;
        let depth = self.depth();
        let fetch = ["fetch", "--quiet"].into_iter().chain(depth.as_deref());
        if is_plain(git_ref) {
            match self.git(fetch.chain(["origin", git_ref])).await {
                Ok(_) => {
                    let checkout = ["checkout", "--quiet", "--detach", "FETCH_HEAD"];
                    return self.git(checkout).await.map(drop).map_err(Said::checkout_failed);
                }
                Err(said) if said.has_no_such_ref() => {}
                Err(said) => return Err(said.clone_failed()),
            }
        }
        if is_hex(git_ref) && git_ref.len() >= SHORTEST_COMMIT {
            let all = ["fetch", "--quiet", "origin", "+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"];
            self.git(all).await.map_err(Said::clone_failed)?;
        }
        // The index is empty, so that no file's name can be meant: git finds the commit, or says that it does not.
        self.git(["checkout", "--quiet", git_ref]).await.map(drop).map_err(Said::checkout_failed)
    }

    fn depth(&self) -> Option<String> {
        self.options.depth.map(|depth| format!("--depth={depth}"))
    }

    /// Runs git in the directory; gives what it said.
    async fn git(&self, args: impl IntoIterator<Item = impl Into<OsString>>) -> Result<String, Said> {
        let mut command = Command::new("git", args).env("GIT_TERMINAL_PROMPT", "0");
        // The words of git tell a missing ref from a missing repository: they must be the ones known here.
        command = command.env("LC_ALL", "C");
        if let Some(key) = &self.options.ssh_key {
            command = command.env("GIT_SSH_COMMAND", ssh_command(key));
        }
        command.working_dir = Some(self.dir.to_owned());
        command.timeout = Some(self.deadline.saturating_duration_since(Instant::now()));
        let CommandResult { end, output, .. } = self.host.processes.run(command, None).await;
        let output = redact(&String::from_utf8_lossy(&output), self.url);
        if end == CommandEnd::Exited(0) { Ok(output) } else { Err(Said { end, output }) }
    }
}

/// Shortest part of a commit's id that git takes for one.
const SHORTEST_COMMIT: usize = 4;

/// Whether it is a commit's whole id, SHA-1 or SHA-256.
fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && is_hex(text)
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether a fetch takes it for the name of one ref and nothing else.
fn is_plain(git_ref: &str) -> bool {
    !git_ref.starts_with('+') && !git_ref.contains([':', '*', '^', '~', '?', '[', '\\', ' '])
}

/// ssh with this key alone, never asking anything.
fn ssh_command(key: &Path) -> OsString {
    let mut command = OsString::from("ssh -i ");
    command.push(shell_word(key));
    command.push(" -o IdentityAgent=none -o IdentitiesOnly=yes -o StrictHostKeyChecking=accept-new -o BatchMode=yes");
    command
}
