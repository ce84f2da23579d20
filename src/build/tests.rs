//! Clones with the real git against repositories made for each test; builds on an engine in memory.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};
use tokio_util::task::TaskTracker;

use super::*;
use crate::host::*;
use crate::limits;
use crate::secret::Secret;

/// Builds run no container of their own.
const NO_CONTAINER: &str = "a build touches no container";

/// The real git, an engine that only looks at what it is given, and directories under a temporary one.
#[derive(Clone)]
struct Machine(Arc<Inside>);

struct Inside {
    root: TempDir,
    /// Commands that were run, with their environment.
    ran: Mutex<Vec<Ran>>,
    /// What the engine's build comes to; for ever if nothing.
    build: Option<Result<(), &'static str>>,
    /// Files of the build context that the engine saw.
    seen: Mutex<Vec<String>>,
    /// What source directories are said to hold.
    size: AtomicU64,
}

struct Ran {
    args: Vec<String>,
    env: Vec<(String, String)>,
}

impl Machine {
    fn new(build: Option<Result<(), &'static str>>) -> Self {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("sources")).unwrap();
        Self(Arc::new(Inside { root, ran: Mutex::default(), build, seen: Mutex::default(), size: AtomicU64::new(0) }))
    }

    fn host(&self) -> Host {
        let all = Arc::new(self.clone());
        Host {
            runtimes: all.clone(),
            proxies: all.clone(),
            processes: all.clone(),
            network: all.clone(),
            files: all,
            storage: Arc::new(storage::DataStorage::new(Path::new("/nowhere"))),
            machine: Arc::new(machine::LinuxMachine::new(Path::new("/nowhere"))),
        }
    }

    fn git(&self) -> Git {
        Git::new(self.host(), TaskTracker::new())
    }

    /// The source directories that are left.
    fn left(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.0.root.path().join("sources")).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    /// The git commands that were run: `clone`, `init`, `fetch`, ...
    fn ran(&self) -> Vec<String> {
        self.0.ran.lock().unwrap().iter().map(|ran| ran.args[0].clone()).collect()
    }

    /// Runs git in `repository`, of the test's own.
    async fn in_repository(&self, repository: &str, args: &[&str]) -> String {
        let dir = self.0.root.path().join(repository);
        std::fs::create_dir_all(&dir).unwrap();
        let who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "protocol.file.allow=always"];
        let mut command = Command::new("git", who.iter().chain(args));
        command.working_dir = Some(dir);
        let result = spawn(command).await;
        let output = String::from_utf8(result.output.into()).unwrap();
        assert_eq!(result.end, CommandEnd::Exited(0), "git {args:?}: {output}");
        output.trim().to_owned()
    }

    /// A repository of three commits on `main`, the second tagged `v1`, with a branch `next`; gives its url and the commits.
    async fn repository(&self) -> (String, Vec<String>) {
        self.in_repository("shop", &["init", "--quiet", "-b", "main"]).await;
        let mut commits = Vec::new();
        for n in 1..=3 {
            write(&self.0.root.path().join("shop/Dockerfile"), &format!("FROM {n}\n"));
            self.in_repository("shop", &["add", "."]).await;
            self.in_repository("shop", &["commit", "--quiet", "-m", "change"]).await;
            commits.push(self.in_repository("shop", &["rev-parse", "HEAD"]).await);
        }
        self.in_repository("shop", &["tag", "v1", &commits[1]]).await;
        self.in_repository("shop", &["branch", "next", &commits[0]]).await;
        (format!("file://{}/shop", self.0.root.path().display()), commits)
    }
}

#[expect(clippy::disallowed_methods, reason = "the host's own runner is another room's")]
async fn spawn(command: Command) -> CommandResult {
    let mut child = tokio::process::Command::new("sh");
    child.arg("-c").arg("exec \"$0\" \"$@\" 2>&1").arg(&command.program).args(&command.args);
    child.envs(command.env.iter().map(|(name, value)| (name, value.expose())));
    child.current_dir(command.working_dir.unwrap()).stdin(Stdio::null()).kill_on_drop(true);
    let timeout = command.timeout.unwrap_or(Duration::from_mins(1));
    match tokio::time::timeout(timeout, child.output()).await {
        Ok(output) => {
            let output = output.unwrap();
            let end = CommandEnd::Exited(output.status.code().unwrap_or(-1));
            CommandResult { end, output: output.stdout.into(), duration: Duration::ZERO }
        }
        Err(_) => CommandResult { end: CommandEnd::TimedOut, output: Bytes::new(), duration: timeout },
    }
}

