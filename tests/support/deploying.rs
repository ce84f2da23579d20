//! A real runtime and a Caddy of its own, for tests that deploy: what they show is looked at from outside.

#![allow(unreachable_pub, dead_code, missing_docs, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods, reason = "a test ends there")]

#[path = "ground.rs"]
pub mod ground;
#[path = "ports.rs"]
mod ports;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

pub use ground::{Ground, Seen};
use otturnaut::apps::{AppState, PortManager};
use otturnaut::build::Build;
use otturnaut::deploy::{
    DeployError, Deployed, Deployment, Engine, EngineSettings, ExecuteOptions, UndeployRequest, generate_id,
};
use otturnaut::host::{Host, HostSettings, ProxySettings, install_crypto};
use otturnaut::secret::Secret;
use otturnaut::watch::{Events, Monitor};
pub(crate) use ports::free_port;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use tokio_util::task::TaskTracker;

/// The repository of the tests' images.
const REPOSITORY: &str = "otturnaut-it-web";

/// A machine of its own in all but its runtime, whose containers and images the test names apart.
pub struct Machine {
    pub data: TempDir,
    caddy: Child,
    pub place: Place,
    /// Nobody else takes the ports while this is held.
    _reserved: TcpListener,
}

/// What an agent of the machine must know, in this process or in another.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Place {
    pub data_dir: PathBuf,
    pub admin: u16,
    pub http: u16,
    pub https: u16,
    pub ports: RangeInclusive<u16>,
    /// Part of every application's id, and the tag of the image.
    pub mark: String,
}

impl Machine {
    pub fn start() -> Self {
        let data = Ground::here().dir();
        let [admin, http, https] = [free_port(), free_port(), free_port()];
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
        let (reserved, ports) = reserve();
        let mark = generate_id().to_lowercase().replace(['-', '_'], "x");
        let place = Place { data_dir: data.path().join("agent"), admin, http, https, ports, mark };
        let machine = Self { data, caddy, place, _reserved: reserved };
        Ground::here().make_image((REPOSITORY, &machine.place.mark), &machine.host());
        wait_for("Caddy", || TcpStream::connect(("127.0.0.1", admin)).is_ok());
        machine
    }

    pub fn host(&self) -> Host {
        self.place.host()
    }

    /// An agent's engine that knows nothing yet.
    pub fn engine(&self) -> (Engine, AppState, PortManager) {
        self.place.engine(self.host())
    }

    pub fn app(&self, name: &str) -> String {
        self.place.app(name)
    }

    pub fn deployment(&self, name: &str) -> Deployment {
        self.place.deployment(name)
    }

    /// The names of this test's containers.
    pub fn containers(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.name).collect()
    }

    /// This test's containers.
    pub fn seen(&self) -> Vec<Seen> {
        Ground::here().containers(&self.place.mark, &self.place.data_dir)
    }

    /// The names that keep images of this test's releases.
    pub fn kept_images(&self) -> Vec<String> {
        Ground::here().kept_images(&self.place.mark, &self.place.data_dir)
    }

    /// The answer to a request for an application through Caddy: its status, or why there is none.
    pub fn get(&self, name: &str) -> Result<u16, String> {
        get(self.http(), &self.domain(name))
    }

    /// Where Caddy takes requests for applications.
    pub fn http(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.place.http).into()
    }

    pub fn domain(&self, name: &str) -> String {
        format!("{}.localhost", self.app(name))
    }
}

impl Place {
    pub fn host(&self) -> Host {
        install_crypto();
        let proxy = ProxySettings {
            base_url: format!("http://127.0.0.1:{}", self.admin),
            http_port: self.http,
            https_port: self.https,
            disable_auto_https: true,
        };
        let settings = HostSettings {
            container_socket: Ground::here().socket(),
            data_dir: self.data_dir.clone(),
            proxy,
            local_sources: vec![std::env::temp_dir()],
            caddy_routes_dir: None,
            user_manager: Ground::here().user_manager(),
            open_files: None,
        };
        Host::real(settings).expect("the host can be used")
    }

    pub fn engine(&self, host: Host) -> (Engine, AppState, PortManager) {
        let state = AppState::default();
        let ports = PortManager::new(self.ports.clone(), host.network.clone());
        let outpost = format!("{}@127.0.0.1", self.mark);
        let events = Events::new(host.storage.clone());
        let monitor = Monitor::new(host.clone(), state.clone(), events.clone());
        let build = Build::new(host.clone(), TaskTracker::new());
        let (state, ports) = (state.clone(), ports.clone());
        let settings =
            EngineSettings { outpost, host, state: state.clone(), ports: ports.clone(), events, monitor, build };
        (Engine::new(settings), state, ports)
    }

    pub fn app(&self, name: &str) -> String {
        format!("{name}-{}", self.mark)
    }

    pub fn image(&self) -> String {
        format!("{REPOSITORY}:{}", self.mark)
    }

    /// A new version, which answers with its id.
    pub fn deployment(&self, name: &str) -> Deployment {
        self.deployment_of(name, generate_id())
    }

    pub fn deployment_of(&self, name: &str, id: String) -> Deployment {
        let app_id = self.app(name);
        let domains = vec![format!("{app_id}.localhost")];
        let env = [("VERSION".to_owned(), Secret::new(id.clone()))].into();
        Deployment { domains, env, ..Deployment::pending((app_id, id), self.image(), 8080, Ground::here().target()) }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.caddy.kill().ok();
        self.caddy.wait().ok();
        for name in self.containers() {
            Ground::here().remove(&name);
        }
        for name in self.kept_images() {
            Ground::here().remove_image(&name);
        }
        Ground::here().remove_image(&self.place.image());
    }
}

/// Ports below those that the system gives to outgoing connections and above those of `free_port`, and what keeps other
/// tests from the same ones.
fn reserve() -> (TcpListener, RangeInclusive<u16>) {
    let block = |first: u16| Some((TcpListener::bind(("127.0.0.1", first)).ok()?, first + 1..=first + 49));
    let firsts = std::iter::repeat_with(|| 20_000 + rand::random_range(0..240) * 50);
    firsts.take(1000).find_map(block).expect("ports are free")
}

pub fn docker(args: &[&str]) -> String {
    let output = Command::new("docker").args(args).output().expect("docker is installed");
    assert!(output.status.success(), "docker {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// One request on a connection of its own: the status, and 0 where it is Caddy's own for a name that it does not know.
pub fn get(address: SocketAddr, host: &str) -> Result<u16, String> {
    let answer = answer(address, host).map_err(|error| error.to_string())?;
    if answer.starts_with("HTTP/1.1 200") && answer.contains("Content-Length: 0") {
        return Ok(0);
    }
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    status.ok_or_else(|| format!("not HTTP: {answer:?}"))
}

/// The same: all of the answer.
pub fn answer(address: SocketAddr, host: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(stream, "GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

pub fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not come");
        thread::sleep(Duration::from_millis(10));
    }
}

pub async fn run(engine: &Engine, deployment: Deployment) -> Result<Deployed, DeployError> {
    engine.execute(deployment, ExecuteOptions::default(), None).await.map_err(|failure| failure.reason)
}

pub fn undeploy_of(app_id: String) -> UndeployRequest {
    UndeployRequest { app_id, runtime: Ground::here().target(), deployment_id: None, cancel: false }
}
