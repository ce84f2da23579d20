//! What terms take in memory.

use crate::term::{Pid, Port, Reference, Term};

/// Bytes of the terms and all that is in them; what an allocator adds is not known, atoms are shared.
pub(super) fn of_all(terms: &[Term]) -> usize {
    size_of_val(terms) + terms.iter().map(content).sum::<usize>()
}

/// Bytes that a term points to. Terms that were decoded are nested no deeper than their budget allows.
fn content(term: &Term) -> usize {
    match term {
        Term::Atom(_) | Term::Int(_) | Term::Float(_) | Term::Encoded(_) => 0,
        Term::Big(integer) => size_of_val(&**integer) + usize::try_from(integer.bits().div_ceil(8)).unwrap_or(0),
        Term::Binary(bytes) | Term::Fun(bytes) => bytes.len(),
        Term::Bits(bits) => size_of_val(&**bits) + bits.0.len(),
        Term::Pid(_) => size_of::<Pid>(),
        Term::Port(_) => size_of::<Port>(),
        Term::Ref(_) => size_of::<Reference>(),
        Term::List(all) | Term::Tuple(all) => of_all(all),
        Term::Improper(list) => size_of_val(&**list) + of_all(&list.0) + content(&list.1),
        Term::Map(map) => {
            map.iter().map(|(key, value)| 2 * size_of::<Term>() + content(key) + content(value)).sum::<usize>()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::term::{atom, binary, list, map, tuple};

    #[test]
    fn a_term_takes_itself_and_its_content() {
        let one = size_of::<Term>();
        assert_eq!(of_all(&[]), 0);
        assert_eq!(of_all(&[Term::Int(1), atom("a")]), 2 * one);
        assert_eq!(of_all(&[binary("x".repeat(1_000))]), one + 1_000);
        assert_eq!(of_all(&[list([Term::Int(1), tuple([binary("ab")])])]), 4 * one + 2);
        assert_eq!(of_all(&[map([("k", binary("abc"))])]), 3 * one + 3);
    }
}
