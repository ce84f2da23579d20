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

use super::remote::{Reach, Remote};
use super::{GitError, GitOptions};
use crate::host::{Command, CommandEnd, CommandResult, Host, shell_word};
use crate::limits;
use crate::secret::Secret;

/// One repository on its way into one empty directory.
pub(super) struct Checkout<'a> {
    pub(super) host: &'a Host,
    pub(super) dir: &'a Path,
    pub(super) remote: &'a Remote,
    pub(super) options: &'a GitOptions,
    pub(super) deadline: Instant,
}

/// How a command failed, and what it said; without an end it took more room than it may.
struct Said {
    end: Option<CommandEnd>,
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
        self.failed(|end, output| GitError::CloneFailed { end, output })
    }

    fn checkout_failed(self) -> GitError {
        self.failed(|end, output| GitError::CheckoutFailed { end, output })
    }

    fn succeeded(&self) -> bool {
        self.end == Some(CommandEnd::Exited(0))
    }

    fn failed(self, error: fn(CommandEnd, String) -> GitError) -> GitError {
        match self.end {
            Some(end) => error(end, self.output),
            None => GitError::TooLarge { limit: limits::SOURCE_BYTES },
        }
    }
}

impl Checkout<'_> {
    /// Fetches and checks out; gives the commit's id.
    pub(super) async fn run(&self) -> Result<String, GitError> {
        if is_commit(&self.options.git_ref) || !self.clone_branch().await? {
            self.fetch_ref().await?;
        }
        if self.options.submodules {
            self.fetch_submodules().await?;
        }
        let head = self.head().await?;
        let wanted = self.options.git_ref.to_ascii_lowercase();
        if is_commit(&wanted) && wanted != head {
            return Err(GitError::WrongCommit { wanted, got: head });
        }
        self.fetch_large_files().await?;
        Ok(head)
    }

    async fn fetch_submodules(&self) -> Result<(), GitError> {
        let depth = self.options.depth.map(|_| "--depth=1");
        let update = ["submodule", "update", "--init"].into_iter().chain(depth);
        if self.is_local() {
            self.check_submodules().await?;
            self.git(update.clone()).await.map_err(Said::checkout_failed)?;
        }
        // What a submodule names in its turn nobody has looked at: there none of this machine is taken.
        let nested = self.command(update.chain(["--recursive"]).map(OsString::from).collect());
        let nested = nested.env(PROTOCOLS, REMOTE_PROTOCOLS);
        self.run_git(nested).await.map(drop).map_err(Said::checkout_failed)
    }

    /// Whether submodules that are on this machine lie where repositories may.
    async fn check_submodules(&self) -> Result<(), GitError> {
        self.git(["submodule", "init"]).await.map_err(Said::checkout_failed)?;
        // It fails where there are none.
        let known = self.git(["config", "--get-regexp", r"^submodule\..*\.url$"]).await.unwrap_or_default();
        let mut urls = known.lines().filter_map(|line| Some(line.split_once(' ')?.1));
        let refused = urls.find_map(|url| Some((url, self.why_not(url)?)));
        match refused {
            Some((url, why)) => Err(GitError::Refused { what: "submodule", value: self.remote.redact(url), why }),
            None => Ok(()),
        }
    }

    fn why_not(&self, url: &str) -> Option<&'static str> {
        match Remote::parse(url).map(|remote| remote.reach) {
            Ok(Reach::Local(path)) if !self.host.files.is_local_source(&path) => Some(NOT_LISTED),
            Ok(Reach::Local(_) | Reach::Web(_) | Reach::Other) => None,
            Err(why) => Some(why),
        }
    }

    fn is_local(&self) -> bool {
        matches!(self.remote.reach, Reach::Local(_))
    }

    /// The commit that is checked out.
    async fn head(&self) -> Result<String, GitError> {
        let said = match self.git(["rev-parse", "HEAD"]).await {
            Ok(output) => Said { end: Some(CommandEnd::Exited(0)), output },
            Err(said) => said,
        };
        // A warning may stand before it.
        match said.output.lines().next_back().filter(|line| is_commit(line) && said.succeeded()) {
            Some(commit) => Ok(commit.to_owned()),
            None => Err(said.failed(|end, output| GitError::GetCommitHashFailed { end, output })),
        }
    }

    /// What the repository keeps outside of itself, by git's extension for large files, where that is installed.
    async fn fetch_large_files(&self) -> Result<(), GitError> {
        let marked = self.git(["grep", "-q", "-e", "filter=lfs", "HEAD", "--", ".gitattributes", "**/.gitattributes"]);
        if marked.await.is_err() {
            return Ok(());
        }
        if self.git(["lfs", "version"]).await.is_err() {
            tracing::warn!(
                "a repository keeps large files apart, and git-lfs is not installed here: they stay pointers"
            );
            return Ok(());
        }
        self.git(["lfs", "install", "--local"]).await.map_err(Said::checkout_failed)?;
        self.git(["lfs", "pull"]).await.map(drop).map_err(Said::checkout_failed)
    }

    /// Clones a branch or tag; `false` if the repository has none of that name, and then the directory is empty.
    async fn clone_branch(&self) -> Result<bool, GitError> {
        let mut args: Vec<OsString> = ["clone", "--single-branch", "--branch"].map(OsString::from).into();
        args.push(self.options.git_ref.clone().into());
        args.extend(self.depth().map(OsString::from));
        args.extend(["--".into(), self.remote.address.as_str().into(), self.dir.into()]);
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
        self.git(["remote", "add", "origin", &self.remote.address]).await.map_err(Said::clone_failed)?;
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
        self.run_git(self.command(args.into_iter().map(Into::into).collect())).await
    }

    async fn run_git(&self, command: Command) -> Result<String, Said> {
        let CommandResult { end, output, .. } = tokio::select! {
            result = self.host.processes.run(command, None) => result,
            // Which kills it.
            () = self.too_large() => return Err(Said { end: None, output: String::new() }),
        };
        let said = Said { output: self.remote.redact(&String::from_utf8_lossy(&output)), end: Some(end) };
        if said.succeeded() { Ok(said.output) } else { Err(said) }
    }

    fn command(&self, args: Vec<OsString>) -> Command {
        let args = self.credential_settings().into_iter().map(OsString::from).chain(args);
        let mut command = Command::new("git", args).env("GIT_TERMINAL_PROMPT", "0");
        // The words of git tell a missing ref from a missing repository: they must be the ones known here.
        command = command.env("LC_ALL", "C");
        // For submodules and redirects as well. What is on this machine only a repository of this machine may use.
        command = command.env(PROTOCOLS, if self.is_local() { "https:http:ssh:git:file" } else { REMOTE_PROTOCOLS });
        if let Some(key) = &self.options.ssh_key {
            command = command.env("GIT_SSH_COMMAND", ssh_command(key));
        }
        if let Some(credentials) = &self.remote.credentials {
            let secret = |text: &Secret<String>| Secret::new(OsString::from(text.expose()));
            command.env.push((USER.into(), secret(&credentials.user)));
            command.env.push((PASSWORD.into(), secret(&credentials.password)));
        }
        command.working_dir = Some(self.dir.to_owned());
        command.timeout = Some(self.deadline.saturating_duration_since(Instant::now()));
        command
    }

    /// Settings by which git asks its environment for the credentials: who else is on this machine sees the arguments of a
    /// process, and not its environment. Only for the host that they are for, so that neither a redirect nor a submodule
    /// carries them elsewhere.
    fn credential_settings(&self) -> Vec<String> {
        let (Reach::Web(place), Some(_)) = (&self.remote.reach, &self.remote.credentials) else { return Vec::new() };
        let answer = format!(r#"printf 'username=%s\npassword=%s\n' "${USER}" "${PASSWORD}""#);
        let helper = format!(r#"!f() {{ test "$1" = get && {answer}; }}; f"#);
        let setting = |value: String| ["-c".to_owned(), format!("credential.{place}.helper={value}")];
        // The empty one puts those of the machine's own settings aside.
        [setting(String::new()), setting(helper)].concat()
    }

    /// Ends when the directory holds more than a source may.
    async fn too_large(&self) {
        let (shortest, times) = limits::SOURCE_LOOK;
        let mut pause = shortest;
        loop {
            tokio::time::sleep(pause).await;
            let began = Instant::now();
            if self.host.files.size(self.dir).await.is_ok_and(|size| size > limits::SOURCE_BYTES) {
                return;
            }
            pause = shortest.max(began.elapsed() * times);
        }
    }
}

/// Where git learns over what it may fetch.
const PROTOCOLS: &str = "GIT_ALLOW_PROTOCOL";
const REMOTE_PROTOCOLS: &str = "https:http:ssh:git";

/// Why a repository of this machine is refused.
pub(super) const NOT_LISTED: &str = "OTTURNAUT_LOCAL_SOURCES does not list its directory";

/// Where git's helper finds the credentials.
const USER: &str = "OTTURNAUT_GIT_USER";
const PASSWORD: &str = "OTTURNAUT_GIT_PASSWORD";

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
