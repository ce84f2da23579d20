//! A node in this process with a small table of functions, and real BEAM nodes that drive it.

#![allow(unreachable_pub, dead_code, unused_imports, missing_docs, reason = "each test file uses its part")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test ends there"
)]

pub mod agent;
pub mod netns;
mod ports;
pub mod raw;

pub(crate) use ports::free_port;

use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use otturnaut::limits;
use otturnaut::node::{Context, GenServer, Module, Modules, Node, Raise, Settings};
use otturnaut::secret::Secret;
use otturnaut::term::{Atom, Pid, Term, atom, binary, tuple};
use tokio_util::sync::CancellationToken;

pub const COOKIE: &str = "monster";

/// A name that no other test has.
pub fn unique(stem: &str) -> String {
    static LAST: AtomicU16 = AtomicU16::new(0);
    format!("{stem}{}x{}", std::process::id(), LAST.fetch_add(1, Ordering::Relaxed))
}

/// Settings of a node on loopback, on an EPMD port of its own.
pub fn settings(epmd_port: u16) -> Settings {
    Settings {
        name: Atom::new(format!("{}@127.0.0.1", unique("rust"))).unwrap(),
        cookie: Secret::new(COOKIE.to_owned()),
        epmd_port,
        dist_port: None,
        dist_bind: Some("127.0.0.1".parse().unwrap()),
        tls: None,
        tick_time: limits::TICK_TIME,
        peer: None,
        supervisor: "Elixir.Trial.Supervisor",
        application: ("otturnaut", "0.0.0"),
        stop: CancellationToken::new(),
        again: CancellationToken::new(),
    }
}

/// A counter, as a registered server.
#[derive(Default)]
pub struct Counter(Mutex<i64>);

impl GenServer for Counter {
    fn call(&self, _: &Context, request: &Term) -> Result<Option<Term>, Raise> {
        match request.as_atom() {
            Some("next") => {
                let mut count = self.0.lock().unwrap();
                *count += 1;
                Ok(Some(Term::Int(*count)))
            }
            Some("raise") => Err(Raise::argument("raised")),
            Some("panic") => panic!("the counter panicked"),
            Some("unsendable") => Ok(Some(unsendable())),
            _ => Ok(None),
        }
    }

    fn cast(&self, message: &Term) -> bool {
        match message {
            Term::Int(count) => {
                *self.0.lock().unwrap() = *count;
                true
            }
            _ => false,
        }
    }

    fn state(&self) -> Term {
        Term::Int(*self.0.lock().unwrap())
    }

    fn module(&self) -> &'static str {
        "Elixir.Counter"
    }
}

/// A term that no BEAM node would take.
fn unsendable() -> Term {
    (0..2000).fold(Term::Int(1), |inner, _| tuple([inner]))
}

/// Functions to call: `Trial.add/2`, `echo/1`, `sleep/1`, and those that fail.
pub fn modules() -> Modules {
    let mut modules = Modules::default();
    modules.add(
        Module::new("Elixir.Trial")
            .immediate("add", 2..=2, |_, args| match args {
                [Term::Int(a), Term::Int(b)] => Ok(Term::Int(a + b)),
                _ => Err(Raise::argument("a and b: wanted integers")),
            })
            .immediate("echo", 1..=1, |_, args| Ok(args[0].clone()))
            .immediate("unsendable", 0..=0, |_, _| Ok(unsendable()))
            .immediate("throw", 1..=1, |_, args| Err(Raise::Throw(args[0].clone())))
            .immediate("exit", 1..=1, |_, args| Err(Raise::Exit(args[0].clone())))
            .immediate("panic", 0..=0, |_, _| panic!("a function panicked"))
            .waiting("sleep", 1..=1, |_, args| async move {
                let Term::Int(ms) = args[0] else { return Err(Raise::argument("ms: wanted an integer")) };
                tokio::time::sleep(Duration::from_millis(u64::try_from(ms).unwrap())).await;
                Ok(binary("slept"))
            })
            .waiting("sleep_with", 2..=2, |_, args| async move {
                let Term::Int(ms) = args[0] else { return Err(Raise::argument("ms: wanted an integer")) };
                tokio::time::sleep(Duration::from_millis(u64::try_from(ms).unwrap())).await;
                Ok(args[1].clone())
            })
            .waiting("late_panic", 0..=0, |_, _| async move {
                tokio::task::yield_now().await;
                panic!("a task panicked")
            })
            .waiting("late_unsendable", 0..=0, |_, _| async move { Ok(unsendable()) })
            .waiting("send_many", 2..=2, |context, args| async move { send_many(context, args).await })
            .waiting("down", 1..=1, |context, args| async move {
                let pid = args[0].as_pid().cloned().unwrap();
                Ok(context.node.down(&context.this, &pid).await)
            }),
    );
    modules
}

