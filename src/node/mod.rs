//! An Erlang node: it connects, is found, runs the functions of its tables, and carries messages. Knows nothing of
//! deployments.
//!
//! ```text
//! listener / dialer --handshake--> link
//! link reader --> (frame, budget, term, control) --> dispatch --> rpc     functions of the tables, as processes
//!                                                             --> call    registered servers
//!                                                             --> processes   monitors, links, exits
//! replies, signals, streams --> queue (bounded, replies first) --> link writer
//! ```
//!
//! Tasks: one accepts, one dials the peer, one keeps the registration at EPMD; two a link; one a call that may wait.

mod burst;
mod call;
mod connect;
mod control;
mod crowd;
mod dial;
mod dispatch;
mod epmd;
mod exits;
mod flags;
mod frames;
mod function;
mod gen_server;
mod handshake;
mod inbox;
mod input;
mod kernel;
mod link;
mod links;
mod listen;
mod monitors;
mod name;
mod named;
mod outgoing;
mod parse;
mod processes;
#[cfg(any(test, fuzzing))]
pub mod properties;
mod queue;
mod raise;
mod remarks;
mod rex;
mod rpc;
mod seats;
mod share;
mod supervisor;
mod sys;
mod ticks;
mod tls;
mod transport;
mod turns;
mod weight;

pub use burst::Burst;
pub use epmd::lookup;
pub use function::{Body, CallResult, Context, Export, Module, Modules};
pub use gen_server::GenServer;
pub use inbox::Inbox;
pub use named::{Connection, Named};
pub use raise::Raise;
pub use tls::{Tls, TlsError, TlsFiles};

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::connect::{FailureLog, Listener};
use self::control::Target;
use self::input::Room;
use self::links::Links;
use self::processes::{Kill, Kind, Process, Processes, ServerProcess};
use self::seats::Seats;
use self::supervisor::Supervisor;
use crate::limits;
use crate::secret::Secret;
use crate::term::codec::Encoder;
use crate::term::{Atom, Pid, Reference, Term, tuple};

/// How a node is set up.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Full name, `name@host`.
    pub name: Atom,
    /// Shared secret of the cluster.
    pub cookie: Secret<String>,
    /// Port of EPMD.
    pub epmd_port: u16,
    /// Port of the distribution listener; any if none.
    pub dist_port: Option<u16>,
    /// Address of the distribution listener; all if none.
    pub dist_bind: Option<IpAddr>,
    /// Connections go over TLS, if it is given.
    pub tls: Option<Tls>,
    /// `net_ticktime`, which all nodes of a cluster must agree on.
    pub tick_time: Duration,
    /// The node to connect to and stay connected with.
    pub peer: Option<Atom>,
    /// The name of the process that starts the registered servers anew when they end.
    pub supervisor: &'static str,
    /// What the program calls itself and its version, for `which_applications` and the shell's banner.
    pub application: (&'static str, &'static str),
    /// Cancelled by `init:stop/0`, `erlang:halt/0` and their kin: the program is asked to end.
    pub stop: CancellationToken,
    /// Cancelled before it by `init:restart/0`: the program is asked to begin anew.
    pub again: CancellationToken,
}

/// A message could not be delivered: its process, or the link to its node, is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the receiver is gone")]
pub struct Gone;

/// Why a node could not start.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The distribution listener could not be opened.
    #[error("cannot listen for distribution connections on {address}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// Another living node has the name.
    #[error("the name {name} is taken by another node of this host: choose another RELEASE_NODE, or end that node")]
    NameTaken {
        /// The name.
        name: Atom,
    },
    /// The name has no `@`.
    #[error("{name} is not the name of a node: use name@host")]
    Name {
        /// The name.
        name: Atom,
    },
    /// EPMD neither answers nor can be served.
    #[error("cannot register at EPMD on port {port}, nor serve it")]
    Epmd {
        /// The port.
        port: u16,
        /// Why.
        source: std::io::Error,
    },
}

/// A running node. Clones share it.
#[derive(Clone)]
pub struct Node(Arc<Inner>);

struct Inner {
    settings: Settings,
    creation: u32,
    started: (SystemTime, Instant),
    modules: Modules,
    processes: Processes,
    links: Links,
    tasks: TaskTracker,
    failures: FailureLog,
    /// Memory for large frames.
    room: Arc<Room>,
    handshakes: Seats,
    /// No new work is taken.
    closing: CancellationToken,
    /// Links and listeners end.
    stop: CancellationToken,
}