#[async_trait]
impl Processes for Machine {
    async fn run(&self, command: Command, _lines: Option<mpsc::Sender<Batch>>) -> CommandResult {
        let text = |t: &std::ffi::OsStr| t.to_str().unwrap().to_owned();
        let args = command.args.iter().map(|a| text(a)).collect();
        let env = command.env.iter().map(|(name, value)| (text(name), text(value.expose()))).collect();
        self.0.ran.lock().unwrap().push(Ran { args, env });
        spawn(command).await
    }
}

#[async_trait]
impl Files for Machine {
    async fn make_source_dir(&self) -> io::Result<PathBuf> {
        Ok(tempfile::Builder::new().tempdir_in(self.0.root.path().join("sources"))?.keep())
    }

    async fn keep_source_dir(&self, path: &Path) -> io::Result<PathBuf> {
        Ok(path.to_owned())
    }

    async fn sweep_source_dirs(&self) -> io::Result<()> {
        unreachable!("nothing is left")
    }

    async fn size(&self, _directory: &Path) -> io::Result<u64> {
        Ok(self.0.size.load(Ordering::Relaxed))
    }

    async fn own_sizes(&self) -> io::Result<Vec<(String, u64)>> {
        unreachable!("nobody asks")
    }

    fn is_local_source(&self, path: &Path) -> bool {
        path.starts_with(self.0.root.path())
    }

    async fn remove_source_dir(&self, path: &Path) -> io::Result<()> {
        match std::fs::remove_dir_all(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            outcome => outcome,
        }
    }
}

#[async_trait]
impl Runtime for Machine {
    async fn start_again(&self, _: &str) -> Result<(), RuntimeError> {
        unreachable!("{NO_CONTAINER}")
    }

    async fn events(&self, _: &[String]) -> Result<EngineEvents, RuntimeError> {
        unreachable!("{NO_CONTAINER}")
    }

    async fn wait(&self, _: &str) -> Result<i64, RuntimeError> {
        unreachable!("{NO_CONTAINER}")
    }

    async fn logs(&self, _: &str, _: &LogQuery) -> Result<LogReader, RuntimeError> {
        unreachable!("{NO_CONTAINER}")
    }

    async fn usage(&self, _: &str) -> Result<Option<Usage>, RuntimeError> {
        unreachable!("{NO_CONTAINER}")
    }

    async fn tail(&self, _: &str, _: usize) -> Result<Vec<Line>, RuntimeError> {
        unreachable!("{NO_CONTAINER}")
    }

    async fn exec(&self, _: &str, _: &[String], _: Duration) -> Result<ExecEnd, RuntimeError> {
        unreachable!("{NO_CONTAINER}")
    }

    async fn space(&self) -> Result<EngineSpace, RuntimeError> {
        unreachable!("nobody asks")
    }
    async fn image(&self, _: &str) -> Result<Image, RuntimeError> {
        unreachable!("a build looks at no image")
    }

    async fn tag_image(&self, _: &str, _: &str, _: &str) -> Result<(), RuntimeError> {
        unreachable!("a build gives one name")
    }

    async fn remove_image(&self, _: &str) -> Result<(), RuntimeError> {
        unreachable!("a build removes no image")
    }

    async fn build_image(&self, build: &BuildImage, lines: Option<mpsc::Sender<Batch>>) -> Result<(), RuntimeError> {
        let mut names: Vec<String> = std::fs::read_dir(&build.context)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != ".git")
            .collect();
        names.sort();
        *self.0.seen.lock().unwrap() = names;
        if let Some(lines) = lines {
            let line = Line { stream: Stream::Stdout, text: Bytes::from_static(b"Step 1/1 : FROM 3") };
            lines.send(vec![line]).await.ok();
        }
        match self.0.build {
            Some(Ok(())) => Ok(()),
            Some(Err(reason)) => Err(RuntimeError::Build { tag: build.tag.clone(), reason: reason.to_owned() }),
            None => std::future::pending().await,
        }
    }

    async fn list(&self, _: &[String]) -> Result<Vec<Container>, RuntimeError> {
        unreachable!()
    }
    async fn start(&self, _: &ContainerSpec) -> Result<String, RuntimeError> {
        unreachable!()
    }
    async fn stop(&self, _: &str, _: Duration) -> Result<(), RuntimeError> {
        unreachable!()
    }
    async fn remove(&self, _: &str) -> Result<(), RuntimeError> {
        unreachable!()
    }
    async fn inspect(&self, _: &str) -> Result<Container, RuntimeError> {
        unreachable!()
    }
    async fn load_image(&self, _: &Path) -> Result<String, RuntimeError> {
        unreachable!()
    }
    async fn archive_names(&self, _: &Path) -> Result<Vec<String>, RuntimeError> {
        unreachable!("a build loads nothing")
    }
    async fn pull_image(&self, _: &PullImage, _: Option<watch::Sender<Transfer>>) -> Result<(), RuntimeError> {
        unreachable!()
    }
    async fn version(&self) -> Result<String, RuntimeError> {
        unreachable!()
    }
}

