//! Terms to bytes. What a BEAM node would call a corrupt term is refused: it would drop the whole connection.

use bytes::Bytes;
use num_bigint::{BigInt, Sign};

use super::Output;
use crate::term::atom::MAX_CHARACTERS;
use crate::term::budget::MAX_DEPTH;
use crate::term::{Atom, Pid, Port, Reference, Term, tag};

/// Deepest nesting that is encoded: what can be decoded, and the tuples that carry it.
const ENCODED_DEPTH: usize = MAX_DEPTH + 16;

/// Why a term cannot be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// An atom is longer than 255 characters.
    #[error("an atom of {characters} characters cannot be sent, at most {MAX_CHARACTERS}")]
    Atom {
        /// Its characters.
        characters: usize,
    },
    /// Terms nested too deep.
    #[error("a term nested deeper than {ENCODED_DEPTH} levels cannot be sent")]
    Depth,
    /// A length that 32 bits do not hold.
    #[error("a term of {length} bytes or elements cannot be sent")]
    Length {
        /// The length.
        length: usize,
    },
    /// A template's term does not end in its text.
    #[error("a template's term must end in its text")]
    Template,
    /// A bit string without bytes, or with a last byte of 0 or more than 8 bits.
    #[error("a bit string with {tail} bits in its last byte cannot be sent")]
    BitTail {
        /// Bits of the last byte.
        tail: u8,
    },
}

/// Appends the version byte and `term` to `out`.
///
/// # Errors
/// The term cannot be sent; `out` is as it was.
pub fn encode(term: &Term, out: &mut impl Output) -> Result<(), EncodeError> {
    let before = out.mark();
    out.put(&[tag::VERSION]);
    put(term, out, 0).inspect_err(|_| out.rewind(before))
}

/// Appends `term` without a version byte to `out`, as it follows a distribution header.
///
/// # Errors
/// As [`encode`].
pub fn encode_bare(term: &Term, out: &mut impl Output) -> Result<(), EncodeError> {
    let before = out.mark();
    put(term, out, 0).inspect_err(|_| out.rewind(before))
}

/// The encoding of a term that ends in a text, without that text: for messages of which only the text differs.
#[derive(Debug, Clone)]
pub struct Template(Vec<u8>);

impl Template {
    /// The template of the terms that `with_text` gives; the text must be what the term ends with.
    ///
    /// # Errors
    /// The term cannot be sent.
    pub fn new(with_text: impl FnOnce(Term) -> Term) -> Result<Self, EncodeError> {
        const EMPTY: [u8; 5] = [tag::BINARY, 0, 0, 0, 0];
        let mut encoded = Vec::new();
        encode_bare(&with_text(Term::Binary(Bytes::new())), &mut encoded)?;
        let head = encoded.strip_suffix(&EMPTY).map(<[u8]>::len).ok_or(EncodeError::Template)?;
        encoded.truncate(head);
        Ok(Self(encoded))
    }

    /// Appends the term with this text, without a version byte, to `out`.
    ///
    /// # Errors
    /// The text is longer than 4 GiB; `out` is as it was.
    pub fn encode(&self, text: &[u8], out: &mut impl Output) -> Result<(), EncodeError> {
        let length = u32::try_from(text.len()).map_err(|_| EncodeError::Length { length: text.len() })?;
        out.put(&self.0);
        out.put(&[tag::BINARY]);
        out.put(&length.to_be_bytes());
        out.put(text);
        Ok(())
    }
}

/// Writes a term piece by piece, where its shape is known: nothing is built for it. What cannot be sent is kept, and told at
/// the end.
#[derive(Debug, Clone, Default)]
pub struct Encoder {
    bytes: Vec<u8>,
    failed: Option<EncodeError>,
}

impl Encoder {
    /// The start of a tuple with so many elements.
    #[must_use]
    pub fn tuple(elements: u8) -> Self {
        let mut bytes = Vec::with_capacity(192);
        bytes.extend_from_slice(&[tag::VERSION, tag::SMALL_TUPLE, elements]);
        Self { bytes, failed: None }
    }

    fn with(mut self, put: impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>) -> Self {
        if let Err(e) = put(&mut self.bytes) {
            self.failed.get_or_insert(e);
        }
        self
    }

