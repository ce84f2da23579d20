//! Figures of this program and its machine, as Linux and the runtime tell them.

use std::fs;
use std::time::Duration;

use tokio::runtime::Handle;

/// Resident memory, in bytes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Resident {
    /// All of it.
    pub(super) total: u64,
    /// Pages of files: of the program itself, so its code and constants.
    pub(super) files: u64,
}

/// Resident memory of this program (proc(5), `/proc/pid/status`).
pub(super) fn resident() -> Resident {
    resident_of(&fs::read_to_string("/proc/self/status").unwrap_or_default())
}

fn resident_of(status: &str) -> Resident {
    let bytes = |key: &str| {
        let value = status.lines().find_map(|line| line.strip_prefix(key));
        let kib = value.and_then(|value| value.split_whitespace().next()?.parse::<u64>().ok());
        kib.unwrap_or(0) * 1024
    };
    Resident { total: bytes("VmRSS:"), files: bytes("RssFile:") }
}

/// Milliseconds of processor time of this program.
pub(super) fn cpu_milliseconds() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Behind the name, which may hold blanks: fields 14 and 15 count ticks of user and system time.
    let fields: Vec<&str> =
        stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect()).unwrap_or_default();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
    (ticks(11) + ticks(12)) * 1000 / rustix::param::clock_ticks_per_second().max(1)
}

/// Processors of the machine: `present` or `online`; `None` where it does not tell.
pub(super) fn processors(which: &str) -> Option<u64> {
    count(fs::read_to_string(format!("/sys/devices/system/cpu/{which}")).ok()?.trim())
}

/// How many numbers a list as `0-3,5` has.
fn count(ranges: &str) -> Option<u64> {
    ranges.split(',').try_fold(0, |sum: u64, part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
        sum.checked_add(last.checked_sub(first)?.checked_add(1)?)
    })
}

/// Processors that this program may use.
pub(super) fn available_processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Threads that run tasks.
pub(super) fn workers() -> usize {
    Handle::try_current().map_or(1, |runtime| runtime.metrics().num_workers())
}

/// For how long each of them was busy.
pub(super) fn busy() -> Vec<Duration> {
    let Ok(runtime) = Handle::try_current() else { return Vec::new() };
    let metrics = runtime.metrics();
    (0..metrics.num_workers()).map(|worker| metrics.worker_total_busy_duration(worker)).collect()
}

/// Tasks that wait for a thread, in the queue that all threads share.
pub(super) fn run_queue() -> usize {
    Handle::try_current().map_or(0, |runtime| runtime.metrics().global_queue_depth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_from_the_status() {
        let status = "Name:\tx\nVmRSS:\t    9000 kB\nRssAnon:\t    4000 kB\nRssFile:\t    5000 kB\n";
        assert_eq!(resident_of(status), Resident { total: 9_216_000, files: 5_120_000 });
        assert_eq!(resident_of("Name:\tx\n"), Resident::default());
        let own = resident();
        assert!(own.total >= own.files && own.files > 0);
    }

    #[test]
    fn processors_are_counted() {
        assert_eq!(count("0"), Some(1));
        assert_eq!(count("0-3,5,8-9"), Some(7));
        assert_eq!((count(""), count("3-1"), count("a")), (None, None, None));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn threads_are_those_of_the_runtime() {
        assert_eq!((workers(), busy().len()), (2, 2));
    }
}
