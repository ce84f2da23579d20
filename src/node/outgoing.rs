//! Frames on their way out: bytes of their own, and large binaries that are shared with whoever holds them. Those are written
//! from where they are.

use std::io::IoSlice;

use bytes::Bytes;

use super::frames::{Form, PASS_THROUGH};
use crate::term::Term;
use crate::term::codec::{self, EncodeError, Encoder, Header, Mark, Numbered, Output};

/// Pieces that are written in one go.
const PIECES: usize = 64;

/// Binaries from this size on are shared: below, a copy costs less than a piece more.
const SHARED_BYTES: usize = 16 * 1024;

/// Whole frames, one after another.
#[derive(Default)]
pub(super) struct Frames {
    own: Vec<u8>,
    /// What is shared, and behind how many of the own bytes it comes.
    shared: Vec<(usize, Bytes)>,
    shared_bytes: usize,
}

impl Frames {
    /// All bytes.
    pub(super) fn len(&self) -> usize {
        self.own.len() + self.shared_bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn clear(&mut self) {
        self.own.clear();
        self.shared.clear();
        self.shared_bytes = 0;
    }

    /// Memory that is kept for frames to come.
    pub(super) fn capacity(&self) -> usize {
        self.own.capacity()
    }

    /// A frame without content.
    pub(super) fn tick(&mut self) {
        self.own.extend_from_slice(&[0; 4]);
    }

    /// Appends a frame; nothing if a term cannot be sent.
    pub(super) fn push(&mut self, form: Form, control: &Encoder, payload: Option<&Term>) -> Result<(), EncodeError> {
        let (start, before) = (self.own.len(), self.len());
        let mark = self.mark();
        self.own.extend_from_slice(&[0; 4]);
        let encoded = match (form, payload) {
            (Form::PassThrough, _) => self.put_passed_through(control, payload),
            (Form::Header, Some(term)) if codec::has_many_atoms(term) => self.put_numbered(control, term),
            (Form::Header, _) => self.put_bare(control, payload),
        };
        let length = self.len() - before - 4;
        let length = encoded.and_then(|()| u32::try_from(length).map_err(|_| EncodeError::Length { length }));
        match (length, self.own.get_mut(start..start + 4)) {
            (Ok(length), Some(head)) => {
                head.copy_from_slice(&length.to_be_bytes());
                Ok(())
            }
            (length, _) => {
                self.rewind(mark);
                length.map(|_| ())
            }
        }
    }

    fn put_passed_through(&mut self, control: &Encoder, payload: Option<&Term>) -> Result<(), EncodeError> {
        self.put(&[PASS_THROUGH]);
        self.put(control.bytes()?);
        payload.map_or(Ok(()), |term| codec::encode(term, self))
    }

    /// Behind a header without atoms.
    fn put_bare(&mut self, control: &Encoder, payload: Option<&Term>) -> Result<(), EncodeError> {
        Header::default().write(&mut self.own);
        self.put(control.bare()?);
        payload.map_or(Ok(()), |term| codec::encode_bare(term, self))
    }

    /// Behind a header with the atoms of the term.
    fn put_numbered(&mut self, control: &Encoder, term: &Term) -> Result<(), EncodeError> {
        let mut body = Numbered { out: Self::default(), header: Header::default() };
        codec::encode_bare(term, &mut body)?;
        body.header.write(&mut self.own);
        self.put(control.bare()?);
        let before = self.own.len();
        self.own.append(&mut body.out.own);
        self.shared.extend(body.out.shared.into_iter().map(|(behind, bytes)| (before + behind, bytes)));
        self.shared_bytes += body.out.shared_bytes;
        Ok(())
    }

    /// All bytes in one piece.
    #[cfg(any(test, fuzzing))]
    pub(super) fn concat(&self) -> Vec<u8> {
        self.pieces(0).iter().flat_map(|piece| piece.to_vec()).collect()
    }

    /// The bytes from number `from` on, in pieces; not all of them, if they are many.
    pub(super) fn pieces(&self, from: usize) -> Vec<IoSlice<'_>> {
        if self.shared.is_empty() {
            return vec![IoSlice::new(self.own.get(from..).unwrap_or_default())];
        }
        let mut pieces = Vec::with_capacity(PIECES);
        let (mut at, mut own) = (0, 0);
        let all = self
            .shared
            .iter()
            .map(|(behind, bytes)| (*behind, bytes.as_ref()))
            .chain([(self.own.len(), [].as_slice())]);
        for (behind, shared) in all {
            for piece in [self.own.get(own..behind).unwrap_or_default(), shared] {
                let rest = piece.get(from.saturating_sub(at)..).unwrap_or_default();
                if !rest.is_empty() && pieces.len() < PIECES {
                    pieces.push(IoSlice::new(rest));
                }
                at += piece.len();
            }
            own = behind;
        }
        pieces
    }
}

