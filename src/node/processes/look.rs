//! What whoever observes the node sees of its processes.

use std::collections::HashMap;

use super::{InitialCall, Kind, Linked, Process, Processes, ServerProcess, Watcher, WatcherKey};
use crate::node::Inbox;
use crate::node::processes::Kill;
use crate::term::{Atom, Pid};

/// A process as it was when it was looked at.
pub(in crate::node) struct Seen {
    pub(in crate::node) pid: Pid,
    pub(in crate::node) name: Option<Atom>,
    pub(in crate::node) initial_call: InitialCall,
    pub(in crate::node) is_server: bool,
    pub(in crate::node) supervisor: Option<&'static str>,
    /// Bytes that are kept for it, see [`Process::memory`].
    pub(in crate::node) memory: usize,
    pub(in crate::node) turns: u64,
    /// Messages that wait for it.
    pub(in crate::node) waiting: usize,
}

impl Process {
    /// Bytes that the node keeps for it and knows of: its entry, who watches it and is linked to it, its arguments, its
    /// messages that wait. What its function takes while it runs is not told apart from the rest of the program.
    fn memory(&self) -> usize {
        let bonds = self.watchers.len() * size_of::<(WatcherKey, Watcher)>()
            + self.linked.len() * size_of::<(Pid, Linked)>()
            + size_of_val(self.waiting.as_slice());
        let own = match &self.kind {
            Kind::Task(_) => size_of::<Kill>() + self.in_inbox().1,
            Kind::Server(process) => size_of::<ServerProcess>() + process.waiting_bytes(),
            Kind::NetKernel(_) | Kind::Rex(_) => 0,
        };
        size_of::<Self>() + bonds + own + self.arguments
    }

    fn turns(&self) -> u64 {
        match &self.kind {
            Kind::Task(kill) => kill.turns.taken(),
            Kind::Server(process) => process.turns.taken(),
            Kind::NetKernel(turns) | Kind::Rex(turns) => turns.taken(),
        }
    }

    /// Messages in its inbox, and their bytes.
    fn in_inbox(&self) -> (usize, usize) {
        self.inbox.as_ref().map(Inbox::waiting).unwrap_or_default()
    }

    fn seen(&self, name: Option<Atom>) -> Seen {
        let waiting = match &self.kind {
            Kind::Server(process) => process.waiting(),
            _ => self.in_inbox().0,
        };
        Seen {
            pid: self.pid.clone(),
            name,
            initial_call: self.initial_call.clone(),
            is_server: matches!(self.kind, Kind::Server(_)),
            supervisor: self.supervisor,
            memory: self.memory(),
            turns: self.turns(),
            waiting,
        }
    }
}

impl Processes {
    /// A living process.
    pub(in crate::node) fn look(&self, pid: &Pid) -> Option<Seen> {
        self.with(pid, |process, name| process.seen(name.cloned()))
    }

    /// All living processes, the oldest first.
    pub(in crate::node) fn look_at_all(&self) -> Vec<Seen> {
        let table = self.table();
        let names: HashMap<u64, &Atom> = table.names.iter().map(|(name, key)| (*key, name)).collect();
        table.live.iter().map(|(key, process)| process.seen(names.get(key).map(|name| (*name).clone()))).collect()
    }

    /// Bytes that are kept for all of them.
    pub(in crate::node) fn memory(&self) -> usize {
        self.table().live.values().map(Process::memory).sum()
    }

    /// How many live.
    pub(in crate::node) fn count(&self) -> usize {
        self.table().live.len()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const NODE: Atom = Atom::from_static("n@h");

    fn task(processes: &Processes, arguments: usize) -> (Pid, Arc<Kill>) {
        let kill = Arc::new(Kill::default());
        let call = (Atom::from_static("m"), Atom::from_static("f"), 1);
        let mut process = Process::new(processes.new_pid(), Kind::Task(kill.clone()), call);
        process.arguments = arguments;
        let pid = process.pid.clone();
        assert!(processes.insert(process, None, None).is_ok());
        (pid, kill)
    }

    #[test]
    fn a_process_is_seen_as_it_is() {
        let processes = Processes::new(NODE, 1);
        let (pid, kill) = task(&processes, 0);
        let small = processes.look(&pid).unwrap();
        kill.turns.count();
        processes.register(Atom::from_static("named"), &pid);
        let seen = processes.look(&pid).unwrap();
        assert_eq!((small.name, small.turns, small.waiting), (None, 1, 0));
        assert_eq!((seen.name, seen.turns), (Some(Atom::from_static("named")), 2));
        assert!(small.memory > 0);
    }

    #[test]
    fn all_are_seen_with_what_their_arguments_take() {
        let processes = Processes::new(NODE, 1);
        let (first, _) = task(&processes, 0);
        let (second, _) = task(&processes, 1_000);
        processes.register(Atom::from_static("second"), &second);
        let all = processes.look_at_all();
        let [one, other] = all.as_slice() else { panic!("two processes") };
        assert_eq!((&one.pid, &other.pid, other.name.as_ref()), (&first, &second, Some(&Atom::from_static("second"))));
        assert_eq!(other.memory, one.memory + 1_000);
        assert_eq!((processes.memory(), processes.count()), (one.memory + other.memory, 2));
        assert!(processes.look(&Pid { creation: 2, ..first }).is_none());
    }
}
