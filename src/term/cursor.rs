//! Reading bytes in order, never past their end.

use super::identifier::MAX_WORDS;

/// Why bytes are no term that this node takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end inside a term.
    #[error("the term is cut off at byte {at}")]
    Truncated {
        /// Offset in bytes.
        at: usize,
    },
    /// The first byte is not 131, the version of the format.
    #[error("a term starts with byte 131, not {got}")]
    Version {
        /// What came.
        got: u8,
    },
    /// A tag that no BEAM node sends to this node.
    #[error("tag {tag} at byte {at} is not taken here")]
    Tag {
        /// The tag.
        tag: u8,
        /// Offset in bytes.
        at: usize,
    },
    /// Terms nested too deep.
    #[error("the term is nested deeper than {limit} levels")]
    Depth {
        /// The limit.
        limit: usize,
    },
    /// The decoded term would take too much memory.
    #[error("the term would take more than {limit} bytes of memory")]
    Memory {
        /// The limit.
        limit: usize,
    },
    /// An atom is not UTF-8 or longer than 255 characters.
    #[error("the atom at byte {at} is not UTF-8 of at most 255 characters")]
    Atom {
        /// Offset in bytes.
        at: usize,
    },
    /// An atom by a number that stands for none.
    #[error("the atom at byte {at} is number {number}, which stands for none")]
    AtomReference {
        /// The number.
        number: usize,
        /// Offset in bytes.
        at: usize,
    },
    /// A float is NaN or infinite.
    #[error("the float at byte {at} is not finite")]
    Float {
        /// Offset in bytes.
        at: usize,
    },
    /// A bit string with a last byte of 0 or more than 8 bits, or with no byte at all.
    #[error("the bit string at byte {at} has an impossible last byte")]
    BitTail {
        /// Offset in bytes.
        at: usize,
    },
    /// A reference of no word, or of more than five.
    #[error("the reference at byte {at} has {words} words, not 1 to {MAX_WORDS}")]
    ReferenceWords {
        /// How many.
        words: usize,
        /// Offset in bytes.
        at: usize,
    },
    /// A closure whose size is not what its parts come to.
    #[error("the closure at byte {at} has a size that its parts do not have")]
    FunSize {
        /// Offset in bytes.
        at: usize,
    },
    /// A closure or an exported function whose parts are none: a module, indices, a process.
    #[error("the function at byte {at} has other parts than a function has")]
    Fun {
        /// Offset in bytes.
        at: usize,
    },
    /// A map with a key twice.
    #[error("the map at byte {at} has a key twice")]
    DuplicateKey {
        /// Offset in bytes.
        at: usize,
    },
    /// Something follows the term.
    #[error("{bytes} bytes follow the term")]
    Trailing {
        /// How many.
        bytes: usize,
    },
}

/// A position in bytes.
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let end = self.at.checked_add(count);
        let taken = end.and_then(|end| self.bytes.get(self.at..end)).ok_or(DecodeError::Truncated { at: self.at })?;
        self.at += count;
        Ok(taken)
    }

    pub(super) fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    pub(super) fn u16(&mut self) -> Result<u16, DecodeError> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    pub(super) fn u32(&mut self) -> Result<u32, DecodeError> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    pub(super) fn u64(&mut self) -> Result<u64, DecodeError> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    /// A 32-bit length or count.
    pub(super) fn count(&mut self) -> Result<usize, DecodeError> {
        let at = self.at;
        usize::try_from(self.u32()?).map_err(|_| DecodeError::Truncated { at })
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let at = self.at;
        let taken = self.take(N)?;
        taken.try_into().map_err(|_| DecodeError::Truncated { at })
    }
}
