//! Log streams of the agent's binary to a peer that hardly reads: what they cost, and whether others notice.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test ends there"
)]

#[path = "support/engines.rs"]
mod engines;
mod support;

use std::process::Command;
use std::time::Duration;

use otturnaut::apps::Labels;
use otturnaut::host::RuntimeKind;
use otturnaut::limits;
use otturnaut::term::{Term, atom, binary, keyword};
use support::agent::{Agent, eventually};
use support::raw::Raw;
use support::{free_port, unique};
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, sleep, timeout};

const STREAMS: usize = 20;

/// Memory that the allocator keeps of what was freed, and that threads and sockets took, in KiB.
const KEPT: u64 = 24 * 1024;

/// Longest that an honest peer waits for an answer. It takes a millisecond; this machine may be busy with other tests.
const PATIENCE: Duration = Duration::from_secs(10);

/// A container of the agent that says as much as it can; gone when the test ends.
struct Chatty(String);

impl Chatty {
    async fn start(outpost: &str, app_id: &str) -> Self {
        let labels = Labels {
            outpost: outpost.to_owned(),
            app_id: app_id.to_owned(),
            deployment_id: "1".to_owned(),
            domains: vec![],
            container_port: 8080,
            run: None,
            task: false,
        };
        let script = "while true; do echo a line of an application that says very much, all day long; done";
        let name = engines::unique("chatty");
        let image = engines::shell(RuntimeKind::Docker, &[]);
        let mut spec = engines::task(&name, &image, script);
        spec.labels = labels.write();
        engines::engine(RuntimeKind::Docker).start(&spec).await.unwrap();
        Self(name)
    }
}

impl Drop for Chatty {
    fn drop(&mut self) {
        Command::new("docker").args(["rm", "-f", &self.0]).output().unwrap();
    }
}

/// Calls a function and waits for its answer.
async fn answered(peer: &mut Raw, number: u32, function: (&'static str, &'static str), args: Vec<Term>) {
    let call = peer.call_of(number, function, args);
    peer.frame(&call).await.unwrap();
    peer.hears(b"return").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_streams_to_a_peer_that_takes_a_kilobyte_a_second_are_held_back_and_nobody_notices() {
    let name = format!("{}@127.0.0.1", unique("agent"));
    let chatty = Chatty::start(&name, "chatty").await;
    let dist_port = free_port();
    let agent = Agent::start_beside_docker(&name, free_port(), dist_port).await;
    let mut honest = Raw::connect(dist_port).await;
    answered(&mut honest, 1, ("erlang", "node"), vec![]).await;
    let before = agent.resident();

    let mut slow = Raw::connect_narrow(dist_port, 4096).await;
    for number in 1..=u32::try_from(STREAMS).unwrap() {
        let opts = keyword([("tail", atom("all"))]);
        let args = vec![binary("chatty"), Term::from(slow.pid()), opts];
        let call = slow.call_of(number, ("Elixir.Otturnaut.Logs", "stream"), args);
        slow.frame(&call).await.unwrap();
    }
    let trickle = async {
        let mut piece = vec![0; 1024];
        loop {
            slow.stream.read_exact(&mut piece).await.expect("the link stays");
            sleep(Duration::from_secs(1)).await;
        }
    };
    let others = async {
        let until = Instant::now() + Duration::from_secs(6);
        let mut number = 2;
        while Instant::now() < until {
            let tail = vec![binary("chatty"), Term::Int(3)];
            let asked = answered(&mut honest, number, ("Elixir.Otturnaut.Logs", "tail"), tail);
            timeout(PATIENCE, asked).await.expect("the last lines are told");
            let asked = answered(&mut honest, number + 1, ("erlang", "node"), vec![]);
            timeout(PATIENCE, asked).await.expect("an honest peer is served");
            number += 2;
            sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        () = trickle => unreachable!("it never ends"),
        () = others => {}
    }
    // What each stream may hold, and what the link of them all may.
    let most = STREAMS * 256 * 1024 + 2 * limits::LINK_STREAM_BYTES;
    let most = before + u64::try_from(most / 1024).unwrap() + KEPT;
    assert!(agent.peak() < most, "{before} KiB became {}, at most {most} were to be", agent.peak());

    // With the peer they go, and so do their connections to the engine.
    let files = agent.files();
    drop(slow);
    eventually("the streams to end", || async { agent.files() + STREAMS <= files }).await;
    drop(chatty);
}
