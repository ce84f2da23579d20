//! Peers that know the cookie and misbehave, at the agent's binary: what they take of its memory, what is left of that when
//! they are gone, and whether honest peers notice.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test ends there")]

mod support;

use std::time::Duration;

use otturnaut::limits;
use otturnaut::term::{Term, atom, binary, budget, list, map, tuple};
use support::agent::{Agent, eventually};
use support::free_port;
use support::raw::{Raw, message};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

/// Memory that the allocator keeps of what was freed, and that threads and sockets took, in KiB.
const KEPT: u64 = 24 * 1024;

/// Longest that an honest peer waits for an answer. It takes a millisecond; this machine may be busy with other tests.
const PATIENCE: Duration = Duration::from_secs(5);

/// An agent whose memory is measured.
struct Outpost {
    agent: Agent,
    dist_port: u16,
    /// Its resident memory once it has served a peer, in KiB.
    before: u64,
}

impl Outpost {
    /// `tick_time` is in seconds: a peer that takes nothing is gone after five quarters of it.
    async fn start(tick_time: u64) -> Self {
        let (epmd_port, dist_port) = (free_port(), free_port());
        let agent = Agent::start_ticking(tick_time, epmd_port, dist_port).await;
        is_answered(&mut Raw::connect(dist_port).await).await;
        let before = agent.resident();
        Self { agent, dist_port, before }
    }

    async fn peer(&self) -> Raw {
        Raw::connect(self.dist_port).await
    }

    /// Does `work` while an honest peer is served all the time.
    async fn serving<T>(&self, work: impl Future<Output = T>) -> T {
        let mut honest = self.peer().await;
        let served = async {
            loop {
                timeout(PATIENCE, is_answered(&mut honest)).await.expect("an honest peer is served");
                sleep(Duration::from_millis(2)).await;
            }
        };
        let done = tokio::select! {
            done = work => done,
            () = served => unreachable!("an honest peer never ends"),
        };
        is_answered(&mut honest).await;
        done
    }

    /// It never took more than so many bytes.
    fn never_took_more_than(&self, bytes: usize) {
        let most = self.before + u64::try_from(bytes / 1024).unwrap() + KEPT;
        assert!(self.agent.peak() < most, "{} KiB became {}", self.before, self.agent.peak());
    }

    /// It never took more than so many bytes, and has given them back.
    async fn took_no_more_than(&self, bytes: usize) {
        self.never_took_more_than(bytes);
        let left = self.before + KEPT;
        eventually("memory to come back", || async { self.agent.resident() < left }).await;
    }
}

/// Asks for the node's name and waits for the answer.
async fn is_answered(peer: &mut Raw) {
    let call = peer.call_of(1, ("erlang", "node"), vec![]);
    peer.frame(&call).await.unwrap();
    peer.hears(b"return").await;
}

/// A call whose answer is as large as it is itself.
fn echo(peer: &Raw, number: u32, bytes: usize) -> Vec<u8> {
    let text = Term::Binary(vec![b'x'; bytes].into());
    peer.call_of(number, ("Elixir.Otturnaut.Command.Result", "success"), vec![text, Term::Int(5)])
}

