//! Sources over the real ssh and the real smart HTTP: who gets in, what is said to who does not, where secrets are seen.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods, reason = "a test ends there")]

#[path = "support/ports.rs"]
mod ports;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use otturnaut::build::{Git, GitError, GitOptions};
use otturnaut::host::{Host, HostSettings, ProxySettings, install_crypto};
use ports::free_port;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tokio_util::task::TaskTracker;

const PASSWORD: &str = "tr0ub4dor@3";

/// An agent's clones.
struct Agent {
    git: Git,
    data: TempDir,
}

impl Agent {
    fn new() -> Self {
        Self::with_local_sources(vec![])
    }

    fn with_local_sources(local_sources: Vec<PathBuf>) -> Self {
        install_crypto();
        let data = tempfile::tempdir().unwrap();
        let nowhere = "http://127.0.0.1:1".to_owned();
        let settings = HostSettings {
            container_socket: "/nowhere".into(),
            data_dir: data.path().to_owned(),
            local_sources,
            proxy: ProxySettings { base_url: nowhere, http_port: 1, https_port: 1, disable_auto_https: true },
            caddy_routes_dir: None,
            user_manager: None,
            open_files: None,
        };
        Self { git: Git::new(Host::real(settings).unwrap(), TaskTracker::new()), data }
    }

    /// Clones; the tree must be the commit, and hold nothing of a secret. What fails leaves nothing.
    async fn clone_of(&self, url: &str, options: &GitOptions) -> Result<String, GitError> {
        let cloned = self.git.clone_at(url, options).await;
        match cloned {
            Ok(source) => {
                assert!(source.path.join("page").exists());
                let config = std::fs::read_to_string(source.path.join(".git/config")).unwrap();
                assert!(!config.contains("tr0ub4dor"), "{config}");
                self.git.cleanup(&source.path).await.unwrap();
                Ok(source.commit)
            }
            Err(error) => {
                assert!(!format!("{error:?}").contains("tr0ub4dor"), "{error:?}");
                let left = std::fs::read_dir(self.data.path().join("sources")).map_or(0, Iterator::count);
                assert_eq!(left, 0, "{error:?}");
                Err(error)
            }
        }
    }
}

fn run(program: &str, args: &[&str], dir: &Path) -> String {
    let done = Command::new(program).args(args).current_dir(dir).output().unwrap_or_else(|e| panic!("{program}: {e}"));
    let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{program} {args:?}: {said}");
    said.trim().to_owned()
}

fn git(args: &[&str], dir: &Path) -> String {
    let who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "protocol.file.allow=always"];
    run("git", &[&who, args].concat(), dir)
}

/// `shop` with a page, `outer` with `shop` as a submodule beside it; gives their directory and their commits.
fn repositories() -> (TempDir, String, String) {
    let root = tempfile::tempdir().unwrap();
    let make = |name: &str| {
        let dir = root.path().join(name);
        std::fs::create_dir(&dir).unwrap();
        git(&["init", "--quiet", "-b", "main"], &dir);
        std::fs::write(dir.join("page"), name).unwrap();
        git(&["add", "."], &dir);
        git(&["commit", "--quiet", "-m", "page"], &dir);
        dir
    };
    let (shop, outer) = (make("shop"), make("outer"));
    git(&["submodule", "--quiet", "add", "../shop", "inner"], &outer);
    git(&["commit", "--quiet", "-m", "with a submodule"], &outer);
    let commit = |dir: &Path| git(&["rev-parse", "HEAD"], dir);
    let commits = (commit(&shop), commit(&outer));
    (root, commits.0, commits.1)
}

/// A server of git repositories over ssh, with one client's key.
struct Sshd {
    dir: TempDir,
    port: u16,
    process: Child,
}

