//! What an expression comes to.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::fault;
use super::meter::{Meter, Share};
use super::syntax::{Clause, Expr};
use crate::node::Raise;
use crate::term::{Atom, Inspect, Term};

/// Variables and what they hold.
pub(super) type Scope = BTreeMap<String, Arc<Held>>;

/// What a variable holds, and that it is counted.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) value: Value,
    _share: Share,
}

impl Held {
    pub(super) fn new(meter: &Meter, value: Value) -> Result<Arc<Self>, Raise> {
        let mut share = meter.share();
        share.add(&value)?;
        Ok(Arc::new(Self { value, _share: share }))
    }
}

/// A value: data, or a function, which is no data here and goes into no collection.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Term(Term),
    Function(Arc<Function>),
}

/// A function that was written or captured.
#[derive(Debug)]
pub(super) enum Function {
    /// `fn ... end`, with the variables around it, and how deep functions are held there.
    Clauses(Arc<Vec<Clause>>, Scope, usize),
    /// `&(...)`: its body and the number of its arguments, and as above.
    Capture(Arc<Expr>, usize, Scope, usize),
    /// `&Module.name/arity`; of the shell itself without a module.
    Named(Option<Atom>, String, usize),
}

impl Function {
    /// As it is shown: by its name, if it has one.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Named(Some(module), name, arity) => format!("&{}.{name}/{arity}", Inspect::atom(module.as_str())),
            Self::Named(None, name, arity) => format!("&{name}/{arity}"),
            Self::Clauses(..) | Self::Capture(..) => format!("#Function<{} arguments>", self.arity()),
        }
    }

    pub(super) fn arity(&self) -> usize {
        match self {
            Self::Clauses(clauses, ..) => clauses.first().map_or(0, |clause| clause.patterns.len()),
            Self::Capture(_, arity, ..) | Self::Named(_, _, arity) => *arity,
        }
    }
}

impl Value {
    /// The data.
    pub(super) fn term(self) -> Result<Term, Raise> {
        match self {
            Self::Term(term) => Ok(term),
            Self::Function(_) => Err(fault::unknown("a function inside of data, or handed to the node,")),
        }
    }

    /// Whether it counts as true: all but `nil` and `false`.
    pub(super) fn is_true(&self) -> bool {
        !matches!(self, Self::Term(term) if term.is_atom("nil") || term.is_atom("false"))
    }
}

impl<T: Into<Term>> From<T> for Value {
    fn from(value: T) -> Self {
        Self::Term(value.into())
    }
}

/// The data of several values.
pub(super) fn terms(values: Vec<Value>) -> Result<Vec<Term>, Raise> {
    values.into_iter().map(Value::term).collect()
}