/// A node that has its name and takes no connections yet: its peers wait.
pub struct Registered {
    settings: Settings,
    listener: Listener,
    creation: u32,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Registered {
    /// Registers `servers`, dials the peer, serves.
    pub fn serve(self, modules: Modules, servers: Vec<(&'static str, Arc<dyn GenServer>)>) -> Node {
        let Self { settings, listener, creation, tasks, stop } = self;
        let processes = Processes::new(settings.name.clone(), creation);
        let inner = Inner {
            creation,
            started: (SystemTime::now(), Instant::now()),
            modules: kernel::complete(modules),
            processes,
            links: Links::default(),
            tasks,
            failures: FailureLog::default(),
            room: Arc::default(),
            handshakes: Seats::new(limits::HANDSHAKES),
            closing: CancellationToken::new(),
            stop,
            settings,
        };
        let node = Node(Arc::new(inner));
        node.add("net_kernel", &node.0.processes.new_pid(), Kind::NetKernel(Arc::default()));
        node.add("rex", &node.0.processes.new_pid(), Kind::Rex(Arc::default()));
        let supervisor: (_, Arc<dyn GenServer>) =
            (node.0.settings.supervisor, Arc::new(Supervisor(node.0.settings.supervisor)));
        for (name, server) in [supervisor].into_iter().chain(servers) {
            node.add(name, &node.0.processes.new_pid(), Kind::Server(Arc::new(ServerProcess::new(server))));
        }
        listener.serve(&node);
        dial::keep_peer(&node);
        node
    }
}

impl Node {
    /// Opens the listener and registers at EPMD, or serves it: from here on the name is this node's.
    ///
    /// # Errors
    /// See [`NodeError`].
    pub async fn register(settings: Settings) -> Result<Registered, NodeError> {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let listener = Listener::open(&settings)?;
        let creation = listener.register(&settings, &tasks, &stop).await?;
        Ok(Registered { settings, listener, creation, tasks, stop })
    }

    /// The node's name.
    pub fn name(&self) -> &Atom {
        &self.0.settings.name
    }

    /// When it began to serve, and how long ago that was by a clock that nobody sets.
    pub fn started(&self) -> (SystemTime, Duration) {
        let (at, since) = self.0.started;
        (at, since.elapsed())
    }

    /// The node that this one stays connected with, and for how long it has been, if it is.
    pub fn peer(&self) -> Option<(&Atom, Option<Duration>)> {
        let peer = self.0.settings.peer.as_ref()?;
        Some((peer, self.0.links.get(peer).map(|link| link.age())))
    }

    /// Puts in a registered process.
    fn add(&self, name: &'static str, pid: &Pid, kind: Kind) {
        let module = match &kind {
            Kind::Server(process) => process.server.module(),
            _ => name,
        };
        let initial_call = (Atom::from_static(module), Atom::from_static("init"), 1);
        let mut process = Process::new(pid.clone(), kind, initial_call);
        process.supervisor = Some(self.0.settings.supervisor).filter(|supervisor| *supervisor != name);
        if self.0.processes.insert(process, None, None).is_ok() {
            self.0.processes.register(Atom::from_static(name), pid);
        }
    }

    /// Starts a process; its future gets its own pid and gives its exit reason. It ends early, its future dropped, on an
    /// exit signal. `initial_call` is what `process_info` shows.
    pub fn spawn<F, Fut>(&self, initial_call: (&'static str, &'static str, usize), body: F) -> Pid
    where
        F: FnOnce(Pid) -> Fut,
        Fut: Future<Output = Term> + Send + 'static,
    {
        self.spawn_child(None, initial_call, body)
    }

    /// As [`Node::spawn`], for a process that a registered supervisor has among its children.
    pub fn spawn_child<F, Fut>(
        &self,
        supervisor: Option<&'static str>,
        initial_call: (&'static str, &'static str, usize),
        body: F,
    ) -> Pid
    where
        F: FnOnce(Pid) -> Fut,
        Fut: Future<Output = Term> + Send + 'static,
    {
        let (module, function, arity) = initial_call;
        let pid = self.0.processes.new_pid();
        let kill = Arc::new(Kill::default());
        let initial_call = (Atom::from_static(module), Atom::from_static(function), arity);
        let mut process = Process::new(pid.clone(), Kind::Task(kill.clone()), initial_call);
        process.supervisor = supervisor;
        // Where the table is full the process has ended before it began: its watchers hear `noproc`.
        if self.0.processes.insert(process, None, None).is_ok() {
            self.run(pid.clone(), kill, body(pid.clone()).boxed());
        }
        pid
    }

    /// Runs a process's future to its end, or until it is killed; then tells who watches it. In a box: so all processes are one
    /// kind of task, whose machinery is in the program once.
    fn run(&self, pid: Pid, kill: Arc<Kill>, body: BoxFuture<'static, Term>) {
        let node = self.clone();
        self.0.tasks.spawn(async move {
            let reason = {
                let body = std::panic::AssertUnwindSafe(body).catch_unwind();
                tokio::pin!(body);
                let body = std::future::poll_fn(|context| {
                    kill.turns.count();
                    body.as_mut().poll(context)
                });
                tokio::select! {
                    biased;
                    () = kill.token.cancelled() => kill.reason(),
                    ended = body => ended.unwrap_or_else(|panic| rpc::panic_reason(&*panic)),
                }
            };
            node.ended(&pid, &reason);
        });
    }

    /// Sends a message to a process of any node; waits while the link's queue is full.
    ///
    /// # Errors
    /// The process (if local) or the link to its node is gone.
    pub async fn send(&self, from: &Pid, to: &Pid, message: Term) -> Result<(), Gone> {
        self.send_all(from, to, vec![message]).await
    }

    /// Sends messages in order as one burst; waits while the link's queue is full. A message that cannot be sent is left out,
    /// and logged.
    ///
    /// # Errors
    /// As [`Node::send`].
    pub async fn send_all(&self, from: &Pid, to: &Pid, messages: Vec<Term>) -> Result<(), Gone> {
        if self.0.processes.is_own(to) {
            return self.send_here(to, &messages).await;
        }
        let mut burst = Burst::new(from, to);
        for message in &messages {
            if let Err(e) = burst.push(message) {
                remarks::say(|| tracing::warn!(to = %to.node, "a message was left out: {e}"));
            }
        }
        self.send_burst(burst).await
    }

    /// Sends messages that are encoded already to a process of another node; waits while the link's queue is full.
    ///
    /// # Errors
    /// The link to its node is gone.
    pub async fn send_burst(&self, burst: Burst) -> Result<(), Gone> {
        if self.0.processes.is_own(&burst.to) {
            return self.send_here(&burst.to, &burst.messages()).await;
        }
        let link = self.reach(&burst.to.node).await.map_err(|_| Gone)?;
        if burst.is_empty() { Ok(()) } else { link.queue.put_stream(burst).await }
    }

    /// Messages to a process of this node: to its inbox, if it has one. Servers are called.
    async fn send_here(&self, to: &Pid, messages: &[Term]) -> Result<(), Gone> {
        if !self.is_alive(to) {
            return Err(Gone);
        }
        if let Some(inbox) = self.0.processes.inbox(to) {
            for message in messages {
                inbox.put_when_room(message).await;
            }
        }
        Ok(())
    }

    /// From here on a process of this node takes the messages that are sent to it; before they are dropped.
    pub fn open_inbox(&self, pid: &Pid) -> Inbox {
        self.0.processes.open_inbox(pid)
    }

    /// Sends something to what `control` names on another node, which is dialled if need be.
    async fn send_to(&self, node: &Atom, control: &Encoder, payload: &Term) {
        // As between all nodes: what goes to one that is not there is lost.
        let Ok(link) = self.reach(node).await else { return };
        if let Err(e) = link.send_now(control, Some(payload)) {
            remarks::say(|| tracing::warn!(to = %node, "a message was left out: {e}"));
        }
    }

    /// Sends an exit signal to a process of any node, as `Process.exit/2`.
    pub async fn exit(&self, from: &Pid, to: &Pid, reason: Term) {
        if self.0.processes.is_own(to) {
            return self.exit_own(to, reason);
        }
        self.send_to(&to.node, &control::exit2(from, to), &reason).await;
    }

    /// The same for a process of this node; without effect on others.
    pub fn exit_own(&self, to: &Pid, reason: Term) {
        self.exit_signal(to, reason, exits::Signal::Exit);
    }

    /// Whether a process of this node lives.
    pub fn is_alive(&self, pid: &Pid) -> bool {
        self.0.processes.with(pid, |_, _| ()).is_some()
    }

    /// Calls and runners that run now.
    pub fn process_count(&self) -> usize {
        self.0.processes.tasks()
    }

    /// The process that a name means.
    pub fn whereis(&self, name: &str) -> Option<Pid> {
        self.0.processes.whereis(name)
    }

    /// A reference that nobody else has.
    pub fn make_reference(&self) -> Option<Reference> {
        self.0.processes.new_reference()
    }

    /// Waits until the node is about to end: what only serves others ends then.
    pub async fn closing(&self) {
        self.0.closing.cancelled().await;
    }

    /// Takes no new work, waits up to `grace` for running calls, ends the rest, closes the links.
    pub async fn shutdown(&self, grace: Duration) {
        self.0.closing.cancel();
        let deadline = tokio::time::Instant::now() + grace;
        while self.0.processes.tasks() > 0 && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.0.processes.kill_all();
        let killed = tokio::time::Instant::now() + grace;
        while self.0.processes.tasks() > 0 && tokio::time::Instant::now() < killed {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        self.0.stop.cancel();
        self.0.tasks.close();
        if tokio::time::timeout(grace, self.0.tasks.wait()).await.is_err() {
            tracing::warn!("some tasks of the node did not end in time");
        }
    }
}

/// A server named in a call: `{name, node}`, a name, or a pid, if it is one of this node.
fn named_target(term: &Term, node: &Node) -> Option<Target> {
    match term {
        Term::Pid(pid) => Some(Target::Pid((**pid).clone())),
        Term::Atom(name) => Some(Target::Name(name.clone())),
        Term::Tuple(parts) => match parts.as_slice() {
            [Term::Atom(name), Term::Atom(at)] if at == node.name() => Some(Target::Name(name.clone())),
            _ => None,
        },
        _ => None,
    }
}

/// `{first, second}`.
fn pair(first: Term, second: Term) -> Term {
    tuple([first, second])
}
