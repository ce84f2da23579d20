//! Bytes to lines.

use bytes::{Buf, Bytes, BytesMut};

use crate::host::command::{Batch, Line, Stream};
use crate::limits;

/// Splits one stream.
pub(super) struct Lines {
    stream: Stream,
    /// Bytes at the start of the buffer that hold no newline.
    searched: usize,
}

impl Lines {
    pub(super) fn new(stream: Stream) -> Self {
        Self { stream, searched: 0 }
    }

    /// Takes the whole lines out of `buffer`; they share its memory. A line over the bound comes in pieces.
    pub(super) fn split(&mut self, buffer: &mut BytesMut) -> Batch {
        // All whole lines leave the buffer as one piece, of which they are slices.
        let newline = memchr_last(buffer.get(self.searched..).unwrap_or_default()).map(|at| self.searched + at);
        let mut batch = Vec::new();
        if let Some(last) = newline {
            let whole = buffer.split_to(last + 1).freeze();
            self.cut(&whole, &mut batch);
        }
        while buffer.len() > limits::LINE_BYTES {
            batch.push(self.line(buffer.split_to(limits::LINE_BYTES).freeze()));
        }
        self.searched = buffer.len();
        batch
    }

    /// The unterminated last line.
    pub(super) fn rest(&mut self, buffer: &mut BytesMut) -> Batch {
        self.searched = 0;
        if buffer.is_empty() { Vec::new() } else { vec![self.line(buffer.split().freeze())] }
    }

    fn cut(&self, whole: &Bytes, batch: &mut Batch) {
        let mut rest = whole.clone();
        while let Some(at) = rest.iter().position(|byte| *byte == b'\n') {
            let mut line = rest.split_to(at);
            rest.advance(1);
            while line.len() > limits::LINE_BYTES {
                batch.push(self.line(line.split_to(limits::LINE_BYTES)));
            }
            batch.push(self.line(line));
        }
    }

    fn line(&self, text: Bytes) -> Line {
        Line { stream: self.stream, text }
    }
}

fn memchr_last(bytes: &[u8]) -> Option<usize> {
    bytes.iter().rposition(|byte| *byte == b'\n')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Feeds chunks; the texts that came out.
    fn feed(chunks: &[&[u8]]) -> Vec<Vec<u8>> {
        let (mut lines, mut buffer, mut texts) = (Lines::new(Stream::Stdout), BytesMut::new(), Vec::new());
        for chunk in chunks {
            buffer.extend_from_slice(chunk);
            texts.extend(lines.split(&mut buffer));
        }
        texts.extend(lines.rest(&mut buffer));
        texts.into_iter().map(|line| line.text.to_vec()).collect()
    }

    #[test]
    fn lines_are_whole_whatever_the_chunks() {
        assert_eq!(feed(&[b"a\nb", b"c\n\nd"]), [b"a".to_vec(), b"bc".to_vec(), b"".to_vec(), b"d".to_vec()]);
    }

    #[test]
    fn a_long_line_comes_in_pieces() {
        let long = vec![b'x'; limits::LINE_BYTES * 2 + 5];
        let lengths: Vec<_> = feed(&[&long, b"\nend"]).iter().map(Vec::len).collect();
        assert_eq!(lengths, [limits::LINE_BYTES, limits::LINE_BYTES, 5, 3]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost(chunks in proptest::collection::vec(proptest::collection::vec(b'\n'..=b'\x0e', 0..20), 0..20)) {
            let whole: Vec<u8> = chunks.concat();
            let slices: Vec<&[u8]> = chunks.iter().map(Vec::as_slice).collect();
            let mut expected: Vec<Vec<u8>> = whole.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
            if expected.last().is_some_and(Vec::is_empty) {
                expected.pop();
            }
            prop_assert_eq!(feed(&slices), expected);
        }
    }
}
