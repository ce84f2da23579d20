//! Calls of functions: spawn requests, by which `erpc`, `rpc` and `Node.spawn` come (kernel, `erpc`).
//!
//! Every call is a process. A function that answers at once is run where it was read, its pid never enters the table; one
//! that may wait is a task. The reason that the process ends with *is* the answer.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use futures::FutureExt;

use super::control::{self, SpawnFlags, SpawnRequest, Target};
use super::frames::Form;
use super::function::WaitingBody;
use super::link::Link;
use super::outgoing::Frames;
use super::processes::{Kill, Kind, Linked, Process, Watcher};
use super::{Body, CallResult, Context, Modules, Node, Raise, pair, remarks, turns, weight};
use crate::term::codec::Encoder;
use crate::term::{Atom, Inspect, Pid, Term, atom, binary, elixir, list, map, tuple};

/// A function and its arguments.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) module: Atom,
    pub(super) function: Atom,
    pub(super) args: Vec<Term>,
}

/// What a process's exit reason says of the call.
#[derive(Debug, Clone)]
enum Answer {
    /// `erpc:execute_call/4`: the result, tagged with this.
    Tagged(Term),
    /// `erpc:execute_cast/3`: nothing.
    Nothing,
    /// A function spawned by itself.
    Bare,
}

/// Spawns what a peer asks for.
pub(super) fn spawn(node: &Node, link: &Arc<Link>, mut request: SpawnRequest) {
    let Some(flags) = options(&request.options) else { return refuse(link, &request, "badopt") };
    if node.0.closing.is_cancelled() {
        return refuse(link, &request, "noconnection");
    }
    let args = std::mem::take(&mut request.args);
    let Some((call, answer)) = read_call(&request, args) else { return refuse(link, &request, "badarg") };
    let pid = node.0.processes.new_pid();
    let context = Context {
        node: node.clone(),
        this: pid.clone(),
        caller: request.from.clone(),
        group_leader: request.group_leader.clone().into(),
    };
    let started = Started { node, link, request: &request, flags, pid };
    match node.0.modules.lookup(call.module.as_str(), call.function.as_str(), call.args.len()) {
        None => started.answer_at_once(&answer, &call, Err(undef(&call))),
        Some(Body::Immediate(body)) => {
            turns::once();
            let result = catch_unwind(AssertUnwindSafe(|| body(&context, &call.args)));
            started.answer_at_once(&answer, &call, result.unwrap_or_else(|panic| Err(panicked(&*panic))));
        }
        Some(Body::Waiting(body)) => started.run(answer, call, (context, body.clone())),
    }
}

/// Options of a spawn about heaps and schedulers, which a process here does not have.
const HEAP_OPTIONS: [&str; 7] = [
    "priority",
    "fullsweep_after",
    "min_heap_size",
    "min_bin_vheap_size",
    "max_heap_size",
    "message_queue_data",
    "async_dist",
];

fn is_priority(term: &Term) -> bool {
    matches!(term.as_atom(), Some("low" | "normal" | "high" | "max"))
}

/// Which links and monitors are asked for.
fn options(options: &[Term]) -> Option<SpawnFlags> {
    let mut flags = SpawnFlags::default();
    for option in options {
        match option {
            Term::Atom(name) if name == "link" => flags.link = true,
            Term::Atom(name) if name == "monitor" => flags.monitor = true,
            Term::Tuple(parts) => match (parts.len(), parts.first().and_then(Term::as_atom)) {
                (2, Some("monitor")) => flags.monitor = true,
                (2, Some("priority")) if !parts.get(1).is_some_and(is_priority) => return None,
                (2, Some(name)) if HEAP_OPTIONS.contains(&name) => {}
                _ => return None,
            },
            _ => return None,
        }
    }
    Some(flags)
}

pub(super) fn refuse(link: &Link, request: &SpawnRequest, why: &'static str) {
    let reply = control::spawn_reply(request, SpawnFlags::default(), &atom(why));
    link.send(&reply, None).unwrap_or_default();
}

/// The function that a request means, and how its caller wants to hear of it.
fn read_call(request: &SpawnRequest, args: Vec<Term>) -> Option<(Call, Answer)> {
    match (request.module.as_str(), request.function.as_str(), args.len()) {
        ("erpc", "execute_call", 4) => {
            let [tag, module, function, args] = <[Term; 4]>::try_from(args).ok()?;
            Some((named_call(module, function, args)?, Answer::Tagged(tag)))
        }
        ("erpc", "execute_cast", 3) => {
            let [module, function, args] = <[Term; 3]>::try_from(args).ok()?;
            Some((named_call(module, function, args)?, Answer::Nothing))
        }
        ("erlang", "apply", 3) => {
            let [module, function, args] = <[Term; 3]>::try_from(args).ok()?;
            Some((named_call(module, function, args)?, Answer::Bare))
        }
        _ => {
            let (module, function) = (request.module.clone(), request.function.clone());
            Some((Call { module, function, args }, Answer::Bare))
        }
    }
}

