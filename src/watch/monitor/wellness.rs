//! How well an application is, by its checks and its exits. A single failure says nothing yet.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::limits;

/// How an application is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// It was not asked often enough to say.
    Unknown,
    /// It is well.
    Healthy,
    /// It fails its check.
    Unhealthy,
    /// Its container ended, and was not seen well since.
    Exited,
    /// Its container ends again and again.
    CrashLooping,
}

/// What changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// It failed so many checks.
    Unhealthy(u32),
    /// It is well again, after that time.
    Recovered(Duration),
    /// Its container ended.
    Exited,
    /// It ended so often within the time that counts.
    CrashLooping(u32),
}

/// What is known of an application's health.
#[derive(Debug, Clone)]
pub(super) struct Wellness {
    pub(super) condition: Condition,
    /// Checks that failed, one after another.
    pub(super) failures: u32,
    /// Checks that were good, one after another.
    successes: u32,
    /// When it was not well for the first time.
    bad_since: Option<Instant>,
    /// When it ended, within the time that counts.
    exits: VecDeque<Instant>,
}

impl Default for Wellness {
    fn default() -> Self {
        let exits = VecDeque::new();
        Self { condition: Condition::Unknown, failures: 0, successes: 0, bad_since: None, exits }
    }
}

impl Wellness {
    /// A check came to this.
    pub(super) fn checked(&mut self, healthy: bool, now: Instant) -> Option<Change> {
        if healthy { self.succeeded(now) } else { self.failed(now) }
    }

    fn succeeded(&mut self, now: Instant) -> Option<Change> {
        (self.failures, self.successes) = (0, self.successes.saturating_add(1));
        match self.condition {
            Condition::Healthy => {
                self.bad_since = None;
                None
            }
            Condition::Unknown => {
                self.condition = Condition::Healthy;
                None
            }
            _ if self.successes < limits::SUCCESSES_TO_RECOVER => None,
            Condition::CrashLooping if !self.is_quiet(now) => None,
            _ => {
                // Exits are not forgotten: in a slow loop it is well for some seconds between two of them.
                self.condition = Condition::Healthy;
                let bad_since = self.bad_since.take().unwrap_or(now);
                Some(Change::Recovered(now.saturating_duration_since(bad_since)))
            }
        }
    }

    fn failed(&mut self, now: Instant) -> Option<Change> {
        (self.failures, self.successes) = (self.failures.saturating_add(1), 0);
        self.bad_since.get_or_insert(now);
        let told = matches!(self.condition, Condition::Unhealthy | Condition::CrashLooping);
        if told || self.failures < limits::FAILURES_TO_TELL {
            return None;
        }
        self.condition = Condition::Unhealthy;
        Some(Change::Unhealthy(self.failures))
    }

    /// Its container ended.
    pub(super) fn exited(&mut self, now: Instant) -> Option<Change> {
        self.successes = 0;
        self.bad_since.get_or_insert(now);
        self.exits.push_back(now);
        while self.exits.front().is_some_and(|first| now.saturating_duration_since(*first) > limits::CRASH_WINDOW) {
            self.exits.pop_front();
        }
        if self.condition == Condition::CrashLooping {
            // Only the last one is needed from here on.
            self.exits.drain(..self.exits.len() - 1);
            return None;
        }
        let exits = u32::try_from(self.exits.len()).unwrap_or(u32::MAX);
        if exits >= limits::CRASHES_TO_TELL {
            self.condition = Condition::CrashLooping;
            return Some(Change::CrashLooping(exits));
        }
        self.condition = Condition::Exited;
        Some(Change::Exited)
    }

    /// Whether it has not ended for a while.
    fn is_quiet(&self, now: Instant) -> bool {
        self.exits.back().is_none_or(|last| now.saturating_duration_since(*last) >= limits::CRASH_QUIET)
    }

    /// Whether it is as it should be, as far as is known.
    pub(super) fn is_steady(&self) -> bool {
        self.failures == 0 && self.condition == Condition::Healthy
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Plays checks (`+`, `-`) and exits (`x`), a second apart; `.` is a minute without anything.
    fn play(script: &str) -> Vec<Change> {
        let (mut wellness, mut now) = (Wellness::default(), Instant::now());
        let mut changes = Vec::new();
        for happened in script.chars() {
            now += if happened == '.' { 60 * SECOND } else { SECOND };
            changes.extend(match happened {
                '+' => wellness.checked(true, now),
                '-' => wellness.checked(false, now),
                'x' => wellness.exited(now),
                _ => None,
            });
        }
        changes
    }

    #[test]
    fn a_flap_is_not_told() {
        assert_eq!(play("++-+--+--+-+"), []);
    }

    #[test]
    fn three_failures_are_told_once_and_two_successes_end_them() {
        let recovered = Change::Recovered(6 * SECOND);
        assert_eq!(play("+----+-++"), [Change::Unhealthy(3), Change::Recovered(7 * SECOND)]);
        assert_eq!(play("---+-++"), [Change::Unhealthy(3), recovered]);
    }

    #[test]
    fn an_exit_is_told_at_once_and_so_is_its_end() {
        assert_eq!(play("+x++"), [Change::Exited, Change::Recovered(2 * SECOND)]);
        assert_eq!(play("+x---"), [Change::Exited, Change::Unhealthy(3)]);
    }

    #[test]
    fn a_crash_loop_is_told_once_until_it_is_quiet() {
        let told = [Change::Exited, Change::Exited, Change::CrashLooping(3)];
        assert_eq!(play("xxxxxxx++++xx-----"), told);
        let calm = play("xxxx++.++");
        assert_eq!(calm[..3], told);
        assert!(matches!(calm[3], Change::Recovered(_)) && calm.len() == 4, "{calm:?}");
    }

    #[test]
    fn a_loop_is_seen_where_it_is_well_for_some_seconds_between_two_exits() {
        let changes = play("x+++x+++x+++");
        assert!(matches!(changes[..], [.., Change::CrashLooping(3)]), "{changes:?}");
    }

    #[test]
    fn exits_that_lie_far_apart_are_no_loop() {
        let changes = play("x++......x++......x++......x");
        assert!(!changes.iter().any(|change| matches!(change, Change::CrashLooping(_))), "{changes:?}");
    }

    proptest! {
        #[test]
        fn what_is_told_bad_is_told_good_before_it_is_told_bad_again(script in "[-+x.]{0,80}") {
            let mut loops = 0;
            for change in play(&script) {
                match change {
                    Change::CrashLooping(_) => loops += 1,
                    Change::Recovered(_) => loops = 0,
                    _ => prop_assert_eq!(loops, 0),
                }
                prop_assert!(loops <= 1);
            }
        }

        #[test]
        fn exits_cost_bounded_memory(count in 0_usize..2000) {
            let mut wellness = Wellness::default();
            let now = Instant::now();
            for _ in 0..count {
                wellness.exited(now);
            }
            prop_assert!(wellness.exits.len() <= 4);
        }
    }
}
