//! Figures of the machine itself: how busy it is, what room it has.

mod linux;
mod parse;

pub use linux::LinuxMachine;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;

use super::RuntimeKind;

/// The machine that the agent runs on.
#[async_trait]
pub trait Machine: Send + Sync {
    /// What can be seen of it now. A disk that does not answer holds it up.
    ///
    /// # Errors
    /// The system does not tell.
    async fn look(&self) -> io::Result<MachineLook>;
}

/// What was seen of a machine at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct MachineLook {
    /// Processors that work.
    pub cpus: usize,
    /// Their time since the machine's start.
    pub cpu: CpuTime,
    /// Processes that want to run, on average over 1, 5 and 15 minutes.
    pub load: [f64; 3],
    /// Bytes of memory; free is what programs can still get.
    pub memory: Room,
    /// Bytes of swap.
    pub swap: Room,
    /// Since its start.
    pub uptime: Duration,
    /// Disks that matter to the agent.
    pub disks: Vec<Disk>,
    /// The agent's own process.
    pub agent: OwnProcess,
}

/// Time of all processors together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CpuTime {
    /// In which something ran.
    pub busy: Duration,
    /// In all.
    pub all: Duration,
}

impl CpuTime {
    /// How busy they were since an earlier look, in percent of all processors; none if no time went by.
    pub fn percent_since(self, earlier: Self) -> Option<f64> {
        let all = self.all.checked_sub(earlier.all).filter(|all| !all.is_zero())?;
        let busy = self.busy.saturating_sub(earlier.busy).min(all);
        Some(busy.div_duration_f64(all) * 100.0)
    }
}

/// How much there is of something, and how much of that is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Room {
    /// In all.
    pub total: u64,
    /// Not used.
    pub free: u64,
}

impl Room {
    /// What is used.
    pub fn used(self) -> u64 {
        self.total.saturating_sub(self.free)
    }
}

/// A disk, by a directory on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// Whose directory it is.
    pub of: DiskOf,
    /// The directory.
    pub path: PathBuf,
    /// Bytes; free is what the agent's user can get.
    pub bytes: Room,
    /// Files; all zero where the file system does not count them.
    pub inodes: Room,
}

/// Whose directory is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskOf {
    /// The agent's.
    Data,
    /// A container engine's.
    Runtime(RuntimeKind),
}

/// The agent's own process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OwnProcess {
    /// Bytes of memory that it has now.
    pub memory: u64,
    /// Time of processors that it used.
    pub cpu: Duration,
    /// Its threads.
    pub threads: u64,
    /// Files and sockets that it has open.
    pub open_files: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_as_busy_as_they_were_between_two_looks() {
        let look = |busy, all| CpuTime { busy: Duration::from_millis(busy), all: Duration::from_millis(all) };
        assert_eq!(look(150, 300).percent_since(look(100, 200)), Some(50.0));
        assert_eq!(look(100, 200).percent_since(look(100, 200)), None);
        // Some kernels let a counter go back a little.
        assert_eq!(look(99, 210).percent_since(look(100, 200)), Some(0.0));
        assert_eq!(look(1, 100).percent_since(look(100, 200)), None);
    }
}
