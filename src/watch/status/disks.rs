//! Disks on which little is left: each is told once, until there is room again.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::host::{Disk, Room};
use crate::limits;

/// The disks that were told.
#[derive(Debug, Default)]
pub(super) struct LowDisks(BTreeSet<PathBuf>);

impl LowDisks {
    /// Those that have become low, each with what is left of what there is too little of: bytes, or files.
    pub(super) fn looked(&mut self, disks: &[Disk]) -> Vec<(String, Room)> {
        let mut told = Vec::new();
        for disk in disks {
            let low = [disk.bytes, disk.inodes].into_iter().find(|room| is_low(*room, 1));
            if let Some(room) = low {
                if self.0.insert(disk.path.clone()) {
                    told.push((disk.path.display().to_string(), room));
                }
            } else if ![disk.bytes, disk.inodes].into_iter().any(|room| is_low(room, 2)) {
                // Not at once, so that it does not go to and fro.
                self.0.remove(&disk.path);
            }
        }
        told
    }
}

/// Whether less than so many times the least part is left. Where nothing is counted nothing is low.
fn is_low(room: Room, times: u64) -> bool {
    room.total > 0 && room.free < room.total / limits::DISK_LOW_PART * times
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::DiskOf;

    fn disk(free: u64, inodes: (u64, u64)) -> Disk {
        let inodes = Room { total: inodes.0, free: inodes.1 };
        Disk { of: DiskOf::Data, path: "/data".into(), bytes: Room { total: 1000, free }, inodes }
    }

    #[test]
    fn a_disk_is_told_once_until_there_is_room_again() {
        let mut low = LowDisks::default();
        let told: Vec<usize> =
            [500, 49, 10, 60, 40, 101, 49].map(|free| low.looked(&[disk(free, (0, 0))]).len()).into();
        assert_eq!(told, [0, 1, 0, 0, 0, 0, 1]);
    }

    #[test]
    fn a_disk_without_room_for_files_is_low_as_well() {
        let told = LowDisks::default().looked(&[disk(500, (1000, 3))]);
        assert_eq!(told, [("/data".to_owned(), Room { total: 1000, free: 3 })]);
    }
}
