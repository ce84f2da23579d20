//! The distribution header (erts, `erl_ext_dist`): the atoms of a message, of which its terms then say the numbers.
//!
//! A BEAM node looks an atom up in a table that its schedulers share, which costs more than all else in a term. Behind a
//! header it does so once for each atom of a message. The cache of atoms that two nodes could keep beside it is only read
//! from here: a message of this node says all of its atoms anew, and so depends on none before it.

use bytes::Bytes;

use super::{Atoms, Encoded, Mark, Output};
use crate::term::cursor::{Cursor, DecodeError};
use crate::term::{Atom, Term, tag};

/// Most atoms of a header: their count has a byte.
const MOST: usize = 255;
/// Places of the table that finds an atom's number; a power of two, and twice as many as there are atoms.
const PLACES: usize = 512;
/// The atom follows, instead of being in the cache already.
const NEW: u8 = 8;
/// The cache has 8 segments.
const SEGMENT: u8 = 7;
/// Lengths of atoms have two bytes.
const LONG_ATOMS: u8 = 1;

/// Whether a header begins here.
pub fn starts_header(bytes: &[u8]) -> bool {
    bytes.starts_with(&[tag::VERSION, tag::HEADER])
}

/// The atoms of a message that is written.
#[derive(Default)]
pub struct Header {
    atoms: Vec<Atom>,
    /// Numbers of atoms, one more than they are, by the hashes of their texts.
    places: Vec<u8>,
}

impl Header {
    /// The number of an atom; `None` if it is to be written out.
    pub fn number(&mut self, atom: &Atom) -> Option<u8> {
        let text = atom.as_str();
        self.places.resize(PLACES, 0);
        let mut at = super::atoms::hash(text) % PLACES;
        // There are more places than numbers: one is free.
        loop {
            let place = self.places.get_mut(at)?;
            if let Some(number) = place.checked_sub(1) {
                if self.atoms.get(usize::from(number)).is_some_and(|known| known == atom) {
                    return Some(number);
                }
                at = (at + 1) % PLACES;
                continue;
            }
            let number = u8::try_from(self.atoms.len()).ok().filter(|number| usize::from(*number) < MOST);
            let number = number.filter(|_| u8::try_from(text.len()).is_ok())?;
            self.atoms.push(atom.clone());
            *place = number + 1;
            return Some(number);
        }
    }

    /// Appends the header.
    pub fn write(&self, out: &mut Vec<u8>) {
        // As many as a byte counts, by construction.
        let count = u8::try_from(self.atoms.len()).unwrap_or(0);
        out.extend([tag::VERSION, tag::HEADER, count]);
        if count == 0 {
            return;
        }
        // Half a byte for each atom, and one for the lengths: all are new, of the first segment, and short.
        out.extend(std::iter::repeat_n(NEW | NEW << 4, usize::from(count / 2)));
        out.push(if count % 2 == 0 { 0 } else { NEW });
        for (place, atom) in (0..=u8::MAX).zip(&self.atoms) {
            // Longer ones have no number.
            out.extend([place, u8::try_from(atom.as_str().len()).unwrap_or(0)]);
            out.extend_from_slice(atom.as_str().as_bytes());
        }
    }
}

impl Atoms {
    /// Reads the header that `bytes` begin with; gives its length. Terms that are read with these atoms say their numbers.
    ///
    /// # Errors
    /// There is no header, or it names what the cache does not hold.
    pub fn read_header(&mut self, bytes: &[u8]) -> Result<usize, DecodeError> {
        self.numbered.clear();
        let mut cursor = Cursor::new(bytes);
        for wanted in [tag::VERSION, tag::HEADER] {
            match cursor.u8()? {
                got if got == wanted => {}
                got => return Err(DecodeError::Version { got }),
            }
        }
        let count = usize::from(cursor.u8()?);
        if count == 0 {
            return Ok(cursor.at());
        }
        let flags = cursor.take(count / 2 + 1)?;
        let flag = |number: usize| flags.get(number / 2).map_or(0, |byte| byte >> (number % 2 * 4) & 0xf);
        let long = flag(count) & LONG_ATOMS != 0;
        for number in 0..count {
            let at = cursor.at();
            let place = usize::from(flag(number) & SEGMENT) << 8 | usize::from(cursor.u8()?);
            let atom = if flag(number) & NEW == 0 {
                self.cached(place).ok_or(DecodeError::AtomReference { number: place, at })?
            } else {
                let length = if long { usize::from(cursor.u16()?) } else { usize::from(cursor.u8()?) };
                let text = std::str::from_utf8(cursor.take(length)?).map_err(|_| DecodeError::Atom { at })?;
                let atom = self.get(text).map_err(|_| DecodeError::Atom { at })?;
                self.cache(place, &atom);
                atom
            };
            self.numbered.push(atom);
        }
        Ok(cursor.at())
    }
}

/// Atoms from which on a header pays.
const MANY: usize = 32;
/// Terms that are looked at to find so many.
const LOOKED_AT: usize = 512;

