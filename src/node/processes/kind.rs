//! What a process is, and what it is told.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::limits;
use crate::node::GenServer;
use crate::node::link::Link;
use crate::term::elixir::date_and_time;
use crate::term::{Term, atom, keyword, tuple};

/// What a process is.
#[derive(Clone)]
pub(in crate::node) enum Kind {
    /// A task of this program; it ends when told to.
    Task(Arc<Kill>),
    /// A registered server.
    Server(Arc<ServerProcess>),
    /// Answers `is_auth`, by which nodes ping.
    NetKernel,
    /// The older way of calling functions.
    Rex,
}

impl Kind {
    /// The same, as its supervisor starts it after its end.
    pub(super) fn started_anew(&self) -> Self {
        match self {
            Self::Server(process) => Self::Server(Arc::new(ServerProcess::new(process.server.clone()))),
            other => other.clone(),
        }
    }
}

/// Tells a task to end, and why.
#[derive(Default)]
pub(in crate::node) struct Kill {
    pub(in crate::node) token: CancellationToken,
    reason: Mutex<Option<Term>>,
}

impl Kill {
    /// Tells the task; the first reason counts.
    pub(in crate::node) fn kill(&self, reason: Term) {
        self.reason.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(reason);
        self.token.cancel();
    }

    /// Why it was told.
    pub(in crate::node) fn reason(&self) -> Term {
        self.reason.lock().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or(atom("killed"))
    }
}

/// A message, and the link that it came over.
pub(in crate::node) type Letter = (Arc<Link>, Term);

/// A registered server as a process: it may be suspended (`sys:suspend`), and keeps its messages then.
pub(in crate::node) struct ServerProcess {
    pub(in crate::node) server: Arc<dyn GenServer>,
    kept: Mutex<Option<VecDeque<Letter>>>,
    counted: Mutex<Option<Counted>>,
}

/// Messages that a server took since its statistics were turned on.
struct Counted {
    since: Timestamp,
    taken: u64,
}

impl ServerProcess {
    pub(in crate::node) fn new(server: Arc<dyn GenServer>) -> Self {
        Self { server, kept: Mutex::new(None), counted: Mutex::new(None) }
    }

    fn counted(&self) -> MutexGuard<'_, Option<Counted>> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Turns statistics on or off.
    pub(in crate::node) fn count(&self, on: bool) {
        *self.counted() = on.then(|| Counted { since: Timestamp::now(), taken: 0 });
    }

    /// A message was taken.
    pub(in crate::node) fn took(&self) {
        if let Some(counted) = self.counted().as_mut() {
            counted.taken += 1;
        }
    }

    /// What `sys:statistics` shows, if they are on.
    pub(in crate::node) fn statistics(&self) -> Option<Term> {
        let counted = self.counted();
        let Counted { since, taken } = counted.as_ref()?;
        let taken = || Term::from(*taken);
        Some(keyword([
            ("start_time", tuple(date_and_time(*since))),
            ("current_time", tuple(date_and_time(Timestamp::now()))),
            ("reductions", taken()),
            ("messages_in", taken()),
            ("messages_out", taken()),
        ]))
    }

    fn kept(&self) -> MutexGuard<'_, Option<VecDeque<Letter>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(in crate::node) fn is_suspended(&self) -> bool {
        self.kept().is_some()
    }

    /// Messages that wait for the server to be resumed.
    pub(in crate::node) fn waiting(&self) -> usize {
        self.kept().as_ref().map_or(0, VecDeque::len)
    }

    pub(in crate::node) fn suspend(&self) {
        self.kept().get_or_insert_default();
    }

    /// Goes on; gives the messages that came meanwhile.
    pub(in crate::node) fn resume(&self) -> VecDeque<Letter> {
        self.kept().take().unwrap_or_default()
    }

    /// Keeps a message of a suspended server; gives it back if the server is not, or keeps too many.
    pub(in crate::node) fn keep(&self, letter: Letter) -> Option<Letter> {
        match self.kept().as_mut() {
            Some(kept) => {
                if kept.len() < limits::SUSPENDED_MESSAGES {
                    kept.push_back(letter);
                } else {
                    tracing::warn!(server = self.server.module(), "it is suspended too long: a message was dropped");
                }
                None
            }
            None => Some(letter),
        }
    }
}
