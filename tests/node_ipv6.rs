//! IPv4 and IPv6 at once: the node called and dialled over either, by real BEAM nodes.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends there")]

mod support;

use std::time::Duration;

use otturnaut::node::Settings;
use otturnaut::term::Atom;
use support::{Beam, free_port, settings, start, unique};

const CALLS: &str = r#"
    eventually.(fn -> node in Node.list(:hidden) end)
    3 = :rpc.call(node, Trial, :add, [1, 2])
    "slept" = :erpc.call(node, Trial, :sleep, [1])
    1 = GenServer.call({:counter, node}, :next) |> min(1)
"#;

fn beam(epmd_port: u16, host: &str) -> Beam {
    Beam { name: format!("{}@{host}", unique("beam")), v6: host == "::1", ..Beam::new(epmd_port) }
}

/// A node named by one family, that dials a BEAM node of the other and is called by one of its own, at once.
async fn both(settings: Settings, host: &str, other: &str) {
    let epmd_port = settings.epmd_port;
    let (dialled, calling) = (beam(epmd_port, other), beam(epmd_port, host));
    let name = Atom::new(format!("{}@{host}", unique("rust"))).unwrap();
    let node = start(Settings { name, peer: Some(Atom::new(&dialled.name).unwrap()), ..settings }).await;
    let call = format!(":pong = Node.ping(node)\n{CALLS}");
    tokio::join!(dialled.run(node.name(), CALLS), calling.run(node.name(), &call));
    node.shutdown(Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_ipv6_is_called_over_it_and_dials_a_node_of_ipv4() {
    both(Settings { dist_bind: None, ..settings(free_port()) }, "::1", "127.0.0.1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_ipv4_is_called_over_it_and_dials_a_node_of_ipv6() {
    both(Settings { dist_bind: None, ..settings(free_port()) }, "127.0.0.1", "::1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_bound_to_an_address_of_ipv6_serves_epmd_on_both_families() {
    let bind = Some("::1".parse().unwrap());
    both(Settings { dist_bind: bind, ..settings(free_port()) }, "::1", "127.0.0.1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_bound_to_an_address_of_ipv4_dials_a_node_of_ipv6() {
    both(settings(free_port()), "127.0.0.1", "::1").await;
}