/// The same with its length before it.
fn framed(body: &[u8]) -> Vec<u8> {
    [&u32::try_from(body.len()).unwrap().to_be_bytes(), body].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_come_in_part_share_a_bounded_memory_and_others_are_served_meanwhile() {
    const PEERS: usize = 4;
    let outpost = Outpost::start(8).await;
    let stall = async |mut peer: Raw| {
        let head = u32::try_from(limits::FRAME_BYTES).unwrap().to_be_bytes();
        peer.stream.write_all(&head).await.unwrap();
        let piece = vec![112; 1024 * 1024];
        for _ in 0..limits::FRAME_BYTES / piece.len() - 1 {
            peer.stream.write_all(&piece).await.unwrap();
        }
        std::future::pending::<()>().await;
    };
    let mut stalled = JoinSet::new();
    for _ in 0..PEERS {
        stalled.spawn(stall(outpost.peer().await));
    }
    // All room but what one more peer could have.
    let most_taken = limits::INCOMING_BYTES / 1024 * PEERS / (PEERS + 1);
    let full = outpost.before + u64::try_from(most_taken).unwrap() * 9 / 10;
    let flooded = async {
        eventually("the room to be taken", || async { outpost.agent.resident() > full }).await;
        // A frame that needs room finds some.
        let mut large = outpost.peer().await;
        let call = echo(&large, 1, limits::LARGE_FRAME_BYTES + 1);
        large.frame(&call).await.unwrap();
        timeout(PATIENCE, large.hears(b"return")).await.expect("a large call is served");
    };
    outpost.serving(flooded).await;
    assert!(stalled.try_join_next().is_none(), "one was closed");
    stalled.shutdown().await;
    // Their ends are noticed though nothing is read of them: a tick is not taken.
    outpost.took_no_more_than(limits::INCOMING_BYTES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_asks_and_never_reads_is_closed_in_the_end() {
    let outpost = Outpost::start(4).await;
    let mut peer = outpost.peer().await;
    let call = framed(&echo(&peer, 1, 64 * 1024));
    let until_closed = async { while peer.stream.write_all(&call).await.is_ok() {} };
    let closed = timeout(Duration::from_secs(20), outpost.serving(until_closed));
    closed.await.expect("the connection is closed");
    outpost.agent.logs(&format!("peer={} why=\"the peer took nothing for 5 s\"", peer.name)).await;
    // Those that are being written, and those that wait.
    outpost.took_no_more_than(2 * limits::LINK_REPLY_BYTES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_of_calls_that_end_while_their_caller_does_not_read_are_bounded() {
    const ANSWER: usize = limits::COMMAND_OUTPUT_BYTES;
    const CALLS: usize = limits::LINK_QUEUE_BYTES / ANSWER * 5 / 4;
    let outpost = Outpost::start(60).await;
    let overrun = format!("more than {} bytes wait for a peer that does not read", limits::LINK_QUEUE_BYTES);
    let args = list(["-c", &ANSWER.to_string(), "/dev/zero"].map(binary));
    // More than once: what was given back is used again, though the allocator may keep much of it.
    for round in 1..=2 {
        let mut peer = outpost.peer().await;
        for n in 0..u32::try_from(CALLS).unwrap() {
            let call = peer.call_of(n, ("Elixir.Otturnaut.Command", "run"), vec![binary("head"), args.clone()]);
            peer.frame(&call).await.unwrap();
        }
        let closed = || async { outpost.agent.log().matches(&overrun).count() == round };
        outpost.serving(eventually(&overrun, closed)).await;
        eventually("the commands to end", || async { Running::of(&outpost.agent, "head").is_none() }).await;
    }
    // Besides the answers that wait, commands that are still running gather theirs.
    outpost.never_took_more_than(limits::LINK_QUEUE_BYTES + CALLS * ANSWER);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_come_at_once_and_have_large_answers_are_answered_one_by_one() {
    let outpost = Outpost::start(60).await;
    let mut peer = outpost.peer().await;
    // As many applications as answer with 2 MiB.
    for n in 0..200 {
        let app = map([("notes", binary("x".repeat(10_000)))]);
        let put = peer.call_of(n, ("Elixir.Otturnaut.AppState", "put"), vec![binary(format!("app-{n}")), app]);
        peer.frame(&put).await.unwrap();
        peer.hears(b"return").await;
    }
    // They come in one piece, and their answers are a gigabyte.
    let list = framed(&peer.call_of(2, ("Elixir.Otturnaut.AppState", "list"), vec![])).repeat(500);
    peer.stream.write_all(&list).await.unwrap();
    let asked = async {
        let answered = || async { outpost.agent.peak() > outpost.before + 8 * 1024 };
        eventually("answers", answered).await;
        is_steady(|| outpost.agent.peak()).await
    };
    outpost.serving(asked).await;
    drop(peer);
    outpost.took_no_more_than(3 * limits::LINK_REPLY_BYTES).await;
}

/// Waits until something does not grow any more, for half a second.
async fn is_steady(measure: impl Fn() -> u64) -> u64 {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let before = measure();
        sleep(Duration::from_millis(500)).await;
        if measure() == before {
            return before;
        }
        assert!(Instant::now() < deadline, "it still grows, from {before}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_grow_as_they_are_decoded_are_decoded_one_after_another() {
    const EMPTY_LISTS: u32 = 2_200_000;
    const DECODED: usize = EMPTY_LISTS as usize * size_of::<Term>();
    const PEERS: usize = 4;
    let outpost = Outpost::start(60).await;
    let mut payload = vec![131, 108, 0, 0, 0, 1, 108];
    payload.extend(EMPTY_LISTS.to_be_bytes());
    payload.resize(payload.len() + EMPTY_LISTS as usize + 2, 106);
    let mut peers = Vec::new();
    for _ in 0..PEERS {
        peers.push(outpost.peer().await);
    }
    let (last, most) = payload.split_last().unwrap();
    for peer in &mut peers {
        let control = tuple([Term::Int(6), peer.pid().into(), atom(""), atom("nobody")]);
        let head = message(&control, None);
        let length = u32::try_from(head.len() + payload.len()).unwrap();
        peer.stream.write_all(&length.to_be_bytes()).await.unwrap();
        peer.stream.write_all(&head).await.unwrap();
        peer.stream.write_all(most).await.unwrap();
    }
    let decoded = async {
        // All of them become whole at the same time.
        for peer in &mut peers {
            peer.stream.write_all(&[*last]).await.unwrap();
        }
        for peer in &mut peers {
            is_answered(peer).await;
        }
    };
    outpost.serving(decoded).await;
    assert!(!outpost.agent.log().contains("dropped"), "nothing was too much:\n{}", outpost.agent.log());
    drop(peers);
    outpost.took_no_more_than(DECODED + PEERS * payload.len()).await;
}

/// A message to a registered process.
fn letter(peer: &Raw, name: &'static str, content: &Term) -> Vec<u8> {
    let control = tuple([Term::Int(6), peer.pid().into(), atom(""), atom(name)]);
    framed(&message(&control, Some(content)))
}

/// A system message to the server of the applications' state.
async fn say_to_server(peer: &mut Raw, request: &'static str) {
    let from = tuple([peer.pid().into(), peer.reference(0).into()]);
    let say = letter(peer, "Elixir.Otturnaut.AppState", &tuple([atom("system"), from, atom(request)]));
    peer.stream.write_all(&say).await.unwrap();
}

/// A call of the server of the applications' state for one that it does not know, whose name has so many bytes.
fn ask_server(peer: &Raw, bytes: usize) -> Vec<u8> {
    let from = tuple([peer.pid().into(), peer.reference(1).into()]);
    let request = tuple([atom("get"), Term::Binary(vec![b'x'; bytes].into())]);
    letter(peer, "Elixir.Otturnaut.AppState", &tuple([atom("$gen_call"), from, request]))
}

/// Has a suspended server sent messages of so many bytes by a peer that then knows that they were taken; how many of them
/// are answered when it goes on.
async fn kept_of(outpost: &Outpost, count: usize, bytes: usize) -> usize {
    let mut peer = outpost.peer().await;
    say_to_server(&mut peer, "suspend").await;
    let ask = ask_server(&peer, bytes);
    for _ in 0..count {
        peer.stream.write_all(&ask).await.unwrap();
    }
    outpost.serving(is_answered(&mut peer)).await;
    say_to_server(&mut peer, "resume").await;
    // The answer to the last call comes behind all others.
    let end = peer.call_of(2, ("erlang", "throw"), vec![atom("the_end")]);
    peer.frame(&end).await.unwrap();
    let mut answered = 0;
    let answers = async {
        loop {
            let frame = peer.next().await;
            let says = |word: &[u8]| frame.windows(word.len()).any(|bytes| bytes == word);
            answered += usize::from(says(b"not_found"));
            if says(b"the_end") {
                return;
            }
        }
    };
    timeout(PATIENCE, answers).await.expect("the server goes on");
    answered
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_server_keeps_so_many_messages_and_so_many_bytes_and_tells_once_of_those_it_does_not() {
    const LARGE: usize = 64 * 1024;
    const WARNING: &str = "it is suspended too long: messages are dropped";
    let outpost = Outpost::start(60).await;
    let kept = kept_of(&outpost, 1_000, LARGE).await;
    assert_eq!(kept, limits::SUSPENDED_BYTES / (LARGE + 100), "{LARGE} bytes each");
    assert_eq!(outpost.agent.log().matches(WARNING).count(), 1);
    assert_eq!(kept_of(&outpost, 2 * limits::SUSPENDED_MESSAGES, 10).await, limits::SUSPENDED_MESSAGES);
    assert_eq!(outpost.agent.log().matches(WARNING).count(), 2);
    assert_eq!(kept_of(&outpost, 10, 10).await, 10);
    outpost.took_no_more_than(limits::SUSPENDED_BYTES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_peer_does_again_and_again_does_not_fill_the_log() {
    const EACH: usize = 2_000;
    let outpost = Outpost::start(60).await;
    let mut peer = outpost.peer().await;
    let from = tuple([peer.pid().into(), peer.reference(1).into()]);
    let unknown = framed(&message(&tuple([Term::Int(99)]), None));
    let wrong_call = tuple([atom("$gen_call"), from, atom("no_such_request")]);
    let ends_server = letter(&peer, "Elixir.Otturnaut.AppState", &wrong_call);
    let deepest = (0..budget::MAX_DEPTH - 1).fold(Term::NIL, |inner, _| list([inner]));
    let too_deep = letter(&peer, "rex", &list([list([deepest])]));
    let flood = [unknown, too_deep, ends_server].concat();
    let flooding = async {
        for _ in 0..EACH {
            peer.stream.write_all(&flood).await.unwrap();
        }
        is_answered(&mut peer).await;
    };
    outpost.serving(flooding).await;
    let log = outpost.agent.log();
    for said in ["an unknown control message was ignored", "a message was dropped", "was started anew"] {
        assert!(log.contains(said), "{said} is not in\n{log}");
    }
    assert!(log.lines().count() < limits::REMARKS + 50, "{log}");
}

/// A command of the agent.
struct Running(u32);

impl Running {
    /// The child of an agent that runs this program.
    fn of(agent: &Agent, program: &str) -> Option<Self> {
        let parent = agent.pid().to_string();
        let pids = std::fs::read_dir("/proc").unwrap().flatten().filter_map(|e| e.file_name().to_str()?.parse().ok());
        let is_it = |pid: &u32| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let (head, rest) = stat.rsplit_once(") ").unwrap_or_default();
            // One that ended may wait to be collected.
            let alive = !rest.starts_with('Z');
            alive && head.ends_with(&format!("({program}")) && rest.split(' ').nth(1) == Some(&parent)
        };
        pids.into_iter().find(is_it).map(Self)
    }

    /// Bytes that it has written.
    fn written(&self) -> u64 {
        let io = std::fs::read_to_string(format!("/proc/{}/io", self.0)).unwrap();
        io.lines().find_map(|line| line.strip_prefix("wchar: ")).unwrap().parse().unwrap()
    }

    fn is_alive(&self) -> bool {
        std::fs::read_to_string(format!("/proc/{}/stat", self.0)).is_ok_and(|stat| !stat.contains(") Z "))
    }

    /// Waits until it cannot write any more; what it had written by then.
    async fn is_stopped(&self) -> u64 {
        eventually("output", || async { self.written() > 0 }).await;
        is_steady(|| self.written()).await
    }
}

/// A peer that subscribed to a command that prints lines of so many bytes without an end.
async fn subscribed(peer: &mut Raw, line: usize) {
    let args = vec![binary("yes"), list([binary("y".repeat(line - 1))])];
    let call = peer.call_of(2, ("Elixir.Otturnaut.Command", "run_async"), args);
    peer.frame(&call).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_whose_subscriber_does_not_read_is_slowed_and_goes_on_when_it_does() {
    let outpost = Outpost::start(60).await;
    let mut peer = outpost.peer().await;
    subscribed(&mut peer, 1000).await;
    let started = async || Running::of(&outpost.agent, "yes").is_some();
    eventually("the command to run", started).await;
    let command = Running::of(&outpost.agent, "yes").unwrap();
    let written = outpost.serving(command.is_stopped()).await;
    // What sockets hold on both sides, and the queue: a reader would have got gigabytes.
    assert!(written < 24 * 1024 * 1024, "it wrote {written} bytes");
    let mut piece = vec![0; 1024 * 1024];
    let mut read = 0;
    let reading = async {
        while read < 4 * 24 * 1024 * 1024 {
            read += peer.stream.read(&mut piece).await.unwrap();
        }
    };
    timeout(Duration::from_secs(30), reading).await.expect("the stream goes on");
    let more = outpost.serving(command.is_stopped()).await;
    assert!(more > 2 * written, "{written} bytes became {more}");
    drop(peer);
    eventually("the command to end", || async { !command.is_alive() }).await;
    outpost.took_no_more_than(4 * limits::LINK_STREAM_BYTES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_overtakes_a_stream_that_waits_and_a_slow_reader_keeps_its_link() {
    const LINE: usize = 10_000;
    let outpost = Outpost::start(4).await;
    let mut peer = Raw::connect_narrow(outpost.dist_port, 64 * 1024).await;
    subscribed(&mut peer, LINE).await;
    let started = async || Running::of(&outpost.agent, "yes").is_some();
    eventually("the command to run", started).await;
    let command = Running::of(&outpost.agent, "yes").unwrap();
    let written = usize::try_from(command.is_stopped().await).unwrap();
    let call = peer.call_of(3, ("erlang", "is_process_alive"), vec![Term::from(peer.pid())]);
    peer.frame(&call).await.unwrap();
    let mut lines = 0;
    let answered = async {
        loop {
            let frame = peer.next().await;
            lines += usize::from(frame.len() > LINE);
            if frame.windows(6).any(|bytes| bytes == b"badarg") {
                return;
            }
        }
    };
    timeout(Duration::from_secs(20), answered).await.expect("an answer comes");
    // All that waited in the queue came behind it.
    let waited = written.saturating_sub(lines * LINE);
    assert!(waited > limits::LINK_STREAM_BYTES, "{waited} bytes of {written} came behind the answer");
    // Longer than a peer that takes nothing may.
    let slowly = async {
        let end = Instant::now() + Duration::from_secs(6);
        while Instant::now() < end {
            peer.next().await;
            peer.stream.write_all(&[0; 4]).await.unwrap();
            sleep(Duration::from_millis(50)).await;
        }
    };
    slowly.await;
    assert!(command.is_alive());
}
