//! Pids, ports and references: names that a node gives out, unique with its name and creation.

use std::hash::{Hash, Hasher};

use super::Atom;

/// Most 32-bit words of a reference (OTP 26 and later: 5 for aliases; 3 otherwise).
pub(super) const MAX_WORDS: usize = 5;

/// A process of some node.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pid {
    /// The node that made it.
    pub node: Atom,
    /// Its number there.
    pub id: u32,
    /// Counts up when `id` wraps.
    pub serial: u32,
    /// Which incarnation of the node made it.
    pub creation: u32,
}

/// A port of some node.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Port {
    /// The node that made it.
    pub node: Atom,
    /// Its number there.
    pub id: u64,
    /// Which incarnation of the node made it.
    pub creation: u32,
}

/// A reference of some node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The node that made it.
    pub node: Atom,
    /// Which incarnation of the node made it.
    pub creation: u32,
    words: [u32; MAX_WORDS],
    count: u8,
}

/// The words tell references apart well enough.
impl Hash for Reference {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.words().hash(state);
    }
}

/// A reference has 1 to 5 words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a reference has 1 to 5 words, not {words}")]
pub struct TooManyWords {
    words: usize,
}

impl Reference {
    /// A reference of `words`.
    ///
    /// # Errors
    /// None, or more than five words.
    pub fn new(node: Atom, creation: u32, words: &[u32]) -> Result<Self, TooManyWords> {
        let refused = TooManyWords { words: words.len() };
        if words.is_empty() {
            return Err(refused);
        }
        let mut kept = [0; MAX_WORDS];
        match kept.get_mut(..words.len()) {
            Some(place) => place.copy_from_slice(words),
            None => return Err(refused),
        }
        let count = u8::try_from(words.len()).map_err(|_| refused)?;
        Ok(Self { node, creation, words: kept, count })
    }

    /// Its words.
    pub fn words(&self) -> &[u32] {
        self.words.get(..usize::from(self.count)).unwrap_or(&self.words)
    }
}
