//! Strangers at the agent's ports, thousands at once: honest peers are served as ever, and neither memory nor log grows.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends there")]

mod support;

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use otturnaut::limits;
use otturnaut::term::{binary, list};
use rustix::process::{Resource, getrlimit, setrlimit};
use support::agent::{Agent, connections, eventually};
use support::raw::{Raw, hello};
use support::{Beam, free_port, unique};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

/// Most that strangers may add to the agent's memory, in KiB: 768 seats of some kilobytes each, and what sockets and the
/// allocator keep.
const MOST_MORE: u64 = 8 * 1024;

/// This process holds the other ends.
fn raise_open_files() {
    let mut files = getrlimit(Resource::Nofile);
    files.current = files.maximum;
    setrlimit(Resource::Nofile, files).unwrap();
}

/// A connection from one of this machine's addresses.
async fn connect(from: u8, port: u16) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((Ipv4Addr::new(127, 0, 0, from), 0).into())?;
    socket.connect((Ipv4Addr::LOCALHOST, port).into()).await
}

/// Connections that say something each and then nothing, held until the flood ends.
async fn hold(from: u8, port: u16, count: usize, say: &[u8]) -> Vec<TcpStream> {
    let mut held = Vec::new();
    for _ in 0..count {
        if let Ok(mut stranger) = connect(from, port).await {
            // The agent may have closed it already.
            stranger.write_all(say).await.ok();
            held.push(stranger);
        }
    }
    held
}

/// A name message, a byte a second: how long the agent listened.
async fn slow(from: u8, port: u16) -> Duration {
    let mut stranger = connect(from, port).await.unwrap();
    let began = Instant::now();
    let message = framed(&hello("slow_enough_to_take_minutes@127.0.0.1"));
    let mut answer = [0];
    for byte in message {
        if stranger.write_all(&[byte]).await.is_err() {
            break;
        }
        if let Ok(end) = timeout(Duration::from_secs(1), stranger.read(&mut answer)).await {
            assert_eq!(end.unwrap_or(0), 0, "a half name was answered");
            break;
        }
    }
    began.elapsed()
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&u16::try_from(message.len()).unwrap().to_be_bytes(), message].concat()
}

