//! What many links share: places, monitors, memory. A link that takes much leaves as much to the others.

use std::collections::HashMap;

/// An amount that is shared. A link may take more as long as what it then holds is no more than what is left: one alone gets
/// half at most, a second a quarter, and there is always something left for the next.
#[derive(Debug)]
pub(super) struct Share {
    limit: usize,
    taken: usize,
    by_link: HashMap<u64, usize>,
}

impl Share {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, taken: 0, by_link: HashMap::new() }
    }

    /// Takes `amount` for a link, or for this node itself, which may take all that is left; `false` if it is too much.
    pub(super) fn take(&mut self, link: Option<u64>, amount: usize) -> bool {
        let Some(left) = self.limit.saturating_sub(self.taken).checked_sub(amount) else { return false };
        if let Some(link) = link {
            let held = self.by_link.entry(link).or_default();
            if *held + amount > left {
                return false;
            }
            *held += amount;
        }
        self.taken += amount;
        true
    }

    /// Gives back what [`Share::take`] took.
    pub(super) fn give_back(&mut self, link: Option<u64>, amount: usize) {
        self.taken = self.taken.saturating_sub(amount);
        let Some(link) = link else { return };
        if let Some(held) = self.by_link.get_mut(&link) {
            *held = held.saturating_sub(amount);
            if *held == 0 {
                self.by_link.remove(&link);
            }
        }
    }

    /// What is taken by all.
    pub(super) fn taken(&self) -> usize {
        self.taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_takes_all_it_can_leaves_as_much_and_the_next_finds_room() {
        let mut share = Share::new(100);
        for link in 0..5 {
            while share.take(Some(link), 1) {}
        }
        assert_eq!(share.by_link[&0], 50);
        assert_eq!(share.by_link[&1], 25);
        assert!(share.taken() < 100);
        assert!(share.take(Some(9), 1));
    }

    #[test]
    fn this_node_itself_may_take_what_is_left() {
        let mut share = Share::new(10);
        assert!(share.take(None, 9));
        assert!(!share.take(None, 2));
        assert!(share.take(None, 1));
    }

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let mut share = Share::new(10);
        assert!(share.take(Some(1), 5));
        assert!(!share.take(Some(1), 1));
        share.give_back(Some(1), 5);
        assert_eq!((share.taken(), share.by_link.len()), (0, 0));
        assert!(share.take(Some(1), 5));
    }
}
