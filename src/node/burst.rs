//! Messages for one process, encoded as they are put in: what streams send.

use super::control;
use super::frames::{Form, PASS_THROUGH};
use crate::term::codec::{self, EncodeError, Header};
use crate::term::{Pid, Term};

/// Messages to one process, in order. Where a thousand messages go, nothing but their bytes is ever in memory.
pub struct Burst {
    pub(super) to: Pid,
    /// What each frame has between its length and its message: a header without atoms, and the control tuple.
    head: Vec<u8>,
    frames: Vec<u8>,
}

impl Burst {
    /// No messages yet.
    pub fn new(from: &Pid, to: &Pid) -> Self {
        let mut head = Vec::new();
        Header::default().write(&mut head);
        // Pids can always be encoded.
        head.extend_from_slice(control::send(from, to, None).bare().unwrap_or_default());
        Self { to: to.clone(), head, frames: Vec::new() }
    }

    /// Whether there is no message.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Puts in a message.
    ///
    /// # Errors
    /// It cannot be sent; the others are as they were.
    pub fn push(&mut self, message: &Term) -> Result<(), EncodeError> {
        self.push_with(|out| codec::encode_bare(message, out))
    }

    /// Puts in a message that ends in a text.
    ///
    /// # Errors
    /// The text is longer than 4 GiB.
    pub fn push_text(&mut self, template: &codec::Template, text: &[u8]) -> Result<(), EncodeError> {
        self.push_with(|out| template.encode(text, out))
    }

    fn push_with(&mut self, encode: impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>) -> Result<(), EncodeError> {
        let out = &mut self.frames;
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.head);
        let encoded = encode(out);
        let length = out.len() - start - 4;
        let result = encoded.and_then(|()| u32::try_from(length).map_err(|_| EncodeError::Length { length }));
        match (result, out.get_mut(start..start + 4)) {
            (Ok(length), Some(head)) => {
                head.copy_from_slice(&length.to_be_bytes());
                Ok(())
            }
            (result, _) => {
                out.truncate(start);
                result.map(|_| ())
            }
        }
    }

    /// The messages themselves, for a process of this node.
    pub(super) fn messages(&self) -> Vec<Term> {
        let version = self.head.first().copied().into_iter();
        let decoded = |message: &[u8]| codec::decode(&version.clone().chain(message.iter().copied()).collect()).ok();
        self.bodies().filter_map(decoded).collect()
    }

    /// What each frame has behind its head.
    fn bodies(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.frames.as_slice();
        std::iter::from_fn(move || {
            let (length, after) = rest.split_first_chunk::<4>()?;
            let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
            let (frame, after) = after.split_at_checked(length)?;
            rest = after;
            Some(frame.get(self.head.len()..).unwrap_or_default())
        })
    }

    /// The frames in the form of a link.
    pub(super) fn into_frames(self, form: Form) -> Vec<u8> {
        match form {
            Form::Header => self.frames,
            Form::PassThrough => self.passed_through(),
        }
    }

    fn passed_through(&self) -> Vec<u8> {
        // The header is the version byte, a tag and a count of none.
        let (Some(version), Some(control)) = (self.head.first(), self.head.get(3..)) else { return Vec::new() };
        let mut out = Vec::with_capacity(self.frames.len());
        for message in self.bodies() {
            // As long as it was: three bytes of a header are one of a type and two of a version.
            out.extend(u32::try_from(self.head.len() + message.len()).unwrap_or(0).to_be_bytes());
            out.extend([PASS_THROUGH, *version]);
            out.extend_from_slice(control);
            out.push(*version);
            out.extend_from_slice(message);
        }
        out
    }
}
