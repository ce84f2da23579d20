//! The process table: who lives here, who watches whom, what they are called.
//!
//! It keeps books only; what follows from a change (signals to peers, tasks that end) is handed back to the caller.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::GenServer;
use super::control::Target;
use super::link::Link;
use crate::limits;
use crate::term::{Atom, Pid, Reference, Term, atom};

/// A process's first function: module, function, arity.
pub(super) type InitialCall = (Atom, Atom, usize);

/// What a process is.
#[derive(Clone)]
pub(super) enum Kind {
    /// A task of this program; it ends when told to.
    Task(Arc<Kill>),
    /// A registered server.
    Server(Arc<dyn GenServer>),
    /// Answers `is_auth`, by which nodes ping.
    NetKernel,
    /// The older way of calling functions.
    Rex,
}

/// Tells a task to end, and why.
#[derive(Default)]
pub(super) struct Kill {
    pub(super) token: CancellationToken,
    reason: Mutex<Option<Term>>,
}

impl Kill {
    /// Tells the task; the first reason counts.
    pub(super) fn kill(&self, reason: Term) {
        self.reason.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(reason);
        self.token.cancel();
    }

    /// Why it was told.
    pub(super) fn reason(&self) -> Term {
        self.reason.lock().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or(atom("killed"))
    }
}

/// A peer's process that wants to hear of a process's end.
pub(super) struct Watcher {
    pub(super) link: Arc<Link>,
    pub(super) pid: Pid,
    pub(super) reference: Reference,
    /// As it named what it watches: that is what its DOWN carries.
    pub(super) target: Target,
}

/// A peer's process that is linked.
pub(super) struct Linked {
    pub(super) link: Arc<Link>,
    pub(super) pid: Pid,
}

/// A process.
pub(super) struct Process {
    pub(super) pid: Pid,
    pub(super) kind: Kind,
    pub(super) initial_call: InitialCall,
    pub(super) watchers: Vec<Watcher>,
    pub(super) linked: Vec<Linked>,
    /// Futures of this program that wait for its end.
    pub(super) waiting: Vec<oneshot::Sender<Term>>,
}

/// Something that a peer's process is watched by from here.
struct Remote {
    link: u64,
    tell: oneshot::Sender<Term>,
}

/// There is no room for one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TableFull;

pub(super) struct Processes {
    node: Atom,
    creation: u32,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    last_pid: u64,
    last_reference: u64,
    live: BTreeMap<u64, Process>,
    names: HashMap<Atom, u64>,
    tasks: usize,
    watchers: usize,
    remote: HashMap<Reference, Remote>,
}