impl Runtimes for Machine {
    fn runtime(&self, _: &RuntimeTarget) -> Arc<dyn Runtime> {
        Arc::new(self.clone())
    }
    fn present(&self) -> Vec<(RuntimeTarget, Arc<dyn Runtime>)> {
        unreachable!()
    }
}

impl Proxies for Machine {
    fn defaults(&self) -> ProxySettings {
        unreachable!()
    }
    fn proxy(&self, _: &ProxySettings) -> Arc<dyn Proxy> {
        unreachable!()
    }
}

#[async_trait]
impl Network for Machine {
    async fn connections(&self, _: &[u16]) -> io::Result<Vec<Connection>> {
        unreachable!("{NO_CONTAINER}")
    }

    async fn download(&self, _: &Download, _: watch::Sender<Transfer>) -> Result<(), DownloadError> {
        unreachable!("a build fetches nothing")
    }
    async fn owners(&self, _: &[Connection]) -> Vec<String> {
        unreachable!("{NO_CONTAINER}")
    }

    async fn probe(&self, _: &Probe) -> ProbeAnswer {
        unreachable!()
    }
    fn port_is_free(&self, _: u16) -> bool {
        unreachable!()
    }
}

fn write(path: &Path, text: &str) {
    use std::io::Write;
    std::fs::File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
}

fn at(git_ref: &str) -> GitOptions {
    GitOptions { git_ref: git_ref.to_owned(), ..GitOptions::default() }
}

