//! Peers that know the cookie and misbehave: they lose their own connection at most, and nobody else notices.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test ends there")]

mod support;

use std::time::Duration;

use otturnaut::limits;
use otturnaut::node::Node;
use otturnaut::term::{Term, atom, binary, list, tuple};
use rand::{RngExt, SeedableRng};
use support::raw::{Raw, message};
use support::{Beam, free_port, settings, start};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

/// A node, its EPMD port and its distribution port.
async fn node() -> (Node, u16, u16) {
    let (epmd_port, dist_port) = (free_port(), free_port());
    let mut settings = settings(epmd_port);
    settings.dist_port = Some(dist_port);
    (start(settings).await, epmd_port, dist_port)
}

/// The node serves an honest peer as ever.
async fn serves(node: &Node, epmd_port: u16) {
    let script = ":pong = Node.ping(node)\n3 = :rpc.call(node, Trial, :add, [1, 2])\n\
                  \"slept\" = :rpc.call(node, Trial, :sleep, [1])";
    Beam::new(epmd_port).run(node.name(), script).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bombs_and_garbage_cost_their_sender_its_connection() {
    let (node, epmd_port, dist_port) = node().await;
    let nested = |levels: usize| {
        let mut term = vec![112, 131];
        term.extend([108, 0, 0, 0, 1].repeat(levels));
        term.extend([106].repeat(levels + 1));
        term
    };
    let hostile: Vec<Vec<u8>> = vec![
        vec![112, 131, 108, 255, 255, 255, 255],
        vec![112, 131, 105, 255, 255, 255, 255, 97],
        vec![112, 131, 116, 255, 255, 255, 255, 97, 1],
        vec![112, 131, 111, 255, 255, 255, 255, 0, 1],
        vec![112, 131, 112, 0, 0, 0, 40, 0, 1, 2, 3],
        vec![112, 131, 80, 255, 255, 255, 255, 120, 156],
        vec![112, 131, 82, 0],
        vec![112, 131, 77, 0, 0, 0, 1, 0, 255],
        vec![112, 131, 70, 127, 240, 0, 0, 0, 0, 0, 0],
        vec![131, 68, 0],
        vec![112],
        nested(5_000),
        message(&tuple([Term::Int(29), atom("not"), atom("a"), atom("spawn")]), Some(&list([]))),
        message(&tuple([Term::Int(19), Term::Int(1)]), None),
        message(&atom("no_tuple"), None),
    ];
    for frame in hostile {
        let mut raw = Raw::connect(dist_port).await;
        raw.frame(&frame).await.unwrap();
        raw.closed().await;
    }
    let mut raw = Raw::connect(dist_port).await;
    raw.stream.write_all(&u32::MAX.to_be_bytes()).await.unwrap();
    raw.closed().await;
    serves(&node, epmd_port).await;
    node.shutdown(Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mutated_messages_never_hurt_the_node() {
    let (node, epmd_port, dist_port) = node().await;
    let mut rng = rand::rngs::StdRng::seed_from_u64(7);
    let mut raw = Raw::connect(dist_port).await;
    for n in 0..3_000 {
        let mut frame = match n % 3 {
            0 => raw.call(n, "echo", vec![list([Term::Int(1), binary("text")])]),
            1 => message(&tuple([Term::Int(6), raw.pid().into(), atom(""), atom("counter")]), Some(&atom("next"))),
            _ => message(&tuple([Term::Int(19), raw.pid().into(), atom("rex"), raw.reference(n).into()]), None),
        };
        for _ in 0..rng.random_range(1..4) {
            let at = rng.random_range(0..frame.len());
            frame[at] = rng.random();
        }
        let mut ignored = vec![0; 65_536];
        // The node closes what it cannot read: then the next connection goes on.
        if raw.frame(&frame).await.is_err() || matches!(raw.stream.try_read(&mut ignored), Ok(0)) {
            raw = Raw::connect(dist_port).await;
        }
    }
    serves(&node, epmd_port).await;
    node.shutdown(Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_processes_is_bounded_and_others_are_served() {
    let (node, epmd_port, dist_port) = node().await;
    let mut raw = Raw::connect(dist_port).await;
    for n in 0..12_000 {
        let call = raw.call(n, "sleep", vec![Term::Int(600_000)]);
        raw.frame(&call).await.unwrap();
    }
    let script = "
        :pong = Node.ping(node)
        3 = :rpc.call(node, Trial, :add, [1, 2])
        sleep = fn -> try do :erpc.call(node, Trial, :sleep, [1]) catch :error, reason -> reason end end
        eventually.(fn -> sleep.() == {:erpc, :system_limit} end)
    ";
    Beam::new(epmd_port).run(node.name(), script).await;
    node.shutdown(Duration::from_secs(2)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_never_reads_is_read_no_further() {
    let (node, epmd_port, dist_port) = node().await;
    let mut raw = Raw::connect(dist_port).await;
    let echo = raw.call(1, "echo", vec![Term::Binary(vec![7; 64 * 1024].into())]);
    // Far more answers than the bounds allow to wait.
    let flood = async {
        for sent in 0..20_000_u64 {
            if raw.frame(&echo).await.is_err() {
                return sent;
            }
        }
        20_000
    };
    assert!(timeout(Duration::from_secs(3), flood).await.is_err(), "the node took more than it can answer");
    serves(&node, epmd_port).await;
    // Once it reads, what was answered comes.
    let mut answers = vec![0; 1 << 20];
    let reading = async {
        let mut read = 0;
        while read < limits::LINK_REPLY_BYTES {
            read += raw.stream.read(&mut answers).await.unwrap();
        }
    };
    timeout(Duration::from_secs(10), reading).await.expect("the answers come");
    node.shutdown(Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn monitors_without_number_are_bounded_and_forgotten_with_their_link() {
    let (node, epmd_port, dist_port) = node().await;
    for _ in 0..2 {
        let mut raw = Raw::connect(dist_port).await;
        let mut burst = Vec::new();
        for n in 0..150_000 {
            let control = tuple([Term::Int(19), raw.pid().into(), atom("rex"), raw.reference(n).into()]);
            let body = message(&control, None);
            burst.extend(u32::try_from(body.len()).unwrap().to_be_bytes());
            burst.extend(body);
        }
        let (mut read, mut write) = raw.stream.split();
        let mut answer = vec![0; 65_536];
        // The first that finds no room is answered: from there on the bound holds.
        let (_, first) =
            tokio::join!(write.write_all(&burst), timeout(Duration::from_secs(20), read.read(&mut answer)));
        assert!(first.expect("the bound is reached").unwrap() > 0);
    }
    serves(&node, epmd_port).await;
    node.shutdown(Duration::from_secs(1)).await;
}
