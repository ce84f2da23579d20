//! Bytes to terms.

use std::collections::HashSet;

use bytes::Bytes;
use num_bigint::{BigInt, Sign};

use super::{Atoms, encode_bare};
use crate::term::budget::{MAX_DEPTH, atom_text, fun_header};
use crate::term::cursor::{Cursor, DecodeError};
use crate::term::identifier::MAX_WORDS;
use crate::term::{Atom, Float, Map, Pid, Port, Reference, Term, tag};

/// Binaries from this size on share what they were read from; smaller ones are copied, so that a key of ten bytes does not
/// keep a frame of megabytes.
pub const SHARED_BYTES: usize = 64 * 1024;

/// Most keys that are compared one with another to find one that is there twice; more are hashed.
const COMPARED_KEYS: usize = 16;

/// Bytes of a closure before its parts: tag, size, arity, digest, index, number of free variables.
const FUN_HEAD: usize = 1 + 4 + 1 + 16 + 4 + 4;

/// Reads terms one after another out of bytes that hold them: whole ones, or the parts of a tuple whose shape is known.
pub struct Decoder<'a> {
    frame: &'a Bytes,
    cursor: Cursor<'a>,
    /// Node of the identifier before: those of one message mostly share it.
    node: Option<Atom>,
    atoms: Option<&'a mut Atoms>,
}

/// Decodes `bytes`, which are the version byte and one term, nothing else. Bytes of a peer go through
/// [`crate::term::budget::check`] first: it bounds the memory.
///
/// # Errors
/// The bytes are not exactly one term.
pub fn decode(bytes: &Bytes) -> Result<Term, DecodeError> {
    let mut decoder = Decoder::new(bytes, None);
    decoder.version()?;
    let term = decoder.term()?;
    decoder.end()?;
    Ok(term)
}

impl<'a> Decoder<'a> {
    /// Reads from the start of `frame`; atoms are looked up in `atoms` first.
    pub fn new(frame: &'a Bytes, atoms: Option<&'a mut Atoms>) -> Self {
        Self { frame, cursor: Cursor::new(frame), node: None, atoms }
    }

    /// How far it is.
    pub fn at(&self) -> usize {
        self.cursor.at()
    }

    /// The version byte, which a term of its own begins with; not one behind a header.
    ///
    /// # Errors
    /// Another byte, or none.
    pub fn version(&mut self) -> Result<(), DecodeError> {
        match self.cursor.u8()? {
            tag::VERSION => Ok(()),
            got => Err(DecodeError::Version { got }),
        }
    }

    /// Nothing may follow.
    ///
    /// # Errors
    /// Something does.
    pub fn end(&self) -> Result<(), DecodeError> {
        match self.cursor.left() {
            0 => Ok(()),
            bytes => Err(DecodeError::Trailing { bytes }),
        }
    }

    /// A whole term.
    ///
    /// # Errors
    /// There is none.
    pub fn term(&mut self) -> Result<Term, DecodeError> {
        self.nested(0)
    }

    /// The head of a small tuple: how many elements follow.
    ///
    /// # Errors
    /// Something else comes.
    pub fn tuple(&mut self) -> Result<usize, DecodeError> {
        self.expect(|tag| tag == tag::SMALL_TUPLE)?;
        self.cursor.u8().map(usize::from)
    }

    /// An integer of 32 bits.
    ///
    /// # Errors
    /// Something else comes.
    pub fn int(&mut self) -> Result<i64, DecodeError> {
        match self.expect(|tag| matches!(tag, tag::SMALL_INTEGER | tag::INTEGER))? {
            tag::SMALL_INTEGER => self.cursor.u8().map(i64::from),
            _ => Ok(i64::from(self.cursor.u32()?.cast_signed())),
        }
    }

    /// An atom.
    ///
    /// # Errors
    /// Something else comes.
    pub fn atom(&mut self) -> Result<Atom, DecodeError> {
        let at = self.cursor.at();
        let tag = self.expect(tag::is_atom)?;
        self.atom_of(tag, at)
    }

