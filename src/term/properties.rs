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
    let mut atoms = Atoms::default();
    let mut cached = Decoder::new(&frame, Some(&mut atoms));
    assert_eq!((cached.version(), cached.term(), cached.end()), (Ok(()), Ok(term.clone()), Ok(())));
    assert!(expected(&frame).chain(expected(&again)).all(|read| read == term), "read in parts it is another term");
    let one = matches!(term, Term::Atom(_) | Term::Pid(_) | Term::Ref(_));
    assert!(!one || expected(&again).count() == 1, "it is not what is expected");
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
        Err(DecodeError::DuplicateKey { .. } | DecodeError::Fun { .. }) => {}
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

/// What is there, read as what is expected; what is read in this way is never another thing.
fn expected(frame: &Bytes) -> impl Iterator<Item = Term> {
    type Read = fn(&mut Decoder<'_>) -> Result<Term, DecodeError>;
    let kinds: [Read; 4] = [
        |decoder| decoder.atom().map(Term::Atom),
        |decoder| decoder.int().map(Term::Int),
        |decoder| decoder.pid().map(Term::from),
        |decoder| decoder.reference().map(Term::from),
    ];
    kinds.into_iter().filter_map(|kind| {
        let mut decoder = Decoder::new(frame, None);
        decoder.version().and_then(|()| kind(&mut decoder)).ok()
    })
}

/// What a term takes at least: its own place and what it allocated, without what the allocator adds.
fn footprint(term: &Term) -> usize {
    let named = |node: &Atom| 2 * size_of::<usize>() + node.as_str().len();
    let children = |terms: &Vec<Term>| {
        (terms.capacity() - terms.len()) * size_of::<Term>() + terms.iter().map(footprint).sum::<usize>()
    };
    let allocated = match term {
        // What shares the frame is in the frame.
        Term::Int(_) | Term::Float(_) | Term::Binary(_) | Term::Fun(_) | Term::Encoded(_) => 0,
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
