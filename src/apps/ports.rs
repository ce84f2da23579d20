//! Ports of this machine for applications.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::host::Network;

/// Every port of the range is allocated or listened on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no port between {first} and {last} is free")]
pub struct Exhausted {
    /// First port of the range.
    pub first: u16,
    /// Last port of the range.
    pub last: u16,
}

/// Gives out ports. Clones share it; every call answers at once.
#[derive(Clone)]
pub struct PortManager {
    range: RangeInclusive<u16>,
    network: Arc<dyn Network>,
    taken: Arc<Mutex<BTreeSet<u16>>>,
}

impl PortManager {
    /// A manager of the ports in `range`, both ends included.
    pub fn new(range: RangeInclusive<u16>, network: Arc<dyn Network>) -> Self {
        Self { range, network, taken: Arc::default() }
    }

    /// Allocates a random port of the range that neither is allocated nor has a listener on this machine.
    ///
    /// # Errors
    /// There is none.
    pub fn allocate(&self) -> Result<u16, Exhausted> {
        let mut taken = self.lock();
        let (first, last) = (*self.range.start(), *self.range.end());
        let exhausted = Exhausted { first, last };
        if first > last {
            return Err(exhausted);
        }
        let start = rand::random_range(first..=last);
        // From a random port on and round once, so that a full range is found full in one walk.
        let port = (start..=last).chain(first..start).find(|p| !taken.contains(p) && self.network.port_is_free(*p));
        let port = port.ok_or(exhausted)?;
        taken.insert(port);
        Ok(port)
    }

    /// Marks a port as allocated that something of ours has already, of whatever range.
    pub fn claim(&self, port: u16) {
        self.lock().insert(port);
    }

    /// Gives a port back; one that was not allocated stays so.
    pub fn release(&self, port: u16) {
        self.lock().remove(&port);
    }

    /// Whether the port is allocated.
    pub fn in_use(&self, port: u16) -> bool {
        self.lock().contains(&port)
    }

    /// All allocated ports in ascending order.
    pub fn list_allocated(&self) -> Vec<u16> {
        self.lock().iter().copied().collect()
    }

    /// First and last port of the range.
    pub fn range(&self) -> (u16, u16) {
        (*self.range.start(), *self.range.end())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<u16>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;
    use crate::host::{Connection, Download, DownloadError, Probe, ProbeAnswer, Transfer};
    use tokio::sync::watch;

    /// A machine on which somebody listens on these ports.
    struct Listening(Vec<u16>);

    #[async_trait]
    impl Network for Listening {
        async fn connections(&self, _: &[u16]) -> std::io::Result<Vec<Connection>> {
            unreachable!("ports are looked at, not asked")
        }

        async fn download(&self, _: &Download, _: watch::Sender<Transfer>) -> Result<(), DownloadError> {
            unreachable!("ports are looked at, not asked")
        }

        async fn owners(&self, _: &[Connection]) -> Vec<String> {
            unreachable!("ports are looked at, not asked")
        }

        async fn probe(&self, _: &Probe) -> ProbeAnswer {
            unreachable!("ports are looked at, not asked")
        }

        fn port_is_free(&self, port: u16) -> bool {
            !self.0.contains(&port)
        }
    }

    fn manager(range: RangeInclusive<u16>, listening: &[u16]) -> PortManager {
        PortManager::new(range, Arc::new(Listening(listening.to_vec())))
    }

    #[test]
    fn each_free_port_is_given_out_once_and_then_there_is_none() {
        let ports = manager(10_000..=10_009, &[10_003]);
        ports.claim(10_007);
        let mut given: Vec<u16> = (0..8).map(|_| ports.allocate().unwrap()).collect();
        given.sort_unstable();
        assert_eq!(given, [10_000, 10_001, 10_002, 10_004, 10_005, 10_006, 10_008, 10_009]);
        assert_eq!(ports.allocate(), Err(Exhausted { first: 10_000, last: 10_009 }));
        assert_eq!(ports.list_allocated().len(), 9);
    }

    #[test]
    fn a_port_that_is_given_back_can_be_had_again() {
        let ports = manager(10_000..=10_000, &[]);
        assert_eq!(ports.allocate(), Ok(10_000));
        assert!(ports.in_use(10_000));
        ports.release(10_000);
        ports.release(10_000);
        assert!(!ports.in_use(10_000));
        assert_eq!(ports.allocate(), Ok(10_000));
    }

    #[test]
    fn the_order_is_random() {
        let first = |_| manager(10_000..=19_999, &[]).allocate().unwrap();
        let firsts: BTreeSet<u16> = (0..8).map(first).collect();
        assert!(firsts.len() > 1, "{firsts:?}");
    }

    #[test]
    fn the_ends_of_all_ports_are_ports() {
        let ports = manager(u16::MAX..=u16::MAX, &[]);
        assert_eq!((ports.allocate(), ports.range()), (Ok(u16::MAX), (u16::MAX, u16::MAX)));
    }
}
