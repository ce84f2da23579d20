//! Seats for strangers: whoever has not shown that it knows the cookie holds one, and there are so many and no more.
//!
//! One more than the bound takes the place of another: of the source that holds the most seats, the oldest goes. So a flood
//! drives out itself, and an honest peer, which needs milliseconds, is kept. Handshakes have two such rooms: whoever sent a
//! valid name moves on to the second, where those that send nothing do not reach it.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// The seats, by the order in which they were taken.
pub(super) struct Seats {
    /// Of each of the two rooms.
    most: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    last: u64,
    taken: BTreeMap<u64, Taken>,
}

struct Taken {
    source: IpAddr,
    named: bool,
    given_up: CancellationToken,
}

/// A stranger's place; given back when it is dropped.
pub(super) struct Seat<'a> {
    seats: &'a Seats,
    number: u64,
    /// Cancelled when the place is needed for another.
    pub(super) given_up: CancellationToken,
}

impl Seats {
    pub(super) fn new(most: usize) -> Self {
        Self { most, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn enter(&self, from: IpAddr) -> Seat<'_> {
        let mut state = self.state();
        state.make_room(self.most, false);
        state.last += 1;
        let (number, given_up) = (state.last, CancellationToken::new());
        state.taken.insert(number, Taken { source: source(from), named: false, given_up: given_up.clone() });
        Seat { seats: self, number, given_up }
    }
}

impl Seat<'_> {
    /// Its stranger said a name that a node may have.
    pub(super) fn named(&self) {
        let mut state = self.seats.state();
        if state.taken.contains_key(&self.number) {
            state.make_room(self.seats.most, true);
        }
        if let Some(taken) = state.taken.get_mut(&self.number) {
            taken.named = true;
        }
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.seats.state().taken.remove(&self.number);
    }
}

impl State {
    fn make_room(&mut self, most: usize, named: bool) {
        let room = || self.taken.iter().filter(|(_, taken)| taken.named == named);
        if room().count() < most {
            return;
        }
        let mut held: HashMap<IpAddr, usize> = HashMap::new();
        for (_, taken) in room() {
            *held.entry(taken.source).or_default() += 1;
        }
        let crowd = held.values().max();
        // The oldest come first.
        let victim = room().find(|(_, taken)| held.get(&taken.source) == crowd).map(|(number, _)| *number);
        if let Some(taken) = victim.and_then(|number| self.taken.remove(&number)) {
            taken.given_up.cancel();
        }
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
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn given_up(seats: &[Seat<'_>]) -> Vec<bool> {
        seats.iter().map(|seat| seat.given_up.is_cancelled()).collect()
    }

    #[test]
    fn one_more_takes_the_place_of_the_oldest_of_the_source_that_holds_the_most() {
        let seats = Seats::new(4);
        let honest = seats.enter(ip("10.0.0.1"));
        let flood: Vec<_> = (0..6).map(|_| seats.enter(ip("10.0.0.66"))).collect();
        assert!(!honest.given_up.is_cancelled());
        assert_eq!(given_up(&flood), [true, true, true, false, false, false]);
    }

    #[test]
    fn a_source_with_one_seat_stays_whatever_a_flood_from_elsewhere_does() {
        let seats = Seats::new(8);
        let honest = seats.enter(ip("2001:db8::1"));
        let flood: Vec<_> = (0..1_000).map(|n| seats.enter(ip(&format!("2001:db8:66::{n:x}")))).collect();
        assert!(!honest.given_up.is_cancelled());
        assert_eq!(flood.iter().filter(|seat| !seat.given_up.is_cancelled()).count(), 7);
    }

    #[test]
    fn whoever_said_its_name_is_not_reached_by_those_that_are_silent() {
        let seats = Seats::new(4);
        let honest = [seats.enter(ip("10.0.0.1")), seats.enter(ip("10.0.0.1"))];
        honest.iter().for_each(Seat::named);
        // From its own address, and from everywhere.
        let near: Vec<_> = (0..10).map(|_| seats.enter(ip("10.0.0.1"))).collect();
        let far: Vec<_> = (0..200).map(|n| seats.enter(ip(&format!("10.0.1.{n}")))).collect();
        assert_eq!(given_up(&honest), [false, false]);
        drop((near, far));
    }

    #[test]
    fn a_flood_of_names_without_an_answer_drives_out_itself() {
        let seats = Seats::new(4);
        let honest = seats.enter(ip("10.0.0.1"));
        let flood: Vec<_> = (0..50).map(|_| seats.enter(ip("10.0.0.66"))).inspect(Seat::named).collect();
        honest.named();
        let more: Vec<_> = (0..50).map(|_| seats.enter(ip("10.0.0.66"))).inspect(Seat::named).collect();
        assert!(!honest.given_up.is_cancelled());
        drop((flood, more));
    }

    #[test]
    fn a_seat_is_given_back() {
        let seats = Seats::new(2);
        let first = seats.enter(ip("10.0.0.1"));
        for _ in 0..10 {
            drop(seats.enter(ip("10.0.0.2")));
        }
        assert!(!first.given_up.is_cancelled());
        drop(first);
        assert!(seats.state().taken.is_empty());
    }

    #[test]
    fn a_source_is_an_address_of_ipv4_or_a_network_of_ipv6() {
        assert_eq!(source(ip("::ffff:10.0.0.1")), ip("10.0.0.1"));
        assert_eq!(source(ip("2001:db8:1:2:3:4:5:6")), ip("2001:db8:1:2::"));
        assert_eq!(source(ip("::1")), ip("::1"));
    }
}
