//! Records in a file: lines, each a checksum and the record as JSON.
//!
//! A line is read whole or not at all, so that a torn one, at the end or anywhere, costs itself alone.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Adds a record's line.
pub fn write_record(record: &impl Serialize, to: &mut Vec<u8>) {
    // Strings, numbers and maps with string keys: all of it is JSON.
    let json = serde_json::to_vec(record).unwrap_or_default();
    to.extend_from_slice(format!("{:08x} ", crc32fast::hash(&json)).as_bytes());
    to.extend_from_slice(&json);
    to.push(b'\n');
}

/// The records of a file and how many lines could not be read.
pub fn read_records<T: DeserializeOwned>(bytes: &[u8]) -> (Vec<T>, usize) {
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let (mut records, mut torn) = (Vec::new(), 0);
    for line in lines {
        match parse(line) {
            Some(record) => records.push(record),
            None => torn += 1,
        }
    }
    (records, torn)
}

fn parse<T: DeserializeOwned>(line: &[u8]) -> Option<T> {
    let (sum, json) = line.split_at_checked(9)?;
    let sum = std::str::from_utf8(sum).ok()?.strip_suffix(' ')?;
    let sum = u32::from_str_radix(sum, 16).ok()?;
    if sum != crc32fast::hash(json) {
        return None;
    }
    serde_json::from_slice(json).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn numbers(all: impl IntoIterator<Item = u64>) -> Vec<u8> {
        let mut bytes = Vec::new();
        all.into_iter().for_each(|number| write_record(&number, &mut bytes));
        bytes
    }

    #[test]
    fn a_file_cut_at_any_byte_gives_the_records_before_the_cut() {
        let whole = numbers(1..=3);
        let line = whole.len() / 3;
        for cut in 0..=whole.len() {
            // Without its newline a line is whole all the same.
            let expected: Vec<u64> = (1..=3).filter(|n| usize::try_from(*n).unwrap() * line <= cut + 1).collect();
            assert_eq!(read_records::<u64>(&whole[..cut]).0, expected, "at {cut}");
        }
    }

    #[test]
    fn a_line_that_was_damaged_costs_itself_alone() {
        let whole = numbers(1..=3);
        let at = whole.len() / 2;
        let mut damaged = whole;
        damaged[at] ^= 1;
        assert_eq!(read_records(&damaged), (vec![1_u64, 3], 1));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            read_records::<serde_json::Value>(&bytes);
        }
    }
}