impl Output for Frames {
    fn put(&mut self, bytes: &[u8]) {
        self.own.extend_from_slice(bytes);
    }

    fn put_shared(&mut self, bytes: &Bytes) {
        if bytes.len() < SHARED_BYTES {
            return self.put(bytes);
        }
        self.shared.push((self.own.len(), bytes.clone()));
        self.shared_bytes += bytes.len();
    }

    fn mark(&self) -> Mark {
        Mark { bytes: self.own.len(), shared: self.shared.len() }
    }

    fn rewind(&mut self, mark: Mark) {
        self.own.truncate(mark.bytes);
        self.shared_bytes -= self.shared.drain(mark.shared..).map(|(_, bytes)| bytes.len()).sum::<usize>();
    }
}

/// Frames of a stream, which were put together elsewhere.
impl From<Vec<u8>> for Frames {
    fn from(own: Vec<u8>) -> Self {
        Self { own, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::term::{binary, tuple};

    /// All bytes, as a socket would take them that takes `most` at a time.
    fn written(frames: &Frames, most: usize) -> Vec<u8> {
        let mut out = Vec::new();
        while out.len() < frames.len() {
            let all = frames.pieces(out.len()).iter().flat_map(|piece| piece.to_vec()).collect::<Vec<_>>();
            assert!(!all.is_empty(), "nothing to write at {} of {}", out.len(), frames.len());
            out.extend_from_slice(&all[..all.len().min(most)]);
        }
        out
    }

    #[test]
    fn shared_and_own_bytes_are_written_in_their_order_however_they_are_cut() {
        let large = |byte| Term::Binary(vec![byte; SHARED_BYTES + 1].into());
        let messages = [binary("first"), tuple([large(1), binary("between"), large(2)]), binary("last"), large(3)];
        let (mut frames, mut plain) = (Frames::default(), Vec::new());
        for message in &messages {
            frames.push(Form::PassThrough, &Encoder::tuple(1).int(22), Some(message)).unwrap();
            let mut body = vec![PASS_THROUGH];
            body.extend_from_slice(Encoder::tuple(1).int(22).bytes().unwrap());
            codec::encode(message, &mut body).unwrap();
            plain.extend(u32::try_from(body.len()).unwrap().to_be_bytes());
            plain.extend(body);
        }
        assert_eq!((frames.len(), frames.shared.len()), (plain.len(), 3));
        for most in [1_000, 4_097, usize::MAX] {
            assert!(written(&frames, most) == plain, "cut at {most}");
        }
    }

    #[test]
    fn a_message_of_many_atoms_says_each_once_and_shares_what_is_large() {
        let large = Term::Binary(vec![7; SHARED_BYTES].into());
        let entry = || tuple([crate::term::atom("entry"), binary("x")]);
        let message = tuple([Term::List((0..100).map(|_| entry()).collect()), large.clone(), entry()]);
        let mut frames = Frames::default();
        frames.push(Form::Header, &Encoder::tuple(1).int(1), None).unwrap();
        frames.push(Form::Header, &Encoder::tuple(1).int(22), Some(&message)).unwrap();
        let all = written(&frames, 1_000);
        assert_eq!((all.windows(5).filter(|bytes| bytes == b"entry").count(), frames.shared.len()), (1, 1));
        let mut buffer = bytes::BytesMut::from(all.as_slice());
        crate::node::frames::take(&mut buffer).unwrap().unwrap();
        let frame = crate::node::frames::take(&mut buffer).unwrap().unwrap();
        let mut atoms = codec::Atoms::default();
        let (_, content) = crate::node::parse::content(&frame, &mut atoms).unwrap().unwrap();
        let mut decoder = codec::Decoder::new(&content, Some(&mut atoms));
        assert_eq!(decoder.term(), Ok(tuple([Term::Int(22)])));
        assert_eq!(decoder.term(), Ok(message));
    }

    #[test]
    fn what_cannot_be_sent_leaves_the_frames_before_it_as_they_were() {
        let mut frames = Frames::default();
        frames.push(Form::PassThrough, &Encoder::tuple(1).int(1), None).unwrap();
        let before = frames.len();
        let deep = (0..2_000).fold(Term::Binary(vec![0; SHARED_BYTES].into()), |inner, _| tuple([inner]));
        let both = tuple([Term::Binary(vec![0; SHARED_BYTES].into()), deep]);
        assert_eq!(frames.push(Form::PassThrough, &Encoder::tuple(1).int(2), Some(&both)), Err(EncodeError::Depth));
        assert_eq!((frames.len(), frames.shared.len()), (before, 0));
    }
}
