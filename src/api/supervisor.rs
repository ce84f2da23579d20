//! `Otturnaut.Command.Supervisor` and `Otturnaut.Logs.Supervisor`: who runs commands now, and who streams logs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use crate::node::{Context, GenServer, Node, Raise};
use crate::term::{Pid, Term, atom, keyword, list, tuple};

/// Processes of one kind, so many at a time. Clones share them.
#[derive(Clone)]
pub struct Supervisor {
    name: &'static str,
    most: usize,
    seats: Arc<Mutex<Seats>>,
}

#[derive(Default)]
struct Seats {
    next: u64,
    taken: BTreeMap<u64, Child>,
}

#[derive(Clone, Default)]
struct Child {
    pid: Arc<OnceLock<Pid>>,
    stop: CancellationToken,
}

/// A process's place; given back when it is dropped.
pub(super) struct Seat {
    supervisor: Supervisor,
    number: u64,
    child: Child,
}

impl Seat {
    /// Whose place it is.
    pub(super) fn set(&self, pid: Pid) {
        self.child.pid.get_or_init(|| pid);
    }

    /// Cancelled when it is asked to end by itself.
    pub(super) fn stop(&self) -> CancellationToken {
        self.child.stop.clone()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.supervisor.seats().taken.remove(&self.number);
    }
}

impl Supervisor {
    /// Of processes under this registered name, at most so many.
    pub(super) fn new(name: &'static str, most: usize) -> Self {
        Self { name, most, seats: Arc::default() }
    }

    /// Its registered name.
    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// A place for one more process, if there is one.
    pub(super) fn seat(&self) -> Option<Seat> {
        let mut seats = self.seats();
        if seats.taken.len() >= self.most {
            return None;
        }
        seats.next += 1;
        let (number, child) = (seats.next, Child::default());
        seats.taken.insert(number, child.clone());
        Some(Seat { supervisor: self.clone(), number, child })
    }

    /// Asks a process to end by itself; whether it is one of these.
    pub(super) fn stop(&self, pid: &Pid) -> bool {
        let seats = self.seats();
        let child = seats.taken.values().find(|child| child.pid.get() == Some(pid));
        child.inspect(|child| child.stop.cancel()).is_some()
    }

    /// Whether a process is one of these.
    pub(super) fn holds(&self, pid: &Pid) -> bool {
        self.pids().contains(pid)
    }

    fn pids(&self) -> Vec<Pid> {
        self.seats().taken.values().filter_map(|child| child.pid.get().cloned()).collect()
    }

    fn seats(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What `Task.Supervisor` and `DynamicSupervisor` ask their supervisor.
impl GenServer for Supervisor {
    fn call(&self, _: &Context, request: &Term) -> Result<Option<Term>, Raise> {
        let child = |pid: Pid| {
            let modules = list([atom("Elixir.Task.Supervised")]);
            tuple([atom("undefined"), Term::from(pid), atom("worker"), modules])
        };
        if request.is_atom("which_children") {
            return Ok(Some(list(self.pids().into_iter().map(child))));
        }
        if request.is_atom("count_children") {
            let count = Term::from(self.pids().len());
            let counts =
                [("specs", count.clone()), ("active", count.clone()), ("supervisors", 0.into()), ("workers", count)];
            return Ok(Some(keyword(counts)));
        }
        Ok(None)
    }

    fn call_later(&self, context: &Context, request: &Term) -> Option<BoxFuture<'static, Term>> {
        let Some([verb, Term::Pid(pid)]) = request.as_tuple() else { return None };
        if !verb.is_atom("terminate_child") {
            return None;
        }
        let (known, node, this, pid) = (self.holds(pid), context.node.clone(), context.this.clone(), (**pid).clone());
        Some(Box::pin(async move {
            if !known {
                return tuple([atom("error"), atom("not_found")]);
            }
            node.exit_own(&pid, atom("shutdown"));
            node.down(&this, &pid).await;
            Term::OK
        }))
    }

    fn children(&self, _: &Node) -> Vec<Pid> {
        self.pids()
    }

    fn traps_exits(&self) -> bool {
        true
    }

    /// Its processes are linked to it.
    fn ended(&self, node: &Node, reason: &Term) {
        for child in self.pids() {
            node.exit_own(&child, reason.clone());
        }
    }

    fn state(&self) -> Term {
        keyword([("children", list(self.pids().into_iter().map(Term::from)))])
    }

    fn module(&self) -> &'static str {
        self.name
    }
}
