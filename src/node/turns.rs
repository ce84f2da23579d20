//! How often something ran: what observers see as reductions.

use std::sync::atomic::{AtomicU64, Ordering};

/// Of all processes that there were.
static ALL: AtomicU64 = AtomicU64::new(0);

/// The turns of a process: its start, each message that it took, each time that its task was run.
pub(super) struct Turns(AtomicU64);

impl Default for Turns {
    fn default() -> Self {
        once();
        Self(AtomicU64::new(1))
    }
}

impl Turns {
    /// One more.
    pub(super) fn count(&self) {
        once();
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How many there were.
    pub(super) fn taken(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A turn of a process that began and ended with it.
pub(super) fn once() {
    ALL.fetch_add(1, Ordering::Relaxed);
}

/// All turns of this program.
pub(super) fn all() -> u64 {
    ALL.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_a_turn_and_all_are_counted() {
        let before = all();
        let turns = Turns::default();
        turns.count();
        assert_eq!(turns.taken(), 2);
        assert!(all() >= before + 2);
    }
}
