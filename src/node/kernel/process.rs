//! `erlang:process_info/1,2`.

use std::sync::Arc;

use super::{badarg, distinct, erlang::own_pid};
use crate::node::control::Target;
use crate::node::processes::{InitialCall, Kind, Process, Seen, ServerProcess};
use crate::node::{CallResult, Context, Module, Raise, pair};
use crate::term::{Atom, Pid, Term, atom, list, tuple};

pub(super) fn module() -> Module {
    Module::new("erlang").immediate("process_info", 1..=2, process_info)
}

/// All items of a process, one of them, or some.
fn process_info(context: &Context, args: &[Term]) -> CallResult {
    // Those and the order of a BEAM node; what a process here does not have is 0 or empty.
    const ALL: [&str; 17] = [
        "registered_name",
        "current_function",
        "initial_call",
        "status",
        "message_queue_len",
        "links",
        "dictionary",
        "trap_exit",
        "error_handler",
        "priority",
        "group_leader",
        "total_heap_size",
        "heap_size",
        "stack_size",
        "reductions",
        "garbage_collection",
        "suspending",
    ];
    let pid = own_pid(context, args)?;
    if !context.node.is_alive(&pid) && pid != context.this {
        return Ok(atom("undefined"));
    }
    let seen = Subject { context, pid: &pid, server: server(context, &pid), seen: context.node.0.processes.look(&pid) };
    let one = |name: &Term| seen.item(name);
    match args.get(1) {
        None => {
            let items = ALL.iter().map(|name| one(&atom(name))).collect::<Result<Vec<_>, _>>()?;
            // A process without a name has no such item in the whole list.
            Ok(list(items.into_iter().filter(|item| !matches!(item, Term::List(_)))))
        }
        Some(Term::List(names)) => {
            let pick = |name: &Term| match (name.as_atom(), one(name)?) {
                (Some("registered_name"), Term::List(_)) => Ok(pair(name.clone(), list([]))),
                (_, item) => Ok(item),
            };
            Ok(Term::List(distinct(names)?.iter().map(pick).collect::<Result<_, Raise>>()?))
        }
        Some(name) => one(name),
    }
}

/// A process that is asked about.
struct Subject<'a> {
    context: &'a Context,
    pid: &'a Pid,
    server: Option<Arc<ServerProcess>>,
    /// None of the process that asks, if it never entered the table.
    seen: Option<Seen>,
}