/// Whether a term says many atoms, as far as its beginning tells.
pub fn has_many_atoms(term: &Term) -> bool {
    let (mut atoms, mut open) = (0, vec![term]);
    for _ in 0..LOOKED_AT {
        let Some(term) = open.pop() else { return false };
        match term {
            Term::Atom(_) | Term::Pid(_) | Term::Port(_) | Term::Ref(_) => atoms += 1,
            Term::Encoded(encoded) => atoms += Encoded::atoms(encoded),
            Term::List(terms) | Term::Tuple(terms) => open.extend(terms.iter().take(LOOKED_AT)),
            Term::Improper(list) => open.extend(list.0.iter().take(LOOKED_AT)),
            Term::Map(map) => open.extend(map.iter().take(LOOKED_AT).flat_map(|(key, value)| [key, value])),
            Term::Int(_) | Term::Big(_) | Term::Float(_) | Term::Binary(_) | Term::Bits(_) | Term::Fun(_) => {}
        }
        if atoms >= MANY {
            return true;
        }
    }
    false
}

/// Terms that say their atoms by numbers of a header.
pub struct Numbered<O> {
    /// Where they go.
    pub out: O,
    /// The numbers.
    pub header: Header,
}

impl<O: Output> Output for Numbered<O> {
    fn put(&mut self, bytes: &[u8]) {
        self.out.put(bytes);
    }

    fn put_shared(&mut self, bytes: &Bytes) {
        self.out.put_shared(bytes);
    }

    fn put_atom(&mut self, atom: &Atom) -> bool {
        let number = self.header.number(atom);
        if let Some(number) = number {
            self.out.put(&[tag::ATOM_REFERENCE, number]);
        }
        number.is_some()
    }

    fn mark(&self) -> Mark {
        self.out.mark()
    }

    fn rewind(&mut self, mark: Mark) {
        self.out.rewind(mark);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::term::codec::{Decoder, encode_bare};
    use crate::term::{atom, list, map, tuple};

    /// A term as it goes out: its header, then itself.
    fn sent(term: &Term) -> Vec<u8> {
        let mut body = Numbered { out: Vec::new(), header: Header::default() };
        encode_bare(term, &mut body).unwrap();
        let mut all = Vec::new();
        body.header.write(&mut all);
        all.extend(body.out);
        all
    }

    fn received(bytes: &[u8], atoms: &mut Atoms) -> Result<Term, DecodeError> {
        let length = atoms.read_header(bytes)?;
        let rest = Bytes::copy_from_slice(&bytes[length..]);
        let mut decoder = Decoder::new(&rest, Some(atoms));
        let term = decoder.term()?;
        decoder.end().map(|()| term)
    }

    #[test]
    fn a_term_comes_back_whatever_its_atoms_and_however_many() {
        for count in [0_u32, 1, 2, 3, 254, 255, 256, 1_000] {
            let an_atom = |text: String| Term::Atom(Atom::new(text).unwrap());
            let names = || (0..count).map(|n| an_atom(format!("atom_{n}")));
            let term = tuple([list(names()), list(names()), an_atom("\u{1F980}".repeat(200))]);
            assert_eq!(received(&sent(&term), &mut Atoms::default()), Ok(term), "{count}");
        }
    }

    #[test]
    fn an_atom_is_written_out_once() {
        let app = map([("status", atom("running")), ("previous", atom("running"))]);
        let bytes = sent(&list(vec![app; 100]));
        assert_eq!(bytes.windows(7).filter(|bytes| bytes == b"running").count(), 1);
    }

    /// Put together after the specification; that real nodes write so, the conversations with them show.
    #[test]
    fn what_the_cache_holds_is_said_by_its_place() {
        let mut atoms = Atoms::default();
        // Two new ones, in segments 1 and 0, and a list of both.
        let first = [131, 68, 2, 0x89, 0, 5, 2, b'o', b'k', 7, 3, b'y', b'e', b's', 108, 0, 0, 0, 2, 82, 0, 82, 1, 106];
        assert_eq!(received(&first, &mut atoms), Ok(list([atom("ok"), atom("yes")])));
        assert_eq!(received(&[131, 68, 1, 0x01, 5, 82, 0], &mut atoms), Ok(atom("ok")));
        let unknown = received(&[131, 68, 1, 0x02, 5, 82, 0], &mut atoms);
        assert_eq!(unknown, Err(DecodeError::AtomReference { number: 2 << 8 | 5, at: 4 }));
        // Lengths of two bytes.
        assert_eq!(received(&[131, 68, 1, 0x18, 9, 0, 2, b'n', b'o', 82, 0], &mut atoms), Ok(atom("no")));
        assert!(received(&[131, 68, 0, 82, 0], &mut atoms).is_err(), "the numbers are those of one message");
    }

    #[test]
    fn many_atoms_are_found_within_so_many_terms() {
        assert!(has_many_atoms(&list(vec![Term::OK; MANY])));
        assert!(!has_many_atoms(&list(vec![Term::OK; MANY - 1])));
        let far = list((0..100_000).map(Term::Int).chain(vec![Term::OK; MANY]));
        assert!(!has_many_atoms(&far));
        assert!(has_many_atoms(&list(vec![map([("a", Term::OK)]); MANY / 2])));
    }
}
