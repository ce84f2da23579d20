//! The process table: who lives here, who watches whom, what they are called.
//!
//! It keeps books only; what follows from a change (signals to peers, tasks that end) is handed back to the caller.

mod kind;
mod look;

pub(super) use kind::{Kill, Kind, ServerProcess};
pub(super) use look::Seen;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::control::Target;
use super::inbox::Inbox;
use super::link::Link;
use super::share::Share;
use crate::limits;
use crate::term::{Atom, Pid, Reference, Term, atom};

/// A process's first function: module, function, arity.
pub(super) type InitialCall = (Atom, Atom, usize);

/// A peer's process that wants to hear of a process's end.
#[derive(Clone)]
pub(super) struct Watcher {
    pub(super) link: Arc<Link>,
    pub(super) pid: Pid,
    pub(super) reference: Reference,
    /// As it named what it watches: that is what its DOWN carries.
    pub(super) target: Target,
}

/// Two peers may choose the same reference.
type WatcherKey = (u64, Reference);

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
    pub(super) group_leader: Term,
    /// The name of the supervisor that started it and is linked to it.
    pub(super) supervisor: Option<&'static str>,
    /// The link whose peer asked for it, and the bytes of memory that its arguments may take, rather too high: what it is
    /// held to.
    pub(super) account: (Option<u64>, usize),
    /// The bytes that they do take.
    pub(super) arguments: usize,
    /// What takes its messages, if it takes any.
    inbox: Option<Inbox>,
    watchers: HashMap<WatcherKey, Watcher>,
    linked: HashMap<Pid, Linked>,
    /// Futures of this program that wait for its end.
    waiting: Vec<oneshot::Sender<Term>>,
}

/// Who is to be told of a process's end.
#[derive(Default)]
pub(super) struct Mourners {
    pub(super) watchers: Vec<Watcher>,
    pub(super) linked: Vec<Linked>,
    pub(super) waiting: Vec<oneshot::Sender<Term>>,
}

impl Process {
    pub(super) fn new(pid: Pid, kind: Kind, initial_call: InitialCall) -> Self {
        let group_leader = Term::from(pid.clone());
        let (watchers, linked, waiting) = (HashMap::new(), HashMap::new(), Vec::new());
        let (supervisor, account, arguments, inbox) = (None, (None, 0), 0, None);
        Self { pid, kind, initial_call, group_leader, supervisor, account, arguments, inbox, watchers, linked, waiting }
    }

    pub(super) fn watched_by(&self) -> impl Iterator<Item = &Pid> {
        self.watchers.values().map(|watcher| &watcher.pid)
    }

    pub(super) fn linked_to(&self) -> impl Iterator<Item = &Pid> {
        self.linked.keys()
    }
}

/// Something that a peer's process is watched by from here.
struct Remote {
    link: u64,
    tell: oneshot::Sender<Term>,
}

/// There is no room for one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TableFull;

/// What came of an attempt to watch a process or to link to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bound {
    Done,
    /// There is no such process.
    NoProcess,
    /// The link holds more monitors and links than are left for others.
    TooMany,
}

pub(super) struct Processes {
    node: Atom,
    creation: u32,
    table: Mutex<Table>,
}

struct Table {
    last_pid: u64,
    last_reference: u64,
    live: BTreeMap<u64, Process>,
    names: HashMap<Atom, u64>,
    remote: HashMap<Reference, Remote>,
    /// Tasks, of which there may be many; the registered servers are few.
    tasks: Share,
    arguments: Share,
    /// Monitors and links.
    bonds: Share,
}

