//! The budget: what an encoded term would cost, found out before anything is decoded.
//!
//! One pass without recursion over the bytes. It follows every length and count, so a term that passes has its bytes, is
//! not nested too deep and does not grow beyond the memory allowed; a count of four billion costs nothing.

use std::borrow::Cow;

use super::Term;
use super::atom::MAX_CHARACTERS;
use super::cursor::{Cursor, DecodeError};
use super::identifier::MAX_WORDS;
use super::tag;

/// Deepest nesting that is decoded; each level is a stack frame of `decode`, of `encode` and of `drop`.
pub const MAX_DEPTH: usize = 512;

/// What one level of the term costs decoded.
const TERM_BYTES: usize = size_of::<Term>();
/// What an allocation costs besides its content: the allocator's header and rounding, and the counts of shared ones.
const ALLOCATION_BYTES: usize = 32;

/// A container that is being walked: children still to come, and where a closure must end.
struct Open {
    children: usize,
    end: Option<(usize, usize)>,
}

struct Walk<'a> {
    cursor: Cursor<'a>,
    open: Vec<Open>,
    memory: usize,
    limit: usize,
    /// Atoms of the distribution header.
    references: usize,
}

/// What a term takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Bytes of its encoding, with the version byte if it has one.
    pub length: usize,
    /// Bytes of memory, decoded: an estimate, rather too high.
    pub memory: usize,
}

/// Checks the term at the start of `bytes`, which is the version byte and a term; gives their length. More may follow.
///
/// # Errors
/// The bytes are no term, or one that would take more than `memory` bytes.
pub fn check(bytes: &[u8], memory: usize) -> Result<usize, DecodeError> {
    measure(bytes, memory).map(|size| size.length)
}

/// As [`check`]; tells what the term takes.
///
/// # Errors
/// As [`check`].
pub fn measure(bytes: &[u8], memory: usize) -> Result<Size, DecodeError> {
    let mut cursor = Cursor::new(bytes);
    match cursor.u8()? {
        tag::VERSION => measure_at(cursor, memory, 0),
        got => Err(DecodeError::Version { got }),
    }
}

/// As [`measure`] for a term behind a distribution header of so many atoms: it has no version byte.
///
/// # Errors
/// As [`check`].
pub fn measure_bare(bytes: &[u8], memory: usize, references: usize) -> Result<Size, DecodeError> {
    measure_at(Cursor::new(bytes), memory, references)
}

fn measure_at(cursor: Cursor<'_>, limit: usize, references: usize) -> Result<Size, DecodeError> {
    let mut walk = Walk { cursor, open: Vec::new(), memory: 0, limit, references };
    walk.term()?;
    while let Some(top) = walk.open.last_mut() {
        if let Some(left) = top.children.checked_sub(1) {
            top.children = left;
            walk.term()?;
            continue;
        }
        if let Some((start, end)) = top.end
            && walk.cursor.at() != end
        {
            return Err(DecodeError::FunSize { at: start });
        }
        walk.open.pop();
    }
    Ok(Size { length: walk.cursor.at(), memory: walk.memory })
}

