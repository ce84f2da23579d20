//! The process that starts the registered servers anew: what `Supervisor` and `:supervisor` ask it.

use super::{Context, GenServer, Node, Raise};
use crate::term::{Pid, Term, atom, keyword, list, tuple};

/// The supervisor, by its name. It keeps nothing: who its children are, the process table knows.
pub(super) struct Supervisor(pub(super) &'static str);

impl Supervisor {
    /// `{id, pid, type, modules}` of each child.
    fn specs(&self, node: &Node) -> Vec<Term> {
        let others = node.0.processes.servers().into_iter().filter(|(name, ..)| name.as_str() != self.0);
        let child = |(name, pid, process): (_, _, std::sync::Arc<super::processes::ServerProcess>)| {
            tuple([Term::Atom(name), Term::from(pid), atom("worker"), list([atom(process.server.module())])])
        };
        others.map(child).collect()
    }
}

impl GenServer for Supervisor {
    fn call(&self, context: &Context, request: &Term) -> Result<Option<Term>, Raise> {
        let children = || self.specs(&context.node);
        Ok(match request.as_atom() {
            Some("which_children") => Some(Term::List(children())),
            Some("count_children") => {
                let count = Term::from(children().len());
                let counts =
                    [("specs", &count), ("active", &count), ("supervisors", &Term::Int(0)), ("workers", &count)];
                Some(keyword(counts.map(|(name, count)| (name, count.clone()))))
            }
            _ => None,
        })
    }

    fn children(&self, node: &Node) -> Vec<Pid> {
        let others = node.0.processes.servers().into_iter().filter(|(name, ..)| name.as_str() != self.0);
        others.map(|(_, pid, _)| pid).collect()
    }

    fn traps_exits(&self) -> bool {
        true
    }

    fn state(&self) -> Term {
        keyword([("name", atom(self.0))])
    }

    fn module(&self) -> &'static str {
        "supervisor"
    }
}
