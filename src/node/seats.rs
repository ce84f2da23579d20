//! Seats for strangers: whoever has not shown that it knows the cookie holds one, and there are so many and no more.
//!
//! One more than the bound takes the place of another: of the source that holds the most seats, the oldest goes. So a flood
//! drives out itself, and an honest peer, which needs milliseconds, is kept. Handshakes have two such rooms: whoever sent a
//! valid name moves on to the second, where those that send nothing do not reach it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::limits;

/// Clones share the seats.
#[derive(Clone)]
pub(super) struct Seats(Arc<Inner>);

struct Inner {
    /// Of each of the two rooms.
    most: usize,
    /// How many may be about, those included that were driven out and have not left yet.
    about: Arc<Semaphore>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    last: u64,
    nameless: Room,
    named: Room,
}

/// Seats by their source, the oldest first.
#[derive(Default)]
struct Room {
    taken: usize,
    held: HashMap<IpAddr, BTreeMap<u64, CancellationToken>>,
}

/// A stranger's place; given back when it is dropped.
pub(super) struct Seat {
    seats: Seats,
    number: u64,
    /// Where the stranger comes from.
    pub(super) from: IpAddr,
    /// Cancelled when the place is needed for another.
    pub(super) given_up: CancellationToken,
    _about: Option<OwnedSemaphorePermit>,
}

