//! `Otturnaut.Command.Supervisor`: who runs commands now.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use futures::future::BoxFuture;

use crate::limits;
use crate::node::{Context, GenServer, Node, Raise};
use crate::term::{Pid, Term, atom, keyword, list, tuple};

/// Its registered name.
pub(super) const SUPERVISOR: &str = "Elixir.Otturnaut.Command.Supervisor";

/// The runners. Clones share them.
#[derive(Clone, Default)]
pub struct Supervisor(Arc<Mutex<Seats>>);

#[derive(Default)]
struct Seats {
    next: u64,
    taken: BTreeMap<u64, Arc<OnceLock<Pid>>>,
}

/// A runner's place; given back when it is dropped.
pub(super) struct Seat {
    supervisor: Supervisor,
    number: u64,
    pid: Arc<OnceLock<Pid>>,
}

impl Seat {
    /// Whose place it is.
    pub(super) fn set(&self, pid: Pid) {
        self.pid.get_or_init(|| pid);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.supervisor.seats().taken.remove(&self.number);
    }
}

impl Supervisor {
    /// A place for one more runner, if there is one.
    pub(super) fn seat(&self) -> Option<Seat> {
        let mut seats = self.seats();
        if seats.taken.len() >= limits::RUNNERS {
            return None;
        }
        seats.next += 1;
        let (number, pid) = (seats.next, Arc::new(OnceLock::new()));
        seats.taken.insert(number, pid.clone());
        Some(Seat { supervisor: self.clone(), number, pid })
    }

    /// Whether a process is one of the runners.
    pub(super) fn holds(&self, pid: &Pid) -> bool {
        self.pids().contains(pid)
    }

    fn pids(&self) -> Vec<Pid> {
        self.seats().taken.values().filter_map(|pid| pid.get().cloned()).collect()
    }

    fn seats(&self) -> MutexGuard<'_, Seats> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// The runners are linked to it.
    fn ended(&self, node: &Node, reason: &Term) {
        for runner in self.pids() {
            node.exit_own(&runner, reason.clone());
        }
    }

    fn state(&self) -> Term {
        keyword([("children", list(self.pids().into_iter().map(Term::from)))])
    }

    fn module(&self) -> &'static str {
        SUPERVISOR
    }
}
