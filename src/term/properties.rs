//! What holds for any bytes that a peer may send as a term: functions that panic where it does not. The property tests run
//! them, and the targets of `fuzz/`; no part of the program.

#![allow(clippy::missing_panics_doc, reason = "to panic is how they tell")]

use bytes::Bytes;
use num_bigint::BigInt;

use super::codec::{Atoms, Decoder, decode, encode};
use super::{Atom, DecodeError, Inspect, Pid, Port, Reference, Term, budget, tag};

/// More than any of the inputs costs, at eighty bytes for each of theirs.
const AMPLE: usize = 256 * 1024 * 1024;
/// Characters that are asked of a printed term.
const SHOWN: usize = 100;

/// A term that is taken can be sent, comes back the same, and can be printed; whoever reads it in parts reads the same. The
/// version byte is put before `bytes`.
pub fn terms(bytes: &[u8]) {
    let frame = versioned(bytes);
    let Ok(length) = budget::check(&frame, AMPLE) else { return };
    let frame = frame.slice(..length);
    let Ok(term) = decode(&frame) else { return };
    let again = encoded(&term);
    assert_eq!(decode(&again).as_ref(), Ok(&term), "it comes back as another term");
    assert_eq!(encoded(&decode(&again).unwrap_or(Term::NIL)), again, "it has two encodings");
    assert_eq!(budget::check(&again, AMPLE), Ok(again.len()), "it is not taken in the encoding of this node");
    parts(&frame, &term);
    parts(&again, &term);
    assert!(Inspect::short(&term, SHOWN).chars().count() <= SHOWN + "...".len());
}

/// The budget passes what `decode` takes, and nothing else but maps with a key twice; what it passes takes no more memory
/// than it says. The version byte is put before `bytes`.
pub fn budget(bytes: &[u8]) {
    let frame = versioned(bytes);
    let size = match budget::measure(&frame, AMPLE) {
        Ok(size) => size,
        Err(refused) => return assert!(decode(&frame).is_err(), "refused, and yet a term: {refused}"),
    };
    let refused = Err(DecodeError::Memory { limit: size.memory - 1 });
    assert_eq!(budget::measure(&frame, size.memory), Ok(size));
    assert_eq!(budget::measure(&frame, size.memory - 1), refused);
    match decode(&frame.slice(..size.length)) {
        Ok(term) => assert!(footprint(&term) <= size.memory, "it takes more than the budget knows"),
        Err(DecodeError::DuplicateKey { .. }) => {}
        Err(e) => panic!("passed, and yet no term: {e}"),
    }
}

fn versioned(bytes: &[u8]) -> Bytes {
    Bytes::from([&[tag::VERSION], bytes].concat())
}

fn encoded(term: &Term) -> Bytes {
    let mut out = Vec::new();
    let result = encode(term, &mut out);
    assert_eq!(result, Ok(()), "what was taken can be sent");
    Bytes::from(out)
}

/// Reading what is expected gives what is there, or fails.
fn parts(frame: &Bytes, term: &Term) {
    let mut atoms = Atoms::default();
    let mut cached = Decoder::new(frame, Some(&mut atoms));
    assert_eq!((cached.version(), cached.term(), cached.end()), (Ok(()), Ok(term.clone()), Ok(())));
    assert_eq!(read(frame, |decoder| decoder.is_at_atom().then_some(())).is_some(), term.as_atom().is_some());
    assert_eq!(read(frame, |decoder| decoder.atom().ok()), term.as_atom().and_then(|text| Atom::new(text).ok()));
    assert_eq!(read(frame, |decoder| decoder.pid().ok()).as_ref(), term.as_pid());
    assert_eq!(read(frame, |decoder| decoder.reference().ok()).as_ref(), term.as_ref_term());
    // Integers and tuples have encodings beyond those that are expected.
    if let Some(value) = read(frame, |decoder| decoder.int().ok()) {
        assert_eq!(*term, Term::Int(value));
    }
    if let Some(count) = read(frame, |decoder| decoder.tuple().ok()) {
        assert_eq!(term.as_tuple().map(<[Term]>::len), Some(count));
    }
}

fn read<T>(frame: &Bytes, what: impl FnOnce(&mut Decoder<'_>) -> Option<T>) -> Option<T> {
    let mut decoder = Decoder::new(frame, None);
    decoder.version().ok()?;
    what(&mut decoder)
}

/// What a term takes at least: its own place and what it allocated, without what the allocator adds.
fn footprint(term: &Term) -> usize {
    let named = |node: &Atom| 2 * size_of::<usize>() + node.as_str().len();
    let children = |terms: &Vec<Term>| {
        (terms.capacity() - terms.len()) * size_of::<Term>() + terms.iter().map(footprint).sum::<usize>()
    };
    let allocated = match term {
        // What shares the frame is in the frame.
        Term::Int(_) | Term::Float(_) | Term::Binary(_) | Term::Fun(_) => 0,
        Term::Atom(atom) => named(atom),
        Term::Big(value) => size_of::<BigInt>() + value.to_u64_digits().1.len() * size_of::<u64>(),
        Term::Bits(bits) => size_of_val(&**bits),
        Term::Pid(pid) => size_of::<Pid>() + named(&pid.node),
        Term::Port(port) => size_of::<Port>() + named(&port.node),
        Term::Ref(reference) => size_of::<Reference>() + named(&reference.node),
        Term::List(elements) | Term::Tuple(elements) => children(elements),
        Term::Improper(list) => size_of_val(list) + children(&list.0) + footprint(&list.1),
        Term::Map(map) => map.iter().map(|(key, value)| footprint(key) + footprint(value)).sum(),
    };
    size_of::<Term>() + allocated
}
