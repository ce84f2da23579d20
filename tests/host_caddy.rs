//! Routes, on a real Caddy.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    reason = "a test ends there"
)]

#[path = "support/ports.rs"]
mod ports;

use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use otturnaut::host::caddy::Caddys;
use otturnaut::host::{Proxies, Proxy, ProxyError, ProxySettings, ProxyWriter, Route, install_crypto};
use ports::free_port;
use serde_json::{Value, json};

/// A Caddy of this test, killed at its end.
struct Caddy {
    process: Child,
    settings: ProxySettings,
    _home: tempfile::TempDir,
}

impl Caddy {
    fn start(more: Option<Value>) -> Self {
        let (home, admin) = (tempfile::tempdir().unwrap(), free_port());
        let mut config = json!({ "admin": { "listen": format!("127.0.0.1:{admin}") } });
        if let Some(apps) = more {
            config["apps"] = apps;
        }
        let file = home.path().join("caddy.json");
        std::fs::write(&file, config.to_string()).unwrap();
        let process = Command::new("caddy")
            .args(["run", "--config"])
            .arg(&file)
            .envs(["HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"].map(|name| (name, home.path())))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("caddy is installed");
        let settings = ProxySettings {
            base_url: format!("http://127.0.0.1:{admin}"),
            http_port: free_port(),
            https_port: free_port(),
            disable_auto_https: true,
        };
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", admin)).is_err() {
            assert!(Instant::now() < deadline, "Caddy did not start");
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { process, settings, _home: home }
    }

    /// A client that knows nothing of the others.
    fn proxy(&self) -> Arc<dyn Proxy> {
        install_crypto();
        Caddys::new(self.settings.clone()).unwrap().proxy(&self.settings)
    }
}

impl Drop for Caddy {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

fn route(id: &str, upstream_port: u16) -> Route {
    Route { id: id.to_owned(), domains: vec![format!("{id}.localhost")], upstream_port }
}

#[tokio::test]
async fn a_route_is_put_replaced_in_place_and_removed() {
    let caddy = Caddy::start(None);
    let proxy = caddy.proxy();
    assert_eq!(proxy.list_routes().await, Ok(vec![]));
    for port in [1000, 2000, 2000] {
        proxy.put_route(&route("a", port)).await.unwrap();
        proxy.put_route(&route("b", 3000)).await.unwrap();
        assert_eq!(proxy.get_route("a").await, Ok(route("a", port)));
    }
    assert_eq!(proxy.list_routes().await, Ok(vec![route("a", 2000), route("b", 3000)]));
    proxy.remove_route("a").await.unwrap();
    assert_eq!(proxy.list_routes().await, Ok(vec![route("b", 3000)]));
    assert_eq!(proxy.get_route("a").await, Err(ProxyError::NotFound { id: "a".to_owned() }));
    let gone = proxy.remove_route("a").await.unwrap_err();
    let body = json!({ "error": "unknown object ID 'a'" });
    assert_eq!(gone, ProxyError::UnexpectedStatus { status: 404, body });
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_put_at_once_by_independent_clients_all_survive() {
    let caddy = Caddy::start(None);
    let puts = (0..4).flat_map(|client| {
        let proxy = caddy.proxy();
        (0..4).map(move |n| {
            let proxy = proxy.clone();
            async move { proxy.put_route(&route(&format!("r{client}x{n}"), 1000 + n)).await }
        })
    });
    for put in futures::future::join_all(puts).await {
        put.unwrap();
    }
    assert_eq!(caddy.proxy().list_routes().await.unwrap().len(), 16);
}

#[tokio::test]
async fn the_rest_of_the_configuration_is_as_it_was() {
    let own =
        json!({ "listen": [format!("127.0.0.1:{}", free_port())], "routes": [{ "@id": "theirs", "handle": [] }] });
    let caddy = Caddy::start(Some(json!({ "http": { "servers": { "own": own } } })));
    let proxy = caddy.proxy();
    proxy.put_route(&route("a", 1000)).await.unwrap();
    proxy.remove_route("a").await.unwrap();
    assert_eq!(proxy.read("config/apps/http/servers/own").await, Ok(own));
}

#[tokio::test]
async fn raw_changes_and_errors_are_caddys_own() {
    let caddy = Caddy::start(None);
    let proxy = caddy.proxy();
    proxy.health().await.unwrap();
    let apps = json!({ "http": { "servers": {} } });
    proxy.write(ProxyWriter::Set, "config/apps", Some(&apps)).await.unwrap();
    assert_eq!(proxy.read("config/apps").await, Ok(apps));
    proxy.write(ProxyWriter::Delete, "config/apps", None).await.unwrap();
    let wrong = proxy.write(ProxyWriter::Set, "config/apps", Some(&json!({ "nope": {} }))).await.unwrap_err();
    assert!(matches!(wrong, ProxyError::UnexpectedStatus { status: 500 | 400, .. }), "{wrong:?}");
    let nowhere = ProxySettings { base_url: format!("http://127.0.0.1:{}", free_port()), ..caddy.settings.clone() };
    let missing = Caddys::new(nowhere.clone()).unwrap().proxy(&nowhere).health().await.unwrap_err();
    assert_eq!(missing, ProxyError::Unavailable { url: nowhere.base_url });
}
