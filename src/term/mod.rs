//! Erlang terms <-> Rust values. Pure: no tokio, no clock, no files.
//!
//! ```text
//! bytes --budget::check--> bytes --codec::decode--> Term --read--> Rust values
//! Rust values --build--> Term --codec::encode--> bytes
//! ```
//!
//! `budget` runs before any decode, so `decode` never meets a length it must not trust; `encode` refuses what a BEAM
//! node would call a corrupt term, so that no reply can break a link.

mod atom;
pub mod budget;
mod build;
pub mod codec;
mod cursor;
pub mod elixir;
mod identifier;
mod inspect;
mod number;
pub mod order;
mod pretty;
#[cfg(any(test, fuzzing))]
pub mod properties;
pub mod read;
mod tag;

pub use atom::{Atom, AtomTooLong};
pub use build::{atom, binary, charlist, keyword, list, map, tuple};
pub use codec::{DecodeError, EncodeError};
pub use identifier::{Pid, Port, Reference, TooManyWords};
pub use inspect::Inspect;
pub use number::{Float, NotFinite};
pub use pretty::{Base, Binaries, Pretty, calendar};

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use bytes::Bytes;
use num_bigint::BigInt;

/// An Erlang term.
///
/// A value has one representation: integers that fit are [`Term::Int`], whatever their encoding was; a proper list is
/// [`Term::List`], also when it travelled as a string of bytes. So `==` is Erlang's `=:=`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Term {
    /// An atom; `nil`, `true`, `false` and module names are atoms.
    Atom(Atom),
    /// An integer within 64 bits.
    Int(i64),
    /// An integer beyond 64 bits.
    Big(Box<BigInt>),
    /// A finite float.
    Float(Float),
    /// Bytes; an Elixir string is one of UTF-8.
    Binary(Bytes),
    /// Bytes of which the last counts only `tail_bits` (1 to 7) bits; the others are 0.
    Bits(Box<(Bytes, u8)>),
    /// A process.
    Pid(Box<Pid>),
    /// A port.
    Port(Box<Port>),
    /// A reference.
    Ref(Box<Reference>),
    /// A proper list.
    List(Vec<Term>),
    /// A list that ends in something else: elements and the tail.
    Improper(Box<(Vec<Term>, Term)>),
    /// A tuple.
    Tuple(Vec<Term>),
    /// A map, an Elixir struct among them.
    Map(Map),
    /// A closure, kept as its encoding: it can be passed on, not run.
    Fun(Bytes),
    /// A term that is encoded already, without the version byte: what is made once and sent often. Never decoded to.
    Encoded(Arc<codec::Encoded>),
}

/// A map term: pairs in the order they came, no key twice.
#[derive(Clone, Default)]
pub struct Map(Vec<(Term, Term)>);

impl Map {
    /// The empty map.
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of pairs.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no pair.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value under `key`.
    pub fn get(&self, key: &Term) -> Option<&Term> {
        self.0.iter().find(|(k, _)| k == key).map(|(_, v)| v)
    }

    /// The value under the atom `key`.
    pub fn get_atom(&self, key: &str) -> Option<&Term> {
        self.0.iter().find(|(k, _)| k.is_atom(key)).map(|(_, v)| v)
    }

    /// Puts `value` under `key`; gives back what was there.
    pub fn insert(&mut self, key: Term, value: Term) -> Option<Term> {
        if let Some((_, old)) = self.0.iter_mut().find(|(k, _)| *k == key) {
            return Some(std::mem::replace(old, value));
        }
        self.0.push((key, value));
        None
    }

    /// Takes out what is under `key`.
    pub fn remove(&mut self, key: &Term) -> Option<Term> {
        let at = self.0.iter().position(|(k, _)| k == key)?;
        Some(self.0.remove(at).1)
    }

    /// The pairs in order.
    pub fn iter(&self) -> std::slice::Iter<'_, (Term, Term)> {
        self.0.iter()
    }

    /// Pairs known to have no key twice.
    pub(crate) fn from_distinct(pairs: Vec<(Term, Term)>) -> Self {
        Self(pairs)
    }
}

