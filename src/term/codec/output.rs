//! Where encoded terms go.

use bytes::Bytes;

use crate::term::Atom;

/// Something that takes encoded terms.
pub trait Output {
    /// Takes bytes.
    fn put(&mut self, bytes: &[u8]);

    /// Takes bytes that others hold as well: they may be kept instead of copied.
    fn put_shared(&mut self, bytes: &Bytes) {
        self.put(bytes);
    }

    /// Takes an atom by what stands for it there; `false` if nothing does, and it is to be written out.
    fn put_atom(&mut self, _atom: &Atom) -> bool {
        false
    }

    /// How far it is.
    fn mark(&self) -> Mark;

    /// Forgets what came since `mark`.
    fn rewind(&mut self, mark: Mark);
}

/// How far an output is: bytes of its own, and pieces that it shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Bytes of its own.
    pub bytes: usize,
    /// Pieces that it shares.
    pub shared: usize,
}

impl Output for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    fn mark(&self) -> Mark {
        Mark { bytes: self.len(), shared: 0 }
    }

    fn rewind(&mut self, mark: Mark) {
        self.truncate(mark.bytes);
    }
}