impl Subject<'_> {
    fn item(&self, name: &Term) -> Result<Term, Raise> {
        if let Some([dictionary, key]) = name.as_tuple()
            && dictionary.is_atom("dictionary")
        {
            return Ok(pair(name.clone(), self.entry(key)));
        }
        let text = name.as_atom().ok_or_else(badarg)?;
        if text == "registered_name" {
            let registered = self.seen.as_ref().and_then(|seen| seen.name.clone());
            return Ok(registered.map_or(list([]), |registered| pair(name.clone(), Term::Atom(registered))));
        }
        let value = self.code(text).or_else(|| self.figure(text)).or_else(|| self.relation(text)).ok_or_else(badarg)?;
        Ok(pair(name.clone(), value))
    }

    fn initial_call(&self) -> Term {
        let call = self.seen.as_ref().map(|seen| seen.initial_call.clone());
        let own = || (Atom::from_static("erlang"), Atom::from_static("apply"), 2);
        function(call.unwrap_or_else(own))
    }

    /// What it runs; a server is a `gen_server` of OTP to whoever looks.
    fn code(&self, name: &str) -> Option<Term> {
        let is_server = self.server.is_some();
        Some(match name {
            "initial_call" if is_server => tuple([atom("proc_lib"), atom("init_p"), Term::Int(5)]),
            "current_function" if is_server => current_function(true, None),
            "current_stacktrace" if is_server => {
                let [module, function, arity] = looped();
                list([tuple([module, function, arity, list([])])])
            }
            "current_function" | "initial_call" => self.initial_call(),
            "current_stacktrace" => list([]),
            "status" => atom("waiting"),
            "dictionary" => self.dictionary(),
            "error_handler" => atom("error_handler"),
            "priority" => atom("normal"),
            "label" => atom("undefined"),
            "last_calls" => Term::from(false),
            _ => return None,
        })
    }

    /// What it takes, as far as the books of the node have it, and what waits for it. There are no heaps.
    fn figure(&self, name: &str) -> Option<Term> {
        let seen = self.seen.as_ref();
        Some(match name {
            "memory" => Term::from(seen.map_or(0, |seen| seen.memory)),
            "reductions" => Term::from(seen.map_or(1, |seen| seen.turns)),
            "message_queue_len" => Term::from(seen.map_or(0, |seen| seen.waiting)),
            "messages" => list(self.server.iter().flat_map(|server| server.messages())),
            "heap_size" | "total_heap_size" | "stack_size" | "catchlevel" | "trace" => Term::Int(0),
            "garbage_collection" | "suspending" | "binary" | "sequential_trace_token" => list([]),
            _ => return None,
        })
    }

    /// Who belongs to it.
    fn relation(&self, name: &str) -> Option<Term> {
        let processes = &self.context.node.0.processes;
        Some(match name {
            "links" => list(links(self.context, self.pid).into_iter().map(Term::from)),
            "monitors" => list([]),
            "monitored_by" => {
                let watchers = |process: &Process| process.watched_by().cloned().collect::<Vec<_>>();
                let watchers = processes.with(self.pid, |process, _| watchers(process));
                list(watchers.unwrap_or_default().into_iter().map(Term::from))
            }
            "group_leader" => {
                let leader = processes.with(self.pid, |process, _| process.group_leader.clone());
                leader.unwrap_or_else(|| self.context.group_leader.clone())
            }
            "trap_exit" => Term::from(self.server.as_ref().is_some_and(|process| process.server.traps_exits())),
            _ => return None,
        })
    }

    fn dictionary(&self) -> Term {
        match &self.server {
            Some(server) => crate::node::sys::dictionary(&self.context.node, server),
            None => list([pair(atom("$initial_call"), self.initial_call())]),
        }
    }

    /// What the dictionary has for a key.
    fn entry(&self, key: &Term) -> Term {
        let dictionary = self.dictionary();
        let entry = |entry: &Term| match entry.as_tuple() {
            Some([name, value]) if name == key => Some(value.clone()),
            _ => None,
        };
        dictionary.as_list().and_then(|entries| entries.iter().find_map(entry)).unwrap_or(atom("undefined"))
    }
}

/// `{module, function, arity}`.
pub(super) fn function((module, function, arity): InitialCall) -> Term {
    tuple([Term::Atom(module), Term::Atom(function), Term::from(arity)])
}

/// What a process runs: a server its loop, others what they began with, since nothing tells how far they are.
pub(super) fn current_function(is_server: bool, initial_call: Option<InitialCall>) -> Term {
    match initial_call.filter(|_| !is_server) {
        Some(call) => function(call),
        None => tuple(looped()),
    }
}

fn looped() -> [Term; 3] {
    [atom("gen_server"), atom("loop"), Term::Int(7)]
}

/// `proc_lib:translate_initial_call/1` and `get_label/1`: only servers were started by `proc_lib`.
pub(super) fn proc_lib() -> Module {
    Module::new("proc_lib")
        .immediate("translate_initial_call", 1..=1, |context, args| {
            let server = server(context, &own_pid(context, args)?);
            let call = server.map_or(("proc_lib", "init_p", 5), |process| (process.server.module(), "init", 1));
            Ok(tuple([atom(call.0), atom(call.1), Term::Int(call.2)]))
        })
        .immediate("get_label", 1..=1, |context, args| own_pid(context, args).map(|_| atom("undefined")))
}

/// Peers' processes that are linked, the supervisor that started the process, and those that it started itself.
fn links(context: &Context, pid: &Pid) -> Vec<Pid> {
    let node = &context.node;
    let found =
        node.0.processes.with(pid, |process, _| (process.linked_to().cloned().collect::<Vec<_>>(), process.supervisor));
    let (mut links, supervisor) = found.unwrap_or_default();
    links.extend(supervisor.and_then(|name| node.whereis(name)));
    links.extend(server(context, pid).into_iter().flat_map(|process| process.server.children(node)));
    links
}

/// The registered server that a pid means.
fn server(context: &Context, pid: &Pid) -> Option<Arc<ServerProcess>> {
    match context.node.0.processes.kind(&Target::Pid(pid.clone()))? {
        (_, Kind::Server(process)) => Some(process),
        _ => None,
    }
}
