//! Routes, on real Caddys: the one of this machine and the newest.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test ends there"
)]

#[path = "support/caddy.rs"]
mod caddy;
#[path = "support/ports.rs"]
mod ports;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use caddy::{Caddy, NEW, OLD, route};
use otturnaut::host::caddy::{Caddys, RoutesDir};
use otturnaut::host::{Proxies, Proxy, ProxyError, ProxySettings, ProxyWriter, Route};
use ports::free_port;
use serde_json::json;

/// An application that answers every request with its port; it runs until the test ends.
fn application() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _read = stream.read(&mut [0; 4096]);
            let body = port.to_string();
            let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
            let _written = stream.write_all((head + &body).as_bytes());
        }
    });
    port
}

/// The answer to a request for a route's domain: its body, or its first line if it is not 200.
fn ask(caddy: &Caddy, id: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", caddy.settings.http_port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(stream, "GET / HTTP/1.1\r\nHost: {id}.localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let line = head.lines().next().unwrap();
    if line.contains(" 200 ") { body.to_owned() } else { line.to_owned() }
}

async fn dial(proxy: &dyn Proxy, id: &str) -> String {
    let config = proxy.read(&format!("id/{id}")).await.unwrap();
    config["handle"][0]["upstreams"][0]["dial"].as_str().unwrap().to_owned()
}

/// As often as it takes until everything was looked at.
async fn look_at_everything(proxy: &dyn Proxy) {
    for _ in 0..=otturnaut::limits::ROUTES_WHOLE_LOOK {
        proxy.reconcile().await.unwrap();
    }
}

#[tokio::test]
async fn a_route_is_put_replaced_in_place_and_removed() {
    for version in [OLD, NEW] {
        let caddy = Caddy::start(version, None);
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
        look_at_everything(&*proxy).await;
        assert_eq!(proxy.list_routes().await, Ok(vec![route("b", 3000)]), "what was removed stays away");
    }
}

#[tokio::test]
async fn a_switch_changes_nothing_of_the_configuration() {
    for (version, form) in [(OLD, "tcp{http."), (NEW, "{file.")] {
        let caddy = Caddy::start(version, None);
        let (proxy, ports) = (caddy.proxy(), [application(), application()]);
        proxy.put_route(&route("a", ports[0])).await.unwrap();
        assert!(dial(&*proxy, "a").await.starts_with(form));
        let before = proxy.read("config/").await.unwrap();
        for port in [ports[1], ports[0], ports[1]] {
            proxy.put_route(&route("a", port)).await.unwrap();
            assert_eq!(ask(&caddy, "a"), port.to_string());
        }
        assert_eq!(proxy.read("config/").await.unwrap(), before);
        let other = Route { domains: vec!["b.localhost".to_owned()], ..route("a", ports[0]) };
        proxy.put_route(&other).await.unwrap();
        assert_eq!(ask(&caddy, "b"), ports[0].to_string());
        assert_eq!(ask(&caddy, "a"), "");
        assert_eq!(proxy.get_route("a").await, Ok(other));
    }
}

#[tokio::test]
async fn a_plain_route_is_understood_and_taken_over() {
    for version in [OLD, NEW] {
        let caddy = Caddy::start(version, None);
        let ports = [application(), application()];
        let elsewhere = ProxySettings {
            base_url: caddy.settings.base_url.replace("127.0.0.1", "localhost"),
            ..caddy.settings.clone()
        };
        let caddys = Caddys::new(caddy.settings.clone(), &caddy.dir()).unwrap();
        // Under another name it is no configured Caddy.
        caddys.proxy(&elsewhere).put_route(&route("a", ports[0])).await.unwrap();
        let proxy = caddys.proxy(&caddy.settings);
        assert_eq!(dial(&*proxy, "a").await, format!("127.0.0.1:{}", ports[0]));
        assert_eq!(proxy.list_routes().await, Ok(vec![route("a", ports[0])]));
        look_at_everything(&*proxy).await;
        assert_eq!(dial(&*proxy, "a").await, format!("127.0.0.1:{}", ports[0]), "it is not the agent's yet");
        proxy.put_route(&route("a", ports[1])).await.unwrap();
        assert!(dial(&*proxy, "a").await.contains('{'));
        assert_eq!(ask(&caddy, "a"), ports[1].to_string());
    }
}

