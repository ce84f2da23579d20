//! Linux, by `/proc` and the file systems.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;

use super::{CpuTime, Disk, DiskOf, Machine, MachineLook, OwnProcess, Room, parse};
use crate::host::RuntimeKind;
use crate::host::files::blocking;

/// Where engines that run as root keep images and containers, unless they are told otherwise. In a container they are not
/// seen.
const ENGINES: [(RuntimeKind, &str); 2] =
    [(RuntimeKind::Docker, "/var/lib/docker"), (RuntimeKind::Podman, "/var/lib/containers/storage")];

/// This machine.
#[derive(Debug, Clone)]
pub struct LinuxMachine {
    data_dir: PathBuf,
}

impl LinuxMachine {
    /// The machine, and the disk of `data_dir`.
    pub fn new(data_dir: &Path) -> Self {
        Self { data_dir: data_dir.to_owned() }
    }
}

#[async_trait]
impl Machine for LinuxMachine {
    async fn look(&self) -> io::Result<MachineLook> {
        let data_dir = self.data_dir.clone();
        blocking(move || look(&data_dir)).await
    }
}

fn look(data_dir: &Path) -> io::Result<MachineLook> {
    let (cpus, ticks) = read("/proc/stat", parse::stat)?;
    let (memory, swap) = read("/proc/meminfo", parse::meminfo)?;
    let engines = ENGINES.map(|(kind, path)| (DiskOf::Runtime(kind), Path::new(path)));
    let disks = [(DiskOf::Data, data_dir)].into_iter().chain(engines);
    Ok(MachineLook {
        cpus,
        cpu: CpuTime { busy: time(ticks.busy), all: time(ticks.all) },
        load: read("/proc/loadavg", parse::loadavg)?,
        memory,
        swap,
        uptime: read("/proc/uptime", parse::uptime)?,
        disks: disks.filter_map(|(of, path)| disk(of, path)).collect(),
        agent: own()?,
    })
}

fn own() -> io::Result<OwnProcess> {
    let (ticks, threads) = read("/proc/self/stat", parse::process_stat)?;
    let pages = read("/proc/self/statm", parse::resident_pages)?;
    Ok(OwnProcess {
        memory: pages.saturating_mul(rustix::param::page_size() as u64),
        cpu: time(ticks),
        threads,
        // The directory that is read is one of them.
        open_files: (fs::read_dir("/proc/self/fd")?.count() as u64).saturating_sub(1),
    })
}

fn time(ticks: u64) -> Duration {
    Duration::from_millis(ticks.saturating_mul(1000) / rustix::param::clock_ticks_per_second().max(1))
}

fn read<T>(path: &str, parse: impl FnOnce(&str) -> Option<T>) -> io::Result<T> {
    let text = fs::read_to_string(path)?;
    parse(&text).ok_or_else(|| io::Error::new(ErrorKind::InvalidData, format!("{path} is not understood")))
}

/// The disk of a directory; none where the directory is not there or cannot be seen.
fn disk(of: DiskOf, path: &Path) -> Option<Disk> {
    let seen = rustix::fs::statvfs(path).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(seen.f_frsize);
    Some(Disk {
        of,
        path: path.to_owned(),
        // What is kept for root alone is none of it.
        bytes: room(bytes(seen.f_blocks), bytes(seen.f_bfree), bytes(seen.f_bavail)),
        inodes: room(seen.f_files, seen.f_ffree, seen.f_favail),
    })
}

/// As `df` has it: used and free make the whole.
fn room(total: u64, free: u64, available: u64) -> Room {
    Room { total: total.saturating_sub(free.saturating_sub(available)), free: available }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn this_machine_tells_its_figures() {
        let dir = tempfile::tempdir().unwrap();
        let machine = LinuxMachine::new(dir.path());
        let look = machine.look().await.unwrap();
        assert!(look.cpus > 0 && look.cpu.busy > Duration::ZERO && look.cpu.busy <= look.cpu.all, "{look:?}");
        assert!(look.memory.free > 0 && look.memory.free < look.memory.total, "{look:?}");
        assert!(look.swap.free <= look.swap.total && look.uptime > Duration::ZERO, "{look:?}");
        assert!(look.agent.memory > 1024 * 1024 && look.agent.threads > 0 && look.agent.open_files > 2, "{look:?}");
        let data = look.disks.first().unwrap();
        assert_eq!((data.of, data.path.as_path()), (DiskOf::Data, dir.path()));
        assert!(data.bytes.free > 0 && data.bytes.free <= data.bytes.total, "{look:?}");
    }

    #[tokio::test]
    async fn a_directory_that_is_not_there_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let look = LinuxMachine::new(&dir.path().join("missing")).look().await.unwrap();
        assert!(look.disks.iter().all(|disk| disk.of != DiskOf::Data), "{look:?}");
    }

    #[test]
    fn what_is_kept_for_root_is_no_room() {
        assert_eq!(room(100, 30, 25), Room { total: 95, free: 25 });
        assert_eq!(room(100, 30, 25).used(), 70);
    }
}