impl Processes {
    pub(super) fn new(node: Atom, creation: u32) -> Self {
        // References must differ from those of an earlier life that had the same creation by chance.
        let table = Table {
            last_pid: 0,
            last_reference: u64::from(rand::random::<u32>()) << 20,
            live: BTreeMap::new(),
            names: HashMap::new(),
            remote: HashMap::new(),
            tasks: Share::new(limits::PROCESSES),
            arguments: Share::new(limits::ARGUMENT_BYTES),
            bonds: Share::new(limits::BONDS),
        };
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

    /// Puts in a process under a pid from [`Processes::new_pid`], with who watches it from the start.
    pub(super) fn insert(
        &self,
        mut process: Process,
        watcher: Option<Watcher>,
        linked: Option<Linked>,
    ) -> Result<(), TableFull> {
        let mut table = self.table();
        let Some(key) = self.key(&process.pid) else { return Err(TableFull) };
        process.watchers.extend(watcher.map(|w| ((w.link.id, w.reference.clone()), w)));
        process.linked.extend(linked.map(|l| (l.pid.clone(), l)));
        if matches!(process.kind, Kind::Task(_)) && !table.enter(&process) {
            return Err(TableFull);
        }
        table.live.insert(key, process);
        Ok(())
    }

    /// Takes out a process that ended.
    pub(super) fn remove(&self, pid: &Pid) -> Option<Mourners> {
        let key = self.key(pid)?;
        let mut table = self.table();
        let gone = table.live.remove(&key)?;
        table.names.retain(|_, named| *named != key);
        Some(table.settle(gone))
    }

    /// A registered process ended and is started anew, under its name and a pid of its own.
    pub(super) fn replace(&self, pid: &Pid) -> Option<Mourners> {
        let key = self.key(pid)?;
        let mut table = self.table();
        let gone = table.live.remove(&key)?;
        table.last_pid += 1;
        let new_key = table.last_pid;
        let mut new = Process::new(self.pid(new_key), gone.kind.started_anew(), gone.initial_call.clone());
        new.supervisor = gone.supervisor;
        table.live.insert(new_key, new);
        table.names.values_mut().filter(|named| **named == key).for_each(|named| *named = new_key);
        Some(table.settle(gone))
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

    /// The registered servers: name, pid and process.
    pub(super) fn servers(&self) -> Vec<(Atom, Pid, Arc<ServerProcess>)> {
        let table = self.table();
        let server = |(name, key): (&Atom, &u64)| match table.live.get(key).map(|process| &process.kind) {
            Some(Kind::Server(process)) => Some((name.clone(), self.pid(*key), process.clone())),
            _ => None,
        };
        table.names.iter().filter_map(server).collect()
    }

    pub(super) fn pids(&self) -> Vec<Pid> {
        self.table().live.values().map(|process| process.pid.clone()).collect()
    }

    pub(super) fn tasks(&self) -> usize {
        self.table().tasks.taken()
    }

    /// Looks at a living process.
    pub(super) fn with<T>(&self, pid: &Pid, look: impl FnOnce(&Process, Option<&Atom>) -> T) -> Option<T> {
        let key = self.key(pid)?;
        let table = self.table();
        let name = table.names.iter().find(|(_, named)| **named == key).map(|(name, _)| name);
        table.live.get(&key).map(|process| look(process, name))
    }

    pub(super) fn kind(&self, target: &Target) -> Option<(Pid, Kind)> {
        let table = self.table();
        let process = table.live.get(&self.resolve(&table, target)?)?;
        Some((process.pid.clone(), process.kind.clone()))
    }

    fn resolve(&self, table: &Table, target: &Target) -> Option<u64> {
        match target {
            Target::Pid(pid) => self.key(pid),
            Target::Name(name) => table.names.get(name).copied(),
        }
    }

    /// Adds a watcher to what it watches.
    pub(super) fn watch(&self, watcher: &Watcher) -> Bound {
        let mut table = self.table();
        let Some(key) = self.resolve(&table, &watcher.target) else { return Bound::NoProcess };
        let Table { live, bonds, .. } = &mut *table;
        let Some(process) = live.get_mut(&key) else { return Bound::NoProcess };
        let link = watcher.link.id;
        if !bonds.take(Some(link), 1) {
            return Bound::TooMany;
        }
        let again = process.watchers.insert((link, watcher.reference.clone()), watcher.clone());
        bonds.give_back(Some(link), usize::from(again.is_some()));
        Bound::Done
    }

    /// Takes a watcher back.
    pub(super) fn unwatch(&self, link: u64, target: &Target, reference: &Reference) {
        let mut table = self.table();
        let Some(key) = self.resolve(&table, target) else { return };
        let gone = table.live.get_mut(&key).and_then(|process| process.watchers.remove(&(link, reference.clone())));
        table.bonds.give_back(Some(link), usize::from(gone.is_some()));
    }

    /// Links a peer's process to one of this node.
    pub(super) fn link(&self, to: &Pid, linked: Linked) -> Bound {
        let Some(key) = self.key(to) else { return Bound::NoProcess };
        let mut table = self.table();
        let Table { live, bonds, .. } = &mut *table;
        let Some(process) = live.get_mut(&key) else { return Bound::NoProcess };
        let link = linked.link.id;
        if process.linked.contains_key(&linked.pid) {
            return Bound::Done;
        }
        if !bonds.take(Some(link), 1) {
            return Bound::TooMany;
        }
        process.linked.insert(linked.pid.clone(), linked);
        Bound::Done
    }

    /// Takes a link back; whether there was one.
    pub(super) fn unlink(&self, to: &Pid, from: &Pid) -> bool {
        let Some(key) = self.key(to) else { return false };
        let mut table = self.table();
        let gone = table.live.get_mut(&key).and_then(|process| process.linked.remove(from));
        if let Some(gone) = &gone {
            table.bonds.give_back(Some(gone.link.id), 1);
        }
        gone.is_some()
    }

    /// From here on a process takes messages.
    pub(super) fn open_inbox(&self, pid: &Pid) -> Inbox {
        let inbox = Inbox::default();
        let Some(key) = self.key(pid) else { return inbox };
        if let Some(process) = self.table().live.get_mut(&key) {
            process.inbox = Some(inbox.clone());
        }
        inbox
    }

    /// What takes the messages of a process, if it takes any.
    pub(super) fn inbox(&self, pid: &Pid) -> Option<Inbox> {
        self.with(pid, |process, _| process.inbox.clone()).flatten()
    }

    /// Names another group leader of a process.
    pub(super) fn lead(&self, pid: &Pid, leader: Term) {
        let Some(key) = self.key(pid) else { return };
        if let Some(process) = self.table().live.get_mut(&key) {
            process.group_leader = leader;
        }
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
        let mut table = self.table();
        let mut orphans = Vec::new();
        let mut gone = 0;
        for process in table.live.values_mut() {
            let before = process.watchers.len() + process.linked.len();
            let linked = process.linked.len();
            process.watchers.retain(|(of, _), _| *of != link);
            process.linked.retain(|_, linked| linked.link.id != link);
            gone += before - process.watchers.len() - process.linked.len();
            if linked > process.linked.len() {
                orphans.push(process.pid.clone());
            }
        }
        table.bonds.give_back(Some(link), gone);
        for (_, remote) in table.remote.extract_if(|_, remote| remote.link == link) {
            remote.tell.send(atom("noconnection")).unwrap_or_default();
        }
        orphans
    }

    /// Tells all tasks to end. Callers hear what they hear of a node that goes down.
    pub(super) fn kill_all(&self) {
        for process in self.table().live.values() {
            if let Kind::Task(kill) = &process.kind {
                let called = process.account.0.is_some();
                kill.kill(atom(if called { "noconnection" } else { "shutdown" }));
            }
        }
    }
}

impl Table {
    /// Takes what a new task takes; nothing if there is not enough of all.
    fn enter(&mut self, process: &Process) -> bool {
        let (link, bytes) = process.account;
        let wanted = [1, bytes, process.watchers.len() + process.linked.len()];
        let mut shares = [&mut self.tasks, &mut self.arguments, &mut self.bonds];
        let short = shares.iter_mut().zip(wanted).position(|(share, amount)| !share.take(link, amount));
        if let Some(short) = short {
            shares.iter_mut().zip(wanted).take(short).for_each(|(share, amount)| share.give_back(link, amount));
        }
        short.is_none()
    }

    /// Gives back what a process that is gone took.
    fn settle(&mut self, gone: Process) -> Mourners {
        let (link, bytes) = gone.account;
        if matches!(gone.kind, Kind::Task(_)) {
            self.tasks.give_back(link, 1);
            self.arguments.give_back(link, bytes);
        }
        gone.bonds().into_iter().for_each(|link| self.bonds.give_back(Some(link), 1));
        Mourners {
            watchers: gone.watchers.into_values().collect(),
            linked: gone.linked.into_values().collect(),
            waiting: gone.waiting,
        }
    }
}

impl Process {
    /// The links of its monitors and links.
    fn bonds(&self) -> Vec<u64> {
        self.watchers.keys().map(|(link, _)| *link).chain(self.linked.values().map(|linked| linked.link.id)).collect()
    }
}