/// Most pairs that are looked for one by one; more are hashed, so that no map takes quadratic time.
const LISTED_PAIRS: usize = 16;

impl PartialEq for Map {
    fn eq(&self, other: &Self) -> bool {
        if self.len() != other.len() {
            return false;
        }
        if self.len() <= LISTED_PAIRS {
            return self.0.iter().all(|(k, v)| other.get(k) == Some(v));
        }
        let theirs: HashMap<&Term, &Term> = other.0.iter().map(|(k, v)| (k, v)).collect();
        self.0.iter().all(|(k, v)| theirs.get(k) == Some(&v))
    }
}

impl Eq for Map {}

/// Whatever the order of the pairs.
impl Hash for Map {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let hash = |pair: &(Term, Term)| {
            let mut hasher = DefaultHasher::new();
            pair.hash(&mut hasher);
            hasher.finish()
        };
        state.write_u64(self.0.iter().map(hash).fold(0, u64::wrapping_add));
    }
}

impl<'a> IntoIterator for &'a Map {
    type Item = &'a (Term, Term);
    type IntoIter = std::slice::Iter<'a, (Term, Term)>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl IntoIterator for Map {
    type Item = (Term, Term);
    type IntoIter = std::vec::IntoIter<(Term, Term)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// Later pairs replace earlier ones of the same key.
impl FromIterator<(Term, Term)> for Map {
    fn from_iter<I: IntoIterator<Item = (Term, Term)>>(pairs: I) -> Self {
        let mut map = Self::new();
        let mut places: HashMap<Term, usize> = HashMap::new();
        for (key, value) in pairs {
            if map.len() < LISTED_PAIRS {
                map.insert(key, value);
                continue;
            }
            if places.is_empty() {
                places.extend(map.0.iter().enumerate().map(|(at, (key, _))| (key.clone(), at)));
            }
            if let Some((_, old)) = places.get(&key).and_then(|at| map.0.get_mut(*at)) {
                *old = value;
            } else {
                places.insert(key.clone(), map.0.len());
                map.0.push((key, value));
            }
        }
        map
    }
}

impl Term {
    /// The atom `nil`.
    pub const NIL: Term = Term::Atom(Atom::from_static("nil"));
    /// The atom `ok`.
    pub const OK: Term = Term::Atom(Atom::from_static("ok"));

    /// Whether this is the atom `name`.
    pub fn is_atom(&self, name: &str) -> bool {
        matches!(self, Term::Atom(a) if a.as_str() == name)
    }

    /// The atom's text.
    pub fn as_atom(&self) -> Option<&str> {
        match self {
            Term::Atom(a) => Some(a.as_str()),
            _ => None,
        }
    }

    /// The binary's text, if it is UTF-8.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Term::Binary(b) => std::str::from_utf8(b).ok(),
            _ => None,
        }
    }

    /// The tuple's elements.
    pub fn as_tuple(&self) -> Option<&[Term]> {
        match self {
            Term::Tuple(elements) => Some(elements),
            _ => None,
        }
    }

    /// The proper list's elements.
    pub fn as_list(&self) -> Option<&[Term]> {
        match self {
            Term::List(elements) => Some(elements),
            _ => None,
        }
    }

    /// The process.
    pub fn as_pid(&self) -> Option<&Pid> {
        match self {
            Term::Pid(pid) => Some(pid),
            _ => None,
        }
    }

    /// The reference.
    pub fn as_ref_term(&self) -> Option<&Reference> {
        match self {
            Term::Ref(reference) => Some(reference),
            _ => None,
        }
    }

    /// The map.
    pub fn as_map(&self) -> Option<&Map> {
        match self {
            Term::Map(map) => Some(map),
            _ => None,
        }
    }
}

/// Prints as Elixir's `inspect` does, bounded.
impl std::fmt::Debug for Term {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(&Inspect::new(self), f)
    }
}

impl std::fmt::Debug for Map {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.0.iter().map(|(k, v)| (k, v))).finish()
    }
}