#[tokio::test]
async fn where_caddy_cannot_read_the_directory_its_configuration_is_changed_until_it_can() {
    for version in [OLD, NEW] {
        let caddy = Caddy::start(version, None);
        let ports = [application(), application()];
        let unseen = RoutesDir { seen_by_caddy: Some(PathBuf::from("/nowhere/routes")), ..caddy.dir() };
        let proxy = caddy.proxy_with(&unseen);
        for port in ports {
            proxy.put_route(&route("a", port)).await.unwrap();
            assert_eq!(dial(&*proxy, "a").await, format!("127.0.0.1:{port}"));
            assert_eq!(ask(&caddy, "a"), port.to_string());
        }
        look_at_everything(&*proxy).await;
        assert_eq!(dial(&*proxy, "a").await, format!("127.0.0.1:{}", ports[1]));
        let proxy = caddy.proxy();
        look_at_everything(&*proxy).await;
        assert!(dial(&*proxy, "a").await.contains('{'));
        assert_eq!(ask(&caddy, "a"), ports[1].to_string());
        // And back.
        let proxy = caddy.proxy_with(&unseen);
        look_at_everything(&*proxy).await;
        assert_eq!(ask(&caddy, "a"), ports[1].to_string());
    }
}

#[tokio::test]
async fn routes_are_put_back_and_nothing_foreign_is_touched() {
    for version in [OLD, NEW] {
        let own =
            json!({ "listen": [format!("127.0.0.1:{}", free_port())], "routes": [{ "@id": "theirs", "handle": [] }] });
        let mut caddy = Caddy::start(version, Some(json!({ "http": { "servers": { "own": own } } })));
        let (proxy, port) = (caddy.proxy(), application());
        for id in ["a", "b"] {
            proxy.put_route(&route(id, port)).await.unwrap();
        }
        let foreign = json!({ "@id": "foreign", "match": [{ "host": ["c.localhost"] }], "handle": [] });
        let routes = "config/apps/http/servers/otturnaut/routes";
        proxy.write(ProxyWriter::Append, routes, Some(&foreign)).await.unwrap();
        // By hand: one is removed, one is changed.
        proxy.write(ProxyWriter::Delete, "id/a", None).await.unwrap();
        proxy.write(ProxyWriter::Patch, "id/b/handle", Some(&json!([]))).await.unwrap();
        assert_eq!(ask(&caddy, "a"), "");
        proxy.reconcile().await.unwrap();
        for id in ["a", "b"] {
            assert_eq!(ask(&caddy, id), port.to_string());
        }
        assert_eq!(proxy.read("id/foreign").await, Ok(foreign));
        let settled = proxy.read(routes).await.unwrap();
        proxy.reconcile().await.unwrap();
        assert_eq!(proxy.read(routes).await, Ok(settled));
        // Caddy comes back as it first was.
        caddy.restart(version, false);
        proxy.reconcile().await.unwrap();
        for id in ["a", "b"] {
            assert_eq!(ask(&caddy, id), port.to_string());
        }
        assert_eq!(proxy.read("config/apps/http/servers/own").await, Ok(own));
        assert_eq!(proxy.read(routes).await.unwrap().as_array().unwrap().len(), 3, "the probe's and two");
    }
}

