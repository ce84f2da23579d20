//! What the values of a shell take: memory, counted while they are held, and nesting.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::value::{Function, Value};
use crate::limits;
use crate::node::Raise;
use crate::term::{Term, atom};

/// Counts what one shell holds, and what its evaluation went over.
#[derive(Debug, Clone, Default)]
pub(super) struct Meter(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    held: AtomicUsize,
    /// Bytes of all that was counted since the evaluation began, what is held no more as well.
    work: AtomicU64,
}

/// What somebody holds; counted until it is dropped.
#[derive(Debug)]
pub(super) struct Share {
    meter: Meter,
    bytes: usize,
}

impl Meter {
    /// An evaluation begins.
    pub(super) fn begin(&self) {
        self.0.work.store(0, Ordering::Relaxed);
    }

    pub(super) fn share(&self) -> Share {
        Share { meter: self.clone(), bytes: 0 }
    }
}

impl Share {
    /// Counts a value, if there is room for it.
    pub(super) fn add(&mut self, value: &Value) -> Result<(), Raise> {
        match value {
            Value::Term(term) => self.add_term(term),
            Value::Function(function) if function.depth() > limits::SHELL_FUNCTIONS => {
                Err(Raise::error(atom("system_limit")))
            }
            Value::Function(_) => Ok(()),
        }
    }

    /// Counts data, if there is room for it.
    pub(super) fn add_term(&mut self, term: &Term) -> Result<(), Raise> {
        let bytes = weight(term, limits::SHELL_VALUE_NESTING).ok_or_else(|| Raise::error(atom("system_limit")))?;
        self.bytes += bytes;
        let held = self.meter.0.held.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let work = self.meter.0.work.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        let enough = held > limits::SHELL_HELD || work > limits::SHELL_WORK;
        if enough { Err(Raise::error(atom("system_limit"))) } else { Ok(()) }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.meter.0.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Bytes that data takes; nothing if it nests deeper than `depth`.
pub(super) fn weight(term: &Term, depth: usize) -> Option<usize> {
    let depth = depth.checked_sub(1)?;
    let all = |terms: &[Term]| terms.iter().try_fold(0, |sum, term| Some(weight(term, depth)? + sum));
    let inner = match term {
        Term::List(terms) | Term::Tuple(terms) => all(terms)?,
        Term::Improper(list) => all(&list.0)? + weight(&list.1, depth)?,
        Term::Map(map) => {
            map.iter().try_fold(0, |sum, (key, value)| Some(weight(key, depth)? + weight(value, depth)? + sum))?
        }
        Term::Binary(bytes) | Term::Fun(bytes) => bytes.len(),
        Term::Bits(bits) => bits.0.len(),
        Term::Big(value) => usize::try_from(value.bits() / 8).unwrap_or(usize::MAX / 2),
        _ => 0,
    };
    Some(size_of::<Term>() + inner)
}

/// How deep functions hold functions.
pub(super) fn nested<'a>(held: impl Iterator<Item = &'a Value>) -> usize {
    let depth = |value: &Value| match value {
        Value::Function(function) => function.depth(),
        Value::Term(_) => 0,
    };
    1 + held.map(depth).max().unwrap_or(0)
}

impl Function {
    fn depth(&self) -> usize {
        match self {
            Self::Clauses(.., depth) | Self::Capture(.., depth) => *depth,
            Self::Named(..) => 0,
        }
    }
}
