//! A Caddy of a test.

#![allow(unreachable_pub, dead_code, missing_docs, reason = "each test file uses its part")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test ends there"
)]

use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use otturnaut::host::caddy::{Caddys, RoutesDir};
use otturnaut::host::{Proxies, Proxy, ProxySettings, Route, install_crypto};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::ports::free_port;

/// The one of this machine, as Debian 12 has it (2.6).
pub const OLD: &str = "caddy";

/// The newest, from where `script/chroots` put it.
pub const NEW: &str = "/var/lib/otturnaut-test/sid/usr/bin/caddy";

/// A Caddy with a directory of its own, killed at the end.
pub struct Caddy {
    process: Child,
    pub settings: ProxySettings,
    home: TempDir,
}

impl Caddy {
    /// One that serves plain HTTP alone; `apps` is what it is configured with.
    pub fn start(version: &str, apps: Option<Value>) -> Self {
        Self::on(version, apps, true)
    }

    /// One with certificates of its own authority, which it shows nobody else.
    pub fn start_with_https(version: &str) -> Self {
        let pki = json!({ "pki": { "certificate_authorities": { "local": { "install_trust": false } } } });
        Self::on(version, Some(pki), false)
    }

    fn on(version: &str, apps: Option<Value>, disable_auto_https: bool) -> Self {
        install_crypto();
        let (home, admin) = (tempfile::tempdir().unwrap(), free_port());
        let mut config = json!({ "admin": { "listen": format!("127.0.0.1:{admin}") } });
        if let Some(apps) = apps {
            config["apps"] = apps;
        }
        std::fs::write(home.path().join("caddy.json"), config.to_string()).unwrap();
        let settings = ProxySettings {
            base_url: format!("http://127.0.0.1:{admin}"),
            http_port: free_port(),
            https_port: free_port(),
            disable_auto_https,
        };
        let process = run(version, &home, false);
        let caddy = Self { process, settings, home };
        caddy.answers();
        caddy
    }

    fn answers(&self) {
        self.listens(self.settings.base_url.trim_start_matches("http://"));
    }

    fn listens(&self, address: &str) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < deadline, "Caddy does not listen at {address}: {}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Kills it; more than once changes nothing.
    pub fn stop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Kills it and starts a version in its place: with the configuration that it had, or with its first one.
    pub fn restart(&mut self, version: &str, resume: bool) {
        self.stop();
        self.process = run(version, &self.home, resume);
        self.answers();
        if resume {
            self.listens(&format!("127.0.0.1:{}", self.settings.http_port));
        }
    }

    /// What it reads where it has `routes` of the agent.
    pub fn dir(&self) -> RoutesDir {
        RoutesDir { path: self.home.path().join("agent/routes"), seen_by_caddy: None }
    }

    /// An agent's client that has just started, and knows nothing but what lies in its directory.
    pub fn proxy(&self) -> Arc<dyn Proxy> {
        self.proxy_with(&self.dir())
    }

    pub fn proxy_with(&self, dir: &RoutesDir) -> Arc<dyn Proxy> {
        Caddys::new(self.settings.clone(), dir).unwrap().proxy(&self.settings)
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.home.path().join("log")).unwrap_or_default()
    }

    /// Resident memory, in KiB.
    pub fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// The certificate of its authority.
    pub fn authority(&self) -> PathBuf {
        self.home.path().join("caddy/pki/authorities/local/root.crt")
    }
}

impl Drop for Caddy {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

fn run(version: &str, home: &TempDir, resume: bool) -> Child {
    let log = std::fs::File::options().append(true).create(true).open(home.path().join("log")).unwrap();
    let mut command = Command::new(version);
    command.arg("run").args(resume.then_some("--resume")).arg("--config").arg(home.path().join("caddy.json"));
    command.envs(["HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"].map(|name| (name, home.path())));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    command.spawn().unwrap_or_else(|error| panic!("{version} cannot be run: {error}; script/chroots makes the newest"))
}

pub fn route(id: &str, upstream_port: u16) -> Route {
    Route { id: id.to_owned(), domains: vec![format!("{id}.localhost")], upstream_port }
}