pub(super) fn named_call(module: Term, function: Term, args: Term) -> Option<Call> {
    match (module, function, args) {
        (Term::Atom(module), Term::Atom(function), Term::List(args)) => Some(Call { module, function, args }),
        _ => None,
    }
}

/// A process that a peer asked for.
struct Started<'a> {
    node: &'a Node,
    link: &'a Arc<Link>,
    request: &'a SpawnRequest,
    flags: SpawnFlags,
    pid: Pid,
}

impl Started<'_> {
    /// The reply that the process runs; it goes before anything else that is said of the process.
    fn confirm(&self) {
        let reply = control::spawn_reply(self.request, self.flags, &Term::from(self.pid.clone()));
        self.link.send(&reply, None).unwrap_or_default();
    }

    fn watcher(&self) -> Watcher {
        let target = Target::Pid(self.pid.clone());
        let (pid, reference) = (self.request.from.clone(), self.request.id.clone());
        Watcher { link: self.link.clone(), pid, reference, target }
    }

    /// The process began and ended: its reason is its caller's answer.
    fn answer_at_once(&self, answer: &Answer, call: &Call, result: CallResult) {
        self.confirm();
        if !self.flags.link && !self.flags.monitor {
            return;
        }
        let reason = reason(answer, call, result);
        if self.flags.link {
            send_or_say(self.link, &control::exit(&self.pid, &self.request.from), &reason);
        }
        if self.flags.monitor {
            let down = control::down(&Target::Pid(self.pid.clone()), &self.request.from, &self.request.id);
            send_answer(self.link, &down, &reason, answer);
        }
    }

    /// The process runs as a task.
    fn run(&self, answer: Answer, call: Call, (context, body): (Context, WaitingBody)) {
        let kill = Arc::new(Kill::default());
        let initial_call = (call.module.clone(), call.function.clone(), call.args.len());
        let mut process = Process::new(self.pid.clone(), Kind::Task(kill.clone()), initial_call);
        process.group_leader = self.request.group_leader.clone().into();
        process.account = (Some(self.link.id), self.request.memory);
        process.arguments = weight::of_all(&call.args);
        let watcher = self.flags.monitor.then(|| self.watcher());
        if self.node.0.processes.insert(process, watcher, self.linked()).is_err() {
            return refuse(self.link, self.request, "system_limit");
        }
        self.confirm();
        let args = call.args.clone();
        let running = async move {
            let result = AssertUnwindSafe(async move { body(context, args).await }).catch_unwind().await;
            sendable(reason(&answer, &call, result.unwrap_or_else(|panic| Err(panicked(&*panic)))), &answer)
        };
        self.node.run(self.pid.clone(), kill, running.boxed());
    }

    fn linked(&self) -> Option<Linked> {
        self.flags.link.then(|| Linked { link: self.link.clone(), pid: self.request.from.clone() })
    }
}

impl Node {
    /// Whether there is such a function.
    pub fn exports(&self, module: &str, function: &str, arity: usize) -> bool {
        self.0.modules.lookup(module, function, arity).is_some()
    }

    /// All modules and their functions.
    pub fn modules(&self) -> &Modules {
        &self.0.modules
    }

    /// Calls a function in the process that `context` names.
    ///
    /// # Errors
    /// What the function raised; `undef` if there is none.
    pub async fn call(&self, context: Context, (module, function): (Atom, Atom), args: Vec<Term>) -> CallResult {
        let call = Call { module, function, args };
        let body = self.0.modules.lookup(call.module.as_str(), call.function.as_str(), call.args.len());
        let result = match body.cloned() {
            None => return Err(undef(&call)),
            Some(Body::Immediate(body)) => catch_unwind(AssertUnwindSafe(|| body(&context, &call.args))),
            Some(Body::Waiting(body)) => {
                let args = call.args.clone();
                AssertUnwindSafe(async move { body(context, args).await }).catch_unwind().await
            }
        };
        result.unwrap_or_else(|panic| Err(panicked(&*panic))).map_err(|raise| with_stack(raise, &call))
    }
}

