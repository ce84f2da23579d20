//! `Otturnaut.PortManager`: host ports for applications, as a registered server and as functions.

use std::sync::Arc;

use super::args::{arg, check_server, error, ok};
use crate::apps::PortManager;
use crate::node::{CallResult, Context, GenServer, Module, Raise};
use crate::term::{Term, atom, list, map, tuple};

const NAME: &str = "Elixir.Otturnaut.PortManager";

type Verb = fn(&PortManager, &[Term]) -> CallResult;

/// Name, arity, what it does; as a message an atom where there is no argument, a tuple otherwise.
const FUNCTIONS: [(&str, usize, Verb); 5] = [
    ("allocate", 0, allocate),
    ("release", 1, release),
    ("in_use?", 1, in_use),
    ("list_allocated", 0, list_allocated),
    ("get_range", 0, get_range),
];

/// The registered server.
pub(super) struct Server {
    /// The ports.
    pub(super) ports: PortManager,
}

/// The functions; each takes a server as a further last argument, of which there is one here.
pub(super) fn module(server: &Arc<Server>) -> Module {
    FUNCTIONS.iter().fold(Module::new(NAME), |module, (name, arity, verb)| {
        let (server, name, arity, verb) = (server.clone(), *name, *arity, *verb);
        module.immediate(name, arity..=arity + 1, move |_, args| {
            let (args, named) = args.split_at(arity.min(args.len()));
            if let Some(named) = named.first() {
                check_server(named, NAME, (name, args))?;
            }
            verb(&server.ports, args)
        })
    })
}

impl GenServer for Server {
    fn call(&self, _: &Context, request: &Term) -> Result<Option<Term>, Raise> {
        let (verb, args) = match request {
            Term::Atom(verb) => (verb.as_str(), [].as_slice()),
            Term::Tuple(parts) => match parts.as_slice() {
                [Term::Atom(verb), args @ ..] => (verb.as_str(), args),
                _ => return Ok(None),
            },
            _ => return Ok(None),
        };
        let found = FUNCTIONS.iter().find(|(name, arity, _)| *name == verb && *arity == args.len());
        found.map(|(_, _, answer)| answer(&self.ports, args)).transpose()
    }

    fn state(&self) -> Term {
        let (low, high) = self.ports.range();
        let range = tuple([Term::from(low), Term::from(high)]);
        map([("range", range), ("allocated", list(self.ports.list_allocated().into_iter().map(Term::from)))])
    }

    fn module(&self) -> &'static str {
        NAME
    }
}

fn allocate(ports: &PortManager, _: &[Term]) -> CallResult {
    Ok(ports.allocate().map_or_else(|_| error(atom("exhausted")), ok))
}

fn release(ports: &PortManager, args: &[Term]) -> CallResult {
    ports.release(arg(args, 0, "port").port()?);
    Ok(Term::OK)
}

fn in_use(ports: &PortManager, args: &[Term]) -> CallResult {
    Ok(Term::from(ports.in_use(arg(args, 0, "port").port()?)))
}

fn list_allocated(ports: &PortManager, _: &[Term]) -> CallResult {
    Ok(list(ports.list_allocated().into_iter().map(Term::from)))
}

fn get_range(ports: &PortManager, _: &[Term]) -> CallResult {
    let (low, high) = ports.range();
    Ok(tuple([Term::from(low), Term::from(high)]))
}
