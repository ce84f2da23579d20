//! Crowds: many processes of one peer that call at once.
//!
//! Each frame of theirs would wake this node by itself: their node writes them one by one, and to be woken and to answer costs
//! several times what a call does. Where a crowd calls, the link rests for a moment before it reads on, and answers what has
//! come by then with one write, as network cards do with packets. A caller who is alone, or one of a few, waits for nothing but
//! for some microseconds in the two milliseconds after a crowd.

use std::time::Duration;

use tokio::time::Instant;

use super::control::Incoming;

/// Calls that are looked at together.
const CALLS: u32 = 32;
/// Callers among them that are a crowd.
const CALLERS: u32 = 16;
/// Within so long: calls that are further apart gain nothing by waiting.
const WITHIN: Duration = Duration::from_millis(2);
/// How long a link rests: a few calls come in it, and a thread cannot sleep for much less.
const REST: Duration = Duration::from_micros(30);

/// Watches who calls over a link.
pub(super) struct Crowd {
    calls: u32,
    /// A bit for each caller, by its pid; two may share one.
    callers: u64,
    since: Instant,
    is_here: bool,
}

impl Default for Crowd {
    fn default() -> Self {
        Self { calls: 0, callers: 0, since: Instant::now(), is_here: false }
    }
}

impl Crowd {
    /// A peer said something.
    pub(super) fn heard(&mut self, incoming: &Incoming) {
        let caller = match incoming {
            // Calls of servers begin with a monitor.
            Incoming::Monitor { from, .. } => from,
            Incoming::Spawn(request) => &request.from,
            _ => return,
        };
        self.calls += 1;
        self.callers |= 1 << (caller.id % u64::BITS);
        if self.calls == CALLS {
            self.is_here = self.callers.count_ones() >= CALLERS && self.since.elapsed() < WITHIN;
            (self.calls, self.callers, self.since) = (0, 0, Instant::now());
        }
    }

    /// Rests if a crowd calls.
    pub(super) fn rest(&mut self) {
        if !self.is_here {
            return;
        }
        if self.since.elapsed() >= WITHIN {
            self.is_here = false;
            return;
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "the timers of the runtime are a millisecond each, too long by far"
        )]
        std::thread::sleep(REST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::term::{Atom, Pid, Reference};

    fn calls(crowd: &mut Crowd, callers: impl Iterator<Item = u32>) {
        for id in callers {
            let from = Pid { node: Atom::from_static("a@h"), id, serial: 0, creation: 1 };
            let reference = Reference::new(from.node.clone(), 1, &[1, 2, 3]).unwrap();
            let target = crate::node::control::Target::Pid(from.clone());
            crowd.heard(&Incoming::Monitor { from, target, reference });
        }
    }

    #[tokio::test(start_paused = true)]
    async fn many_callers_at_once_are_a_crowd_until_they_pause() {
        let mut crowd = Crowd::default();
        calls(&mut crowd, 0..CALLS);
        assert!(crowd.is_here);
        crowd.rest();
        assert!(crowd.is_here);
        tokio::time::advance(WITHIN).await;
        crowd.rest();
        assert!(!crowd.is_here);
    }

    #[tokio::test(start_paused = true)]
    async fn a_few_callers_are_none_and_neither_are_many_that_take_their_time() {
        let mut crowd = Crowd::default();
        calls(&mut crowd, (0..CALLS * 10).map(|n| n % 8));
        assert!(!crowd.is_here);
        for n in 0..CALLS * 2 {
            calls(&mut crowd, std::iter::once(n));
            tokio::time::advance(WITHIN / CALLS * 2).await;
            assert!(!crowd.is_here);
        }
    }
}
