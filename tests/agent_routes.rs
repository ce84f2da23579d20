//! The agent's process beside a Caddy that comes and goes, and Caddy beside an agent that is gone.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods, reason = "a test ends there")]

#[path = "support/caddy.rs"]
mod caddy;
#[path = "support/ports.rs"]
mod ports;

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use caddy::{Caddy, NEW, OLD, route};
use otturnaut::host::caddy::RoutesDir;
use ports::free_port;

/// An agent with the directory of a Caddy, killed at the end.
struct Agent {
    process: Child,
    dir: RoutesDir,
}

impl Agent {
    fn start(caddy: &Caddy) -> Self {
        let dir = caddy.dir();
        let data = dir.path.parent().unwrap();
        let log = File::create(data.join("log")).unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_otturnaut"))
            .arg("start")
            .env_clear()
            .env("RELEASE_NODE", format!("routes{}@127.0.0.1", free_port()))
            .env("RELEASE_COOKIE", "monster")
            .env("ERL_EPMD_PORT", free_port().to_string())
            .env("OTTURNAUT_DIST_BIND", "127.0.0.1")
            .env("OTTURNAUT_DATA_DIR", data)
            .env("CONTAINER_SOCKET", "/nowhere/engine.sock")
            .env("CADDY_ADMIN_URL", &caddy.settings.base_url)
            .env("OTTURNAUT_HTTP_PORT", caddy.settings.http_port.to_string())
            .env("OTTURNAUT_AUTO_HTTPS", "false")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("the agent is built");
        let agent = Self { process, dir };
        agent.says("ready");
        agent
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path.parent().unwrap().join("log")).unwrap()
    }

    fn says(&self, what: &str) {
        within(Duration::from_secs(20), &format!("the agent to say {what:?}"), || self.log().contains(what));
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

fn within(time: Duration, what: &str, check: impl Fn() -> bool) {
    let deadline = Instant::now() + time;
    while !check() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        sleep(Duration::from_millis(10));
    }
}

/// An application that says hello; it runs until the test ends.
fn application() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _read = stream.read(&mut [0; 4096]);
            let _written = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello");
        }
    });
    port
}

fn serves(caddy: &Caddy) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", caddy.settings.http_port))?;
        write!(stream, "GET / HTTP/1.1\r\nHost: a.localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.ends_with("hello"))
}

#[tokio::test]
async fn a_caddy_that_comes_back_empty_serves_all_within_two_seconds_and_its_absence_is_told_once() {
    for version in [OLD, NEW] {
        let mut caddy = Caddy::start(version, None);
        caddy.proxy().put_route(&route("a", application())).await.unwrap();
        let agent = Agent::start(&caddy);
        caddy.restart(version, false);
        within(Duration::from_secs(2), "the route", || serves(&caddy));
        agent.says("the route is put back");
        caddy.stop();
        agent.says("start Caddy");
        // It looks again and again, and says nothing.
        sleep(otturnaut::limits::ROUTES_LOOK * 3);
        caddy.restart(version, false);
        within(Duration::from_secs(2), "the route", || serves(&caddy));
        agent.says("Caddy answers again");
        assert_eq!(agent.log().matches("start Caddy").count(), 1, "{}", agent.log());
    }
}

#[tokio::test]
async fn a_killed_agent_is_missed_by_nobody_even_if_caddy_is_started_anew() {
    for version in [OLD, NEW] {
        let mut caddy = Caddy::start(version, None);
        let proxy = caddy.proxy();
        proxy.put_route(&route("a", application())).await.unwrap();
        proxy.put_route(&route("a", application())).await.unwrap();
        drop(proxy);
        let mut agent = Agent::start(&caddy);
        agent.kill();
        assert!(serves(&caddy));
        caddy.restart(version, true);
        within(Duration::from_secs(2), "the route", || serves(&caddy));
    }
}