/// Waits until `what` is so, or fails.
async fn wait_for(what: &str, condition: impl Fn() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(tokio::time::Instant::now() < deadline, "{what} did not come");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

mod clones {
    use super::*;

    #[tokio::test]
    async fn a_branch_a_tag_a_commit_and_a_full_ref_are_had_with_one_commit_of_history() {
        let machine = Machine::new(None);
        let (url, commits) = machine.repository().await;
        let pull = ["update-ref", "refs/pull/7/head", &commits[1]];
        machine.in_repository("shop", &pull).await;
        let wanted = [
            ("main", &commits[2]),
            ("next", &commits[0]),
            ("v1", &commits[1]),
            (commits[0].as_str(), &commits[0]),
            ("refs/pull/7/head", &commits[1]),
        ];
        for (git_ref, commit) in wanted {
            let source = machine.git().clone_at(&url, &at(git_ref)).await.unwrap();
            assert_eq!(source.commit, *commit, "{git_ref}");
            let n = commits.iter().position(|c| c == commit).unwrap() + 1;
            let file = std::fs::read_to_string(source.path.join("Dockerfile")).unwrap();
            assert_eq!(file, format!("FROM {n}\n"), "{git_ref}");
            let sources = source.path.to_str().unwrap();
            assert_eq!(machine.in_repository(sources, &["rev-list", "--count", "HEAD"]).await, "1", "{git_ref}");
        }
    }

    #[tokio::test]
    async fn all_of_the_history_is_had_where_it_is_asked_for() {
        let machine = Machine::new(None);
        let (url, commits) = machine.repository().await;
        for git_ref in ["main", &commits[2]] {
            let source = machine.git().clone_at(&url, &GitOptions { depth: None, ..at(git_ref) }).await.unwrap();
            let sources = source.path.to_str().unwrap();
            assert_eq!(machine.in_repository(sources, &["rev-list", "--count", "HEAD"]).await, "3", "{git_ref}");
        }
    }

    #[tokio::test]
    async fn a_short_commit_is_found() {
        let machine = Machine::new(None);
        let (url, commits) = machine.repository().await;
        let source = machine.git().clone_at(&url, &at(&commits[0][..9])).await.unwrap();
        assert_eq!(source.commit, commits[0]);
        assert!(source.path.join("Dockerfile").exists());
    }

    #[tokio::test]
    async fn a_server_that_gives_no_single_commits_gives_all() {
        let machine = Machine::new(None);
        let (url, commits) = machine.repository().await;
        machine.in_repository("shop", &["branch", "--quiet", "-D", "next"]).await;
        // The old protocol, in which such servers refuse what no branch or tag points at.
        let config = machine.0.root.path().join("config");
        write(&config, "[protocol]\n\tversion = 0\n");
        let host = Host { processes: Arc::new(WithConfig(machine.clone(), config)), ..machine.host() };
        let source = Git::new(host, TaskTracker::new()).clone_at(&url, &at(&commits[0])).await.unwrap();
        assert_eq!(source.commit, commits[0]);
        assert_eq!(machine.ran().iter().filter(|c| *c == "fetch").count(), 2, "{:?}", machine.ran());
    }

    struct WithConfig(Machine, PathBuf);

    #[async_trait]
    impl Processes for WithConfig {
        async fn run(&self, command: Command, lines: Option<mpsc::Sender<Batch>>) -> CommandResult {
            self.0.run(command.env("GIT_CONFIG_GLOBAL", self.1.as_os_str()), lines).await
        }
    }

    #[tokio::test]
    async fn a_bad_url_is_one_attempt_and_leaves_nothing() {
        let machine = Machine::new(None);
        let url = format!("file://{}/nothing", machine.0.root.path().display());
        for git_ref in ["main", "0123456789012345678901234567890123456789"] {
            let error = machine.git().clone_at(&url, &at(git_ref)).await.unwrap_err();
            let GitError::CloneFailed { end: CommandEnd::Exited(128), output } = error else { panic!("{error:?}") };
            assert!(output.contains("fatal: "), "{output}");
            assert_eq!(output.starts_with("Cloning into '"), git_ref == "main", "{output}");
        }
        assert_eq!(machine.ran(), ["clone", "init", "remote", "fetch"]);
        assert!(machine.left().is_empty());
    }

    #[tokio::test]
    async fn a_bad_ref_is_told_in_gits_words_and_leaves_nothing() {
        let machine = Machine::new(None);
        let (url, _) = machine.repository().await;
        for git_ref in ["nope", "Dockerfile", "main:other", "main~1", "beefbeefbeef"] {
            let error = machine.git().clone_at(&url, &at(git_ref)).await.unwrap_err();
            let GitError::CheckoutFailed { end, output } = error else { panic!("{git_ref}: {error:?}") };
            let expected = format!("error: pathspec '{git_ref}' did not match any file(s) known to git\n");
            assert_eq!((end, output), (CommandEnd::Exited(1), expected));
        }
        assert!(machine.left().is_empty());
    }

    #[tokio::test]
    async fn a_commit_that_is_not_there_is_no_checkout() {
        let machine = Machine::new(None);
        let (url, _) = machine.repository().await;
        let error = machine.git().clone_at(&url, &at(&"1".repeat(40))).await.unwrap_err();
        assert!(matches!(error, GitError::CheckoutFailed { .. }), "{error:?}");
        assert!(machine.left().is_empty());
    }

    #[tokio::test]
    async fn what_git_would_take_for_an_option_is_refused_and_nothing_is_run() {
        let machine = Machine::new(None);
        let (own, _) = machine.repository().await;
        let own = own.as_str();
        let cases = [
            ("--upload-pack=touch /tmp/x", "main", "url"),
            ("ext::sh -c touch% /tmp/x", "main", "url"),
            ("file:///etc", "main", "url"),
            ("/etc", "main", "url"),
            ("", "main", "url"),
            (own, "--orphan", "ref"),
            (own, "main;touch", "ref"),
            (own, "main\nother", "ref"),
            (own, "../../x", "ref"),
            (own, "", "ref"),
        ];
        for (url, git_ref, argument) in cases {
            let error = machine.git().clone_at(url, &at(git_ref)).await.unwrap_err();
            assert!(matches!(error, GitError::Refused { what, .. } if what == argument), "{error:?}");
        }
        assert!(machine.ran().is_empty() && machine.left().is_empty());
    }

    #[tokio::test]
    async fn git_never_asks_and_uses_the_key_alone_whatever_its_path() {
        let machine = Machine::new(None);
        let (url, _) = machine.repository().await;
        let options = GitOptions { ssh_key: Some("/keys/my key;x".into()), ..GitOptions::default() };
        machine.git().clone_at(&url, &options).await.unwrap();
        for Ran { env, .. } in machine.0.ran.lock().unwrap().iter() {
            let value = |name: &str| env.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
            assert_eq!(value("GIT_TERMINAL_PROMPT"), Some("0"));
            let ssh = "ssh -i '/keys/my key;x' -o IdentityAgent=none -o IdentitiesOnly=yes \
                       -o StrictHostKeyChecking=accept-new -o BatchMode=yes";
            assert_eq!(value("GIT_SSH_COMMAND"), Some(ssh));
        }
    }

    #[tokio::test]
    async fn credentials_of_the_url_are_in_no_error() {
        let machine = Machine::new(None);
        let url = "https://me:s3cret@127.0.0.1:1/shop.git";
        let error = machine.git().clone_at(url, &at("main")).await.unwrap_err();
        assert!(matches!(error, GitError::CloneFailed { .. }), "{error:?}");
        assert!(!format!("{error:?} {error}").contains("s3cret"), "{error:?}");
    }

    #[tokio::test]
    async fn a_url_that_is_refused_keeps_its_credentials_to_itself() {
        let machine = Machine::new(None);
        for url in ["ftp://me:s3cret@host/a", "https://me:s3cret@ho st/a", "https://me:s3cret@/a"] {
            let error = machine.git().clone_at(url, &at("main")).await.unwrap_err();
            assert!(matches!(error, GitError::Refused { .. }), "{error:?}");
            assert!(!format!("{error:?} {error}").contains("s3cret"), "{error:?}");
        }
    }

    #[tokio::test]
    async fn a_repository_that_grows_too_large_is_given_up_and_leaves_nothing() {
        let machine = Machine::new(None);
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("git://{}/shop", silent.local_addr().unwrap());
        machine.0.size.store(limits::SOURCE_BYTES + 1, Ordering::Relaxed);
        let error = machine.git().clone_at(&url, &at("main")).await.unwrap_err();
        assert_eq!(error, GitError::TooLarge { limit: limits::SOURCE_BYTES });
        assert!(machine.left().is_empty());
    }

    #[tokio::test]
    async fn submodules_come_where_they_are_asked_for() {
        let machine = Machine::new(None);
        let (url, _) = machine.repository().await;
        machine.in_repository("outer", &["init", "--quiet", "-b", "main"]).await;
        machine.in_repository("outer", &["submodule", "--quiet", "add", &url, "inner"]).await;
        machine.in_repository("outer", &["commit", "--quiet", "-m", "with a submodule"]).await;
        // git refuses submodules from files unless it is told otherwise.
        let config = machine.0.root.path().join("config");
        write(&config, "[protocol \"file\"]\n\tallow = always\n");
        let host = Host { processes: Arc::new(WithConfig(machine.clone(), config)), ..machine.host() };
        let git = Git::new(host, TaskTracker::new());
        let outer = format!("file://{}/outer", machine.0.root.path().display());
        for submodules in [false, true] {
            let source = git.clone_at(&outer, &GitOptions { submodules, ..at("main") }).await.unwrap();
            assert_eq!(source.path.join("inner/Dockerfile").exists(), submodules);
        }
    }

    #[tokio::test]
    async fn a_clone_that_is_dropped_leaves_no_directory() {
        let machine = Machine::new(None);
        // A server that takes the connection and says nothing.
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("git://{}/shop", silent.local_addr().unwrap());
        let (git, options) = (machine.git(), at("main"));
        tokio::select! {
            outcome = git.clone_at(&url, &options) => panic!("{outcome:?}"),
            () = wait_for("git", || !machine.ran().is_empty()) => {}
        }
        wait_for("the removal", || machine.left().is_empty()).await;
    }
}

mod builds {
    use super::*;

    async fn source(machine: &Machine, git_ref: &str) -> (BuildSource, String) {
        let (url, commits) = machine.repository().await;
        let source = BuildSource {
            repo_url: Secret::new(url),
            git_ref: git_ref.to_owned(),
            recipe: Recipe::Dockerfile { path: "Dockerfile".to_owned() },
            build_args: BTreeMap::new(),
            build_secrets: BTreeMap::new(),
            ssh_key: None,
            submodules: false,
            resources: Resources::default(),
        };
        (source, commits[2].clone())
    }

    fn options() -> BuildOptions {
        BuildOptions { timeout: None, runtime: RuntimeTarget { kind: RuntimeKind::Docker, socket: None } }
    }

    async fn run(
        machine: &Machine,
        source: &BuildSource,
        options: &BuildOptions,
    ) -> (Result<String, BuildError>, Vec<String>) {
        let (sender, mut receiver) = mpsc::channel(64);
        let build = Build::new(machine.host(), TaskTracker::new());
        let outcome = build.run("my-app", source, options, Some(sender)).await;
        let mut told = Vec::new();
        while let Ok(progress) = receiver.try_recv() {
            told.push(match progress {
                BuildProgress::Step { step, message } => format!("{step:?} {message}"),
                BuildProgress::Output(lines) => String::from_utf8(lines[0].text.to_vec()).unwrap(),
            });
        }
        (outcome, told)
    }

    #[tokio::test]
    async fn an_image_is_built_from_the_commit_and_the_source_is_gone() {
        let machine = Machine::new(Some(Ok(())));
        let (source, commit) = source(&machine, "main").await;
        let (outcome, told) = run(&machine, &source, &options()).await;
        let tag = format!("otturnaut-my-app:{commit}");
        assert_eq!(outcome.unwrap(), tag);
        assert_eq!(*machine.0.seen.lock().unwrap(), ["Dockerfile"]);
        let expected = [
            "Cloning Cloning repository...".to_owned(),
            format!("Building Building image {tag}..."),
            "Step 1/1 : FROM 3".to_owned(),
            format!("Complete {tag}"),
            "Cleanup Cleaning up source directory...".to_owned(),
        ];
        assert_eq!(told, expected);
        assert!(machine.left().is_empty());
    }

    #[tokio::test]
    async fn a_build_that_fails_or_takes_too_long_leaves_no_source() {
        let machine = Machine::new(Some(Err("COPY failed")));
        let (wanted, _) = source(&machine, "main").await;
        let (outcome, told) = run(&machine, &wanted, &options()).await;
        assert!(matches!(outcome, Err(BuildError::Build { source: RuntimeError::Build { .. }, .. })), "{outcome:?}");
        assert!(told.last().unwrap().starts_with("Cleanup") && !told.iter().any(|t| t.starts_with("Complete")));
        assert!(machine.left().is_empty());

        let machine = Machine::new(None);
        let (wanted, _) = source(&machine, "main").await;
        let short = BuildOptions { timeout: Some(Duration::from_secs(2)), ..options() };
        let (outcome, _) = run(&machine, &wanted, &short).await;
        assert!(matches!(outcome, Err(BuildError::Timeout { .. })), "{outcome:?}");
        assert_eq!(*machine.0.seen.lock().unwrap(), ["Dockerfile"], "it was the build that took too long");
        assert!(machine.left().is_empty());
    }

    #[tokio::test]
    async fn a_source_that_cannot_be_had_is_told_as_such() {
        let machine = Machine::new(Some(Ok(())));
        let (wanted, _) = source(&machine, "nope").await;
        let (outcome, told) = run(&machine, &wanted, &options()).await;
        let Err(BuildError::Clone { source: GitError::CheckoutFailed { .. }, .. }) = outcome else {
            panic!("{outcome:?}")
        };
        assert_eq!(told, ["Cloning Cloning repository..."]);
        assert!(machine.left().is_empty());
    }

    #[tokio::test]
    async fn a_build_that_is_dropped_leaves_no_source() {
        let machine = Machine::new(None);
        let (wanted, _) = source(&machine, "main").await;
        let tasks = TaskTracker::new();
        let build = Build::new(machine.host(), tasks.clone());
        let options = options();
        tokio::select! {
            outcome = build.run("shop", &wanted, &options, None) => panic!("{outcome:?}"),
            () = wait_for("the build", || !machine.0.seen.lock().unwrap().is_empty()) => {}
        }
        tasks.close();
        tasks.wait().await;
        assert!(machine.left().is_empty());
    }

    #[tokio::test]
    async fn a_subscriber_that_is_gone_changes_nothing() {
        let machine = Machine::new(Some(Ok(())));
        let (wanted, _) = source(&machine, "main").await;
        let (sender, receiver) = mpsc::channel(1);
        drop(receiver);
        let build = Build::new(machine.host(), TaskTracker::new());
        build.run("shop", &wanted, &options(), Some(sender)).await.unwrap();
        assert!(machine.left().is_empty());
    }
}
