//! Building terms from Rust values.

use super::{Atom, Map, Pid, Reference, Term};
use bytes::Bytes;

/// An atom of the program's own text.
pub const fn atom(text: &'static str) -> Term {
    Term::Atom(Atom::from_static(text))
}

/// A binary: an Elixir string.
pub fn binary(text: impl Into<String>) -> Term {
    Term::Binary(Bytes::from(text.into()))
}

/// A list of code points, as Erlang's own functions want text.
pub fn charlist(text: &str) -> Term {
    Term::List(text.chars().map(|c| Term::Int(i64::from(u32::from(c)))).collect())
}

/// A tuple.
pub fn tuple<const N: usize>(elements: [Term; N]) -> Term {
    Term::Tuple(elements.into())
}

/// A proper list.
pub fn list(elements: impl IntoIterator<Item = Term>) -> Term {
    Term::List(elements.into_iter().collect())
}

/// A map with atom keys.
pub fn map(pairs: impl IntoIterator<Item = (&'static str, Term)>) -> Term {
    Term::Map(pairs.into_iter().map(|(k, v)| (atom(k), v)).collect())
}

/// A keyword list.
pub fn keyword(pairs: impl IntoIterator<Item = (&'static str, Term)>) -> Term {
    list(pairs.into_iter().map(|(k, v)| tuple([atom(k), v])))
}

impl From<bool> for Term {
    fn from(value: bool) -> Self {
        atom(if value { "true" } else { "false" })
    }
}

impl From<&str> for Term {
    fn from(text: &str) -> Self {
        binary(text)
    }
}

impl From<String> for Term {
    fn from(text: String) -> Self {
        binary(text)
    }
}

impl From<Atom> for Term {
    fn from(value: Atom) -> Self {
        Term::Atom(value)
    }
}

impl From<Pid> for Term {
    fn from(value: Pid) -> Self {
        Term::Pid(Box::new(value))
    }
}

impl From<Reference> for Term {
    fn from(value: Reference) -> Self {
        Term::Ref(Box::new(value))
    }
}

impl From<Map> for Term {
    fn from(value: Map) -> Self {
        Term::Map(value)
    }
}

impl From<i64> for Term {
    fn from(value: i64) -> Self {
        Term::Int(value)
    }
}

impl From<u16> for Term {
    fn from(value: u16) -> Self {
        Term::Int(i64::from(value))
    }
}

impl From<u32> for Term {
    fn from(value: u32) -> Self {
        Term::Int(i64::from(value))
    }
}

impl From<i32> for Term {
    fn from(value: i32) -> Self {
        Term::Int(i64::from(value))
    }
}

impl From<u64> for Term {
    fn from(value: u64) -> Self {
        i64::try_from(value).map_or_else(|_| Term::Big(Box::new(value.into())), Term::Int)
    }
}

impl From<usize> for Term {
    fn from(value: usize) -> Self {
        Term::from(value as u64)
    }
}

/// `nil` for nothing.
impl<T: Into<Term>> From<Option<T>> for Term {
    fn from(value: Option<T>) -> Self {
        value.map_or(Term::NIL, Into::into)
    }
}