impl Sshd {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for key in ["host", "other_host", "client", "stranger"] {
            run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", key], dir.path());
        }
        std::fs::copy(dir.path().join("client.pub"), dir.path().join("authorized")).unwrap();
        let port = free_port();
        let process = serve(dir.path(), port, "host").await;
        Self { dir, port, process }
    }

    /// The same place, another machine by its key.
    async fn become_another(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.process = serve(self.dir.path(), self.port, "other_host").await;
    }

    fn key(&self, name: &str) -> GitOptions {
        GitOptions { ssh_key: Some(self.dir.path().join(name)), ..GitOptions::default() }
    }

    fn url(&self, repository: &Path) -> String {
        format!("ssh://root@127.0.0.1:{}{}", self.port, repository.display())
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
        let place = format!("[127.0.0.1]:{}", self.port);
        Command::new("ssh-keygen").args(["-R", &place]).output().ok();
    }
}

async fn serve(dir: &Path, port: u16, host_key: &str) -> Child {
    std::fs::create_dir_all("/run/sshd").unwrap();
    let at = |name: &str| dir.join(name).display().to_string();
    let config = format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nUsePAM no\n\
         StrictModes no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n",
        at(host_key),
        at("authorized"),
    );
    std::fs::write(dir.join("config"), config).unwrap();
    let mut sshd = Command::new("/usr/sbin/sshd");
    sshd.args(["-D", "-e", "-f", &at("config")]).stdin(Stdio::null());
    let process = sshd.stderr(std::fs::File::create(dir.join("log")).unwrap()).spawn().expect("sshd is installed");
    let deadline = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        assert!(Instant::now() < deadline, "{}", std::fs::read_to_string(dir.join("log")).unwrap());
        sleep(Duration::from_millis(10)).await;
    }
    process
}

fn refusal(outcome: Result<String, GitError>) -> String {
    match outcome.unwrap_err() {
        GitError::CloneFailed { output, .. } => output,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_right_key_gets_in_the_wrong_one_and_an_open_one_do_not_and_ssh_says_why() {
    let (agent, sshd) = (Agent::new(), Sshd::start().await);
    let (root, shop, _) = repositories();
    let url = sshd.url(&root.path().join("shop"));
    assert_eq!(agent.clone_of(&url, &sshd.key("client")).await, Ok(shop));
    assert!(refusal(agent.clone_of(&url, &sshd.key("stranger")).await).contains("Permission denied (publickey"));
    assert!(refusal(agent.clone_of(&url, &sshd.key("missing")).await).contains("Permission denied"));
    let open = sshd.dir.path().join("client");
    std::fs::set_permissions(open, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(refusal(agent.clone_of(&url, &sshd.key("client")).await).contains("are too open"));
}

#[tokio::test]
async fn a_host_that_is_not_the_one_it_was_gets_nothing() {
    let (agent, mut sshd) = (Agent::new(), Sshd::start().await);
    let (root, shop, _) = repositories();
    let url = sshd.url(&root.path().join("shop"));
    assert_eq!(agent.clone_of(&url, &sshd.key("client")).await, Ok(shop));
    sshd.become_another().await;
    assert!(refusal(agent.clone_of(&url, &sshd.key("client")).await).contains("Host key verification failed"));
}

#[tokio::test]
async fn submodules_come_over_ssh_with_the_same_key() {
    let (agent, sshd) = (Agent::new(), Sshd::start().await);
    let (root, _, outer) = repositories();
    let url = sshd.url(&root.path().join("outer"));
    let options = GitOptions { submodules: true, ..sshd.key("client") };
    let source = agent.git.clone_at(&url, &options).await.unwrap();
    assert_eq!(source.commit, outer);
    assert_eq!(std::fs::read_to_string(source.path.join("inner/page")).unwrap(), "shop");
    agent.git.cleanup(&source.path).await.unwrap();
}

/// A server of git repositories over HTTP that lets in who knows the password: git's own, behind a few lines.
struct Web {
    port: u16,
    /// Processes whose arguments showed the password while a request was served.
    shown: Arc<AtomicUsize>,
}

impl Web {
    async fn start(root: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, shown) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
        let seen = Arc::clone(&shown);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                seen.fetch_add(processes_that_show(PASSWORD), Ordering::Relaxed);
                tokio::spawn(answer(stream, root.clone()));
            }
        });
        Self { port, shown }
    }

    fn url(&self, user: &str, repository: &str) -> String {
        format!("http://{user}127.0.0.1:{}/{repository}", self.port)
    }
}

