//! Whose turn it is: one run an application at a time, in the order of arrival; different applications side by side.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::limits;

/// The runs of all applications. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Queue(Arc<Mutex<Lines>>);

#[derive(Default)]
struct Lines {
    by_app: HashMap<String, VecDeque<Place>>,
    runs: usize,
    tickets: u64,
}

/// The first of a line has its turn.
struct Place {
    number: u64,
    called: Arc<Notify>,
}

/// There is no room to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct QueueFull;

/// A place in an application's line; dropping it, waiting or having its turn, leaves the line.
pub(super) struct Ticket {
    queue: Queue,
    app_id: String,
    number: u64,
    called: Arc<Notify>,
}

impl Queue {
    /// Takes the last place of the application's line, at once.
    pub(super) fn enter(&self, app_id: &str) -> Result<Ticket, QueueFull> {
        let mut lines = self.lock();
        let waiting = lines.by_app.get(app_id).map_or(0, VecDeque::len);
        if lines.runs >= limits::RUNS || waiting > limits::WAITING_RUNS {
            return Err(QueueFull);
        }
        lines.runs += 1;
        lines.tickets += 1;
        let (number, called) = (lines.tickets, Arc::new(Notify::new()));
        let line = lines.by_app.entry(app_id.to_owned()).or_default();
        if line.is_empty() {
            called.notify_one();
        }
        line.push_back(Place { number, called: Arc::clone(&called) });
        Ok(Ticket { queue: self.clone(), app_id: app_id.to_owned(), number, called })
    }

    /// How many runs of an application there are.
    pub(super) fn waiting(&self, app_id: &str) -> usize {
        self.lock().by_app.get(app_id).map_or(0, VecDeque::len)
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket {
    /// How many of its line are before it.
    pub(super) fn ahead(&self) -> usize {
        let lines = self.queue.lock();
        let line = lines.by_app.get(&self.app_id);
        line.and_then(|line| line.iter().position(|place| place.number == self.number)).unwrap_or(0)
    }

    /// Waits for the turn, which lasts until the ticket is dropped. To be awaited once.
    pub(super) async fn turn(&self) {
        self.called.notified().await;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut lines = self.queue.lock();
        lines.runs -= 1;
        let Some(line) = lines.by_app.get_mut(&self.app_id) else { return };
        let had_turn = line.front().is_some_and(|first| first.number == self.number);
        line.retain(|place| place.number != self.number);
        match line.front() {
            Some(next) if had_turn => next.called.notify_one(),
            Some(_) => {}
            None => {
                lines.by_app.remove(&self.app_id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn has_turn(ticket: &Ticket) -> bool {
        ticket.turn().now_or_never().is_some()
    }

    #[test]
    fn one_application_goes_in_the_order_of_arrival() {
        let queue = Queue::default();
        let [first, second, third] = [(); 3].map(|()| queue.enter("shop").unwrap());
        assert_eq!([&first, &second, &third].map(Ticket::ahead), [0, 1, 2]);
        assert!(has_turn(&first));
        assert!(!has_turn(&second));
        drop(first);
        assert!(!has_turn(&third));
        assert!(has_turn(&second));
        drop(second);
        assert!(has_turn(&third));
    }

    #[test]
    fn who_leaves_while_waiting_lets_nobody_pass() {
        let queue = Queue::default();
        let [first, second, third] = [(); 3].map(|()| queue.enter("shop").unwrap());
        drop(second);
        assert!(!has_turn(&third));
        drop(first);
        assert!(has_turn(&third));
    }

    #[test]
    fn different_applications_do_not_wait_for_one_another() {
        let queue = Queue::default();
        let [shop, blog] = ["shop", "blog"].map(|app| queue.enter(app).unwrap());
        assert!(has_turn(&shop) && has_turn(&blog));
    }

    #[test]
    fn a_line_is_bounded_and_nothing_stays_of_those_who_left() {
        let queue = Queue::default();
        let tickets: Vec<_> = std::iter::from_fn(|| queue.enter("shop").ok()).collect();
        assert_eq!(tickets.len(), limits::WAITING_RUNS + 1, "one has its turn, the others wait");
        assert!(queue.enter("blog").is_ok());
        drop(tickets);
        assert!(queue.lock().by_app.is_empty());
        assert_eq!(queue.lock().runs, 0);
    }
}
