//! Atoms that came lately: a conversation says the same ones again and again.

use crate::term::{Atom, AtomTooLong};

/// Places; a power of two.
const PLACES: usize = 128;

/// A cache of atoms: one that is known costs no allocation. Bounded: an atom takes the place of another.
#[derive(Default)]
pub struct Atoms(Vec<Option<Atom>>);

impl Atoms {
    /// The atom of this text.
    pub(super) fn get(&mut self, text: &str) -> Result<Atom, AtomTooLong> {
        if self.0.is_empty() {
            self.0.resize(PLACES, None);
        }
        let Some(place) = self.0.get_mut(place(text)) else { return Atom::new(text) };
        if let Some(known) = place.as_ref().filter(|atom| atom.as_str() == text) {
            return Ok(known.clone());
        }
        let atom = Atom::new(text)?;
        *place = Some(atom.clone());
        Ok(atom)
    }
}

/// Where an atom has its place (FNV-1a: short texts, and whoever makes them collide gains nothing but an allocation).
fn place(text: &str) -> usize {
    let hash = text.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    usize::try_from(hash).unwrap_or(0) % PLACES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn atoms_are_what_their_text_says_however_many_there_are() {
        let mut atoms = Atoms::default();
        for n in (0..1000).chain(0..1000) {
            let text = format!("atom_{n}");
            assert_eq!(atoms.get(&text).unwrap().as_str(), text);
        }
        assert!(atoms.0.len() <= PLACES);
        assert!(atoms.get(&"x".repeat(256)).is_err());
    }
}
