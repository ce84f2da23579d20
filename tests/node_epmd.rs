//! EPMD: the agent's own, asked by the real command and by BEAM nodes; and the agent beside a real one that comes and goes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test ends there")]
#![allow(clippy::disallowed_methods, reason = "a test runs the programs of the machine")]

mod support;

use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use otturnaut::node::Node;
use rustix::process::{Pid, Signal, kill_process};
use support::agent::{Agent, eventually};
use support::{Beam, free_port, settings, start, unique};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

/// What the `epmd` command prints when it asks the one on a port.
fn command(port: u16, args: &[&str]) -> String {
    let output =
        Command::new("epmd").args(["-port", &port.to_string()]).args(args).output().expect("epmd is installed");
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8(text).unwrap().replace('\0', "")
}

/// The names at a port, as they come over the wire; none where nobody answers.
async fn names(port: u16) -> Vec<String> {
    let asked = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.write_all(&[0, 1, b'n']).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(answer.get(4..).unwrap_or_default()).into_owned())
    };
    let text = timeout(Duration::from_secs(5), asked).await.expect("it answers in time").unwrap_or_default();
    text.lines().filter_map(|line| line.strip_prefix("name ")?.split(' ').next()).map(str::to_owned).collect()
}

fn alive(name: &str) -> &str {
    name.split('@').next().unwrap()
}

/// A real EPMD; killed when it is dropped.
struct Epmd(Child);

impl Epmd {
    fn spawn(port: u16) -> Self {
        let mut command = Command::new("epmd");
        command.args(["-port", &port.to_string()]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().expect("epmd is installed"))
    }

    async fn start(port: u16) -> Self {
        let epmd = Self::spawn(port);
        eventually("epmd", || async { TcpStream::connect(("127.0.0.1", port)).await.is_ok() }).await;
        epmd
    }

    fn runs(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }

    /// One more finds the port taken, and leaves.
    async fn leaves(port: u16) {
        let another = Mutex::new(Self::spawn(port));
        eventually("the other daemon to leave", || async { !another.lock().unwrap().runs() }).await;
    }
}

