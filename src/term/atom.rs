//! Atoms.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Most characters an atom may have, on every BEAM node.
pub(super) const MAX_CHARACTERS: usize = 255;

/// An atom: a name of at most 255 characters. Atoms of this program's text cost no allocation.
#[derive(Clone)]
pub struct Atom(Text);

#[derive(Clone)]
enum Text {
    Static(&'static str),
    Shared(Arc<str>),
}

/// An atom may have 255 characters; this text has more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an atom has at most 255 characters, this text has {characters}")]
pub struct AtomTooLong {
    characters: usize,
}

impl Atom {
    /// An atom of the program's own text. The text must not exceed 255 characters; [`super::codec`] checks it again.
    pub const fn from_static(text: &'static str) -> Self {
        Self(Text::Static(text))
    }

    /// An atom of any text.
    ///
    /// # Errors
    /// The text has more than 255 characters.
    pub fn new(text: impl AsRef<str>) -> Result<Self, AtomTooLong> {
        let text = text.as_ref();
        match text.chars().count() {
            characters if characters > MAX_CHARACTERS => Err(AtomTooLong { characters }),
            _ => Ok(Self(Text::Shared(text.into()))),
        }
    }

    /// The atom's text.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Text::Static(text) => text,
            Text::Shared(text) => text,
        }
    }
}

impl PartialEq for Atom {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Atom {}

impl Hash for Atom {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl PartialOrd for Atom {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Atom {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl PartialEq<str> for Atom {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Atom {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl fmt::Display for Atom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Atom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, ":{:?}", self.as_str())
    }
}
