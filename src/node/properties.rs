//! What holds for any bytes that a peer may send: functions that panic where it does not. The property tests run them, and
//! the targets of `fuzz/`; no part of the program.

#![allow(clippy::missing_panics_doc, reason = "to panic is how they tell")]

use bytes::{Bytes, BytesMut};

pub use super::epmd::properties::epmd;
pub use super::handshake::properties::handshake;

use super::control::{self, Incoming, SpawnFlags, Target};
use super::frames::{self, Form, FrameTooLong, PASS_THROUGH};
use super::outgoing::Frames;
use super::parse;
use crate::term::codec::{Atoms, Encoder};
use crate::term::{Pid, Term, budget, codec};

/// What a frame begins with that has a distribution header.
const HEADED: [u8; 2] = [131, 68];

/// A stream that comes in pieces holds the frames that it holds as a whole. First in `bytes` are the number of pieces and
/// their sizes, the rest is the stream.
pub fn frames(bytes: &[u8]) {
    let Some((count, rest)) = bytes.split_first() else { return };
    let (sizes, stream) = rest.split_at(usize::from(*count).min(rest.len()));
    let mut pieces = Vec::new();
    let mut left = stream;
    for size in sizes {
        let (piece, after) = left.split_at(usize::from(*size).min(left.len()));
        pieces.push(piece);
        left = after;
    }
    pieces.push(left);
    let whole = taken(&[stream]);
    if let Ok(left) = &whole.1 {
        assert!(left.len() < frames::wanted(left).max(4), "a frame was left that is there");
    }
    assert_eq!(taken(&pieces), whole);
    for frame in whole.0 {
        drop(parse::parse(&frame, &mut Atoms::default()));
    }
}

/// All frames, then what is left of the stream.
fn taken(pieces: &[&[u8]]) -> (Vec<Bytes>, Result<BytesMut, FrameTooLong>) {
    let (mut buffer, mut found) = (BytesMut::new(), Vec::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            match frames::take(&mut buffer) {
                Ok(Some(frame)) => found.push(frame),
                Ok(None) => break,
                Err(e) => return (found, Err(e)),
            }
        }
    }
    (found, Ok(buffer))
}

/// A frame is read or refused. What is read from it is read from the same terms in the encoding of this node, and from the
/// message by which this node says it. The type of the frame is put before `bytes`.
pub fn control(bytes: &[u8]) {
    headed(bytes);
    let frame = Bytes::from([&[PASS_THROUGH], bytes].concat());
    let parsed = parse::parse(&frame, &mut Atoms::default()).map(unmeasured);
    assert_eq!(parsed.as_ref().ok(), parse_any(&frame.slice(1..)).as_ref(), "read in two ways");
    let Ok(incoming) = parsed else { return };
    // Its payload was not read.
    if matches!(incoming, Incoming::TooMuch { .. }) {
        return;
    }
    let Ok(length) = budget::check(bytes, usize::MAX) else { panic!("read, and yet no term") };
    let decoded = |range| codec::decode(&frame.slice(range)).ok();
    let Some(head) = decoded(1..1 + length) else { panic!("read, and yet no term") };
    assert_eq!(reread(&encoder(&head), decoded(1 + length..frame.len()).as_ref()), incoming);
    if let Some((head, payload, expected)) = said(&incoming) {
        assert_eq!(reread(&head, payload.as_ref()), expected);
    }
}

/// The same behind a distribution header: two messages, of which the second may say what the first put in the cache. A byte
/// splits them.
fn headed(bytes: &[u8]) {
    let Some((at, rest)) = bytes.split_first() else { return };
    let (first, second) = rest.split_at(usize::from(*at).min(rest.len()));
    let mut atoms = Atoms::default();
    for message in [first, second] {
        let frame = Bytes::from([&HEADED, message].concat());
        let Ok(incoming) = parse::parse(&frame, &mut atoms).map(unmeasured) else { continue };
        // What was read is read again from what this node makes of it: no number is left in it.
        if let Some((head, payload, expected)) = said(&incoming) {
            assert_eq!(reread(&head, payload.as_ref()), expected);
        }
    }
}

/// What the way for every control message gives; nothing where it refuses.
fn parse_any(content: &Bytes) -> Option<Incoming> {
    parse::parse_any(Form::PassThrough, content, &mut Atoms::default()).map(unmeasured).ok()
}

/// The same control tuple as this node would write it.
fn encoder(control: &Term) -> Encoder {
    let elements = control.as_tuple().unwrap_or_default();
    let count = u8::try_from(elements.len()).unwrap_or(u8::MAX);
    elements.iter().fold(Encoder::tuple(count), Encoder::term)
}