impl Processes {
    pub(super) fn new(node: Atom, creation: u32) -> Self {
        // References must differ from those of an earlier life that had the same creation by chance.
        let table = Table { last_reference: u64::from(rand::random::<u32>()) << 20, ..Table::default() };
        Self { node, creation, table: Mutex::new(table) }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A pid that nobody had.
    pub(super) fn new_pid(&self) -> Pid {
        let mut table = self.table();
        table.last_pid += 1;
        self.pid(table.last_pid)
    }

    fn pid(&self, number: u64) -> Pid {
        // 28 bits and the rest, as BEAM nodes split it.
        let id = u32::try_from(number & 0x0FFF_FFFF).unwrap_or(0);
        let serial = u32::try_from(number >> 28 & 0xFFFF_FFFF).unwrap_or(0);
        Pid { node: self.node.clone(), id, serial, creation: self.creation }
    }

    /// The key of one of this node's pids; `None` for those of others and of an earlier life.
    fn key(&self, pid: &Pid) -> Option<u64> {
        let own = pid.creation == self.creation && pid.node == self.node;
        own.then(|| u64::from(pid.serial) << 28 | u64::from(pid.id))
    }

    pub(super) fn is_own(&self, pid: &Pid) -> bool {
        pid.node == self.node
    }

    /// A reference that nobody had.
    pub(super) fn new_reference(&self) -> Option<Reference> {
        let number = {
            let mut table = self.table();
            table.last_reference += 1;
            table.last_reference
        };
        let word = |shift: u32, mask: u64| u32::try_from(number >> shift & mask).unwrap_or(0);
        // The first word has 18 bits, as on BEAM nodes.
        Reference::new(self.node.clone(), self.creation, &[word(0, 0x3FFFF), word(18, 0xFFFF_FFFF), word(50, 0x3FFF)])
            .ok()
    }

    /// Puts in a process under a pid from [`Processes::new_pid`].
    pub(super) fn insert(&self, process: Process) -> Result<(), TableFull> {
        let mut table = self.table();
        let Some(key) = self.key(&process.pid) else { return Err(TableFull) };
        if matches!(process.kind, Kind::Task(_)) {
            if table.tasks >= limits::PROCESSES {
                return Err(TableFull);
            }
            table.tasks += 1;
        }
        table.watchers += process.watchers.len() + process.linked.len();
        table.live.insert(key, process);
        Ok(())
    }

    /// Takes out a process that ended.
    pub(super) fn remove(&self, pid: &Pid) -> Option<Process> {
        let key = self.key(pid)?;
        let mut table = self.table();
        let gone = table.live.remove(&key)?;
        table.tasks -= usize::from(matches!(gone.kind, Kind::Task(_)));
        table.watchers -= gone.watchers.len() + gone.linked.len();
        table.names.retain(|_, named| *named != key);
        Some(gone)
    }

    /// Gives a process a name; a name that is taken keeps its owner.
    pub(super) fn register(&self, name: Atom, pid: &Pid) {
        if let Some(key) = self.key(pid) {
            self.table().names.entry(name).or_insert(key);
        }
    }

    pub(super) fn whereis(&self, name: &str) -> Option<Pid> {
        let table = self.table();
        let found = table.names.iter().find(|(known, _)| known.as_str() == name);
        found.map(|(_, key)| self.pid(*key))
    }

    pub(super) fn registered(&self) -> Vec<Atom> {
        self.table().names.keys().cloned().collect()
    }

    pub(super) fn pids(&self) -> Vec<Pid> {
        self.table().live.values().map(|process| process.pid.clone()).collect()
    }

    pub(super) fn tasks(&self) -> usize {
        self.table().tasks
    }

    /// Looks at a living process.
    pub(super) fn with<T>(&self, pid: &Pid, look: impl FnOnce(&Process, Option<&Atom>) -> T) -> Option<T> {
        let key = self.key(pid)?;
        let table = self.table();
        let name = table.names.iter().find(|(_, named)| **named == key).map(|(name, _)| name);
        table.live.get(&key).map(|process| look(process, name))
    }

    pub(super) fn kind(&self, target: &Target) -> Option<(Pid, Kind)> {
        let pid = self.resolve(target)?;
        let kind = self.with(&pid, |process, _| process.kind.clone())?;
        Some((pid, kind))
    }

    fn resolve(&self, target: &Target) -> Option<Pid> {
        match target {
            Target::Pid(pid) => Some(pid.clone()),
            Target::Name(name) => self.table().names.get(name).map(|key| self.pid(*key)),
        }
    }

    /// Adds a watcher to what it watches; gives it back where there is no such process, or no room.
    pub(super) fn watch(&self, watcher: Watcher) -> Option<Watcher> {
        let Some(key) = self.resolve(&watcher.target).and_then(|pid| self.key(&pid)) else { return Some(watcher) };
        let mut table = self.table();
        let room = table.watchers < limits::WATCHERS;
        match table.live.get_mut(&key) {
            Some(process) if room => {
                process.watchers.push(watcher);
                table.watchers += 1;
                None
            }
            _ => Some(watcher),
        }
    }

    /// Takes a watcher back.
    pub(super) fn unwatch(&self, link: u64, target: &Target, reference: &Reference) {
        let Some(pid) = self.resolve(target) else { return };
        drop(self.take_watchers_of(&pid, |watcher| watcher.link.id == link && watcher.reference == *reference));
    }

    /// Takes out the watchers of one process that `which` means.
    pub(super) fn take_watchers_of(&self, pid: &Pid, which: impl Fn(&Watcher) -> bool) -> Vec<Watcher> {
        let Some(key) = self.key(pid) else { return Vec::new() };
        let mut table = self.table();
        let Some(process) = table.live.get_mut(&key) else { return Vec::new() };
        let taken: Vec<_> = process.watchers.extract_if(.., |watcher| which(watcher)).collect();
        table.watchers -= taken.len();
        taken
    }

    /// Takes out all watchers that `which` means.
    fn take_watchers(&self, which: impl Fn(&Watcher) -> bool) -> Vec<Watcher> {
        let mut table = self.table();
        let mut taken = Vec::new();
        for process in table.live.values_mut() {
            taken.extend(process.watchers.extract_if(.., |watcher| which(watcher)));
        }
        table.watchers -= taken.len();
        taken
    }

    /// Links a peer's process to one of this node; `false` if there is none, or no room.
    pub(super) fn link(&self, to: &Pid, linked: Linked) -> bool {
        let Some(key) = self.key(to) else { return false };
        let mut table = self.table();
        let room = table.watchers < limits::WATCHERS;
        let Some(process) = table.live.get_mut(&key).filter(|_| room) else { return false };
        if !process.linked.iter().any(|other| other.pid == linked.pid) {
            process.linked.push(linked);
            table.watchers += 1;
        }
        true
    }

    /// Takes a link back; whether there was one.
    pub(super) fn unlink(&self, to: &Pid, from: &Pid) -> bool {
        let Some(key) = self.key(to) else { return false };
        let mut table = self.table();
        let Some(process) = table.live.get_mut(&key) else { return false };
        let before = process.linked.len();
        process.linked.retain(|linked| linked.pid != *from);
        let gone = before - process.linked.len();
        table.watchers -= gone;
        gone > 0
    }

    /// Waits for the end of a process of this node; `None` if it does not live.
    pub(super) fn wait(&self, pid: &Pid) -> Option<oneshot::Receiver<Term>> {
        let key = self.key(pid)?;
        let mut table = self.table();
        let process = table.live.get_mut(&key)?;
        let (tell, told) = oneshot::channel();
        process.waiting.retain(|waiting| !waiting.is_closed());
        process.waiting.push(tell);
        Some(told)
    }

    /// Waits for the DOWN of a peer's process.
    pub(super) fn wait_remote(&self, link: u64, reference: Reference) -> oneshot::Receiver<Term> {
        let (tell, told) = oneshot::channel();
        self.table().remote.insert(reference, Remote { link, tell });
        told
    }

    /// Forgets such a wait; whether it was still open.
    pub(super) fn forget_remote(&self, reference: &Reference) -> bool {
        self.table().remote.remove(reference).is_some()
    }

    /// A peer's process is down.
    pub(super) fn remote_down(&self, reference: &Reference, reason: Term) {
        let waiting = self.table().remote.remove(reference);
        if let Some(remote) = waiting {
            // Whoever waited may have gone.
            remote.tell.send(reason).unwrap_or_default();
        }
    }

    /// A link is lost: its watchers are forgotten, who waits for its processes is told. Gives the processes of this node
    /// that were linked to one of the peer's.
    pub(super) fn link_lost(&self, link: u64) -> Vec<Pid> {
        drop(self.take_watchers(|watcher| watcher.link.id == link));
        let mut table = self.table();
        let mut orphans = Vec::new();
        let mut gone = 0;
        for process in table.live.values_mut() {
            let before = process.linked.len();
            process.linked.retain(|linked| linked.link.id != link);
            gone += before - process.linked.len();
            if before > process.linked.len() {
                orphans.push(process.pid.clone());
            }
        }
        table.watchers -= gone;
        for (_, remote) in table.remote.extract_if(|_, remote| remote.link == link) {
            remote.tell.send(atom("noconnection")).unwrap_or_default();
        }
        orphans
    }

    /// Tells all tasks to end.
    pub(super) fn kill_all(&self, reason: &Term) {
        for process in self.table().live.values() {
            if let Kind::Task(kill) = &process.kind {
                kill.kill(reason.clone());
            }
        }
    }
}
