//! Atoms of a peer: those that came lately, and those that it named to say them by numbers.

use crate::term::{Atom, AtomTooLong};

/// Places for those that came lately; a power of two.
const PLACES: usize = 128;
/// Places of the cache that a peer fills (erts, `erl_ext_dist`): 8 segments of 256.
const CACHED: usize = 2048;

/// What is known of a peer's atoms: one that is known costs no allocation. Bounded: an atom takes the place of another.
#[derive(Default)]
pub struct Atoms {
    lately: Vec<Option<Atom>>,
    /// Where in `cached` an atom is, one more than that.
    places: Vec<u16>,
    cached: Vec<Atom>,
    /// Those of the message that is read.
    pub(super) numbered: Vec<Atom>,
}

impl Atoms {
    /// The atom of this text.
    pub(super) fn get(&mut self, text: &str) -> Result<Atom, AtomTooLong> {
        if self.lately.is_empty() {
            self.lately.resize(PLACES, None);
        }
        let Some(place) = self.lately.get_mut(hash(text) % PLACES) else { return Atom::new(text) };
        if let Some(known) = place.as_ref().filter(|atom| atom.as_str() == text) {
            return Ok(known.clone());
        }
        let atom = Atom::new(text)?;
        *place = Some(atom.clone());
        Ok(atom)
    }

    /// The message that comes says no atoms by numbers.
    pub fn forget_numbers(&mut self) {
        self.numbered.clear();
    }

    /// Atoms that the message says by numbers.
    pub fn numbers(&self) -> usize {
        self.numbered.len()
    }

    /// The atom in a place of the cache.
    pub(super) fn cached(&self, place: usize) -> Option<Atom> {
        let at = self.places.get(place)?.checked_sub(1)?;
        self.cached.get(usize::from(at)).cloned()
    }

    /// Puts an atom in a place of the cache; there is none beyond [`CACHED`].
    pub(super) fn cache(&mut self, place: usize, atom: &Atom) {
        self.places.resize(CACHED, 0);
        let Some(at) = self.places.get_mut(place) else { return };
        if let Some(known) = at.checked_sub(1).and_then(|at| self.cached.get_mut(usize::from(at))) {
            *known = atom.clone();
            return;
        }
        self.cached.push(atom.clone());
        // No more than there are places.
        *at = u16::try_from(self.cached.len()).unwrap_or(0);
    }
}

/// FNV-1a: for short texts, and whoever makes them collide gains nothing.
pub(super) fn hash(text: &str) -> usize {
    let hash = text.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    usize::try_from(hash).unwrap_or(0)
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
        assert!(atoms.lately.len() <= PLACES);
        assert!(atoms.get(&"x".repeat(256)).is_err());
    }
}
