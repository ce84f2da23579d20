//! Deploys with the real Docker, Caddy and git: what the machine shows is looked at from outside.

#![expect(clippy::expect_used, clippy::unwrap_used, clippy::disallowed_methods, reason = "a test")]

#[path = "support/ports.rs"]
mod ports;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use otturnaut::apps::{AppState, PortManager};
use otturnaut::build::{Build, BuildOptions, BuildSource};
use otturnaut::deploy::{
    DeployError, Deployed, Deployment, Engine, EngineSettings, ExecuteOptions, UndeployRequest, generate_id,
};
use otturnaut::host::{Host, HostSettings, ProxySettings, RuntimeError, RuntimeKind, RuntimeTarget, install_crypto};
use otturnaut::secret::Secret;
use ports::free_port;
use tempfile::TempDir;
use tokio_util::task::TaskTracker;

/// Redeploys under load.
const SWITCHES: usize = 5;

const DOCKER: RuntimeTarget = RuntimeTarget { kind: RuntimeKind::Docker, socket: None };

/// A machine of its own in all but Docker, whose containers the test names apart.
struct Machine {
    data: TempDir,
    caddy: Child,
    proxy: ProxySettings,
    ports: std::ops::RangeInclusive<u16>,
    /// Part of every application's id in this test.
    mark: String,
}

