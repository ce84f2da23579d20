//! The content of a frame: what it would take first, then its terms, then what they say.

use bytes::Bytes;

use super::control::{self, Incoming};
use super::frames::{Form, PASS_THROUGH};
use super::input::MOST_READ_BYTES;
use super::link::LinkEnd;
use crate::limits;
use crate::term::Term;
use crate::term::budget::{self, Size};
use crate::term::codec::{self, Atoms, DecodeError, Decoder, SHARED_BYTES};

/// Terms up to this size are decoded at once: whatever they hold, it takes a few MiB (a byte becomes a term at most), and
/// decoding checks the rest. A walk before it would be a third of the work of a call.
const SMALL_BYTES: usize = 64 * 1024;

/// What a frame says.
pub(super) fn parse(frame: &Bytes, atoms: &mut Atoms) -> Result<Incoming, LinkEnd> {
    let Some((form, content)) = content(frame, atoms)? else { return Ok(Incoming::Nothing) };
    if content.len() > SMALL_BYTES {
        measure(form, &content, atoms)?;
    }
    let mut head = Decoder::new(&content, Some(atoms));
    start(form, &mut head)?;
    let Some(incoming) = control::read_common(&mut head) else { return parse_any(form, &content, atoms) };
    if !incoming.wants_payload() {
        return Ok(incoming);
    }
    let at = head.at();
    match decode(form, (&content, at), atoms) {
        Ok((term, memory)) => Ok(incoming.with_payload(term, memory)?),
        Err(why) => Ok(incoming.without_payload(too_much(why)?)),
    }
}

/// The terms of a frame: a control tuple, and what may follow it.
pub(super) fn content(frame: &Bytes, atoms: &mut Atoms) -> Result<Option<(Form, Bytes)>, LinkEnd> {
    if codec::starts_header(frame) {
        let length = atoms.read_header(frame)?;
        return Ok(Some((Form::Header, frame.slice(length..))));
    }
    atoms.forget_numbers();
    match frame.first() {
        None => Ok(None),
        Some(&PASS_THROUGH) => Ok(Some((Form::PassThrough, frame.slice(1..)))),
        Some(kind) => Err(LinkEnd::FrameType(*kind)),
    }
}

/// The same for every control message, in whatever encoding.
pub(super) fn parse_any(form: Form, content: &Bytes, atoms: &mut Atoms) -> Result<Incoming, LinkEnd> {
    let length = measure(form, content, atoms)?.length;
    let head = content.slice(..length);
    let mut decoder = Decoder::new(&head, Some(atoms));
    start(form, &mut decoder)?;
    let control = decoder.term()?;
    if !control::operation(&control).is_some_and(control::has_payload) {
        return Ok(control::read(&control, None)?);
    }
    match decode(form, (content, length), atoms) {
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

/// What the term at the start of `bytes` takes.
fn measure(form: Form, bytes: &[u8], atoms: &Atoms) -> Result<Size, DecodeError> {
    match form {
        Form::PassThrough => budget::measure(bytes, limits::TERM_MEMORY_BYTES),
        Form::Header => budget::measure_bare(bytes, limits::TERM_MEMORY_BYTES, atoms.numbers()),
    }
}

/// Passes what a term begins with.
fn start(form: Form, decoder: &mut Decoder<'_>) -> Result<(), DecodeError> {
    if form == Form::PassThrough { decoder.version() } else { Ok(()) }
}

/// The payload that comes behind so much of a frame's content, and the memory that it takes.
fn decode(form: Form, (content, at): (&Bytes, usize), atoms: &mut Atoms) -> Result<(Term, usize), DecodeError> {
    let payload = content.slice(at..);
    let memory = match payload.len() {
        ..=SMALL_BYTES => payload.len() * size_of::<Term>(),
        _ => measure(form, &payload, atoms)?.memory,
    };
    // Its binaries keep what they were read into, and all that came with them.
    let kept = if payload.len() >= SHARED_BYTES { content.len().max(MOST_READ_BYTES) } else { 0 };
    let mut decoder = Decoder::new(&payload, Some(atoms));
    start(form, &mut decoder)?;
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
