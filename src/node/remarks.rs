//! What is logged of things that a peer may do as often as it likes.

use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use crate::limits;

/// Lets so many lines through in a time; the next one after that tells how many were left out.
struct Remarks(Mutex<Said>);

struct Said {
    since: Option<Instant>,
    lines: usize,
    left_out: u64,
}

static REMARKS: Remarks = Remarks::new();

/// Logs a line, unless there were too many lately.
pub(super) fn say(line: impl FnOnce()) {
    let Some(left_out) = REMARKS.next_line() else { return };
    if left_out > 0 {
        tracing::warn!(left_out, "there was more to be said of what peers do");
    }
    line();
}

impl Remarks {
    const fn new() -> Self {
        Self(Mutex::new(Said { since: None, lines: 0, left_out: 0 }))
    }

    /// Whether there is a line; with it, how many were left out before.
    fn next_line(&self) -> Option<u64> {
        let now = Instant::now();
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if said.since.is_none_or(|since| now.duration_since(since) >= limits::REMARKS_TIME) {
            (said.since, said.lines) = (Some(now), 0);
        }
        if said.lines >= limits::REMARKS {
            said.left_out += 1;
            return None;
        }
        said.lines += 1;
        Some(std::mem::take(&mut said.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn there_are_so_many_lines_in_a_time_and_the_next_tells_of_those_left_out() {
        let remarks = Remarks::new();
        let told: Vec<_> = (0..10_000).filter_map(|_| remarks.next_line()).collect();
        assert_eq!(told, vec![0; limits::REMARKS]);
        tokio::time::advance(limits::REMARKS_TIME).await;
        let left_out = 10_000 - u64::try_from(limits::REMARKS).unwrap();
        assert_eq!([remarks.next_line(), remarks.next_line()], [Some(left_out), Some(0)]);
    }
}
