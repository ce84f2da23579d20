//! The content of a frame: what it would take first, then its terms, then what they say.

use bytes::Bytes;

use super::control::{self, Incoming};
use super::input::MOST_READ_BYTES;
use super::link::LinkEnd;
use super::queue::PASS_THROUGH;
use crate::limits;
use crate::term::codec::{self, Atoms, DecodeError, Decoder, SHARED_BYTES};
use crate::term::{Term, budget};

/// Terms up to this size are decoded at once: whatever they hold, it takes a few MiB (a byte becomes a term at most), and
/// decoding checks the rest. A walk before it would be a third of the work of a call.
const SMALL_BYTES: usize = 64 * 1024;

/// What a frame says.
pub(super) fn parse(frame: &Bytes, atoms: &mut Atoms) -> Result<Incoming, LinkEnd> {
    let Some((kind, rest)) = frame.split_first() else { return Ok(Incoming::Nothing) };
    if *kind != PASS_THROUGH {
        return Err(LinkEnd::FrameType(*kind));
    }
    if rest.len() > SMALL_BYTES {
        budget::check(rest, limits::TERM_MEMORY_BYTES)?;
    }
    let content = frame.slice(1..);
    let mut head = Decoder::new(&content, Some(atoms));
    let Some(incoming) = control::read_common(&mut head) else { return parse_any(&content, atoms) };
    if !incoming.wants_payload() {
        return Ok(incoming);
    }
    let payload = content.slice(head.at()..);
    match decode(&payload, atoms) {
        Ok((term, memory)) => Ok(incoming.with_payload(term, memory)?),
        Err(why) => Ok(incoming.without_payload(too_much(why)?)),
    }
}

/// The same for every control message, in whatever encoding.
pub(super) fn parse_any(content: &Bytes, atoms: &mut Atoms) -> Result<Incoming, LinkEnd> {
    let length = budget::check(content, limits::TERM_MEMORY_BYTES)?;
    let control = codec::decode(&content.slice(..length))?;
    if !control::operation(&control).is_some_and(control::has_payload) {
        return Ok(control::read(&control, None)?);
    }
    match decode(&content.slice(length..), atoms) {
        Ok((term, memory)) => {
            let mut incoming = control::read(&control, Some(term))?;
            if let Incoming::Spawn(request) = &mut incoming {
                request.memory = memory;
            }
            Ok(incoming)
        }
        Err(why) => Ok(control::without_payload(&control, too_much(why)?)),
    }
}

/// A payload, and the memory that it takes.
fn decode(payload: &Bytes, atoms: &mut Atoms) -> Result<(Term, usize), DecodeError> {
    let memory = match payload.len() {
        ..=SMALL_BYTES => payload.len() * size_of::<Term>(),
        _ => budget::measure(payload, limits::TERM_MEMORY_BYTES)?.memory,
    };
    // Its binaries keep what they were read into.
    let kept = if payload.len() >= SHARED_BYTES { MOST_READ_BYTES } else { 0 };
    let mut decoder = Decoder::new(payload, Some(atoms));
    decoder.version()?;
    let term = decoder.term()?;
    decoder.end()?;
    Ok((term, memory.max(kept)))
}

/// A payload that is well-formed as far as it was looked at, and more than is taken: the sender loses this message, not its
/// connection.
fn too_much(why: DecodeError) -> Result<DecodeError, DecodeError> {
    match why {
        DecodeError::Depth { .. } | DecodeError::Memory { .. } => Ok(why),
        _ => Err(why),
    }
}