/// The exit reason that carries a result.
fn reason(answer: &Answer, call: &Call, result: CallResult) -> Term {
    let result = result.map_err(|raise| with_stack(raise, call));
    match (answer, result) {
        (Answer::Tagged(tag), Ok(value)) => tuple([tag.clone(), atom("return"), value]),
        (Answer::Tagged(tag), Err(Raise::Throw(value))) => tuple([tag.clone(), atom("throw"), value]),
        (Answer::Tagged(tag), Err(Raise::Exit(reason))) => tuple([tag.clone(), atom("exit"), reason]),
        (Answer::Tagged(tag), Err(Raise::Error(error, stack))) => tuple([tag.clone(), atom("error"), error, stack]),
        (Answer::Nothing, _) | (Answer::Bare, Ok(_)) => atom("normal"),
        (Answer::Bare, Err(raise)) => exit_reason(raise, call),
    }
}

/// The reason that a process ends with when nobody catches what its function raised.
pub(super) fn exit_reason(raise: Raise, call: &Call) -> Term {
    match with_stack(raise, call) {
        Raise::Exit(reason) => reason,
        Raise::Error(error, stack) => pair(error, stack),
        Raise::Throw(value) => pair(pair(atom("nocatch"), value), frame(call)),
    }
}

/// An error without a stack gets that of its call.
fn with_stack(raise: Raise, call: &Call) -> Raise {
    match raise {
        Raise::Error(error, Term::List(stack)) if stack.is_empty() && call.module == "erlang" => {
            Raise::Error(error, bif_frame(call))
        }
        Raise::Error(error, Term::List(stack)) if stack.is_empty() && error.is_atom("function_clause") => {
            Raise::Error(error, frame_with(call, Term::List(call.args.clone())))
        }
        Raise::Error(error, Term::List(stack)) if stack.is_empty() => Raise::Error(error, frame(call)),
        other => other,
    }
}

/// What a BEAM node says of its own functions: the arguments themselves, and who explains the error.
fn bif_frame(call: &Call) -> Term {
    let explains = list([pair(atom("error_info"), map([("module", atom("erl_erts_errors"))]))]);
    let (module, function) = (Term::Atom(call.module.clone()), Term::Atom(call.function.clone()));
    list([tuple([module, function, Term::List(call.args.clone()), explains])])
}

/// `[{module, function, arity, []}]`.
fn frame(call: &Call) -> Term {
    frame_with(call, Term::from(call.args.len()))
}

fn frame_with(call: &Call, args: Term) -> Term {
    list([tuple([Term::Atom(call.module.clone()), Term::Atom(call.function.clone()), args, list([])])])
}

/// What a BEAM node raises for a function that it does not have: the stack holds the arguments themselves.
pub(super) fn undef(call: &Call) -> Raise {
    Raise::Error(atom("undef"), frame_with(call, Term::List(call.args.clone())))
}

fn panicked(panic: &(dyn Any + Send)) -> Raise {
    Raise::error(elixir::runtime_error(panic_text(panic)))
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    tracing::error!("a call panicked, which is a fault of this program: {text}");
    format!("the agent failed: {text}")
}

/// The exit reason of a process that panicked.
pub(super) fn panic_reason(panic: &(dyn Any + Send)) -> Term {
    pair(elixir::runtime_error(panic_text(panic)), list([]))
}

/// The reason, or an error in its place where it cannot be sent: the caller is owed an answer.
fn sendable(reason: Term, answer: &Answer) -> Term {
    match Frames::default().push(Form::PassThrough, &Encoder::default(), Some(&reason)) {
        Ok(()) => reason,
        Err(e) => unsendable(&e, answer),
    }
}

fn unsendable(why: &crate::term::EncodeError, answer: &Answer) -> Term {
    let error = elixir::argument_error(format!("the answer cannot be sent: {why}"));
    match answer {
        Answer::Tagged(tag) => tuple([tag.clone(), atom("error"), error, list([])]),
        _ => pair(error, list([])),
    }
}

fn send_answer(link: &Link, control: &Encoder, reason: &Term, answer: &Answer) {
    if let Err(e) = link.send(control, Some(reason)) {
        send_or_say(link, control, &unsendable(&e, answer));
    }
}

/// Sends a signal with its reason; a reason that cannot be sent is replaced by a text that says so.
pub(super) fn send_or_say(link: &Link, control: &Encoder, reason: &Term) {
    if let Err(e) = link.send(control, Some(reason)) {
        remarks::say(|| tracing::warn!(peer = %link.peer, "a reason cannot be sent: {e}"));
        let said = pair(atom("badarg"), binary(Inspect::short(reason, 200)));
        // A tuple of an atom and a text can be sent; the control is pids and references.
        link.send(control, Some(&said)).unwrap_or_default();
    }
}
