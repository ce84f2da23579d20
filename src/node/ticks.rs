//! Ticks: how nodes notice that a peer is gone which said no goodbye.

use std::time::Duration;

use crate::limits;

/// The times that follow from `net_ticktime` (kernel), which all nodes of a cluster must agree on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ticks(Duration);

impl Ticks {
    pub(super) fn of(tick_time: Duration) -> Self {
        Self(tick_time)
    }

    /// A tick goes out when nothing was written for so long.
    pub(super) fn after(self) -> Duration {
        self.0 / 4
    }

    /// A peer that was silent for so long is gone: what a BEAM node allows at most.
    pub(super) fn silence(self) -> Duration {
        self.0 + self.0 / 4
    }
}

impl Default for Ticks {
    fn default() -> Self {
        Self(limits::TICK_TIME)
    }
}
