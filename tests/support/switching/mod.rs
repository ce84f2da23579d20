//! Switches of a route under all kinds of clients, counted. `tests/switch.rs` and the benchmark run it with numbers of their own.

#![allow(unreachable_pub, dead_code, missing_docs, reason = "each user takes its part")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::panic,
    reason = "a test ends there"
)]

pub mod application;
pub mod clients;
pub mod tally;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::time::sleep;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::caddy::{Caddy, route};
use application::Application;
use clients::Target;
use tally::Tally;

/// What is done under load.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The application that clients ask is replaced.
    Switch,
    /// Another application is added, and removed again: that changes Caddy's configuration.
    Addition,
}

/// What is done, and how often.
#[derive(Clone, Copy)]
pub struct Plan {
    pub version: &'static str,
    pub https: bool,
    pub change: Change,
    pub changes: usize,
    /// Between two changes.
    pub pause: Duration,
    /// Clients of each of the kinds that ask one request after the other.
    pub clients: usize,
}

/// What came of it.
pub struct Report {
    tallies: Vec<Arc<Tally>>,
    changes: Vec<Duration>,
    /// Connections that drained applications had to cut.
    cut: usize,
    pub resident: u64,
    /// What Caddy said of requests that it did not answer.
    errors: Vec<String>,
}

/// Lines of Caddy's log that are shown.
const ERRORS: usize = 5;

impl Report {
    pub fn requests(&self) -> usize {
        self.tallies.iter().map(|tally| tally.requests()).sum()
    }

    pub fn failures(&self) -> usize {
        self.tallies.iter().map(|tally| tally.failures()).sum::<usize>() + self.cut
    }

    /// Failures of the kinds of clients that have this in their name.
    pub fn failures_of(&self, kind: &str) -> usize {
        self.tallies.iter().filter(|tally| tally.kind.contains(kind)).map(|tally| tally.failures()).sum()
    }

    /// Kinds of clients of which none asked anything: they prove nothing.
    pub fn idle(&self) -> Vec<&'static str> {
        self.tallies.iter().filter(|tally| tally.requests() == 0).map(|tally| tally.kind).collect()
    }

    pub fn table(&self) -> String {
        let mut lines = vec![format!("{:<34} {:>9} {:>7} {:>12}", "client", "requests", "failed", "slowest")];
        lines.extend(self.tallies.iter().map(|tally| tally.line()));
        lines.push(format!("{:<34} {:>9} {:>7}", "all", self.requests(), self.failures()));
        let mut took = self.changes.clone();
        took.sort();
        let at = |share: usize| took.get(took.len() * share / 100).or(took.last()).copied().unwrap_or_default();
        let [half, most] = [at(50), at(100)].map(|took| took.as_secs_f64() * 1000.0);
        lines.push(format!(
            "{} changes, each {half:.1} ms (p50), {most:.1} ms at most; {} connections cut; Caddy at {} MiB",
            took.len(),
            self.cut,
            self.resident / 1024
        ));
        lines.extend(self.errors.iter().map(|error| format!("    {error}")));
        lines.join("\n")
    }
}

/// Switches under load, drains each application that was replaced, and counts.
pub async fn run(plan: Plan) -> Report {
    let caddy = if plan.https { Caddy::start_with_https(plan.version) } else { Caddy::start(plan.version, None) };
    let proxy = caddy.proxy();
    let other = Application::start().await;
    proxy.put_route(&route("other", other.port)).await.unwrap();
    let mut current = Application::start().await;
    proxy.put_route(&route("app", current.port)).await.unwrap();
    let [app, other_app] = ["app", "other"].map(|id| target(&caddy, id));
    let (app, other_app) = (app.await, other_app.await);

    let (stop, clients) = (CancellationToken::new(), TaskTracker::new());
    let tallies = start_clients(&plan, (&app, &other_app), (&clients, &stop));
    let (mut changes, mut drains) = (Vec::new(), Vec::new());
    sleep(plan.pause).await;
    for n in 0..plan.changes {
        let next = Application::start().await;
        let start = Instant::now();
        match plan.change {
            Change::Switch => {
                proxy.put_route(&route("app", next.port)).await.unwrap();
                drains.push(tokio::spawn(std::mem::replace(&mut current, next).drain()));
            }
            Change::Addition if n.is_multiple_of(2) => proxy.put_route(&route("more", next.port)).await.unwrap(),
            Change::Addition => proxy.remove_route("more").await.unwrap(),
        }
        changes.push(start.elapsed());
        sleep(plan.pause).await;
    }
    stop.cancel();
    clients.close();
    clients.wait().await;
    let cut = join_all(drains).await.into_iter().map(Result::unwrap).sum();
    Report { tallies, changes, cut, resident: caddy.resident(), errors: errors(&caddy) }
}

fn errors(caddy: &Caddy) -> Vec<String> {
    let ours = |line: &&str| line.contains("http.log.error") || line.contains("aborting");
    caddy.log().lines().filter(ours).take(ERRORS).map(str::to_owned).collect()
}

fn start_clients(
    plan: &Plan,
    (app, other): (&Target, &Target),
    (tasks, stop): (&TaskTracker, &CancellationToken),
) -> Vec<Arc<Tally>> {
    let mut tallies = Vec::new();
    let mut start = |kind, count, client: &dyn Fn(Arc<Tally>)| {
        let tally = Arc::new(Tally::new(kind));
        tallies.push(Arc::clone(&tally));
        (0..count).for_each(|_| client(Arc::clone(&tally)));
    };
    macro_rules! kind {
        ($name:expr, $count:expr, $client:path, $target:expr $(, $more:expr)*) => {
            start($name, $count, &|tally| {
                tasks.spawn($client($target.clone(), tally, stop.clone() $(, $more)*));
            })
        };
    }
    kind!("new connection, GET", plan.clients, clients::new_connections, app);
    kind!("new connection, POST", plan.clients, clients::new_posts, app);
    kind!("keep-alive, GET", plan.clients, clients::keep_alive, app);
    kind!("keep-alive, POST", plan.clients, clients::keep_alive_posts, app);
    kind!("answer after a second", plan.clients, clients::slow, app);
    kind!("download of 1.3 s", plan.clients, clients::downloads, app);
    kind!("events for 1.2 s", plan.clients, clients::events, app);
    kind!("websocket for a second", plan.clients, clients::websockets, app, 50);
    kind!("websocket of another application", plan.clients, clients::websockets, other, usize::MAX);
    if app.h2.is_some() {
        kind!("HTTP/2, GET and POST", plan.clients, clients::http2, app);
    }
    tallies
}

/// How clients reach a route; where that is over HTTPS, when its certificate is there.
async fn target(caddy: &Caddy, id: &str) -> Target {
    let host = format!("{id}.localhost");
    let settings = &caddy.settings;
    if settings.disable_auto_https {
        return Target { address: ([127, 0, 0, 1], settings.http_port).into(), host, tls: None, h2: None };
    }
    let address = ([127, 0, 0, 1], settings.https_port).into();
    let pem = std::fs::read(caddy.authority()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&pem).unwrap()).unwrap();
    let tls = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let h2 = reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(&pem).unwrap()])
        .resolve(&host, address)
        .retry(reqwest::retry::never())
        .build()
        .unwrap();
    let target = Target { address, host, tls: Some(TlsConnector::from(Arc::new(tls))), h2: Some(h2) };
    let deadline = Instant::now() + Duration::from_secs(20);
    while let Err(error) = target.asks().await {
        assert!(Instant::now() < deadline, "{error}: {}", caddy.log());
        sleep(Duration::from_millis(20)).await;
    }
    target
}