#[tokio::test]
async fn a_route_that_is_given_up_while_caddy_is_away_is_gone_when_it_is_back_also_for_the_next_agent() {
    for version in [OLD, NEW] {
        let mut caddy = Caddy::start(version, None);
        let (proxy, port) = (caddy.proxy(), application());
        for id in ["a", "b", "c"] {
            proxy.put_route(&route(id, port)).await.unwrap();
        }
        caddy.stop();
        for id in ["a", "c"] {
            assert!(matches!(proxy.remove_route(id).await, Err(ProxyError::Unavailable { .. })));
            proxy.give_up_route(id).await.unwrap();
        }
        proxy.give_up_route("never-there").await.unwrap();
        assert!(!caddy.dir().path.join("never-there").exists(), "they would only become more");
        let next = caddy.proxy();
        caddy.restart(version, true);
        // The port may be another application's by now.
        assert_ne!(ask(&caddy, "a"), port.to_string());
        // Nor does one that was deployed again go with it.
        next.put_route(&route("c", port)).await.unwrap();
        next.reconcile().await.unwrap();
        assert_eq!(next.get_route("a").await, Err(ProxyError::NotFound { id: "a".to_owned() }));
        assert!(!caddy.dir().path.join("a").exists());
        for id in ["b", "c"] {
            assert_eq!(ask(&caddy, id), port.to_string());
        }
    }
}

#[tokio::test]
async fn files_that_were_lost_are_written_anew() {
    for version in [OLD, NEW] {
        let caddy = Caddy::start(version, None);
        let (proxy, port) = (caddy.proxy(), application());
        proxy.put_route(&route("a", port)).await.unwrap();
        std::fs::remove_dir_all(caddy.dir().path.join("a")).unwrap();
        assert_ne!(ask(&caddy, "a"), port.to_string());
        look_at_everything(&*proxy).await;
        assert_eq!(ask(&caddy, "a"), port.to_string());
    }
}

#[tokio::test]
async fn an_agent_that_starts_keeps_what_another_recorded_though_a_record_is_broken() {
    let mut caddy = Caddy::start(NEW, None);
    let port = application();
    let proxy = caddy.proxy();
    for id in ["a", "b", "c"] {
        proxy.put_route(&route(id, port)).await.unwrap();
    }
    std::fs::File::create(caddy.dir().path.join("b/route.json")).unwrap().write_all(b"\0\0\0").unwrap();
    std::fs::remove_file(caddy.dir().path.join("c/address")).unwrap();
    caddy.restart(NEW, false);
    caddy.proxy().reconcile().await.unwrap();
    assert_eq!(["a", "b", "c"].map(|id| ask(&caddy, id)), [port.to_string(), String::new(), port.to_string()]);
}

#[tokio::test]
async fn without_an_agent_routes_are_served_also_by_a_caddy_that_was_started_anew() {
    for version in [OLD, NEW] {
        let mut caddy = Caddy::start(version, None);
        let ports = [application(), application()];
        let proxy = caddy.proxy();
        for port in ports {
            proxy.put_route(&route("a", port)).await.unwrap();
        }
        drop(proxy);
        assert_eq!(ask(&caddy, "a"), ports[1].to_string());
        caddy.restart(version, true);
        assert_eq!(ask(&caddy, "a"), ports[1].to_string());
    }
}

#[tokio::test]
async fn a_newer_caddy_serves_the_routes_of_the_older_and_then_gets_its_own() {
    let mut caddy = Caddy::start(OLD, None);
    let ports = [application(), application()];
    let proxy = caddy.proxy();
    proxy.put_route(&route("a", ports[0])).await.unwrap();
    caddy.restart(NEW, true);
    assert_eq!(ask(&caddy, "a"), ports[0].to_string());
    proxy.put_route(&route("a", ports[1])).await.unwrap();
    assert_eq!(ask(&caddy, "a"), ports[1].to_string());
    assert!(dial(&*proxy, "a").await.starts_with("tcp{http."));
    look_at_everything(&*proxy).await;
    assert!(dial(&*proxy, "a").await.starts_with("{file."));
    assert_eq!(ask(&caddy, "a"), ports[1].to_string());
    // And an older one that comes back empty gets what it can read.
    caddy.restart(OLD, false);
    proxy.reconcile().await.unwrap();
    assert_eq!(ask(&caddy, "a"), ports[1].to_string());
}

