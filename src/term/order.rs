//! The order of terms (Erlang reference manual, "Term Comparisons"): number < atom < reference < function < port < pid <
//! tuple < map < list < bits.

use std::cmp::Ordering;

use num_bigint::BigInt;

use super::{Map, Term};

/// How two terms compare; `1` and `1.0` are equal, as `==` has it.
pub fn compare(one: &Term, other: &Term) -> Ordering {
    match (one, other) {
        (Term::Atom(a), Term::Atom(b)) => a.as_str().cmp(b.as_str()),
        (Term::Tuple(a), Term::Tuple(b)) => a.len().cmp(&b.len()).then_with(|| in_turn(a, b)),
        (Term::Map(a), Term::Map(b)) => compare_maps(a, b),
        (Term::Binary(a), Term::Binary(b)) => a.cmp(b),
        (Term::Pid(a), Term::Pid(b)) => {
            let key = |pid: &super::Pid| (pid.id, pid.serial, pid.node.as_str().to_owned(), pid.creation);
            key(a).cmp(&key(b))
        }
        (Term::Ref(a), Term::Ref(b)) => a.words().iter().rev().cmp(b.words().iter().rev()),
        _ => match (rank(one), rank(other)) {
            (0, 0) => compare_numbers(one, other),
            (8, 8) => compare_lists(one, other),
            (9, 9) => compare_bits(bits(one), bits(other)),
            (a, b) => a.cmp(&b),
        },
    }
}

/// The bytes of a binary or of bits, and how many bits they are.
fn bits(term: &Term) -> (&[u8], usize) {
    match term {
        Term::Binary(bytes) => (bytes, bytes.len() * 8),
        Term::Bits(bits) => (&bits.0, bits.0.len().saturating_sub(1) * 8 + usize::from(bits.1)),
        _ => (&[], 0),
    }
}

/// Bit by bit; of two of which one is the beginning of the other the shorter comes first.
fn compare_bits((a, a_bits): (&[u8], usize), (b, b_bits): (&[u8], usize)) -> Ordering {
    let common = a_bits.min(b_bits);
    let (whole, rest) = (common / 8, common % 8);
    let last = |bytes: &[u8]| bytes.get(whole).map_or(0, |byte| u16::from(*byte) >> (8 - rest));
    a.iter().take(whole).cmp(b.iter().take(whole)).then_with(|| last(a).cmp(&last(b))).then(a_bits.cmp(&b_bits))
}

fn rank(term: &Term) -> u8 {
    match term {
        Term::Int(_) | Term::Big(_) | Term::Float(_) => 0,
        Term::Atom(_) => 1,
        Term::Ref(_) => 2,
        Term::Fun(_) | Term::Encoded(_) => 3,
        Term::Port(_) => 4,
        Term::Pid(_) => 5,
        Term::Tuple(_) => 6,
        Term::Map(_) => 7,
        Term::List(_) | Term::Improper(_) => 8,
        Term::Binary(_) | Term::Bits(_) => 9,
    }
}

fn in_turn(a: &[Term], b: &[Term]) -> Ordering {
    a.iter().zip(b).map(|(a, b)| compare(a, b)).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

fn compare_numbers(a: &Term, b: &Term) -> Ordering {
    match (a, b) {
        (Term::Float(a), Term::Float(b)) => a.get().partial_cmp(&b.get()).unwrap_or(Ordering::Equal),
        (Term::Float(a), b) => compare_integer(b, a.get()).reverse(),
        (a, Term::Float(b)) => compare_integer(a, b.get()),
        (a, b) => integer(a).cmp(&integer(b)),
    }
}

/// An integer beside a float, exactly.
fn compare_integer(integer_term: &Term, float: f64) -> Ordering {
    let floor = float.floor();
    let whole = BigInt::parse_bytes(format!("{floor:.0}").as_bytes(), 10).unwrap_or_default();
    integer(integer_term).cmp(&whole).then(if float > floor { Ordering::Less } else { Ordering::Equal })
}

fn integer(term: &Term) -> BigInt {
    match term {
        Term::Int(value) => BigInt::from(*value),
        Term::Big(value) => (**value).clone(),
        _ => BigInt::default(),
    }
}

fn compare_lists(a: &Term, b: &Term) -> Ordering {
    let parts = |term: &'_ Term| match term {
        Term::List(elements) => (elements.clone(), Term::List(Vec::new())),
        Term::Improper(list) => (**list).clone(),
        other => (Vec::new(), other.clone()),
    };
    let ((a, a_tail), (b, b_tail)) = (parts(a), parts(b));
    let common = a.len().min(b.len());
    in_turn(&a, &b).then_with(|| {
        let rest = |elements: &[Term], tail: Term| match elements.get(common..) {
            Some([]) | None => tail,
            Some(_) => Term::Improper(Box::new((Vec::new(), tail))),
        };
        match (rest(&a, a_tail), rest(&b, b_tail)) {
            // One of them goes on: a cell is more than the empty list and compares as a list with all else.
            (Term::Improper(_), Term::List(_)) => Ordering::Greater,
            (Term::List(_), Term::Improper(_)) => Ordering::Less,
            (Term::Improper(_), tail) => 8.cmp(&rank(&tail)),
            (tail, Term::Improper(_)) => rank(&tail).cmp(&8),
            (Term::List(_), Term::List(_)) => Ordering::Equal,
            (a, b) => compare(&a, &b),
        }
    })
}

fn compare_maps(a: &Map, b: &Map) -> Ordering {
    let sorted = |map: &Map| {
        let mut pairs: Vec<_> = map.iter().cloned().collect();
        pairs.sort_by(|(a, _), (b, _)| compare(a, b));
        pairs
    };
    a.len().cmp(&b.len()).then_with(|| {
        let ((a_keys, a_values), (b_keys, b_values)): ((Vec<_>, Vec<_>), (Vec<_>, Vec<_>)) =
            (sorted(a).into_iter().unzip(), sorted(b).into_iter().unzip());
        in_turn(&a_keys, &b_keys).then_with(|| in_turn(&a_values, &b_values))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::term::{Float, atom, binary, list, map, tuple};

    #[test]
    fn terms_stand_in_erlangs_order() {
        let float = |value| Term::Float(Float::new(value).unwrap());
        let rising = [
            float(-1.5),
            Term::Int(0),
            float(0.5),
            Term::Int(1),
            Term::from(u64::MAX),
            atom("a"),
            atom("b"),
            tuple([]),
            tuple([Term::Int(9)]),
            tuple([Term::Int(1), Term::Int(1)]),
            map([("z", Term::Int(1))]),
            map([("a", Term::Int(1)), ("b", Term::Int(1))]),
            list([]),
            list([Term::Int(1)]),
            list([Term::Int(1), Term::Int(0)]),
            list([Term::Int(2)]),
            binary(""),
            binary("a"),
            binary("b"),
        ];
        for (i, one) in rising.iter().enumerate() {
            for (j, other) in rising.iter().enumerate() {
                assert_eq!(compare(one, other), i.cmp(&j), "{one:?} and {other:?}");
            }
        }
        assert_eq!(compare(&Term::Int(1), &float(1.0)), Ordering::Equal);
    }
}