impl Machine {
    fn start() -> Self {
        image();
        let data = tempfile::tempdir().unwrap();
        let (admin, http) = (free_port(), free_port());
        let config = data.path().join("caddy.json");
        std::fs::write(&config, format!(r#"{{"admin":{{"listen":"127.0.0.1:{admin}"}}}}"#)).unwrap();
        let caddy = Command::new("caddy")
            .args(["run", "--config"])
            .arg(&config)
            .env("HOME", data.path())
            .env("XDG_CONFIG_HOME", data.path())
            .env("XDG_DATA_HOME", data.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("caddy starts");
        wait_for("Caddy", || TcpStream::connect(("127.0.0.1", admin)).is_ok());
        let proxy = ProxySettings {
            base_url: format!("http://127.0.0.1:{admin}"),
            http_port: http,
            https_port: free_port(),
            disable_auto_https: true,
        };
        let first = 20_000 + rand::random_range(0..400) * 100;
        let mark = generate_id().to_lowercase().replace(['-', '_'], "x");
        Self { data, caddy, proxy, ports: first..=first + 99, mark }
    }

    fn host(&self) -> Host {
        install_crypto();
        let settings = HostSettings {
            container_socket: "/var/run/docker.sock".into(),
            data_dir: self.data.path().to_owned(),
            proxy: self.proxy.clone(),
            caddy_routes_dir: None,
            open_files: None,
        };
        Host::real(settings).expect("the host can be used")
    }

    /// An agent's engine that knows nothing yet.
    fn engine(&self) -> (Engine, AppState, PortManager) {
        let (host, state) = (self.host(), AppState::default());
        let ports = PortManager::new(self.ports.clone(), host.network.clone());
        (
            Engine::new(EngineSettings {
                outpost: "test@127.0.0.1".into(),
                host,
                state: state.clone(),
                ports: ports.clone(),
            }),
            state,
            ports,
        )
    }

    fn app(&self, name: &str) -> String {
        format!("{name}-{}", self.mark)
    }

    fn deployment(&self, name: &str) -> Deployment {
        let app_id = self.app(name);
        let domains = vec![format!("{app_id}.localhost")];
        Deployment { domains, ..Deployment::pending((app_id, generate_id()), image().to_owned(), 8080, DOCKER) }
    }

    /// The names of this test's containers.
    fn containers(&self) -> Vec<String> {
        let names = docker(&["ps", "--all", "--filter", &format!("name={}", self.mark), "--format", "{{.Names}}"]);
        names.lines().map(str::to_owned).collect()
    }

    /// The answer to a request for an application through Caddy: its status, or why there is none.
    fn get(&self, name: &str) -> Result<u16, String> {
        get(([127, 0, 0, 1], self.proxy.http_port).into(), &format!("{}.localhost", self.app(name)))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.caddy.kill().ok();
        self.caddy.wait().ok();
        for name in self.containers() {
            docker(&["rm", "--force", &name]);
        }
    }
}

fn docker(args: &[&str]) -> String {
    let output = Command::new("docker").args(args).output().expect("docker is installed");
    assert!(output.status.success(), "docker {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// An image that answers on port 8080, made of busybox alone since no registry can be reached. `DELAY` is what it waits
/// before it listens, `FAIL` what it ends with after a moment instead.
fn image() -> &'static str {
    const TAG: &str = "otturnaut-it/web:1";
    static MADE: OnceLock<()> = OnceLock::new();
    MADE.get_or_init(|| {
        let root = tempfile::tempdir().unwrap();
        for dir in ["bin", "www"] {
            std::fs::create_dir(root.path().join(dir)).unwrap();
        }
        std::fs::copy("/usr/bin/busybox", root.path().join("bin/busybox")).expect("busybox is installed");
        std::os::unix::fs::symlink("busybox", root.path().join("bin/sh")).unwrap();
        std::fs::write(root.path().join("www/index.html"), "hello\n").unwrap();
        let script = "trap 'exit 0' TERM; if [ -n \\\"$FAIL\\\" ]; then /bin/busybox sleep 0.3; exit $FAIL; fi; \
                      /bin/busybox sleep ${DELAY:-0}; /bin/busybox httpd -f -p 8080 -h /www & wait";
        let command = format!("CMD [\"/bin/sh\", \"-c\", \"{script}\"]");
        let shell = format!(
            "tar -C '{}' -c . | docker import --change '{}' - {TAG}",
            root.path().display(),
            command.replace('\'', "'\\''")
        );
        let imported = Command::new("sh").args(["-c", &shell]).output().unwrap();
        assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
    });
    TAG
}

/// One request on a connection of its own: the status, and 0 where it is Caddy's own for a name that it does not know.
fn get(address: SocketAddr, host: &str) -> Result<u16, String> {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        write!(stream, "GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer = ask().map_err(|error| error.to_string())?;
    if answer.starts_with("HTTP/1.1 200") && answer.contains("Content-Length: 0") {
        return Ok(0);
    }
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    status.ok_or_else(|| format!("not HTTP: {answer:?}"))
}

fn wait_for(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not come");
        thread::sleep(Duration::from_millis(10));
    }
}

async fn run(engine: &Engine, deployment: Deployment) -> Result<Deployed, DeployError> {
    engine.execute(deployment, ExecuteOptions::default(), None).await.map_err(|failure| failure.reason)
}

fn undeploy_of(app_id: String) -> UndeployRequest {
    UndeployRequest { app_id, runtime: DOCKER, deployment_id: None, cancel: false }
}

#[tokio::test(flavor = "multi_thread")]
async fn redeploys_under_load_give_no_wrong_answer_and_leave_one_container() {
    let machine = Machine::start();
    let (engine, _, ports) = machine.engine();
    run(&engine, machine.deployment("shop")).await.unwrap();
    assert_eq!(machine.get("shop"), Ok(200));
    let (stop, requests) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (address, host) =
        (([127, 0, 0, 1], machine.proxy.http_port).into(), format!("{}.localhost", machine.app("shop")));
    let client = |_| {
        let (stop, requests, host) = (Arc::clone(&stop), Arc::clone(&requests), host.clone());
        thread::spawn(move || {
            let mut failed = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let answer = get(address, &host);
                requests.fetch_add(1, Ordering::Relaxed);
                if answer != Ok(200) {
                    failed.push(answer);
                }
            }
            failed
        })
    };
    let clients: Vec<_> = (0..4).map(client).collect();
    for _ in 0..SWITCHES {
        let mut slow = machine.deployment("shop");
        slow.env.insert("DELAY".to_owned(), Secret::new("0.5".to_owned()));
        let deployed = run(&engine, slow).await.unwrap();
        assert!(deployed.leftovers.is_empty(), "{:?}", deployed.leftovers);
    }
    stop.store(true, Ordering::Relaxed);
    let failed: Vec<_> = clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
    let requests = requests.load(Ordering::Relaxed);
    assert!(requests > 500, "only {requests} requests were made");
    // A reload of Caddy's configuration breaks connections that wait to be accepted, some in a thousand, which the agent
    // cannot help. An answer that is not the application's is a fault of the order of steps.
    let (broken, wrong): (Vec<_>, Vec<_>) = failed.into_iter().partition(Result::is_err);
    assert!(wrong.is_empty(), "{} of {requests}: {:?}", wrong.len(), wrong.first());
    assert!(broken.len() <= requests / 100, "{} of {requests} broke: {:?}", broken.len(), broken.first());
    assert_eq!((machine.containers().len(), ports.list_allocated().len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_applications_deployed_at_once_are_all_routed() {
    let machine = Machine::start();
    let (engine, ..) = machine.engine();
    let names: Vec<String> = (0..8).map(|n| format!("app{n}")).collect();
    let deploys = names.iter().map(|name| run(&engine, machine.deployment(name)));
    for outcome in futures::future::join_all(deploys).await {
        outcome.unwrap();
    }
    for name in &names {
        assert_eq!(machine.get(name), Ok(200), "{name}");
    }
    let undeploys = names.iter().map(|name| engine.undeploy(undeploy_of(machine.app(name)), None));
    for outcome in futures::future::join_all(undeploys).await {
        outcome.unwrap();
    }
    assert!(machine.containers().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_is_not_well_leaves_the_old_one_serving() {
    let machine = Machine::start();
    let (engine, state, ports) = machine.engine();
    let old = run(&engine, machine.deployment("shop")).await.unwrap().deployment;
    let before = (state.list(), ports.list_allocated(), machine.containers());

    let mut broken = machine.deployment("shop");
    broken.env.insert("FAIL".to_owned(), Secret::new("3".to_owned()));
    let reason = run(&engine, broken).await.unwrap_err();
    assert!(matches!(reason, DeployError::HealthCheckFailed(_)), "{reason:?}");
    let mut silent = machine.deployment("shop");
    silent.env.insert("DELAY".to_owned(), Secret::new("60".to_owned()));
    let mut impatient = ExecuteOptions::default();
    impatient.health.deadline = Duration::from_secs(1);
    let failure = engine.execute(silent, impatient, None).await.unwrap_err();
    assert!(matches!(failure.reason, DeployError::HealthCheckFailed(_)), "{:?}", failure.reason);
    let mut missing = machine.deployment("shop");
    missing.image = "otturnaut-nobody:1".to_owned();
    let reason = run(&engine, missing).await.unwrap_err();
    let DeployError::ContainerStart { source: RuntimeError::Http { status, body, .. }, .. } = reason else {
        panic!("{reason:?}")
    };
    assert_eq!((status, body.to_string().as_str()), (404, r#"{"message":"No such image: otturnaut-nobody:1"}"#));

    assert_eq!((state.list(), ports.list_allocated(), machine.containers()), before);
    assert_eq!(machine.get("shop"), Ok(200));
    assert_eq!(get(([127, 0, 0, 1], old.port.unwrap()).into(), "x"), Ok(200));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_without_domains_that_exits_soon_is_not_completed() {
    let machine = Machine::start();
    let (engine, ..) = machine.engine();
    let mut worker = machine.deployment("worker");
    worker.domains.clear();
    run(&engine, worker.clone()).await.unwrap();
    let mut broken = Deployment { id: generate_id(), ..worker };
    broken.env.insert("FAIL".to_owned(), Secret::new("1".to_owned()));
    let reason = run(&engine, broken).await.unwrap_err();
    assert!(matches!(reason, DeployError::HealthCheckFailed(_)), "{reason:?}");
    assert_eq!(machine.containers().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_starts_again_knows_what_runs_and_can_take_it_away() {
    let machine = Machine::start();
    let (first, ..) = machine.engine();
    let old = run(&first, machine.deployment("my-shop")).await.unwrap().deployment;
    first.shutdown(Duration::from_secs(5)).await;
    drop(first);
    let (engine, state, ports) = machine.engine();
    engine.recover().await;
    let entry = state.get(&machine.app("my-shop")).expect("it is found again");
    assert_eq!((entry.container_name.clone(), entry.port), (old.container_name, old.port));
    assert!(ports.in_use(old.port.unwrap()));
    let new = run(&engine, machine.deployment("my-shop")).await.unwrap().deployment;
    assert_eq!(new.previous_container_name, entry.container_name);
    assert_eq!(machine.containers(), [new.container_name.unwrap()]);
    engine.undeploy(undeploy_of(machine.app("my-shop")), None).await.unwrap();
    assert!(machine.containers().is_empty());
    assert_eq!(machine.get("my-shop"), Ok(0), "nobody answers any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_is_killed_leaves_nothing() {
    let machine = Machine::start();
    let (engine, state, ports) = machine.engine();
    let mut slow = machine.deployment("shop");
    slow.env.insert("DELAY".to_owned(), Secret::new("60".to_owned()));
    let started = async {
        while machine.containers().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        outcome = run(&engine, slow) => panic!("{outcome:?}"),
        () = started => {}
    }
    engine.shutdown(Duration::from_secs(20)).await;
    assert!(machine.containers().is_empty() && state.list().is_empty() && ports.list_allocated().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_built_from_a_repository_and_deployed() {
    let machine = Machine::start();
    let repository = machine.data.path().join("repository");
    let script = format!(
        "git init -q -b main '{0}' && cd '{0}' && printf 'FROM {1}\\nARG WHAT\\nRUN echo $WHAT > /www/index.html\\n' > Dockerfile \
         && git add . && git -c user.name=a -c user.email=a@b commit -q -m first",
        repository.display(),
        image()
    );
    assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success());
    let tasks = TaskTracker::new();
    let build = Build::new(machine.host(), tasks.clone());
    let source = BuildSource {
        repo_url: Secret::new(format!("file://{}", repository.display())),
        git_ref: "main".to_owned(),
        dockerfile: "Dockerfile".to_owned(),
        build_args: BTreeMap::from([("WHAT".to_owned(), "built".to_owned())]),
        ssh_key: None,
        submodules: false,
    };
    let options = BuildOptions { timeout: None, runtime: DOCKER };
    let tag = build.run(&machine.app("built"), &source, &options, None).await.unwrap();
    let (engine, ..) = machine.engine();
    let mut deployment = machine.deployment("built");
    deployment.image = tag.clone();
    run(&engine, deployment).await.unwrap();
    assert_eq!(machine.get("built"), Ok(200));
    engine.undeploy(undeploy_of(machine.app("built")), None).await.unwrap();
    docker(&["rmi", &tag]);
}
