//! Node names: `alive@host`.

use rand::RngExt;

use crate::term::Atom;

/// Longest name, in bytes.
const MOST_BYTES: usize = 255;
/// Characters of a name that is given to a node which asked for one, as BEAM nodes make them.
const GIVEN_CHARACTERS: usize = 12;
const BASE_36: &[u8; 36] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// The parts of a full name.
pub(super) fn split(name: &str) -> Option<(&str, &str)> {
    name.split_once('@').filter(|(alive, host)| !alive.is_empty() && !host.is_empty() && !host.contains('@'))
}

/// A peer's name, if it is one: exactly one `@`, both parts there, no control characters, no blanks.
pub(super) fn parse(name: &[u8]) -> Option<Atom> {
    let text = std::str::from_utf8(name).ok().filter(|text| text.len() <= MOST_BYTES)?;
    split(text)?;
    let plain = !text.chars().any(|c| c.is_control() || c.is_whitespace());
    plain.then(|| Atom::new(text).ok()).flatten()
}

/// A name for a node that asks to be given one (`NAME_ME`); unique by chance, as BEAM nodes give them.
pub(super) fn give(host: &[u8]) -> Option<Atom> {
    let mut rng = rand::rng();
    let alive: Vec<u8> = (0..GIVEN_CHARACTERS).filter_map(|_| BASE_36.get(rng.random_range(0..36)).copied()).collect();
    parse(&[&alive, b"@".as_slice(), host].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_with_one_at_and_no_control_characters_are_taken() {
        assert_eq!(parse(b"a@127.0.0.1").unwrap(), "a@127.0.0.1");
        assert_eq!(split("a@2001:db8::1"), Some(("a", "2001:db8::1")));
        for bad in [b"a@b@c".as_slice(), b"@b", b"a@", b"a", b"a\n@b", b"a b@c", b"\xff@b", &[b'a'; 300]] {
            assert!(parse(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn a_given_name_is_on_the_asking_host() {
        let name = give(b"10.0.0.7").unwrap();
        let (alive, host) = split(name.as_str()).unwrap();
        assert_eq!((alive.len(), host), (12, "10.0.0.7"));
        assert!(give(b"x@y").is_none());
    }
}
