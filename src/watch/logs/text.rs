//! Text that can be read, out of whatever a program wrote.

/// What stands for bytes that are no text.
const JUNK: &str = "\u{FFFD}";

/// A text that comes in pieces, which may be cut within a character.
#[derive(Debug, Default)]
pub(super) struct Text {
    readable: Vec<u8>,
    /// The begun character at the end of the last piece.
    begun: Vec<u8>,
}

impl Text {
    pub(super) fn is_empty(&self) -> bool {
        self.readable.is_empty() && self.begun.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.readable.len()
    }

    pub(super) fn push(&mut self, piece: &[u8]) {
        let joined;
        let piece = if self.begun.is_empty() {
            piece
        } else {
            self.begun.extend_from_slice(piece);
            joined = std::mem::take(&mut self.begun);
            &joined
        };
        // Not twice as much as is needed: a line may be long, and there are many streams.
        self.readable.reserve_exact(piece.len());
        let mut chunks = piece.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            self.readable.extend_from_slice(chunk.valid().as_bytes());
            let invalid = chunk.invalid();
            if chunks.peek().is_none() && is_begun(invalid) {
                self.begun = invalid.to_vec();
            } else if !invalid.is_empty() {
                self.readable.extend_from_slice(JUNK.as_bytes());
            }
        }
    }

    /// The whole of it; what was begun is no character any more.
    pub(super) fn end(&mut self) -> Vec<u8> {
        if !self.begun.is_empty() {
            self.readable.extend_from_slice(JUNK.as_bytes());
            self.begun.clear();
        }
        std::mem::take(&mut self.readable)
    }

    /// What there is of whole characters; what was begun stays for the next piece.
    pub(super) fn cut(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.readable)
    }
}

/// Whether more bytes could make it a character.
fn is_begun(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pieces_of_any_size_give_what_the_whole_gives(
            bytes in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..60),
                "[a\u{e4}\u{20ac}\u{1F980}\0]{0,20}".prop_map(String::into_bytes),
            ],
            size in 1..9_usize,
        ) {
            let (mut text, mut cut) = (Text::default(), Vec::new());
            for (at, piece) in bytes.chunks(size).enumerate() {
                text.push(piece);
                if at % 2 == 0 {
                    cut.extend(text.cut());
                }
            }
            cut.extend(text.end());
            prop_assert_eq!(String::from_utf8(cut).unwrap(), String::from_utf8_lossy(&bytes));
        }
    }
}