/// Processes, this one apart, that have a text among their arguments.
fn processes_that_show(text: &str) -> usize {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let shows = |process: &std::fs::DirEntry| {
        let arguments = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        arguments.windows(text.len()).any(|part| part == text.as_bytes())
    };
    processes.filter(shows).count()
}

/// One request, one answer.
async fn answer(stream: TcpStream, root: PathBuf) -> Option<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).await.ok()?;
    let mut parts = line.split(' ');
    let (method, target) = (parts.next()?.to_owned(), parts.next()?.to_owned());
    let (mut headers, mut header) = (std::collections::BTreeMap::new(), String::new());
    while stream.read_line(&mut header).await.ok()? > 2 {
        let (name, value) = header.split_once(':')?;
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        header.clear();
    }
    let header = |name: &str| headers.get(name).cloned().unwrap_or_default();
    if header("authorization") != format!("Basic {}", STANDARD.encode(format!("me:{PASSWORD}"))) {
        let refused = "HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm=\"git\"\r\nContent-Length: 0\r\n\
                       Connection: close\r\n\r\n";
        return stream.write_all(refused.as_bytes()).await.ok();
    }
    let mut body = vec![0; header("content-length").parse().unwrap_or(0)];
    stream.read_exact(&mut body).await.ok()?;
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let mut backend = tokio::process::Command::new("git");
    backend.arg("http-backend").env("GIT_PROJECT_ROOT", root).env("GIT_HTTP_EXPORT_ALL", "1");
    backend.env("REQUEST_METHOD", method).env("PATH_INFO", path).env("QUERY_STRING", query);
    backend.env("CONTENT_TYPE", header("content-type")).env("HTTP_CONTENT_ENCODING", header("content-encoding"));
    backend.env("GIT_PROTOCOL", header("git-protocol")).env("CONTENT_LENGTH", body.len().to_string());
    backend.env("GIT_CONFIG_COUNT", "1").env("GIT_CONFIG_KEY_0", "safe.directory").env("GIT_CONFIG_VALUE_0", "*");
    let mut process = backend.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    process.stdin.take()?.write_all(&body).await.ok()?;
    let said = process.wait_with_output().await.ok()?;
    stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n").await.ok()?;
    stream.write_all(&said.stdout).await.ok()
}

#[tokio::test]
async fn credentials_of_a_url_open_the_door_and_are_seen_nowhere() {
    let (root, shop, outer) = repositories();
    let (agent, web) = (Agent::new(), Web::start(root.path().to_owned()).await);
    let me = "me:tr0ub4dor%403@";
    assert_eq!(agent.clone_of(&web.url(me, "shop/.git"), &GitOptions::default()).await, Ok(shop.clone()));
    let at_commit = GitOptions { git_ref: shop.clone(), ..GitOptions::default() };
    assert_eq!(agent.clone_of(&web.url(me, "shop/.git"), &at_commit).await, Ok(shop));
    assert_eq!(agent.clone_of(&web.url(me, "outer/.git"), &GitOptions::default()).await, Ok(outer));
    assert_eq!(web.shown.load(Ordering::Relaxed), 0, "a process shows the password among its arguments");
}

#[tokio::test]
async fn wrong_credentials_and_none_are_refused_without_a_question() {
    let (root, ..) = repositories();
    let (agent, web) = (Agent::new(), Web::start(root.path().to_owned()).await);
    for user in ["me:wrong@", ""] {
        let said = refusal(agent.clone_of(&web.url(user, "shop/.git"), &GitOptions::default()).await);
        assert!(said.contains("Authentication failed") || said.contains("could not read Username"), "{said}");
    }
}