#[tokio::test]
async fn a_refused_route_leaves_nothing_behind() {
    for version in [OLD, NEW] {
        let caddy = Caddy::start(version, None);
        let (proxy, port) = (caddy.proxy(), application());
        proxy.put_route(&route("a", port)).await.unwrap();
        let bad = |id: &str| Route { domains: vec!["a.localhost".to_owned(); 2], ..route(id, 1) };
        for id in ["a", "b"] {
            let refused = proxy.put_route(&bad(id)).await.unwrap_err();
            assert!(matches!(refused, ProxyError::UnexpectedStatus { .. }), "{refused:?}");
        }
        assert_eq!(proxy.list_routes().await, Ok(vec![route("a", port)]));
        assert!(!caddy.dir().path.join("b").exists());
        look_at_everything(&*proxy).await;
        assert_eq!(ask(&caddy, "a"), port.to_string());
    }
}

/// The answer over HTTPS, when the certificate is there.
async fn ask_over_https(caddy: &Caddy, id: &str) -> String {
    let pem = std::fs::read(caddy.authority()).unwrap();
    let client = reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(&pem).unwrap()])
        .resolve(&format!("{id}.localhost"), ([127, 0, 0, 1], caddy.settings.https_port).into())
        .build()
        .unwrap();
    let url = format!("https://{id}.localhost:{}/", caddy.settings.https_port);
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        match client.get(&url).send().await {
            Ok(answer) => return answer.text().await.unwrap(),
            Err(error) => assert!(Instant::now() < deadline, "{error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn with_certificates_the_route_is_served_over_https_and_plain_requests_are_redirected() {
    for version in [OLD, NEW] {
        let caddy = Caddy::start_with_https(version);
        let (proxy, port) = (caddy.proxy(), application());
        proxy.put_route(&route("a", port)).await.unwrap();
        assert_eq!(ask(&caddy, "a"), "HTTP/1.1 308 Permanent Redirect");
        assert!(dial(&*proxy, "a").await.contains('{'), "the probe answers beside redirects");
        assert_eq!(ask_over_https(&caddy, "a").await, port.to_string());
    }
}

#[tokio::test]
async fn https_that_is_wanted_later_is_added() {
    for version in [OLD, NEW] {
        let mut caddy = Caddy::start_with_https(version);
        // A server that is there already leaves it to Caddy which port is for plain HTTP.
        let ports = json!({ "http_port": caddy.settings.http_port, "https_port": caddy.settings.https_port });
        caddy.settings.disable_auto_https = true;
        let (proxy, port) = (caddy.proxy(), application());
        proxy.write(ProxyWriter::Set, "config/apps/http", Some(&ports)).await.unwrap();
        proxy.put_route(&route("a", port)).await.unwrap();
        assert_eq!(ask(&caddy, "a"), port.to_string());
        caddy.settings.disable_auto_https = false;
        let proxy = caddy.proxy();
        proxy.reconcile().await.unwrap();
        assert_eq!(ask_over_https(&caddy, "a").await, port.to_string());
        assert_eq!(ask(&caddy, "a"), "HTTP/1.1 308 Permanent Redirect");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_put_at_once_by_independent_clients_all_survive() {
    let caddy = Caddy::start(OLD, None);
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
async fn a_caddy_without_routes_logs_no_error_for_being_looked_at() {
    for version in [OLD, NEW] {
        let caddy = Caddy::start(version, None);
        let proxy = caddy.proxy();
        for _ in 0..3 {
            assert_eq!(proxy.reconcile().await, Ok(Vec::new()));
        }
        assert!(!caddy.log().contains(r#""level":"error""#), "{version}: {}", caddy.log());
    }
}

#[tokio::test]
async fn the_rest_of_the_configuration_is_as_it_was() {
    let own =
        json!({ "listen": [format!("127.0.0.1:{}", free_port())], "routes": [{ "@id": "theirs", "handle": [] }] });
    let caddy = Caddy::start(OLD, Some(json!({ "http": { "servers": { "own": own } } })));
    let proxy = caddy.proxy();
    proxy.put_route(&route("a", 1000)).await.unwrap();
    proxy.remove_route("a").await.unwrap();
    assert_eq!(proxy.read("config/apps/http/servers/own").await, Ok(own));
}

#[tokio::test]
async fn raw_changes_and_errors_are_caddys_own() {
    let caddy = Caddy::start(OLD, None);
    let proxy = caddy.proxy();
    proxy.health().await.unwrap();
    let apps = json!({ "http": { "servers": {} } });
    proxy.write(ProxyWriter::Set, "config/apps", Some(&apps)).await.unwrap();
    assert_eq!(proxy.read("config/apps").await, Ok(apps));
    proxy.write(ProxyWriter::Delete, "config/apps", None).await.unwrap();
    let wrong = proxy.write(ProxyWriter::Set, "config/apps", Some(&json!({ "nope": {} }))).await.unwrap_err();
    assert!(matches!(wrong, ProxyError::UnexpectedStatus { status: 500 | 400, .. }), "{wrong:?}");
    let nowhere = ProxySettings { base_url: format!("http://127.0.0.1:{}", free_port()), ..caddy.settings.clone() };
    let missing = Caddys::new(nowhere.clone(), &caddy.dir()).unwrap().proxy(&nowhere);
    let unavailable = || ProxyError::Unavailable { url: nowhere.base_url.clone() };
    assert_eq!(missing.health().await, Err(unavailable()));
    assert_eq!(missing.put_route(&route("a", 1)).await, Err(unavailable()));
    assert_eq!(missing.reconcile().await, Err(unavailable()));
}

#[tokio::test]
async fn two_hundred_routes_are_put_back_in_one_change() {
    for version in [OLD, NEW] {
        let caddy = Caddy::start(version, None);
        let dir = caddy.dir();
        for n in 0..200 {
            let id = format!("app-{n}-route");
            let record = json!({ "id": id, "domains": [format!("app-{n}.localhost")], "port": 10_000 + n });
            std::fs::create_dir_all(dir.path.join(&id)).unwrap();
            std::fs::write(dir.path.join(&id).join("route.json"), record.to_string()).unwrap();
        }
        let proxy = caddy.proxy();
        let start = Instant::now();
        proxy.reconcile().await.unwrap();
        eprintln!("200 routes put back in {:?}", start.elapsed());
        assert_eq!(proxy.list_routes().await.unwrap().len(), 200);
        proxy.reconcile().await.unwrap();
        let start = Instant::now();
        for _ in 0..20 {
            proxy.reconcile().await.unwrap();
        }
        eprintln!("a look at them: {:?}", start.elapsed() / 20);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn new_routes_that_come_together_change_the_configuration_once_or_twice_and_a_bad_one_hurts_no_other() {
    for version in [OLD, NEW] {
        let caddy = Caddy::start(version, None);
        let (proxy, port) = (caddy.proxy(), application());
        proxy.put_route(&route("first", port)).await.unwrap();
        let loads = || caddy.log().matches("load complete").count();
        let before = loads();
        let put = |id: String| {
            let proxy = proxy.clone();
            async move { proxy.put_route(&route(&id, port)).await }
        };
        let puts = futures::future::join_all((0..8).map(|n| put(format!("app{n}"))));
        let bad = Route { domains: vec!["x.localhost".to_owned(); 2], ..route("bad", port) };
        for put in puts.await {
            put.unwrap();
        }
        for n in 0..8 {
            assert_eq!(ask(&caddy, &format!("app{n}")), port.to_string());
        }
        assert!(loads() - before <= 2, "{} loads", loads() - before);
        let puts = futures::future::join_all((8..12).map(|n| put(format!("app{n}"))));
        let (puts, refused) = futures::future::join(puts, proxy.put_route(&bad)).await;
        assert!(puts.iter().all(Result::is_ok) && refused.is_err(), "{puts:?} {refused:?}");
        for n in 8..12 {
            assert_eq!(ask(&caddy, &format!("app{n}")), port.to_string());
        }
        assert!(proxy.get_route("bad").await.is_err() && !caddy.dir().path.join("bad").exists());
    }
}
