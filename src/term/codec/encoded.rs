//! Terms that are encoded once and sent often.

use super::{EncodeError, Mark, Output, encode_bare};
use crate::term::{Atom, Term};

/// An encoded term, and where its atoms are: a message may say them in a shorter way.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Encoded {
    bytes: Vec<u8>,
    /// Where each atom begins, and where it ends.
    atoms: Vec<(usize, usize, Atom)>,
}

impl Encoded {
    /// Encodes a term.
    ///
    /// # Errors
    /// It cannot be sent.
    pub fn new(term: &Term) -> Result<Self, EncodeError> {
        let mut recording = Recording { bytes: Vec::new(), atoms: Vec::new() };
        encode_bare(term, &mut recording)?;
        let Recording { bytes, atoms } = recording;
        // An atom's tag and length are followed by its text.
        let end = |at: usize, atom: &Atom| {
            let head = if bytes.get(at) == Some(&crate::term::tag::ATOM_UTF8) { 3 } else { 2 };
            at + head + atom.as_str().len()
        };
        let atoms = atoms.into_iter().map(|(at, atom)| (at, end(at, &atom), atom)).collect();
        Ok(Self { bytes, atoms })
    }

    /// How many bytes it has.
    pub fn length(&self) -> usize {
        self.bytes.len()
    }

    /// How many atoms it says.
    pub(super) fn atoms(&self) -> usize {
        self.atoms.len()
    }

    /// Appends it, its atoms as `out` has them.
    pub(super) fn put(&self, out: &mut impl Output) {
        let mut done = 0;
        for (at, end, atom) in &self.atoms {
            out.put(self.bytes.get(done..*at).unwrap_or_default());
            done = if out.put_atom(atom) { *end } else { *at };
        }
        out.put(self.bytes.get(done..).unwrap_or_default());
    }
}

/// `nil`.
impl Default for Encoded {
    fn default() -> Self {
        Self { bytes: [&[crate::term::tag::SMALL_ATOM_UTF8, 3], b"nil".as_slice()].concat(), atoms: Vec::new() }
    }
}

/// Takes down where atoms are written.
struct Recording {
    bytes: Vec<u8>,
    atoms: Vec<(usize, Atom)>,
}

impl Output for Recording {
    fn put(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn put_atom(&mut self, atom: &Atom) -> bool {
        self.atoms.push((self.bytes.len(), atom.clone()));
        false
    }

    fn mark(&self) -> Mark {
        self.bytes.mark()
    }

    fn rewind(&mut self, mark: Mark) {
        self.bytes.rewind(mark);
        self.atoms.retain(|(at, _)| *at < mark.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::term::codec::{decode, encode};
    use crate::term::{atom, binary, list, map, tuple};

    #[test]
    fn it_is_sent_as_the_term_itself() {
        let long = "\u{1F980}".repeat(100);
        let term = list([
            map([("status", atom("running")), ("domains", list([binary("a.b")]))]),
            tuple([Term::Atom(Atom::new(&long).unwrap()), atom("running")]),
        ]);
        let (mut sent, mut wanted) = (Vec::new(), Vec::new());
        encode(&Term::Encoded(Encoded::new(&term).unwrap().into()), &mut sent).unwrap();
        encode(&term, &mut wanted).unwrap();
        assert_eq!(sent, wanted);
        assert_eq!(decode(&sent.into()), Ok(term));
    }
}