impl Seats {
    pub(super) fn new(most: usize) -> Self {
        let about = Arc::new(Semaphore::new(2 * most + limits::LEAVING_STRANGERS));
        Self(Arc::new(Inner { most, about, state: Mutex::default() }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Seats a stranger. Waits while many that were driven out are still to leave, never for those that sit.
    pub(super) async fn enter(&self, from: IpAddr) -> Seat {
        // The semaphore is never closed.
        let about = self.0.about.clone().acquire_owned().await.ok();
        let mut state = self.state();
        state.last += 1;
        let (number, given_up) = (state.last, CancellationToken::new());
        let seat = Seat { seats: self.clone(), number, from, given_up, _about: about };
        state.nameless.put(&seat, self.0.most);
        seat
    }
}

impl Seat {
    /// Its stranger said a name that a node may have.
    pub(super) fn named(&self) {
        let mut state = self.seats.state();
        if state.nameless.take(source(self.from), self.number).is_some() {
            state.named.put(self, self.seats.0.most);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut state = self.seats.state();
        state.nameless.take(source(self.from), self.number);
        state.named.take(source(self.from), self.number);
    }
}

impl Room {
    fn put(&mut self, seat: &Seat, most: usize) {
        if self.taken >= most
            && let Some((source, oldest)) = self.victim()
            && let Some(given_up) = self.take(source, oldest)
        {
            given_up.cancel();
        }
        self.held.entry(source(seat.from)).or_default().insert(seat.number, seat.given_up.clone());
        self.taken += 1;
    }

    /// Of the source that holds the most seats, the oldest.
    fn victim(&self) -> Option<(IpAddr, u64)> {
        let oldest = self.held.iter().filter_map(|(source, seats)| Some((*source, *seats.keys().next()?, seats.len())));
        oldest.max_by_key(|(_, number, held)| (*held, Reverse(*number))).map(|(source, number, _)| (source, number))
    }

    fn take(&mut self, source: IpAddr, number: u64) -> Option<CancellationToken> {
        let seats = self.held.get_mut(&source)?;
        let taken = seats.remove(&number)?;
        if seats.is_empty() {
            self.held.remove(&source);
        }
        self.taken -= 1;
        Some(taken)
    }
}

/// What counts as one source: an address, or the 64 bits of a network, which one machine of IPv6 commands.
pub(super) fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// Strangers that take a seat one after the other, and leave when they are driven out; those that sit in the end.
    async fn flood(seats: &Seats, from: impl Iterator<Item = String>, named: bool) -> Vec<Seat> {
        let mut sitting: Vec<Seat> = Vec::new();
        for from in from {
            let seat = seats.enter(ip(&from)).await;
            if named {
                seat.named();
            }
            sitting.push(seat);
            sitting.retain(|seat| !seat.given_up.is_cancelled());
        }
        sitting
    }

    fn same(from: &str, count: usize) -> impl Iterator<Item = String> {
        std::iter::repeat_n(from.to_owned(), count)
    }

    #[tokio::test]
    async fn one_more_takes_the_place_of_the_oldest_of_the_source_that_holds_the_most() {
        let seats = Seats::new(4);
        let honest = seats.enter(ip("10.0.0.1")).await;
        let sitting = flood(&seats, same("10.0.0.66", 6), false).await;
        assert!(!honest.given_up.is_cancelled());
        assert_eq!(sitting.iter().map(|seat| seat.number).collect::<Vec<_>>(), [5, 6, 7]);
    }

    #[tokio::test]
    async fn a_source_with_one_seat_stays_whatever_a_flood_from_elsewhere_does() {
        let seats = Seats::new(8);
        let honest = seats.enter(ip("2001:db8::1")).await;
        let sitting = flood(&seats, (0..1_000).map(|n| format!("2001:db8:66::{n:x}")), false).await;
        assert!(!honest.given_up.is_cancelled());
        assert_eq!(sitting.len(), 7);
    }

    #[tokio::test]
    async fn whoever_said_its_name_is_not_reached_by_those_that_are_silent() {
        let seats = Seats::new(4);
        let honest = flood(&seats, same("10.0.0.1", 2), true).await;
        // From its own address, and from everywhere.
        let near = flood(&seats, same("10.0.0.1", 10), false).await;
        let far = flood(&seats, (0..200).map(|n| format!("10.0.1.{n}")), false).await;
        assert!(honest.iter().all(|seat| !seat.given_up.is_cancelled()));
        drop((near, far));
    }

    #[tokio::test]
    async fn a_flood_of_names_without_an_answer_drives_out_itself() {
        let seats = Seats::new(4);
        let honest = seats.enter(ip("10.0.0.1")).await;
        let before = flood(&seats, same("10.0.0.66", 50), true).await;
        honest.named();
        let after = flood(&seats, same("10.0.0.66", 50), true).await;
        assert!(!honest.given_up.is_cancelled());
        drop((before, after));
    }

    #[tokio::test(start_paused = true)]
    async fn newcomers_wait_until_some_that_were_driven_out_have_left() {
        let seats = Seats::new(1);
        let mut all = Vec::new();
        for _ in 0..2 + limits::LEAVING_STRANGERS {
            all.push(seats.enter(ip("10.0.0.1")).await);
        }
        let one_more = timeout(Duration::from_secs(1), seats.enter(ip("10.0.0.1"))).await;
        assert!(one_more.is_err());
        all.swap_remove(0);
        seats.enter(ip("10.0.0.1")).await;
    }

    #[tokio::test]
    async fn a_seat_is_given_back() {
        let seats = Seats::new(2);
        let first = seats.enter(ip("10.0.0.1")).await;
        for _ in 0..10 {
            drop(seats.enter(ip("10.0.0.2")).await);
        }
        assert!(!first.given_up.is_cancelled());
        drop(first);
        seats.enter(ip("10.0.0.1")).await.named();
        let state = seats.state();
        assert_eq!((state.nameless.taken, state.named.taken), (0, 0));
        assert!(state.nameless.held.is_empty() && state.named.held.is_empty());
    }

    #[test]
    fn a_source_is_an_address_of_ipv4_or_a_network_of_ipv6() {
        assert_eq!(source(ip("::ffff:10.0.0.1")), ip("10.0.0.1"));
        assert_eq!(source(ip("2001:db8:1:2:3:4:5:6")), ip("2001:db8:1:2::"));
        assert_eq!(source(ip("::1")), ip("::1"));
    }
}
