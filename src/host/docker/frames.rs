//! The frames in which an engine sends two streams over one connection; a terminal has one stream and no frames.

/// Stream, three zeros, length of what follows.
const HEADER_BYTES: usize = 8;

/// The stream of a terminal, and of standard output.
pub(super) const STDOUT: u8 = 1;

/// The stream of standard error.
pub(super) const STDERR: u8 = 2;

/// What the engine itself has to say.
pub(super) const ENGINE: u8 = 3;

/// Frames that come in pieces of any size.
#[derive(Debug)]
pub(super) struct Frames {
    terminal: bool,
    header: Vec<u8>,
    stream: u8,
    /// Bytes of the frame that are yet to come.
    left: usize,
}

/// A part of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part<'a> {
    /// The number of its stream.
    pub(super) stream: u8,
    pub(super) bytes: &'a [u8],
    /// Whether its frame ends with it; those of a terminal never do.
    pub(super) last: bool,
}

impl Frames {
    pub(super) fn new(terminal: bool) -> Self {
        Self { terminal, header: Vec::with_capacity(HEADER_BYTES), stream: STDOUT, left: 0 }
    }

    /// Takes the next part off a piece.
    pub(super) fn next<'a>(&mut self, piece: &mut &'a [u8]) -> Option<Part<'a>> {
        if self.terminal {
            let bytes = std::mem::take(piece);
            return (!bytes.is_empty()).then_some(Part { stream: STDOUT, bytes, last: false });
        }
        while self.left == 0 {
            let wanted = HEADER_BYTES - self.header.len();
            let (head, rest) = piece.split_at(wanted.min(piece.len()));
            *piece = rest;
            self.header.extend_from_slice(head);
            let [stream, _, _, _, length @ ..] = self.header.as_slice() else { return None };
            let length = <[u8; 4]>::try_from(length).ok()?;
            self.stream = *stream;
            self.left = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
            self.header.clear();
        }
        let (bytes, rest) = piece.split_at(self.left.min(piece.len()));
        *piece = rest;
        self.left -= bytes.len();
        (!bytes.is_empty()).then_some(Part { stream: self.stream, bytes, last: self.left == 0 })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(in crate::host::docker) fn frame(stream: u8, text: &[u8]) -> Vec<u8> {
        let length = u32::try_from(text.len()).unwrap().to_be_bytes();
        [&[stream, 0, 0, 0], &length[..], text].concat()
    }

    proptest! {
        #[test]
        fn pieces_of_any_size_give_every_frame(
            sent in proptest::collection::vec((1..4_u8, "[a-c]{0,12}"), 0..8),
            size in 1..40_usize,
        ) {
            let answer: Vec<u8> = sent.iter().flat_map(|(stream, text)| frame(*stream, text.as_bytes())).collect();
            let (mut frames, mut seen, mut begun) = (Frames::new(false), Vec::new(), Vec::new());
            for mut piece in answer.chunks(size) {
                while let Some(part) = frames.next(&mut piece) {
                    begun.extend_from_slice(part.bytes);
                    if part.last {
                        seen.push((part.stream, String::from_utf8(std::mem::take(&mut begun)).unwrap()));
                    }
                }
            }
            // A frame without content is none.
            let sent: Vec<_> = sent.into_iter().filter(|(_, text)| !text.is_empty()).collect();
            prop_assert_eq!(seen, sent);
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), terminal: bool) {
            let (mut frames, mut piece) = (Frames::new(terminal), bytes.as_slice());
            while frames.next(&mut piece).is_some() {}
        }
    }
}
