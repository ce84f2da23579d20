//! The agent's binary, as an operator runs it.

use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use otturnaut::term::Atom;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use super::{COOKIE, unique};

/// The agent's binary.
pub const BINARY: &str = env!("CARGO_BIN_EXE_otturnaut");

/// A running agent; killed when it is dropped.
pub struct Agent {
    process: Child,
    pub name: Atom,
    data: TempDir,
}

impl Agent {
    /// Starts one on loopback, beside no engine and no Caddy, and waits until it serves.
    pub async fn start(epmd_port: u16, dist_port: u16) -> Self {
        // Far fewer than it needs, and may have.
        Self::start_with_files("-Sn 64", epmd_port, dist_port).await
    }

    /// The same with a limit of open files, as `ulimit` takes it.
    pub async fn start_with_files(limit: &str, epmd_port: u16, dist_port: u16) -> Self {
        let name = format!("{}@127.0.0.1", unique("agent"));
        Self::run(&name, Self::command(limit, epmd_port, dist_port)).await
    }

    /// The same with a `net_ticktime` of so many seconds.
    pub async fn start_ticking(seconds: u64, epmd_port: u16, dist_port: u16) -> Self {
        let name = format!("{}@127.0.0.1", unique("agent"));
        let mut command = Self::command("-Sn 64", epmd_port, dist_port);
        command.env("OTTURNAUT_NET_TICKTIME", seconds.to_string());
        Self::run(&name, command).await
    }

    fn command(limit: &str, epmd_port: u16, dist_port: u16) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &format!("ulimit {limit} && exec \"$0\" start"), BINARY]);
        command.env_clear().env("ERL_EPMD_PORT", epmd_port.to_string());
        command.env("OTTURNAUT_DIST_PORT", dist_port.to_string());
        // A bare machine: it has no authorities that servers' certificates could be checked by.
        command.env("SSL_CERT_FILE", "/nowhere/authorities.pem").env("SSL_CERT_DIR", "/nowhere");
        command
    }

    /// Starts one beside Docker.
    pub async fn start_beside_docker(name: &str, epmd_port: u16, dist_port: u16) -> Self {
        let mut command = Self::command("-Sn 64", epmd_port, dist_port);
        command.env("CONTAINER_SOCKET", "/var/run/docker.sock");
        Self::run(name, command).await
    }

    /// Runs a command that starts one of this name; beside no Caddy, and no engine if the command names none. Waits until it
    /// serves.
    pub async fn run(name: &str, mut command: Command) -> Self {
        let data = TempDir::new().unwrap();
        let log = File::create(data.path().join("log")).unwrap();
        command.env("RELEASE_NODE", name).env("RELEASE_COOKIE", COOKIE);
        command.env("OTTURNAUT_DATA_DIR", data.path());
        if command.get_envs().all(|(name, _)| name != "CONTAINER_SOCKET") {
            command.env("CONTAINER_SOCKET", "/nowhere/engine.sock");
        }
        command.env("CADDY_ADMIN_URL", "http://127.0.0.1:1");
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let process = command.spawn().expect("the agent is built");
        let agent = Self { process, name: Atom::new(name).unwrap(), data };
        agent.logs("ready").await;
        agent
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.data.path().join("log")).unwrap()
    }

    /// Waits until it has logged something.
    pub async fn logs(&self, what: &str) {
        eventually(what, || async { self.log().contains(what) }).await;
    }

    /// Its resident memory, in KiB.
    pub fn resident(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// Its resident memory at the most so far, in KiB.
    pub fn peak(&self) -> u64 {
        self.status("VmHWM:")
    }

    fn status(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("it runs");
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Processor time that it has spent.
    pub fn processor_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        let ticks: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().unwrap()).sum();
        Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second())
    }

    /// Its open files.
    pub fn files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid())).unwrap().count()
    }
}

/// Connections to one of these ports that somebody here still holds (`/proc/net/tcp`: local address, state, inode).
pub fn connections(ports: &[u16]) -> usize {
    const LISTENS: &str = "0A";
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let held = |line: &&str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let port = u16::from_str_radix(fields[1].rsplit(':').next().unwrap(), 16).unwrap();
        ports.contains(&port) && fields[3] != LISTENS && fields[9] != "0"
    };
    table.lines().skip(1).filter(held).count()
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// Waits until a check holds, for twenty seconds.
pub async fn eventually<F: Future<Output = bool>>(what: &str, check: impl Fn() -> F) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !check().await {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        sleep(Duration::from_millis(10)).await;
    }
}