    /// A pid.
    ///
    /// # Errors
    /// Something else comes.
    pub fn pid(&mut self) -> Result<Pid, DecodeError> {
        self.expect(|tag| tag == tag::NEW_PID)?;
        self.pid_of()
    }

    /// A reference.
    ///
    /// # Errors
    /// Something else comes.
    pub fn reference(&mut self) -> Result<Reference, DecodeError> {
        let at = self.cursor.at();
        self.expect(|tag| tag == tag::NEWER_REFERENCE)?;
        self.reference_of(at)
    }

    /// Whether an atom comes next.
    pub fn is_at_atom(&self) -> bool {
        self.cursor.peek().is_some_and(tag::is_atom)
    }

    fn expect(&mut self, wanted: impl Fn(u8) -> bool) -> Result<u8, DecodeError> {
        let at = self.cursor.at();
        match self.cursor.u8()? {
            tag if wanted(tag) => Ok(tag),
            tag => Err(DecodeError::Tag { tag, at }),
        }
    }

    fn nested(&mut self, depth: usize) -> Result<Term, DecodeError> {
        if depth > MAX_DEPTH {
            return Err(DecodeError::Depth { limit: MAX_DEPTH });
        }
        let at = self.cursor.at();
        match self.cursor.u8()? {
            tag::SMALL_INTEGER => Ok(Term::Int(i64::from(self.cursor.u8()?))),
            tag::INTEGER => Ok(Term::Int(i64::from(self.cursor.u32()?.cast_signed()))),
            tag @ (tag::SMALL_BIG | tag::LARGE_BIG) => self.big(tag),
            tag::NEW_FLOAT => {
                let value = Float::new(f64::from_bits(self.cursor.u64()?));
                value.map(Term::Float).map_err(|_| DecodeError::Float { at })
            }
            tag if tag::is_atom(tag) => self.atom_of(tag, at).map(Term::Atom),
            tag::NIL => Ok(Term::List(Vec::new())),
            tag::STRING => {
                let length = usize::from(self.cursor.u16()?);
                let bytes = self.cursor.take(length)?;
                Ok(Term::List(bytes.iter().map(|b| Term::Int(i64::from(*b))).collect()))
            }
            tag::BINARY => {
                let length = self.cursor.count()?;
                self.bytes(length).map(Term::Binary)
            }
            tag::BIT_BINARY => self.bits(at),
            tag::SMALL_TUPLE => {
                let count = usize::from(self.cursor.u8()?);
                self.terms(count, depth).map(Term::Tuple)
            }
            tag::LARGE_TUPLE => {
                let count = self.cursor.count()?;
                self.terms(count, depth).map(Term::Tuple)
            }
            tag::LIST => self.list(depth),
            tag::MAP => self.map(at, depth),
            tag @ (tag::NEW_PID | tag::NEW_PORT | tag::V4_PORT | tag::NEWER_REFERENCE) => self.identifier(tag, at),
            tag @ (tag::NEW_FUN | tag::EXPORT) => self.fun(tag, at, depth),
            tag => Err(DecodeError::Tag { tag, at }),
        }
    }

    fn terms(&mut self, count: usize, depth: usize) -> Result<Vec<Term>, DecodeError> {
        let mut terms = Vec::with_capacity(count.min(self.cursor.left()));
        for _ in 0..count {
            terms.push(self.nested(depth + 1)?);
        }
        Ok(terms)
    }

    fn list(&mut self, depth: usize) -> Result<Term, DecodeError> {
        let count = self.cursor.count()?;
        let elements = self.terms(count, depth)?;
        if self.cursor.peek() == Some(tag::NIL) {
            self.cursor.u8()?;
            return Ok(Term::List(elements));
        }
        // A list in a list's tail is one list, and a list of no elements before a tail is the tail.
        match (self.nested(depth + 1)?, elements) {
            (tail, elements) if elements.is_empty() => Ok(tail),
            (Term::List(rest), elements) => Ok(Term::List(elements.into_iter().chain(rest).collect())),
            (Term::Improper(rest), elements) => {
                let (more, tail) = *rest;
                Ok(Term::Improper(Box::new((elements.into_iter().chain(more).collect(), tail))))
            }
            (tail, elements) => Ok(Term::Improper(Box::new((elements, tail)))),
        }
    }