#[tokio::test]
async fn credentials_go_to_no_other_host() {
    let (root, ..) = repositories();
    let (agent, web) = (Agent::new(), Web::start(root.path().to_owned()).await);
    // A submodule elsewhere: there nobody is told who asks.
    let elsewhere = Web::start(root.path().to_owned()).await;
    let outer = root.path().join("outer");
    let url = elsewhere.url("", "shop/.git");
    git(&["config", "--file", ".gitmodules", "submodule.inner.url", &url], &outer);
    git(&["commit", "--quiet", "--all", "-m", "elsewhere"], &outer);
    let options = GitOptions { submodules: true, ..GitOptions::default() };
    let failed = agent.clone_of(&web.url("me:tr0ub4dor%403@", "outer/.git"), &options).await.unwrap_err();
    let GitError::CheckoutFailed { output, .. } = &failed else { panic!("{failed:?}") };
    assert!(output.contains("could not read Username"), "{output}");
}

#[tokio::test]
async fn a_repository_from_elsewhere_brings_no_submodule_of_this_machine() {
    let (root, ..) = repositories();
    let (agent, web) = (Agent::new(), Web::start(root.path().to_owned()).await);
    let outer = root.path().join("outer");
    let local = root.path().join("shop").display().to_string();
    git(&["config", "--file", ".gitmodules", "submodule.inner.url", &local], &outer);
    git(&["commit", "--quiet", "--all", "-m", "of this machine"], &outer);
    let options = GitOptions { submodules: true, ..GitOptions::default() };
    let failed = agent.clone_of(&web.url("me:tr0ub4dor%403@", "outer/.git"), &options).await.unwrap_err();
    let GitError::CheckoutFailed { output, .. } = &failed else { panic!("{failed:?}") };
    assert!(output.contains("transport 'file' not allowed"), "{output}");
}

#[tokio::test]
async fn a_repository_of_this_machine_brings_submodules_only_from_where_repositories_may_lie() {
    let (root, _, commit) = repositories();
    let outer = root.path().join("outer");
    let options = GitOptions { submodules: true, ..GitOptions::default() };
    let url = format!("file://{}", outer.display());
    let listed = Agent::with_local_sources(vec![root.path().to_owned()]);
    assert_eq!(listed.clone_of(&url, &options).await, Ok(commit));
    let (elsewhere, ..) = repositories();
    let secret = elsewhere.path().join("shop").display().to_string();
    git(&["config", "--file", ".gitmodules", "submodule.inner.url", &secret], &outer);
    git(&["commit", "--quiet", "--all", "-m", "of another place"], &outer);
    let refused = listed.clone_of(&url, &options).await.unwrap_err();
    let GitError::Refused { what: "submodule", value, why } = &refused else { panic!("{refused:?}") };
    assert_eq!((value.as_str(), why.contains("OTTURNAUT_LOCAL_SOURCES")), (secret.as_str(), true));
}

#[tokio::test]
async fn large_files_that_a_repository_keeps_apart_come_too() {
    let root = tempfile::tempdir().unwrap();
    let agent = Agent::with_local_sources(vec![root.path().to_owned()]);
    let dir = root.path();
    git(&["init", "--quiet", "-b", "main"], dir);
    git(&["lfs", "install", "--local"], dir);
    git(&["lfs", "track", "*.bin"], dir);
    std::fs::write(dir.join("model.bin"), "a large file").unwrap();
    git(&["add", "."], dir);
    git(&["commit", "--quiet", "-m", "large"], dir);
    assert!(git(&["show", "HEAD:model.bin"], dir).starts_with("version https://git-lfs"), "it is kept apart");
    let url = format!("file://{}", dir.display());
    let source = agent.git.clone_at(&url, &GitOptions::default()).await.unwrap();
    assert_eq!(std::fs::read_to_string(source.path.join("model.bin")).unwrap(), "a large file");
    agent.git.cleanup(&source.path).await.unwrap();
}