impl Walk<'_> {
    /// One term without its children.
    fn term(&mut self) -> Result<(), DecodeError> {
        let at = self.cursor.at();
        self.spend(TERM_BYTES)?;
        match self.cursor.u8()? {
            tag::SMALL_INTEGER => self.skip(1),
            tag::INTEGER => self.skip(4),
            tag::NIL => Ok(()),
            tag::NEW_FLOAT if f64::from_bits(self.cursor.u64()?).is_finite() => Ok(()),
            tag::NEW_FLOAT => Err(DecodeError::Float { at }),
            tag if tag::is_atom(tag) => self.atom(tag, at),
            tag @ (tag::SMALL_BIG | tag::LARGE_BIG | tag::BINARY | tag::BIT_BINARY | tag::STRING) => self.flat(tag, at),
            tag @ (tag::NEW_PID | tag::NEW_PORT | tag::V4_PORT | tag::NEWER_REFERENCE) => self.identifier(tag, at),
            tag => self.container(tag, at),
        }
    }

    fn atom(&mut self, tag: u8, at: usize) -> Result<(), DecodeError> {
        if tag == tag::ATOM_REFERENCE {
            let number = usize::from(self.cursor.u8()?);
            let known = number < self.references;
            return if known { Ok(()) } else { Err(DecodeError::AtomReference { number, at }) };
        }
        let text = atom_text(&mut self.cursor, tag, at)?;
        self.spend(text.len() + ALLOCATION_BYTES)
    }

    /// Terms that are their tag, a length and so many bytes.
    fn flat(&mut self, tag: u8, at: usize) -> Result<(), DecodeError> {
        let (length, each) = match tag {
            tag::SMALL_BIG => (usize::from(self.cursor.u8()?) + 1, 1),
            tag::STRING => (usize::from(self.cursor.u16()?), TERM_BYTES),
            tag::LARGE_BIG => (self.cursor.count()?.saturating_add(1), 1),
            _ => (self.cursor.count()?, 1),
        };
        if tag == tag::BIT_BINARY {
            let tail = self.cursor.u8()?;
            if !(1..=8).contains(&tail) || length == 0 {
                return Err(DecodeError::BitTail { at });
            }
        }
        self.skip(length)?;
        if tag != tag::BINARY && tag != tag::STRING {
            self.boxed()?;
        }
        self.spend(length.saturating_mul(each).saturating_add(ALLOCATION_BYTES))
    }

    fn identifier(&mut self, tag: u8, at: usize) -> Result<(), DecodeError> {
        let words = if tag == tag::NEWER_REFERENCE { usize::from(self.cursor.u16()?) } else { 0 };
        if tag == tag::NEWER_REFERENCE && !(1..=MAX_WORDS).contains(&words) {
            return Err(DecodeError::ReferenceWords { words, at });
        }
        let node = self.cursor.at();
        match self.cursor.u8()? {
            tag if tag::is_atom(tag) => self.atom(tag, node)?,
            tag => return Err(DecodeError::Tag { tag, at: node }),
        }
        self.boxed()?;
        self.skip(match tag {
            tag::NEW_PORT => 8,
            tag::NEW_PID | tag::V4_PORT => 12,
            _ => 4 + words * 4,
        })
    }

    fn container(&mut self, tag: u8, at: usize) -> Result<(), DecodeError> {
        let mut end = None;
        let children = match tag {
            tag::SMALL_TUPLE => usize::from(self.cursor.u8()?),
            tag::LARGE_TUPLE => self.cursor.count()?,
            tag::LIST => self.cursor.count()?.saturating_add(1),
            tag::MAP => self.cursor.count()?.saturating_mul(2),
            tag::EXPORT => 3,
            tag::NEW_FUN => {
                let (children, stop) = fun_header(&mut self.cursor)?;
                end = Some((at, stop));
                children
            }
            tag => return Err(DecodeError::Tag { tag, at }),
        };
        // Each child takes a byte at least.
        if children > self.cursor.left() {
            return Err(DecodeError::Truncated { at });
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(DecodeError::Depth { limit: MAX_DEPTH });
        }
        self.spend(ALLOCATION_BYTES)?;
        self.open.push(Open { children, end });
        Ok(())
    }

    /// What a term keeps in an allocation of its own.
    fn boxed(&mut self) -> Result<(), DecodeError> {
        self.spend(TERM_BYTES + ALLOCATION_BYTES)
    }

    fn skip(&mut self, bytes: usize) -> Result<(), DecodeError> {
        self.cursor.take(bytes).map(|_| ())
    }

    fn spend(&mut self, bytes: usize) -> Result<(), DecodeError> {
        self.memory = self.memory.saturating_add(bytes);
        if self.memory > self.limit { Err(DecodeError::Memory { limit: self.limit }) } else { Ok(()) }
    }
}

/// The text of an atom whose tag was read.
pub(super) fn atom_text<'a>(cursor: &mut Cursor<'a>, tag: u8, at: usize) -> Result<Cow<'a, str>, DecodeError> {
    let wide = matches!(tag, tag::ATOM_UTF8 | tag::ATOM);
    let length = if wide { usize::from(cursor.u16()?) } else { usize::from(cursor.u8()?) };
    let bytes = cursor.take(length)?;
    let text = match tag {
        tag::ATOM | tag::SMALL_ATOM => Cow::Owned(bytes.iter().map(|b| char::from(*b)).collect()),
        _ => Cow::Borrowed(std::str::from_utf8(bytes).map_err(|_| DecodeError::Atom { at })?),
    };
    // No text of that many bytes has more characters.
    if length > MAX_CHARACTERS && text.chars().count() > MAX_CHARACTERS {
        return Err(DecodeError::Atom { at });
    }
    Ok(text)
}

/// The head of a closure whose tag was read: how many terms follow (module, two integers, a pid, the free variables), and
/// where they must end.
pub(super) fn fun_header(cursor: &mut Cursor<'_>) -> Result<(usize, usize), DecodeError> {
    let start = cursor.at();
    let size = cursor.count()?;
    cursor.take(1 + 16 + 4)?;
    let free = cursor.count()?;
    Ok((free.saturating_add(4), start.saturating_add(size)))
}