impl Drop for Epmd {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn signal(agent: &Agent, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(agent.pid()).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

async fn end(node: Node) {
    node.shutdown(Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_command_is_answered_as_by_the_real_daemon() {
    let (ours, theirs) = (free_port(), free_port());
    let _real = Epmd::start(theirs).await;
    // The second registers at the real one, under the name and port of the first.
    let first = settings(ours);
    let mut second = settings(theirs);
    (second.name, second.dist_port) = (first.name.clone(), Some(free_port()));
    let name = alive(first.name.as_str()).to_owned();
    let nodes = [start(first).await, start(second).await];
    let plain = |port: u16, args: &[&str]| {
        let text = command(port, args).replace(&port.to_string(), "PORT");
        // Ports of nodes and descriptors differ.
        text.split(" at port ").map(|part| part.trim_start_matches(|c: char| c.is_ascii_digit())).collect::<String>()
    };
    for args in [&["-names"][..], &["-kill"], &["-stop", &name], &["-stop", "nobody"]] {
        assert_eq!(plain(ours, args), plain(theirs, args), "{args:?}");
    }
    assert!(command(ours, &["-names"]).contains(&format!("name {name} at port ")));
    assert!(command(ours, &["-dump"]).contains(&format!("active name     <{name}> at port ")));
    assert_eq!(names(ours).await, [name]);
    Epmd::leaves(ours).await;
    let [first, second] = nodes;
    end(first).await;
    end(second).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn beam_nodes_register_there_and_find_each_other() {
    let port = free_port();
    let node = start(settings(port)).await;
    let (waiting, calling) = (Beam::new(port), Beam::new(port));
    let script = "
        Process.register(self(), :waiting)
        receive do :go -> :ok after 10_000 -> raise \"nobody came\" end
        {:ok, names} = :net_adm.names()
        3 = length(names)
        send({:calling, hd(Node.list())}, :done)
        eventually.(fn -> Node.list() == [] end)
    ";
    let call = format!(
        "other = :\"{}\"\nProcess.register(self(), :calling)\n\
         eventually.(fn -> Node.ping(other) == :pong and is_pid(:rpc.call(other, Process, :whereis, [:waiting])) end)\n\
         send({{:waiting, other}}, :go)\nreceive do :done -> :ok after 10_000 -> raise \"no answer\" end\n\
         :pong = Node.ping(node)",
        waiting.name
    );
    tokio::join!(waiting.run(node.name(), script), calling.run(node.name(), &call));
    // Both have left, and their names with them.
    eventually("their names to be freed", || async { names(port).await.len() == 1 }).await;
    end(node).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_taken_as_long_as_its_node_lives() {
    let port = free_port();
    let node = start(settings(port)).await;
    let mut child = Command::new("erl");
    let name = unique("taken");
    child.args(["-name", &format!("{name}@127.0.0.1"), "-noshell"]).env("ERL_EPMD_PORT", port.to_string());
    let mut child = child.stdin(Stdio::null()).spawn().expect("erl is installed");
    eventually("the node", || async { names(port).await.contains(&name) }).await;
    let same = Command::new("erl")
        .args(["-name", &format!("{name}@127.0.0.1"), "-noshell", "-s", "init", "stop"])
        .env("ERL_EPMD_PORT", port.to_string())
        .output()
        .unwrap();
    assert!(!same.status.success(), "a second node took the name");
    // Killed without a word.
    child.kill().unwrap();
    child.wait().unwrap();
    eventually("its name to be freed", || async { !names(port).await.contains(&name) }).await;
    end(node).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_takes_over_from_a_daemon_that_dies_and_never_steps_aside() {
    let port = free_port();
    let mut real = Epmd::start(port).await;
    let agent = Agent::start(port, free_port()).await;
    let own = alive(agent.name.as_str());
    assert_eq!(names(port).await, [own]);
    // The BEAM node sees it happen, and is found by its name again.
    let beam = Beam::new(port);
    let me = alive(&beam.name).to_owned();
    let script = format!(
        "names = fn -> case :net_adm.names() do {{:ok, names}} -> Enum.map(names, &to_string(elem(&1, 0))); _ -> [] end end\n\
         true = \"{me}\" in names.()\n\
         {{_, 0}} = System.cmd(\"kill\", [\"-9\", \"{}\"])\n\
         eventually.(fn -> \"{own}\" in names.() and \"{me}\" in names.() end)\n\
         :pong = Node.ping(node)",
        real.0.id()
    );
    let watching = async {
        eventually("the daemon's end", || async { agent.log().contains("EPMD is gone") }).await;
        let gone = Instant::now();
        eventually("the agent's own", || async { names(port).await.iter().any(|name| name == own) }).await;
        assert!(gone.elapsed() < Duration::from_secs(1), "it took {:?}", gone.elapsed());
    };
    tokio::join!(beam.run(&agent.name, &script), watching);
    assert!(!real.runs());
    Epmd::leaves(port).await;
    assert_eq!(names(port).await, [own]);
    assert!(agent.log().contains("no EPMD answered, serving it"));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_registers_at_a_daemon_that_came_back_first() {
    let port = free_port();
    let real = Epmd::start(port).await;
    let agent = Agent::start(port, free_port()).await;
    signal(&agent, Signal::STOP);
    drop(real);
    let mut again = Epmd::start(port).await;
    signal(&agent, Signal::CONT);
    agent.logs("registered at EPMD again").await;
    assert_eq!(names(port).await, [alive(agent.name.as_str())]);
    assert!(again.runs() && !agent.log().contains("serving it"));
}

/// Passes connections on to an EPMD at another port, as long as it is not dropped; counts them.
struct Passage {
    passed: Arc<AtomicUsize>,
    open: JoinSet<()>,
}

impl Passage {
    async fn open(port: u16, to: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let passed = Arc::new(AtomicUsize::new(0));
        let counted = passed.clone();
        let mut open = JoinSet::new();
        open.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (mut near, _) = listener.accept().await.unwrap();
                counted.fetch_add(1, Ordering::Relaxed);
                connections.spawn(async move {
                    let mut far = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
                    copy_bidirectional(&mut near, &mut far).await.ok();
                });
            }
        });
        Self { passed, open }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_was_taken_meanwhile_is_tried_for_again_and_again_and_logged_once() {
    let (port, real_port) = (free_port(), free_port());
    let _real = Epmd::start(real_port).await;
    let mut passage = Passage::open(port, real_port).await;
    let agent = Agent::start(port, free_port()).await;
    let own = alive(agent.name.as_str());
    assert_eq!(names(real_port).await, [own]);
    // It loses its connection, and another node takes the name before it comes back.
    signal(&agent, Signal::STOP);
    passage.open.shutdown().await;
    eventually("the name to be freed", || async { names(real_port).await.is_empty() }).await;
    let mut command = Command::new("erl");
    command.args(["-name", agent.name.as_str(), "-noshell"]).env("ERL_EPMD_PORT", real_port.to_string());
    let mut other = command.stdin(Stdio::null()).spawn().expect("erl is installed");
    eventually("the other node", || async { names(real_port).await == [own] }).await;
    let passage = Passage::open(port, real_port).await;
    signal(&agent, Signal::CONT);
    eventually("some attempts", || async { passage.passed.load(Ordering::Relaxed) > 4 }).await;
    assert_eq!(agent.log().matches("EPMD holds the name for another node").count(), 1);
    other.kill().unwrap();
    other.wait().unwrap();
    agent.logs("registered at EPMD again").await;
    assert_eq!(names(real_port).await, [own]);
}