/// All kinds of strangers at once, again and again.
fn flood(strangers: &mut JoinSet<()>, dist_port: u16, epmd_port: u16) {
    let named = framed(&hello("somebody@127.0.0.1"));
    let half = named.get(..9).unwrap().to_vec();
    let tls = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec();
    let http = b"GET / HTTP/1.1\r\nHost: outpost\r\n\r\n".to_vec();
    let kinds = [
        (2, dist_port, 3_000, Vec::new()),
        (3, dist_port, 1_000, named),
        (4, dist_port, 300, half),
        (5, dist_port, 300, tls),
        (5, dist_port, 300, http),
        (5, dist_port, 300, vec![0xff; 4_000]),
        (6, epmd_port, 1_000, Vec::new()),
        (6, epmd_port, 300, vec![0, 200, b'x']),
    ];
    for (from, port, count, say) in kinds {
        strangers.spawn(async move {
            loop {
                let held = hold(from, port, count, &say).await;
                sleep(Duration::from_millis(500)).await;
                drop(held);
            }
        });
    }
    for port in [dist_port, epmd_port] {
        strangers.spawn(async move {
            loop {
                connect(7, port).await.ok();
            }
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_strangers_of_all_kinds_keeps_no_honest_peer_out() {
    raise_open_files();
    let (epmd_port, dist_port) = (free_port(), free_port());
    let agent = Agent::start(epmd_port, dist_port).await;
    // What one peer needs is no stranger's doing.
    drop(Raw::connect(dist_port).await);
    let (before, files) = (agent.resident(), agent.files());
    let before_connections = connections(&[epmd_port, dist_port]);

    let mut strangers = JoinSet::new();
    flood(&mut strangers, dist_port, epmd_port);
    let script = "
        for _ <- 1..30 do
          :pong = Node.ping(node)
          ^node = :rpc.call(node, :erlang, :node, [])
          true = Node.disconnect(node)
        end
    ";
    let (mut most, mut most_files) = (0, 0);
    let honest = async {
        let afar = async {
            for _ in 0..30 {
                drop(Raw::connect_slowly(dist_port, Duration::from_millis(50)).await);
            }
        };
        let slow: JoinSet<_> = (0..20).map(|_| slow(8, dist_port)).collect();
        let beam = Beam::new(epmd_port);
        let (_, (), listened) = tokio::join!(beam.run(&agent.name, script), afar, slow.join_all());
        // Their time to the end, as few as they are; and a moment of a machine that is busy.
        let time = limits::HANDSHAKE.mul_f64(0.9)..limits::HANDSHAKE + Duration::from_secs(3);
        assert!(listened.iter().all(|heard| time.contains(heard)), "slow ones were heard for {listened:?}");
    };
    let watch = async {
        loop {
            most = most.max(agent.resident());
            most_files = most_files.max(agent.files());
            sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        () = honest => {}
        () = watch => {}
    }
    strangers.shutdown().await;

    println!("resident: {before} KiB before, {most} at most, {} after; {most_files} files", agent.resident());
    let seats = 2 * limits::HANDSHAKES + 2 * limits::EPMD_REQUESTS + 2 * limits::LEAVING_STRANGERS;
    assert!(most_files < files + seats + 16, "{files} open files became {most_files}");
    assert!(most < before + MOST_MORE, "{before} KiB became {most}");
    // By the ports: what it opens meanwhile for other work, as for its engines, is no stranger's doing.
    eventually("all connections to be closed", || async { connections(&[epmd_port, dist_port]) <= before_connections })
        .await;
    assert!(agent.resident() < before + MOST_MORE, "{} KiB are left", agent.resident());
    Beam::new(epmd_port).run(&agent.name, ":pong = Node.ping(node)").await;
    let log = agent.log();
    let refused = log.lines().filter(|line| line.contains("refused")).count();
    assert!((1..=limits::FAILURE_SOURCES).contains(&refused), "{refused} lines:\n{log}");
    assert!(log.contains("untold="), "nothing tells of what was left out:\n{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn so_many_links_are_taken_and_no_more_and_a_peer_that_comes_back_is_not_counted_twice() {
    raise_open_files();
    let (epmd_port, dist_port) = (free_port(), free_port());
    let agent = Agent::start(epmd_port, dist_port).await;
    let before = agent.resident();
    let mut links = Vec::new();
    for _ in 0..limits::LINKS {
        links.push(Raw::connect(dist_port).await);
    }
    println!("{} KiB for {} links", agent.resident() - before, links.len());
    let stranger = format!("{}@127.0.0.1", unique("raw"));
    let refused = Raw::connect_as(&stranger, dist_port, Duration::ZERO).await;
    assert_eq!(refused.err().as_deref(), Some(b"snot_allowed".as_slice()));
    agent.logs(&format!("{stranger} is one too many: this node has {} links", limits::LINKS)).await;
    Beam::new(epmd_port).run(&agent.name, ":pang = Node.ping(node)").await;
    // The same name again takes the place of its older link.
    let back = Raw::connect_as(links.first().unwrap().name.as_str(), dist_port, Duration::ZERO).await;
    links.swap_remove(0).closed().await;
    assert!(back.is_ok());
    // One that leaves makes room.
    drop(links.pop());
    let taken = async || Raw::connect_as(&stranger, dist_port, Duration::ZERO).await.is_ok();
    eventually("a place", taken).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_file_descriptors_it_waits_and_serves_again_when_there_are_some() {
    let (epmd_port, dist_port) = (free_port(), free_port());
    let agent = Agent::start_with_files("-n 64", epmd_port, dist_port).await;
    let strangers = hold(2, dist_port, 200, b"").await;
    agent.logs("cannot accept connections").await;
    let spent = agent.processor_time();
    sleep(Duration::from_secs(1)).await;
    let spent = agent.processor_time().saturating_sub(spent);
    assert!(spent < Duration::from_millis(200), "it spent {spent:?} in a second of waiting");
    drop(strangers);
    drop(Raw::connect(dist_port).await);
    assert_eq!(agent.log().matches("cannot accept connections").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_have_the_limit_of_open_files_that_the_agent_was_started_with() {
    let (epmd_port, dist_port) = (free_port(), free_port());
    let agent = Agent::start_with_files("-Sn 64", epmd_port, dist_port).await;
    let mut peer = Raw::connect(dist_port).await;
    // They get it as soon as they run.
    let script = "until [ \"$(ulimit -Sn)\" = 64 ]; do sleep 0.01; done; echo limited_to_$(ulimit -Sn)";
    let args = vec![binary("sh"), list(["-c", script].map(binary))];
    let call = peer.call_of(1, ("Elixir.Otturnaut.Command", "run"), args);
    peer.frame(&call).await.unwrap();
    peer.hears(b"limited_to_64").await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", agent.pid())).unwrap();
    let own = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let [soft, hard] = [3, 4].map(|at| own.split_whitespace().nth(at));
    assert!(soft == hard && soft != Some("64"), "{own}");
}
