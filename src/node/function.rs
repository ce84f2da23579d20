//! What the node runs: tables of functions, one per Elixir or Erlang module.
//!
//! The tables are the only source of `undef`, `function_exported`, `module_info` and `ensure_loaded`: what is not in them
//! does not exist here.

use std::collections::HashMap;
use std::future::Future;
use std::ops::RangeInclusive;
use std::sync::Arc;

use futures::future::BoxFuture;

use super::{Node, Raise};
use crate::term::{Pid, Term};

/// What a call comes to: its value, or what it raised.
pub type CallResult = Result<Term, Raise>;

/// Who runs a function, and for whom.
#[derive(Clone)]
pub struct Context {
    /// The node that it runs on.
    pub node: Node,
    /// The process that runs it: `self()`.
    pub this: Pid,
    /// The process that asked for it, on some node.
    pub caller: Pid,
    /// The group leader that the caller named.
    pub group_leader: Term,
}

/// A body that answers at once.
pub(super) type ImmediateBody = Arc<dyn Fn(&Context, &[Term]) -> CallResult + Send + Sync>;

/// A body that may wait.
pub(super) type WaitingBody = Arc<dyn Fn(Context, Vec<Term>) -> BoxFuture<'static, CallResult> + Send + Sync>;

/// A function's body.
#[derive(Clone)]
pub enum Body {
    /// Answers at once, without waiting for anything: runs where the request was read.
    Immediate(ImmediateBody),
    /// May wait: runs in a task of its own. Its future is dropped when the process is killed.
    Waiting(WaitingBody),
}

/// A function of a module, for a range of arities (Elixir's default arguments).
#[derive(Clone)]
pub struct Export {
    /// Its name.
    pub name: &'static str,
    /// The numbers of arguments it takes.
    pub arities: RangeInclusive<usize>,
    /// What runs.
    pub body: Body,
}

/// A module: its name as the atom is written (`Elixir.Otturnaut.AppState`) and its functions.
#[derive(Clone)]
pub struct Module {
    /// The atom's text.
    pub name: &'static str,
    /// Its functions.
    pub exports: Vec<Export>,
}

impl Module {
    /// A module without functions.
    pub fn new(name: &'static str) -> Self {
        Self { name, exports: Vec::new() }
    }

    /// Adds a function that answers at once.
    #[must_use]
    pub fn immediate<F>(mut self, name: &'static str, arities: RangeInclusive<usize>, body: F) -> Self
    where
        F: Fn(&Context, &[Term]) -> CallResult + Send + Sync + 'static,
    {
        self.exports.push(Export { name, arities, body: Body::Immediate(Arc::new(body)) });
        self
    }

    /// Adds a function that may wait.
    #[must_use]
    pub fn waiting<F, Fut>(mut self, name: &'static str, arities: RangeInclusive<usize>, body: F) -> Self
    where
        F: Fn(Context, Vec<Term>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = CallResult> + Send + 'static,
    {
        let body = move |context: Context, args: Vec<Term>| -> BoxFuture<'static, CallResult> {
            Box::pin(body(context, args))
        };
        self.exports.push(Export { name, arities, body: Body::Waiting(Arc::new(body)) });
        self
    }
}

/// All modules of the node.
#[derive(Default)]
pub struct Modules(HashMap<&'static str, Module>);

impl Modules {
    /// Adds a module; functions of a module that is there already are added to it.
    pub fn add(&mut self, module: Module) {
        match self.0.get_mut(module.name) {
            Some(there) => there.exports.extend(module.exports),
            None => {
                self.0.insert(module.name, module);
            }
        }
    }

    /// The module of that name.
    pub fn module(&self, name: &str) -> Option<&Module> {
        self.0.get(name)
    }

    /// All modules, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Module> {
        self.0.values()
    }

    /// The body of `module:function/arity`, if there is such a function.
    pub fn lookup(&self, module: &str, function: &str, arity: usize) -> Option<&Body> {
        let exports = &self.0.get(module)?.exports;
        exports.iter().find(|e| e.name == function && e.arities.contains(&arity)).map(|e| &e.body)
    }
}