    /// An integer.
    #[must_use]
    pub fn int(mut self, value: i64) -> Self {
        put_int(value, &mut self.bytes);
        self
    }

    /// An atom.
    #[must_use]
    pub fn atom(self, atom: &Atom) -> Self {
        self.with(|out| put_atom(atom, out))
    }

    /// A pid.
    #[must_use]
    pub fn pid(self, pid: &Pid) -> Self {
        self.with(|out| put_pid(pid, out))
    }

    /// A reference.
    #[must_use]
    pub fn reference(self, reference: &Reference) -> Self {
        self.with(|out| put_reference(reference, out))
    }

    /// Any term.
    #[must_use]
    pub fn term(self, term: &Term) -> Self {
        self.with(|out| put(term, out, 0))
    }

    /// The encoded term without its version byte.
    ///
    /// # Errors
    /// A piece of it cannot be sent.
    pub fn bare(&self) -> Result<&[u8], EncodeError> {
        self.bytes().map(|bytes| bytes.get(1..).unwrap_or_default())
    }

    /// The encoded term.
    ///
    /// # Errors
    /// A piece of it cannot be sent.
    pub fn bytes(&self) -> Result<&[u8], EncodeError> {
        self.failed.map_or(Ok(&self.bytes), Err)
    }
}

fn put(term: &Term, out: &mut impl Output, depth: usize) -> Result<(), EncodeError> {
    if depth > ENCODED_DEPTH {
        return Err(EncodeError::Depth);
    }
    match term {
        Term::Atom(atom) => put_atom(atom, out)?,
        Term::Int(value) => put_int(*value, out),
        Term::Big(value) => put_big(value, out)?,
        Term::Float(value) => {
            out.put(&[tag::NEW_FLOAT]);
            out.put(&value.get().to_bits().to_be_bytes());
        }
        Term::Binary(bytes) => {
            put_head(tag::BINARY, bytes.len(), out)?;
            out.put_shared(bytes);
        }
        Term::Bits(bits) => put_bits(&bits.0, bits.1, out)?,
        Term::Pid(pid) => put_pid(pid, out)?,
        Term::Port(port) => put_port(port, out)?,
        Term::Ref(reference) => put_reference(reference, out)?,
        Term::List(elements) => put_list(elements, None, out, depth)?,
        Term::Improper(list) => put_list(&list.0, Some(&list.1), out, depth)?,
        Term::Tuple(elements) => {
            if let Ok(count) = u8::try_from(elements.len()) {
                out.put(&[tag::SMALL_TUPLE, count]);
            } else {
                put_head(tag::LARGE_TUPLE, elements.len(), out)?;
            }
            put_all(elements, out, depth)?;
        }
        Term::Map(map) => {
            put_head(tag::MAP, map.len(), out)?;
            for (key, value) in map {
                put(key, out, depth + 1)?;
                put(value, out, depth + 1)?;
            }
        }
        Term::Fun(encoded) => out.put(encoded),
        Term::Encoded(encoded) => encoded.put(out),
    }
    Ok(())
}

fn put_all(terms: &[Term], out: &mut impl Output, depth: usize) -> Result<(), EncodeError> {
    terms.iter().try_for_each(|term| put(term, out, depth + 1))
}

/// A tag and a length of 32 bits.
fn put_head(tag: u8, length: usize, out: &mut impl Output) -> Result<(), EncodeError> {
    let [a, b, c, d] = u32::try_from(length).map_err(|_| EncodeError::Length { length })?.to_be_bytes();
    out.put(&[tag, a, b, c, d]);
    Ok(())
}

fn put_atom(atom: &Atom, out: &mut impl Output) -> Result<(), EncodeError> {
    if out.put_atom(atom) {
        return Ok(());
    }
    let text = atom.as_str();
    if text.len() > MAX_CHARACTERS {
        let characters = text.chars().count();
        let length = u16::try_from(text.len()).ok().filter(|_| characters <= MAX_CHARACTERS);
        let length = length.ok_or(EncodeError::Atom { characters })?;
        let [a, b] = length.to_be_bytes();
        out.put(&[tag::ATOM_UTF8, a, b]);
    } else {
        let length = u8::try_from(text.len()).map_err(|_| EncodeError::Atom { characters: text.len() })?;
        out.put(&[tag::SMALL_ATOM_UTF8, length]);
    }
    out.put(text.as_bytes());
    Ok(())
}

