//! Records of the journal and their lines: a checksum, the record as JSON.
//!
//! A line is read whole or not at all, so that a torn one, at the end or anywhere, costs itself alone.

use serde::{Deserialize, Serialize};

use crate::deploy::Deployment;
use crate::deploy::releases::Release;
use crate::deploy::run::Notes;
use crate::host::RuntimeTarget;

/// Number of a run, unique in a journal.
pub(in crate::deploy) type RunId = u64;

/// What a run is to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::deploy) enum Work {
    /// Put a version in place.
    Deploy {
        /// It, without its environment: the journal holds no secret.
        deployment: Box<Deployment>,
        /// Whether it is an earlier release.
        rollback: bool,
    },
    /// Take an application away.
    Undeploy {
        /// The application.
        app_id: String,
        /// The engine that the caller believes it on.
        runtime: RuntimeTarget,
    },
}

impl Work {
    /// The application.
    pub(in crate::deploy) fn app_id(&self) -> &str {
        match self {
            Self::Deploy { deployment, .. } => &deployment.app_id,
            Self::Undeploy { app_id, .. } => app_id,
        }
    }
}

/// What happened, or is about to.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::deploy) enum Record {
    /// A run begins.
    Begun {
        /// The run.
        run: RunId,
        /// What it is to do.
        work: Work,
    },
    /// A step of it is about to act.
    Step {
        /// The run.
        run: RunId,
        /// The step's name.
        step: String,
        /// What it will touch, and what the steps before did.
        notes: Box<Notes>,
    },
    /// Requests go to its version: from here only forward.
    Switched {
        /// The run.
        run: RunId,
        /// As they are now.
        notes: Box<Notes>,
    },
    /// Some of its steps could not be undone yet.
    Stuck {
        /// The run.
        run: RunId,
        /// Step and reason of each, the last step first.
        steps: Vec<(String, String)>,
    },
    /// It is undone after a death; the engine may still do what the dead agent asked it for.
    Undone {
        /// The run.
        run: RunId,
        /// What the undo left of them.
        notes: Box<Notes>,
    },
    /// It is over, and nothing of it is left to do.
    Ended {
        /// The run.
        run: RunId,
    },
    /// A release is the one that runs now.
    Released(Box<Release>),
    /// A release is no longer kept.
    Dropped {
        /// The application.
        app_id: String,
        /// The release.
        deployment_id: String,
    },
    /// An application is gone with all its releases.
    Forgotten {
        /// The application.
        app_id: String,
    },
}

/// Adds a record's line.
pub(super) fn write(record: &Record, to: &mut Vec<u8>) {
    // Strings, numbers and maps with string keys: all of it is JSON.
    let json = serde_json::to_vec(record).unwrap_or_default();
    to.extend_from_slice(format!("{:08x} ", crc32fast::hash(&json)).as_bytes());
    to.extend_from_slice(&json);
    to.push(b'\n');
}

/// The records of a journal and how many lines could not be read.
pub(super) fn read(journal: &[u8]) -> (Vec<Record>, usize) {
    let lines = journal.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let (mut records, mut torn) = (Vec::new(), 0);
    for line in lines {
        match parse(line) {
            Some(record) => records.push(record),
            None => torn += 1,
        }
    }
    (records, torn)
}

fn parse(line: &[u8]) -> Option<Record> {
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

    fn ended(runs: impl IntoIterator<Item = RunId>) -> Vec<u8> {
        let mut journal = Vec::new();
        runs.into_iter().for_each(|run| write(&Record::Ended { run }, &mut journal));
        journal
    }

    fn runs(journal: &[u8]) -> (Vec<RunId>, usize) {
        let (records, torn) = read(journal);
        let run = |record| match record {
            Record::Ended { run } => run,
            other => panic!("{other:?}"),
        };
        (records.into_iter().map(run).collect(), torn)
    }

    #[test]
    fn a_journal_cut_at_any_byte_gives_the_records_before_the_cut() {
        let whole = ended(1..=3);
        let line = whole.len() / 3;
        for cut in 0..=whole.len() {
            // Without its newline a line is whole all the same.
            let expected: Vec<_> = (1..=3).filter(|n| usize::try_from(*n).unwrap() * line <= cut + 1).collect();
            assert_eq!(runs(&whole[..cut]).0, expected, "at {cut}");
        }
    }

    #[test]
    fn a_line_that_was_damaged_costs_itself_alone() {
        let whole = ended(1..=3);
        let at = whole.len() / 2;
        let mut damaged = whole;
        damaged[at] ^= 1;
        assert_eq!(runs(&damaged), (vec![1, 3], 1));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            read(&bytes);
        }
    }
}
