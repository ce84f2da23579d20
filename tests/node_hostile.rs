//! Peers that know the cookie and misbehave: they lose their own connection at most, and nobody else notices.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test ends there")]

mod support;

use std::time::Duration;

use otturnaut::limits;
use otturnaut::node::Node;
use otturnaut::term::{Atom, Pid, Reference, Term, atom, binary, list, tuple};
use rand::{RngExt, SeedableRng};
use support::agent::eventually;
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

/// Memory of this process, which the node runs in.
fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// The node serves an honest peer as ever.
async fn serves(node: &Node, epmd_port: u16) {
    let script = ":pong = Node.ping(node)\n3 = :rpc.call(node, Trial, :add, [1, 2])\n\
                  \"slept\" = :rpc.call(node, Trial, :sleep, [1])";
    Beam::new(epmd_port).run(node.name(), script).await;
}

/// A pid of some node.
fn a_pid() -> Term {
    Pid { node: Atom::from_static("some@host"), id: 1, serial: 0, creation: 1 }.into()
}

/// The control tuple of a request to spawn `erlang:self/0` under a group leader.
fn spawn_request(leader: Term) -> Term {
    let id = Reference::new(Atom::from_static("some@host"), 1, &[1, 2, 3]).unwrap();
    let what = tuple([atom("erlang"), atom("self"), Term::Int(0)]);
    tuple([Term::Int(29), id.into(), a_pid(), leader, what, list([])])
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
        message(&tuple([Term::Int(7), binary("no pid"), a_pid()]), None),
        message(&spawn_request(binary("no pid")), Some(&list([]))),
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
async fn a_flood_of_processes_leaves_room_for_others_and_is_gone_with_its_link() {
    let (node, epmd_port, dist_port) = node().await;
    let mut flooders = Vec::new();
    for _ in 0..3 {
        let mut raw = Raw::connect(dist_port).await;
        for n in 0..12_000 {
            let call = raw.call(n, "sleep", vec![Term::Int(600_000)]);
            raw.frame(&call).await.unwrap();
        }
        raw.refused().await;
        flooders.push(raw);
    }
    let running = node.process_count();
    assert!(running > limits::PROCESSES * 3 / 4, "{running} processes");
    serves(&node, epmd_port).await;
    drop(flooders);
    node.shutdown(Duration::from_secs(2)).await;
}

/// A call by way of `rex`, as C nodes make it.
fn old_call(raw: &Raw, function: &'static str, args: Vec<Term>) -> Vec<u8> {
    let control = tuple([Term::Int(6), raw.pid().into(), atom(""), atom("rex")]);
    let call = [atom("call"), atom("Elixir.Trial"), atom(function), Term::List(args), raw.pid().into()];
    message(&control, Some(&tuple([raw.pid().into(), tuple(call)])))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_calls_by_rex_leaves_room_for_others_too() {
    let (node, epmd_port, dist_port) = node().await;
    let mut raw = Raw::connect(dist_port).await;
    let call = old_call(&raw, "sleep", vec![Term::Int(600_000)]);
    for _ in 0..12_000 {
        raw.frame(&call).await.unwrap();
    }
    raw.refused().await;
    let running = node.process_count();
    assert_eq!(running, limits::PROCESSES / 2);
    serves(&node, epmd_port).await;
    drop(raw);
    node.shutdown(Duration::from_secs(2)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_goes_on_holds_nothing_of_the_link_that_it_came_over() {
    // So large that the allocator keeps none of it.
    const ANSWER: usize = 40 * 1024 * 1024;
    const PEERS: usize = 3;
    let (node, epmd_port, dist_port) = node().await;
    serves(&node, epmd_port).await;
    let before = resident_bytes();
    let mut peers = Vec::new();
    for _ in 0..PEERS {
        let mut raw = Raw::connect(dist_port).await;
        let call = old_call(&raw, "sleep", vec![Term::Int(600_000)]);
        raw.frame(&call).await.unwrap();
        let echo = raw.call(1, "echo", vec![Term::Binary(vec![7; ANSWER].into())]);
        raw.frame(&echo).await.unwrap();
        peers.push(raw);
    }
    // Not one of them reads.
    let held = || async { resident_bytes() > before + PEERS * ANSWER / 2 };
    eventually("answers that wait", held).await;
    drop(peers);
    let given_back = || async { resident_bytes() < before + ANSWER };
    eventually("memory to come back", given_back).await;
    assert_eq!(node.process_count(), PEERS);
    node.shutdown(Duration::from_secs(1)).await;
}

/// What large arguments may take together of this process, in which what is sent is made as well.
const HELD: usize = limits::ARGUMENT_BYTES + 8 * 16 * 1024 * 1024;

/// The node refuses a call before the arguments of those that run take too much, and serves others.
async fn refuses_in_time((node, epmd_port): (&Node, u16), raw: &mut Raw, before: usize) {
    raw.refused().await;
    let held = resident_bytes() - before;
    assert!(held < HELD, "{held} bytes");
    serves(node, epmd_port).await;
    node.shutdown(Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn arguments_of_calls_by_rex_share_the_bounded_memory_too() {
    let (node, epmd_port, dist_port) = node().await;
    let mut raw = Raw::connect(dist_port).await;
    let large = Term::Binary(vec![7; 16 * 1024 * 1024].into());
    let before = resident_bytes();
    let call = old_call(&raw, "sleep_with", vec![Term::Int(600_000), large]);
    for _ in 0..40 {
        raw.frame(&call).await.unwrap();
    }
    refuses_in_time((&node, epmd_port), &mut raw, before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_of_signals_to_processes_that_never_lived_are_answered_and_forgotten() {
    const EACH: u32 = 10_000;
    let (node, epmd_port, dist_port) = node().await;
    let mut raw = Raw::connect(dist_port).await;
    raw.is_served().await;
    let before = resident_bytes();
    let (from, rex) = (Term::from(raw.pid()), node.whereis("rex").unwrap());
    let mut sent = 0;
    for n in 0..EACH {
        let reference = Term::from(raw.reference(n));
        let nobody = Term::from(Pid { id: 1_000_000 + n, ..rex.clone() });
        let earlier = Term::from(Pid { id: n, creation: 1, ..rex.clone() });
        let reason = || Some(atom("gone"));
        let mut burst = Vec::new();
        for to in [nobody, earlier] {
            let signals = [
                (vec![Term::Int(1), from.clone(), to.clone()], None),
                (vec![Term::Int(4), from.clone(), to.clone()], None),
                (vec![Term::Int(35), Term::Int(n.into()), from.clone(), to.clone()], None),
                (vec![Term::Int(7), from.clone(), to.clone()], None),
                (vec![Term::Int(3), from.clone(), to.clone(), atom("gone")], None),
                (vec![Term::Int(8), from.clone(), to.clone(), atom("kill")], None),
                (vec![Term::Int(24), from.clone(), to.clone()], reason()),
                (vec![Term::Int(26), from.clone(), to.clone()], reason()),
                (vec![Term::Int(19), from.clone(), to.clone(), reference.clone()], None),
                (vec![Term::Int(20), from.clone(), to.clone(), reference.clone()], None),
                (vec![Term::Int(28), from.clone(), to.clone(), reference.clone()], reason()),
                (vec![Term::Int(22), from.clone(), to], reason()),
            ];
            for (control, payload) in signals {
                let body = message(&Term::Tuple(control), payload.as_ref());
                burst.extend(u32::try_from(body.len()).unwrap().to_be_bytes());
                burst.extend(body);
            }
        }
        raw.stream.write_all(&burst).await.unwrap();
        sent += burst.len();
        // Nobody who floods reads much.
        if n % 256 == 0 {
            let mut answers = vec![0; 1 << 20];
            while raw.stream.try_read(&mut answers).is_ok_and(|read| read > 0) {}
        }
    }
    raw.is_served().await;
    let grown = resident_bytes().saturating_sub(before);
    println!("{sent} bytes of signals, {grown} bytes more");
    assert!(grown < 16 * 1024 * 1024, "{grown} bytes");
    assert!(node.whereis("rex") == Some(rex), "nobody was hit");
    serves(&node, epmd_port).await;
    node.shutdown(Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_with_large_arguments_share_a_bounded_memory() {
    let (node, epmd_port, dist_port) = node().await;
    let mut raw = Raw::connect(dist_port).await;
    let large = Term::Binary(vec![7; 16 * 1024 * 1024].into());
    let before = resident_bytes();
    for n in 0..40 {
        let call = raw.call(n, "sleep_with", vec![Term::Int(600_000), large.clone()]);
        raw.frame(&call).await.unwrap();
    }
    refuses_in_time((&node, epmd_port), &mut raw, before).await;
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
async fn arguments_count_with_the_frame_that_they_hold_on_to() {
    let (node, epmd_port, dist_port) = node().await;
    let mut raw = Raw::connect(dist_port).await;
    let before = resident_bytes();
    let ballast = Term::Binary(vec![7; 40 * 1024 * 1024].into());
    for n in 0..10 {
        let (id, from) = (Term::from(raw.reference(n)), Term::from(raw.pid()));
        let what = tuple([atom("Elixir.Trial"), atom("sleep_with"), Term::Int(2)]);
        // Forty MiB that nobody wants, and an argument that lies beside them.
        let options = list([tuple([atom("monitor"), ballast.clone()])]);
        let control = tuple([Term::Int(29), id, from.clone(), from, what, options]);
        let args = list([Term::Int(600_000), Term::Binary(vec![7; 64 * 1024].into())]);
        raw.frame(&message(&control, Some(&args))).await.unwrap();
    }
    drop(ballast);
    refuses_in_time((&node, epmd_port), &mut raw, before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_million_monitors_cost_their_sender_its_connection_and_are_forgotten_with_it() {
    let (node, epmd_port, dist_port) = node().await;
    let before = resident_bytes();
    for _ in 0..2 {
        let mut raw = Raw::connect(dist_port).await;
        let monitor = |n| tuple([Term::Int(19), raw.pid().into(), atom("rex"), raw.reference(n).into()]);
        let mut burst = Vec::new();
        for n in 0..1_000_000 {
            let body = message(&monitor(n), None);
            burst.extend(u32::try_from(body.len()).unwrap().to_be_bytes());
            burst.extend(body);
        }
        // The node closes before it took all.
        raw.stream.write_all(&burst).await.unwrap_err();
        raw.closed().await;
    }
    serves(&node, epmd_port).await;
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < limits::BONDS * 1024, "{grown} bytes");
    node.shutdown(Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_told_of_a_process_is_told_once_an_answer() {
    let (node, epmd_port, dist_port) = node().await;
    let mut raw = Raw::connect(dist_port).await;
    for n in 0..1_000 {
        let monitor = tuple([Term::Int(19), raw.pid().into(), atom("rex"), raw.reference(n).into()]);
        raw.frame(&message(&monitor, None)).await.unwrap();
    }
    let before = resident_bytes();
    // Each item of a thousand pids, a thousand times.
    let rex = Term::from(node.whereis("rex").unwrap());
    for (function, args) in [
        ("process_info", vec![rex, Term::List(vec![atom("monitored_by"); 1_000])]),
        ("memory", vec![Term::List(vec![atom("total"); 1_000])]),
        ("nodes", vec![Term::List(vec![atom("known"); 1_000])]),
    ] {
        let call = raw.call_of(1, ("erlang", function), args);
        raw.frame(&call).await.unwrap();
        raw.hears(b"badarg").await;
    }
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 16 * 1024 * 1024, "{grown} bytes");
    serves(&node, epmd_port).await;
    node.shutdown(Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn monitors_that_are_taken_back_one_by_one_cost_no_more_than_they_did() {
    let (node, epmd_port, dist_port) = node().await;
    let mut raw = Raw::connect(dist_port).await;
    let mut burst = Vec::new();
    for op in [19, 20] {
        for n in 0..50_000 {
            let control = tuple([Term::Int(op), raw.pid().into(), atom("rex"), raw.reference(n).into()]);
            let body = message(&control, None);
            burst.extend(u32::try_from(body.len()).unwrap().to_be_bytes());
            burst.extend(body);
        }
    }
    timeout(Duration::from_secs(20), raw.stream.write_all(&burst)).await.expect("the node keeps up").unwrap();
    serves(&node, epmd_port).await;
    node.shutdown(Duration::from_secs(1)).await;
}