fn put_int(value: i64, out: &mut impl Output) {
    if let Ok(small) = u8::try_from(value) {
        out.put(&[tag::SMALL_INTEGER, small]);
    } else if let Ok(int) = i32::try_from(value) {
        let [a, b, c, d] = int.to_be_bytes();
        out.put(&[tag::INTEGER, a, b, c, d]);
    } else {
        let magnitude = value.unsigned_abs().to_le_bytes();
        let used = magnitude.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
        // At most eight bytes.
        out.put(&[tag::SMALL_BIG, u8::try_from(used).unwrap_or(8), u8::from(value < 0)]);
        out.put(magnitude.get(..used).unwrap_or(&magnitude));
    }
}

fn put_big(value: &BigInt, out: &mut impl Output) -> Result<(), EncodeError> {
    let (sign, magnitude) = value.to_bytes_le();
    if let Ok(length) = u8::try_from(magnitude.len()) {
        out.put(&[tag::SMALL_BIG, length]);
    } else {
        put_head(tag::LARGE_BIG, magnitude.len(), out)?;
    }
    out.put(&[u8::from(sign == Sign::Minus)]);
    out.put(&magnitude);
    Ok(())
}

fn put_bits(bytes: &[u8], tail: u8, out: &mut impl Output) -> Result<(), EncodeError> {
    if !(1..=8).contains(&tail) || bytes.is_empty() {
        return Err(EncodeError::BitTail { tail });
    }
    put_head(tag::BIT_BINARY, bytes.len(), out)?;
    out.put(&[tail]);
    out.put(bytes);
    Ok(())
}

fn put_pid(pid: &Pid, out: &mut impl Output) -> Result<(), EncodeError> {
    out.put(&[tag::NEW_PID]);
    put_atom(&pid.node, out)?;
    let words = [pid.id, pid.serial, pid.creation].map(u32::to_be_bytes);
    out.put(words.as_flattened());
    Ok(())
}

fn put_port(port: &Port, out: &mut impl Output) -> Result<(), EncodeError> {
    out.put(&[tag::V4_PORT]);
    put_atom(&port.node, out)?;
    out.put(&port.id.to_be_bytes());
    out.put(&port.creation.to_be_bytes());
    Ok(())
}

fn put_reference(reference: &Reference, out: &mut impl Output) -> Result<(), EncodeError> {
    let words = reference.words();
    out.put(&[tag::NEWER_REFERENCE]);
    // Five at most, by construction.
    out.put(&u16::try_from(words.len()).unwrap_or(0).to_be_bytes());
    put_atom(&reference.node, out)?;
    out.put(&reference.creation.to_be_bytes());
    for word in words {
        out.put(&word.to_be_bytes());
    }
    Ok(())
}

fn put_list(elements: &[Term], tail: Option<&Term>, out: &mut impl Output, depth: usize) -> Result<(), EncodeError> {
    if tail.is_none() && put_string(elements, out) {
        return Ok(());
    }
    match (elements.is_empty(), tail) {
        (true, None) => out.put(&[tag::NIL]),
        // A list of no elements before a tail is the tail.
        (true, Some(tail)) => put(tail, out, depth + 1)?,
        (false, tail) => {
            put_head(tag::LIST, elements.len(), out)?;
            put_all(elements, out, depth)?;
            match tail {
                Some(tail) => put(tail, out, depth + 1)?,
                None => out.put(&[tag::NIL]),
            }
        }
    }
    Ok(())
}

/// A list of bytes as a string, as BEAM nodes send it; `false` if it is none.
fn put_string(elements: &[Term], out: &mut impl Output) -> bool {
    // Its length has 16 bits.
    let Ok(length @ 1..) = u16::try_from(elements.len()) else { return false };
    let byte = |element: &Term| match element {
        Term::Int(value) => u8::try_from(*value).ok(),
        _ => None,
    };
    let Some(bytes) = elements.iter().map(byte).collect::<Option<Vec<u8>>>() else { return false };
    out.put(&[tag::STRING]);
    out.put(&length.to_be_bytes());
    out.put(&bytes);
    true
}
