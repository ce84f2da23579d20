//! The agent's metrics over HTTP, as a collector asks for them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test ends there")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use otturnaut::{host, limits};
use reqwest::{Client, Method, Response};
use support::agent::{Agent, BINARY, eventually};
use support::{free_port, unique};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

struct Measured {
    agent: Agent,
    address: SocketAddr,
    client: Client,
}

impl Measured {
    async fn start() -> Self {
        host::install_crypto();
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let agent = Agent::run(&format!("{}@127.0.0.1", unique("metrics")), command(address)).await;
        let client = Client::builder().no_proxy().timeout(Duration::from_secs(60)).build().unwrap();
        Self { agent, address, client }
    }

    async fn ask(&self, method: Method, path: &str) -> Response {
        self.client.request(method, format!("http://{}{path}", self.address)).send().await.unwrap()
    }

    async fn samples(&self) -> BTreeMap<String, f64> {
        samples(&self.ask(Method::GET, "/metrics").await.text().await.unwrap())
    }
}

#[allow(clippy::disallowed_methods, reason = "the agent is started as an operator does")]
fn command(address: SocketAddr) -> std::process::Command {
    let mut command = std::process::Command::new(BINARY);
    command.arg("start").env_clear().env("OTTURNAUT_METRICS_ADDR", address.to_string());
    command.env("ERL_EPMD_PORT", free_port().to_string()).env("OTTURNAUT_DIST_BIND", "127.0.0.1");
    command
}

/// Reads `OpenMetrics` text as strictly as its specification has it; samples by name and labels as they stand there.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let body = text.strip_suffix("# EOF\n").expect("it ends with its end");
    let mut families = BTreeSet::new();
    let (mut family, mut kind) = (String::new(), String::new());
    let mut found = BTreeMap::new();
    for line in body.lines() {
        if let Some(described) = line.strip_prefix("# ") {
            let parts: Vec<&str> = described.splitn(3, ' ').collect();
            let [what, name, value] = parts[..] else { unreachable!("{line}") };
            match what {
                "HELP" => {
                    assert!(families.insert(name.to_owned()), "{name} is described twice");
                    name.clone_into(&mut family);
                }
                "TYPE" => value.clone_into(&mut kind),
                "UNIT" => assert!(name.ends_with(&format!("_{value}")), "{line}"),
                _ => unreachable!("{line}"),
            }
            assert_eq!(name, family, "{line}");
            continue;
        }
        let (sample, value) = line.rsplit_once(' ').expect(line);
        let name = sample.split('{').next().unwrap();
        let suffix = name.strip_prefix(&family).expect(line);
        let right = match kind.as_str() {
            "gauge" => suffix.is_empty(),
            "counter" => suffix == "_total",
            "histogram" => ["_sum", "_count", "_bucket"].contains(&suffix),
            _ => false,
        };
        assert!(right && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'), "{line}");
        assert!(found.insert(sample.to_owned(), value.parse().expect(line)).is_none(), "{sample} is there twice");
    }
    found
}

#[tokio::test]
async fn a_collector_gets_the_figures_of_the_host_and_of_the_agent() {
    let measured = Measured::start().await;
    let answer = measured.ask(Method::GET, "/metrics").await;
    assert_eq!(answer.status(), 200);
    let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
    assert!(kind.starts_with("application/openmetrics-text; version=1.0.0"), "{kind}");
    samples(&answer.text().await.unwrap());

    let wanted =
        ["otturnaut_host_cpus", "otturnaut_host_memory_available_bytes", "otturnaut_process_resident_memory_bytes"];
    eventually("the machine's figures and Caddy's", || async {
        let there = measured.samples().await;
        wanted.iter().all(|name| there.get(*name).is_some_and(|value| *value > 0.0))
            && there.get("otturnaut_proxy_up") == Some(&0.0)
            && there.contains_key("otturnaut_host_disk_free_bytes{disk=\"data\"}")
    })
    .await;
    let there = measured.samples().await;
    let version = format!("otturnaut_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
    assert_eq!(there.get(&version), Some(&1.0), "{there:?}");
    assert_eq!(there.get("otturnaut_apps"), Some(&0.0));
    assert!(!there.contains_key("otturnaut_mission_control_up"), "there is none");
}

#[tokio::test]
async fn other_requests_are_refused() {
    let measured = Measured::start().await;
    assert_eq!(measured.ask(Method::GET, "/").await.status(), 404);
    assert_eq!(measured.ask(Method::POST, "/metrics").await.status(), 405);
    let head = measured.ask(Method::HEAD, "/metrics").await;
    assert_eq!((head.status().as_u16(), head.text().await.unwrap().as_str()), (200, ""));

    let mut stream = TcpStream::connect(measured.address).await.unwrap();
    let long = format!("GET /{} HTTP/1.1\r\n", "x".repeat(limits::METRICS_REQUEST_BYTES * 4));
    // It may close the connection before all of it is written.
    let _refused = stream.write_all(long.as_bytes()).await;
    let mut answer = Vec::new();
    let _closed = stream.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(measured.ask(Method::GET, "/metrics").await.status(), 200);
}

#[tokio::test]
async fn those_who_are_silent_keep_nobody_away_for_good_and_cost_bounded_files() {
    let measured = Measured::start().await;
    measured.samples().await;
    let before = measured.agent.files();
    let mut silent = Vec::new();
    for _ in 0..limits::METRICS_CONNECTIONS * 2 {
        silent.push(TcpStream::connect(measured.address).await.unwrap());
    }
    // Of each a connection is waited for; the places of the silent ones come free in their time.
    assert_eq!(measured.ask(Method::GET, "/metrics").await.status(), 200);
    assert!(measured.agent.files() <= before + limits::METRICS_CONNECTIONS + 10, "{}", measured.agent.files());
}

#[tokio::test]
async fn an_address_that_is_taken_stops_the_start_and_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let data = tempfile::tempdir().unwrap();
    let mut command = command(address);
    command.env("RELEASE_NODE", format!("{}@127.0.0.1", unique("taken"))).env("RELEASE_COOKIE", "monster");
    command.env("OTTURNAUT_DATA_DIR", data.path());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("OTTURNAUT_METRICS_ADDR") && said.contains(&address.to_string()), "{said}");
}
