//! Messages for one process, encoded as they are put in: what streams send.

use super::control;
use super::queue;
use crate::term::codec::{self, EncodeError};
use crate::term::{Pid, Term};

/// Messages to one process, in order. Where a thousand messages go, nothing but their bytes is ever in memory.
pub struct Burst {
    pub(super) to: Pid,
    control: Vec<u8>,
    pub(super) frames: Vec<u8>,
}

impl Burst {
    /// No messages yet.
    pub fn new(from: &Pid, to: &Pid) -> Self {
        // Pids can always be encoded.
        let control = control::send(from, to, None).bytes().unwrap_or_default().to_vec();
        Self { to: to.clone(), control, frames: Vec::new() }
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
        queue::frame_with(&mut self.frames, |out| {
            out.extend_from_slice(&self.control);
            codec::encode(message, out)
        })
    }

    /// Puts in a message that ends in a text.
    ///
    /// # Errors
    /// The text is longer than 4 GiB.
    pub fn push_text(&mut self, template: &codec::Template, text: &[u8]) -> Result<(), EncodeError> {
        queue::frame_with(&mut self.frames, |out| {
            out.extend_from_slice(&self.control);
            template.encode(text, out)
        })
    }
}