async fn send_many(context: Context, args: Vec<Term>) -> Result<Term, Raise> {
    let (to, count): (Pid, i64) = match args.as_slice() {
        [Term::Pid(to), Term::Int(count)] => ((**to).clone(), *count),
        _ => return Err(Raise::argument("to and count")),
    };
    for n in 0..count {
        let message = tuple([atom("n"), Term::Int(n)]);
        if context.node.send(&context.this, &to, message).await.is_err() {
            return Ok(atom("gone"));
        }
    }
    Ok(Term::OK)
}

/// A node with the functions and servers above.
pub async fn start(settings: Settings) -> Node {
    let registered = Node::register(settings).await.expect("the node starts");
    registered.serve(modules(), vec![("counter", Arc::new(Counter::default()))])
}

/// A BEAM node that runs a script of Elixir and ends; `node` in it is the node to drive. The script fails by an exception.
pub struct Beam {
    pub name: String,
    pub cookie: String,
    pub epmd_port: u16,
    pub hidden: bool,
    /// Whether it has a short name.
    pub short: bool,
    /// Whether it speaks over IPv6.
    pub v6: bool,
    /// Of the `kernel` application, in seconds.
    pub tick_time: u16,
    /// The network namespace that it runs in, if not in this one.
    pub netns: Option<String>,
}

impl Beam {
    pub fn new(epmd_port: u16) -> Self {
        Self {
            name: format!("{}@127.0.0.1", unique("beam")),
            cookie: COOKIE.to_owned(),
            epmd_port,
            hidden: false,
            short: false,
            v6: false,
            tick_time: 60,
            netns: None,
        }
    }

    fn command(&self, node: &str, script: &str) -> Command {
        let prelude = format!(
            "node = :\"{node}\"\n\
             wait = fn wait, check, left -> cond do\n\
               value = check.() -> value\n\
               left == 0 -> raise \"waited in vain\"\n\
               true -> Process.sleep(20); wait.(wait, check, left - 1)\n\
             end end\n\
             eventually = fn check -> wait.(wait, check, 500) end\n\
             _ = eventually\n"
        );
        let mut command = match &self.netns {
            Some(netns) => netns::command(netns, "elixir"),
            None => Command::new("elixir"),
        };
        command.args([if self.short { "--sname" } else { "--name" }, &self.name, "--cookie", &self.cookie]);
        if self.hidden {
            command.arg("--hidden");
        }
        let ends = "\nIO.puts(\"PASSED\")";
        command.args(["-e", &format!("{prelude}{script}{ends}")]);
        let family = if self.v6 { "-proto_dist inet6_tcp" } else { "" };
        command.env("ERL_EPMD_PORT", self.epmd_port.to_string());
        command.env(
            "ERL_AFLAGS",
            format!("-start_epmd false -kernel logger_level error -kernel net_ticktime {} {family}", self.tick_time),
        );
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs the script; what it printed.
    pub async fn run(&self, node: &Atom, script: &str) -> String {
        passed(self.command(node.as_str(), script)).await
    }
}

async fn passed(mut command: Command) -> String {
    let output: Output =
        tokio::task::spawn_blocking(move || command.output()).await.unwrap().expect("elixir is installed");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("PASSED"), "the script failed:\n{text}\n{errors}");
    text
}
