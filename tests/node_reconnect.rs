//! Peers that come back, and peers that dial the node while it dials them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends there")]

mod support;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use otturnaut::node::{Node, Settings};
use otturnaut::term::{Atom, Pid, Term};
use support::raw::{Dialled, Raw};
use support::{Beam, free_port, settings, start, unique};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

/// A node of a name that lies between `a` and `z`, and its EPMD and distribution ports.
async fn node() -> (Node, u16, u16) {
    let (epmd_port, dist_port) = (free_port(), free_port());
    let name = Atom::new(format!("{}@127.0.0.1", unique("m"))).unwrap();
    let settings = Settings { name, dist_port: Some(dist_port), ..settings(epmd_port) };
    (start(settings).await, epmd_port, dist_port)
}

fn name_of(letter: &str) -> String {
    format!("{}@127.0.0.1", unique(letter))
}

/// Has the node dial a peer: it has a message for it.
fn tell(node: &Node, peer: &str) -> tokio::task::JoinHandle<bool> {
    let (node, peer) = (node.clone(), Atom::new(peer).unwrap());
    TaskTracker::new().spawn(async move {
        let to = Pid { node: peer, id: 0xFFFF, serial: 0, creation: 1 };
        node.send(&node.whereis("counter").unwrap(), &to, Term::OK).await.is_ok()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_attempts_at_once_the_nodes_own_goes_on_if_its_name_is_the_greater_one() {
    let (node, epmd_port, dist_port) = node().await;
    let name = name_of("a");
    let peer = Dialled::register(&name, epmd_port).await;
    let told = tell(&node, &name);
    let mut greeted = peer.greeted().await;
    let own = Raw::connect_as(&name, dist_port, Duration::ZERO).await;
    assert_eq!(own.err().as_deref(), Some(b"snok".as_slice()));
    greeted.answer(b"sok_simultaneous").await;
    let mut link = greeted.admit().await;
    assert!(told.await.unwrap());
    link.is_served().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_attempts_at_once_the_peers_goes_on_if_its_name_is_the_greater_one() {
    let (node, epmd_port, dist_port) = node().await;
    let name = name_of("z");
    let peer = Dialled::register(&name, epmd_port).await;
    let told = tell(&node, &name);
    let mut greeted = peer.greeted().await;
    let mut link = Raw::connect_as(&name, dist_port, Duration::ZERO).await.expect("the node takes it");
    greeted.answer(b"snok").await;
    assert!(told.await.unwrap(), "what waited for a link goes over the one that came");
    link.is_served().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_still_holds_an_old_link_is_told_to_let_go_of_it() {
    let (node, epmd_port, _) = node().await;
    let name = name_of("a");
    let peer = Dialled::register(&name, epmd_port).await;
    let told = tell(&node, &name);
    let mut greeted = peer.greeted().await;
    greeted.answer(b"salive").await;
    assert_eq!(greeted.hear().await, b"strue");
    let mut link = greeted.admit().await;
    assert!(told.await.unwrap());
    link.is_served().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_hangs_is_given_up_and_the_peer_comes_in_by_its_own() {
    let (node, epmd_port, dist_port) = node().await;
    for letter in ["a", "z"] {
        // Its port takes connections, and nobody answers there. As between all nodes, a lesser name must wait for the end of
        // the node's own attempt.
        let name = name_of(letter);
        let peer = Dialled::register(&name, epmd_port).await;
        let told = tell(&node, &name);
        let greeted = peer.greeted().await;
        let came = async {
            loop {
                match Raw::connect_as(&name, dist_port, Duration::ZERO).await {
                    Ok(link) => return link,
                    Err(status) => assert_eq!(status, b"snok"),
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let mut link = timeout(Duration::from_secs(12), came).await.expect("it comes in");
        link.is_served().await;
        told.await.unwrap();
        drop(greeted);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_comes_back_takes_the_place_of_its_old_link() {
    let (_node, _, dist_port) = node().await;
    let name = name_of("b");
    let old = Raw::connect_as(&name, dist_port, Duration::ZERO).await.expect("the node takes it");
    for _ in 0..3 {
        let mut new = Raw::connect_as(&name, dist_port, Duration::ZERO).await.expect("the node takes it");
        new.is_served().await;
    }
    old.closed().await;
    // The ends of the old ones, whenever they are noticed, are not the end of the last.
    let mut last = Raw::connect_as(&name, dist_port, Duration::ZERO).await.expect("the node takes it");
    for _ in 0..20 {
        last.is_served().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_does_not_know_the_cookie_takes_nobodys_place() {
    let (_node, _, dist_port) = node().await;
    let name = name_of("b");
    let mut honest = Raw::connect_as(&name, dist_port, Duration::ZERO).await.expect("the node takes it");
    Raw::pretend(&name, dist_port).await;
    honest.is_served().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_of_the_same_name_is_not_taken_for_the_one_before() {
    let (node, epmd_port, _) = node().await;
    let first = Beam::new(epmd_port);
    let said = first
        .run(
            node.name(),
            "pid = spawn(fn -> Process.sleep(:infinity) end)\n\
             Task.start(fn -> :rpc.call(node, Trial, :down, [pid]) end)\n\
             eventually.(fn -> Process.info(pid, :monitored_by) != {:monitored_by, []} end)\n\
             IO.puts(\"pid #{Base.encode64(:erlang.term_to_binary(pid))}\")",
        )
        .await;
    let pid = said.lines().find_map(|line| line.strip_prefix("pid ")).unwrap();
    let second = Beam { name: first.name.clone(), ..Beam::new(epmd_port) };
    let script = format!(
        "old = :erlang.binary_to_term(Base.decode64!(\"{pid}\"))\n\
         :pong = Node.ping(node)\n\
         true = node(old) == node() and old not in Process.list()\n\
         :noproc = :rpc.call(node, Trial, :down, [old])\n\
         :ok = :rpc.call(node, Trial, :send_many, [old, 3])\n\
         {{:messages, []}} = Process.info(self(), :messages)"
    );
    second.run(node.name(), &script).await;
}

/// A node and a BEAM node that dial each other within the same milliseconds, again and again: after each round there is one
/// link, and it serves both.
async fn dial_each_other(letter: &str) {
    const ROUNDS: u64 = 40;
    const ROUND: Duration = Duration::from_millis(120);
    let (node, epmd_port, _) = node().await;
    let beam = Beam { name: name_of(letter), ..Beam::new(epmd_port) };
    // Far enough for an Elixir to start.
    let first = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + Duration::from_secs(4);
    let script = format!(
        r"
        true = Process.register(self(), :beam)
        for round <- 0..{last} do
          Process.sleep(max({first} + round * {round} - System.os_time(:millisecond), 0))
          eventually.(fn -> Node.connect(node) end)
          5 = :rpc.call(node, Trial, :add, [2, 3])
          [me] = :rpc.call(node, :erlang, :nodes, [:hidden])
          true = me == node()
          true = Node.disconnect(node)
        end
        ",
        last = ROUNDS - 1,
        first = first.as_millis(),
        round = ROUND.as_millis(),
    );
    let dialling = async {
        for round in 0..ROUNDS {
            // Sweeps over the time that a handshake takes.
            let at = first + ROUND * u32::try_from(round).unwrap() + Duration::from_micros(500 + 250 * (round % 16));
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
            tokio::time::sleep(at.saturating_sub(now)).await;
            tell(&node, &beam.name);
        }
    };
    tokio::join!(beam.run(node.name(), &script), dialling);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_beam_node_of_a_lesser_name_and_the_node_dial_each_other() {
    dial_each_other("a").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_beam_node_of_a_greater_name_and_the_node_dial_each_other() {
    dial_each_other("z").await;
}