    fn map(&mut self, at: usize, depth: usize) -> Result<Term, DecodeError> {
        let count = self.cursor.count()?;
        let mut pairs: Vec<(Term, Term)> = Vec::with_capacity(count.min(self.cursor.left() / 2));
        for _ in 0..count {
            let key = self.nested(depth + 1)?;
            if count <= COMPARED_KEYS && pairs.iter().any(|(other, _)| *other == key) {
                return Err(DecodeError::DuplicateKey { at });
            }
            pairs.push((key, self.nested(depth + 1)?));
        }
        let mut seen = HashSet::new();
        if count > COMPARED_KEYS && !pairs.iter().all(|(key, _)| seen.insert(key)) {
            return Err(DecodeError::DuplicateKey { at });
        }
        Ok(Term::Map(Map::from_distinct(pairs)))
    }

    fn big(&mut self, tag: u8) -> Result<Term, DecodeError> {
        let length = if tag == tag::SMALL_BIG { usize::from(self.cursor.u8()?) } else { self.cursor.count()? };
        let negative = self.cursor.u8()? != 0;
        let magnitude = self.cursor.take(length)?;
        let value = BigInt::from_bytes_le(if negative { Sign::Minus } else { Sign::Plus }, magnitude);
        Ok(i64::try_from(&value).map_or_else(|_| Term::Big(Box::new(value)), Term::Int))
    }

    fn bits(&mut self, at: usize) -> Result<Term, DecodeError> {
        let length = self.cursor.count()?;
        let tail = self.cursor.u8()?;
        match tail {
            1..=7 if length > 0 => Ok(Term::Bits(Box::new((cleared(self.bytes(length)?, tail), tail)))),
            8 if length > 0 => self.bytes(length).map(Term::Binary),
            _ => Err(DecodeError::BitTail { at }),
        }
    }

    fn bytes(&mut self, length: usize) -> Result<Bytes, DecodeError> {
        let at = self.cursor.at();
        let bytes = self.cursor.take(length)?;
        Ok(if length < SHARED_BYTES { Bytes::copy_from_slice(bytes) } else { self.frame.slice(at..at + length) })
    }

    /// An atom by its number in the header.
    fn numbered(&mut self, at: usize) -> Result<Atom, DecodeError> {
        let number = usize::from(self.cursor.u8()?);
        let known = self.atoms.as_ref().and_then(|atoms| atoms.numbered.get(number));
        known.cloned().ok_or(DecodeError::AtomReference { number, at })
    }

    fn atom_of(&mut self, tag: u8, at: usize) -> Result<Atom, DecodeError> {
        if tag == tag::ATOM_REFERENCE {
            return self.numbered(at);
        }
        let text = atom_text(&mut self.cursor, tag, at)?;
        match &mut self.atoms {
            Some(atoms) => atoms.get(&text),
            None => Atom::new(text),
        }
        .map_err(|_| DecodeError::Atom { at })
    }

    fn node(&mut self) -> Result<Atom, DecodeError> {
        let at = self.cursor.at();
        let tag = self.expect(tag::is_atom)?;
        if tag == tag::ATOM_REFERENCE {
            return self.numbered(at);
        }
        let text = atom_text(&mut self.cursor, tag, at)?;
        if let Some(node) = self.node.as_ref().filter(|node| node.as_str() == text) {
            return Ok(node.clone());
        }
        let node = match &mut self.atoms {
            Some(atoms) => atoms.get(&text),
            None => Atom::new(text),
        };
        let node = node.map_err(|_| DecodeError::Atom { at })?;
        self.node = Some(node.clone());
        Ok(node)
    }