/// What a peer reads from a message of this node, in either form.
fn reread(control: &Encoder, payload: Option<&Term>) -> Incoming {
    let [passed_through, headed] = [Form::PassThrough, Form::Header].map(|form| reread_in(form, control, payload));
    assert_eq!(passed_through, headed, "the form of a frame changes what it says");
    headed
}

fn reread_in(form: Form, control: &Encoder, payload: Option<&Term>) -> Incoming {
    let mut out = Frames::default();
    assert_eq!(out.push(form, control, payload), Ok(()), "what was read can be sent");
    let taken = frames::take(&mut BytesMut::from(out.concat().as_slice()));
    let Ok(Some(frame)) = taken else { panic!("it is no frame: {taken:?}") };
    parse::parse(&frame, &mut Atoms::default()).map_or_else(|e| panic!("it is not read again: {e}"), unmeasured)
}

/// Without the estimate of what it takes, which differs by encoding.
fn unmeasured(mut incoming: Incoming) -> Incoming {
    if let Incoming::Spawn(request) = &mut incoming {
        request.memory = 0;
    }
    incoming
}

/// The message by which this node says what it heard, or answers it, and what is read from that.
fn said(incoming: &Incoming) -> Option<(Encoder, Option<Term>, Incoming)> {
    let same = incoming.clone();
    Some(match incoming {
        Incoming::Exit { from, to, reason } => (control::exit(from, to), Some(reason.clone()), same),
        Incoming::Exit2 { from, to, reason } => (control::exit2(from, to), Some(reason.clone()), same),
        Incoming::Send { to, message, token } => (control::send(to, to, token.as_ref()), Some(message.clone()), same),
        Incoming::SendNamed { name, message, token: None } => {
            let from = Pid { node: name.clone(), id: 1, serial: 0, creation: 1 };
            (control::send_named(&from, name), Some(message.clone()), same)
        }
        Incoming::Monitor { from, target: target @ Target::Pid(_), reference } => {
            (control::monitor(from, target, reference), None, same)
        }
        Incoming::Demonitor { target: target @ Target::Pid(pid), reference } => {
            (control::demonitor(pid, target, reference), None, same)
        }
        Incoming::Monitor { from, target, reference } => {
            let down = Incoming::Down { reference: reference.clone(), reason: control::noproc() };
            (control::down(target, from, reference), Some(control::noproc()), down)
        }
        Incoming::Unlink { from, to, id: Some(id) } => (control::unlink_ack(id, to, from), None, Incoming::Nothing),
        Incoming::Spawn(request) => {
            let flags = SpawnFlags { link: true, monitor: true };
            (control::spawn_reply(request, flags, &request.from.clone().into()), None, Incoming::Nothing)
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::term::{Atom, Reference, atom, list, tuple};

    fn pid(id: u32) -> Term {
        Pid { node: Atom::from_static("a@h"), id, serial: 0, creation: 1 }.into()
    }

    fn any_part() -> impl Strategy<Value = Term> {
        let reference = |words: Vec<u32>| Reference::new(Atom::from_static("a@h"), 1, &words).unwrap();
        prop_oneof![
            4 => (0_u32..3).prop_map(pid),
            3 => vec(any::<u32>(), 1..6).prop_map(move |words| reference(words).into()),
            1 => Just(atom("x")),
            1 => Just(list([atom("monitor"), tuple([atom("monitor"), list([])])])),
            1 => any::<i64>().prop_map(Term::Int),
            2 => (0_i64..3).prop_map(|arity| tuple([atom("m"), atom("f"), Term::Int(arity)])),
        ]
    }

    /// A frame of a control message, or of what could be one.
    fn any_frame() -> impl Strategy<Value = Vec<u8>> {
        let payload = prop_oneof![Just(None), vec(any_part(), 0..3).prop_map(|parts| Some(Term::List(parts)))];
        (-1_i64..40, vec(any_part(), 0..7), payload).prop_map(|(op, parts, payload)| {
            let control = Term::Tuple([Term::Int(op)].into_iter().chain(parts).collect());
            let mut out = Frames::default();
            out.push(Form::PassThrough, &encoder(&control), payload.as_ref()).unwrap();
            out.concat()
        })
    }

    proptest! {
        #[test]
        fn pieces_of_any_size_give_the_same_frames(
            sizes in vec(0_u8..20, 0..20),
            stream in vec(prop_oneof![any_frame(), Just(vec![0; 4]), vec(any::<u8>(), 0..3)], 0..6),
        ) {
            frames(&[&[u8::try_from(sizes.len()).unwrap()], sizes.as_slice(), &stream.concat()].concat());
        }

        #[test]
        fn a_control_message_says_the_same_in_every_encoding(
            frame in any_frame(),
            changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        ) {
            let mut bytes = frame[5..].to_vec();
            control(&bytes);
            for (place, value) in changes {
                let at = place.index(bytes.len());
                bytes[at] = value;
            }
            control(&bytes);
        }
    }
}
