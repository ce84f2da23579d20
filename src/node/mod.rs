//! An Erlang node: it connects, is found, runs the functions of its tables, and carries messages.
//! Knows nothing of deployments.

mod function;
mod gen_server;
mod raise;

pub use function::{Body, CallResult, Context, Export, Module, Modules};
pub use gen_server::GenServer;
pub use raise::Raise;

use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::secret::Secret;
use crate::term::{Atom, Pid, Reference, Term};

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
    /// The node to connect to and stay connected with.
    pub peer: Option<Atom>,
    /// What the program calls itself (`otturnaut`) and its version, for `which_applications` and the shell's banner.
    pub application: (&'static str, &'static str),
    /// Cancelled by `init:stop/0`, `erlang:halt/0` and their kin: the program is asked to end.
    pub stop: CancellationToken,
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
        address: std::net::SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// Another living node has the name.
    #[error("the name {name} is taken by another node of this host")]
    NameTaken {
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
}

impl Node {
    /// Opens the listener, registers at EPMD (or serves it), dials the peer, serves.
    ///
    /// # Errors
    /// See [`NodeError`].
    pub async fn start(settings: Settings, modules: Modules) -> Result<Self, NodeError> {
        let _ = modules;
        Ok(Self(Arc::new(Inner { settings })))
    }

    /// The node's name.
    pub fn name(&self) -> &Atom {
        &self.0.settings.name
    }

    /// Starts a process; its future gets its own pid and gives its exit reason. It ends early, its future dropped, on an
    /// exit signal. `initial_call` is what `process_info` shows.
    pub fn spawn<F, Fut>(&self, initial_call: (&'static str, &'static str, usize), body: F) -> Pid
    where
        F: FnOnce(Pid) -> Fut,
        Fut: Future<Output = Term> + Send + 'static,
    {
        let _ = (initial_call, body);
        unimplemented!()
    }

    /// Sends a message to a process of any node; waits while the link's queue is full.
    ///
    /// # Errors
    /// The process (if local) or the link to its node is gone.
    pub async fn send(&self, from: &Pid, to: &Pid, message: Term) -> Result<(), Gone> {
        self.send_all(from, to, vec![message]).await
    }

    /// Sends messages in order as one burst; waits while the link's queue is full.
    ///
    /// # Errors
    /// As [`Node::send`].
    pub async fn send_all(&self, from: &Pid, to: &Pid, messages: Vec<Term>) -> Result<(), Gone> {
        let _ = (from, to, messages);
        unimplemented!()
    }

    /// Waits until a process of any node has ended; gives its reason (`noproc` if it was not there, `noconnection` if the
    /// link to its node is lost). Dropping the future takes the monitor back.
    pub async fn down(&self, of: &Pid) -> Term {
        let _ = of;
        unimplemented!()
    }

    /// Registers a server under a name and gives its pid. A name that is taken keeps its owner.
    pub fn register(&self, name: &'static str, server: Arc<dyn GenServer>) -> Pid {
        let _ = (name, server);
        unimplemented!()
    }

    /// Sends an exit signal to a process of any node, as `Process.exit/2`.
    pub fn exit(&self, from: &Pid, to: &Pid, reason: Term) {
        let _ = (from, to, reason);
        unimplemented!()
    }

    /// Whether a process of this node lives.
    pub fn is_alive(&self, pid: &Pid) -> bool {
        let _ = pid;
        unimplemented!()
    }

    /// A reference that nobody else has.
    pub fn make_reference(&self) -> Reference {
        unimplemented!()
    }

    /// Takes no new work, waits up to `grace` for running calls, kills the rest with reason `shutdown`, closes the links.
    pub async fn shutdown(&self, grace: Duration) {
        let _ = grace;
        unimplemented!()
    }
}
