//! What a process is, and what it is told.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::limits;
use crate::node::GenServer;
use crate::node::link::Link;
use crate::node::remarks;
use crate::node::turns::Turns;
use crate::term::elixir::date_and_time;
use crate::term::{Term, atom, codec, keyword, tuple};

/// What a process is.
#[derive(Clone)]
pub(in crate::node) enum Kind {
    /// A task of this program; it ends when told to.
    Task(Arc<Kill>),
    /// A registered server.
    Server(Arc<ServerProcess>),
    /// Answers `is_auth`, by which nodes ping.
    NetKernel(Arc<Turns>),
    /// The older way of calling functions.
    Rex(Arc<Turns>),
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
    pub(in crate::node) turns: Turns,
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

/// A message that waits, and the link that it came over. It is encoded: so it takes what it is long, and holds on to nothing
/// that came with it.
pub(in crate::node) struct Letter {
    link: Weak<Link>,
    message: Bytes,
}

impl Letter {
    /// The message, if its link is still there.
    pub(in crate::node) fn open(&self) -> Option<(Arc<Link>, Term)> {
        Some((self.link.upgrade()?, codec::decode(&self.message).ok()?))
    }
}

/// What a suspended server keeps.
#[derive(Default)]
struct Kept {
    letters: VecDeque<Letter>,
    bytes: usize,
    /// There was no room for some.
    dropped: bool,
}

impl Kept {
    fn put(&mut self, link: &Arc<Link>, message: &Term) -> bool {
        let mut encoded = Vec::new();
        // What was decoded can be encoded.
        let room = codec::encode(message, &mut encoded).is_ok()
            && self.letters.len() < limits::SUSPENDED_MESSAGES
            && self.bytes + encoded.len() <= limits::SUSPENDED_BYTES;
        if room {
            self.bytes += encoded.len();
            self.letters.push_back(Letter { link: Arc::downgrade(link), message: encoded.into() });
        }
        room
    }
}

/// A registered server as a process: it may be suspended (`sys:suspend`), and keeps its messages then.
pub(in crate::node) struct ServerProcess {
    pub(in crate::node) server: Arc<dyn GenServer>,
    pub(super) turns: Turns,
    kept: Mutex<Option<Kept>>,
    counted: Mutex<Option<Counted>>,
}

/// Messages that a server took since its statistics were turned on.
struct Counted {
    since: Timestamp,
    taken: u64,
}

impl ServerProcess {
    pub(in crate::node) fn new(server: Arc<dyn GenServer>) -> Self {
        Self { server, turns: Turns::default(), kept: Mutex::new(None), counted: Mutex::new(None) }
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
        self.turns.count();
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

    fn kept(&self) -> MutexGuard<'_, Option<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(in crate::node) fn is_suspended(&self) -> bool {
        self.kept().is_some()
    }

    /// Messages that wait for the server to be resumed.
    pub(in crate::node) fn waiting(&self) -> usize {
        self.kept().as_ref().map_or(0, |kept| kept.letters.len())
    }

    /// The messages themselves.
    pub(in crate::node) fn messages(&self) -> Vec<Term> {
        let kept = self.kept();
        let letters = kept.iter().flat_map(|kept| &kept.letters);
        letters.filter_map(|letter| codec::decode(&letter.message).ok()).collect()
    }

    /// Bytes of them.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.kept().as_ref().map_or(0, |kept| kept.bytes)
    }

    pub(in crate::node) fn suspend(&self) {
        self.kept().get_or_insert_default();
    }

    /// Goes on; gives the messages that came meanwhile.
    pub(in crate::node) fn resume(&self) -> VecDeque<Letter> {
        self.kept().take().unwrap_or_default().letters
    }

    /// Keeps a message of a suspended server, if there is room; gives it back if the server is not suspended.
    pub(in crate::node) fn keep(&self, link: &Arc<Link>, message: Term) -> Option<Term> {
        let mut kept = self.kept();
        let Some(kept) = kept.as_mut() else { return Some(message) };
        if !kept.put(link, &message) && !std::mem::replace(&mut kept.dropped, true) {
            let server = self.server.module();
            remarks::say(|| tracing::warn!(server, "it is suspended too long: messages are dropped"));
        }
        None
    }
}