    fn identifier(&mut self, tag: u8, at: usize) -> Result<Term, DecodeError> {
        match tag {
            tag::NEW_PID => self.pid_of().map(Term::from),
            tag::NEWER_REFERENCE => self.reference_of(at).map(Term::from),
            _ => {
                let node = self.node()?;
                let id = if tag == tag::V4_PORT { self.cursor.u64()? } else { u64::from(self.cursor.u32()?) };
                Ok(Term::Port(Box::new(Port { node, id, creation: self.cursor.u32()? })))
            }
        }
    }

    fn pid_of(&mut self) -> Result<Pid, DecodeError> {
        let node = self.node()?;
        let (id, serial, creation) = (self.cursor.u32()?, self.cursor.u32()?, self.cursor.u32()?);
        Ok(Pid { node, id, serial, creation })
    }

    fn reference_of(&mut self, at: usize) -> Result<Reference, DecodeError> {
        let count = usize::from(self.cursor.u16()?);
        let node = self.node()?;
        let creation = self.cursor.u32()?;
        let mut words = [0; MAX_WORDS];
        let refused = DecodeError::ReferenceWords { words: count, at };
        for word in words.get_mut(..count).ok_or(refused)? {
            *word = self.cursor.u32()?;
        }
        Reference::new(node, creation, words.get(..count).unwrap_or_default()).map_err(|_| refused)
    }

    /// A closure stays encoded; its parts are walked, so that its end is known.
    fn fun(&mut self, tag: u8, at: usize, depth: usize) -> Result<Term, DecodeError> {
        let parts = if tag == tag::EXPORT {
            self.terms(3, depth)?
        } else {
            let (parts, end) = fun_header(&mut self.cursor)?;
            let parts = self.terms(parts, depth)?;
            if self.cursor.at() != end {
                return Err(DecodeError::FunSize { at });
            }
            parts
        };
        // It may be passed on, to a node that would call it corrupt.
        match parts.as_slice() {
            [Term::Atom(_), Term::Atom(_), Term::Int(0..=255)] if tag == tag::EXPORT => {}
            [Term::Atom(_), Term::Int(_), Term::Int(_), Term::Pid(_), ..] if tag != tag::EXPORT => {}
            _ => return Err(DecodeError::Fun { at }),
        }
        if self.atoms.as_ref().is_some_and(|atoms| !atoms.numbered.is_empty()) {
            return self.written_out(at, &parts);
        }
        let encoded = self.frame.slice(at..self.cursor.at());
        Ok(Term::Fun(if encoded.len() < SHARED_BYTES { Bytes::copy_from_slice(&encoded) } else { encoded }))
    }
}

impl Decoder<'_> {
    /// A function whose atoms may be numbers, which mean nothing elsewhere: encoded anew.
    fn written_out(&self, at: usize, parts: &[Term]) -> Result<Term, DecodeError> {
        let unsendable = |_| DecodeError::Fun { at };
        let head = self.frame.get(at..).unwrap_or_default();
        let mut encoded = Vec::new();
        if head.first() == Some(&tag::EXPORT) {
            encoded.push(tag::EXPORT);
        } else {
            encoded.extend_from_slice(head.get(..FUN_HEAD).unwrap_or_default());
        }
        for part in parts {
            encode_bare(part, &mut encoded).map_err(unsendable)?;
        }
        if head.first() == Some(&tag::NEW_FUN) {
            let size = u32::try_from(encoded.len() - 1).map_err(|_| DecodeError::FunSize { at })?;
            encoded.splice(1..5, size.to_be_bytes());
        }
        Ok(Term::Fun(encoded.into()))
    }
}

/// A bit string's bytes, the bits that do not count set to 0: equal bit strings have equal bytes.
fn cleared(bytes: Bytes, tail: u8) -> Bytes {
    match bytes.split_last() {
        Some((last, rest)) if last << tail != 0 => [rest, &[last & (0xff << (8 - tail))]].concat().into(),
        _ => bytes,
    }
}
