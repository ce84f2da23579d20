//! The output that a command's result keeps: its head and its tail, within a bound.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::host::command::{Batch, Line};
use crate::limits;

/// Half of the bound is for the head, half for the tail.
const HALF: usize = limits::COMMAND_OUTPUT_BYTES / 2;

/// The head and the tail of an output.
#[derive(Default)]
pub(super) struct Kept {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    left_out: u64,
}

impl Kept {
    pub(super) fn add(&mut self, batch: &Batch) {
        for line in batch {
            self.add_line(line);
        }
    }

    fn add_line(&mut self, line: &Line) {
        let size = line.text.len() + 1;
        if self.tail.is_empty() && self.left_out == 0 && self.head.len() + size <= HALF {
            self.head.extend_from_slice(&line.text);
            self.head.push(b'\n');
            return;
        }
        let excess = (self.tail.len() + size).saturating_sub(HALF).min(self.tail.len());
        self.tail.drain(..excess);
        self.left_out += excess as u64;
        self.tail.extend(&line.text[..]);
        self.tail.push_back(b'\n');
    }

    /// The output; where the middle was left out a line says how much.
    pub(super) fn finish(&mut self) -> Bytes {
        let mut output = std::mem::take(&mut self.head);
        if self.left_out > 0 {
            output.extend(format!("\n... {} bytes left out ...\n\n", self.left_out).into_bytes());
        }
        output.extend(self.tail.drain(..));
        output.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::command::Stream;

    fn line(text: String) -> Line {
        Line { stream: Stream::Stdout, text: text.into() }
    }

    #[test]
    fn a_small_output_is_kept_whole() {
        let mut kept = Kept::default();
        kept.add(&vec![line("a".into()), line("b".into())]);
        assert_eq!(kept.finish(), "a\nb\n");
    }

    #[test]
    fn of_a_large_output_head_and_tail_are_kept_and_the_rest_is_counted() {
        let mut kept = Kept::default();
        let total: usize = (0..400_000).map(|n| format!("line {n}\n").len()).sum();
        for n in 0..400_000 {
            kept.add(&vec![line(format!("line {n}"))]);
        }
        let output = kept.finish();
        let text = std::str::from_utf8(&output).unwrap();
        assert!(text.starts_with("line 0\nline 1\n") && text.ends_with("line 399999\n"));
        let said = text.lines().find(|line| line.starts_with("... ")).unwrap();
        let left_out: usize = said.split(' ').nth(1).unwrap().parse().unwrap();
        assert_eq!(output.len() - format!("\n{said}\n\n").len() + left_out, total);
        assert!(output.len() <= limits::COMMAND_OUTPUT_BYTES + 100);
    }
}
