//! Whether there is room for what comes: refused early, with figures, rather than found out when the disk is full.

use std::path::PathBuf;

use crate::host::{DiskOf, Machine, Room};
use crate::limits;

/// There is too little room.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} has {free} bytes free: {needed} are needed, and {reserve} must be left", path.display())]
pub struct DiskLow {
    /// A directory of the disk.
    pub path: PathBuf,
    /// Bytes that are free.
    pub free: u64,
    /// Bytes that are needed, as far as that is known.
    pub needed: u64,
    /// Bytes that must be left for what runs.
    pub reserve: u64,
}

/// Looks whether so many bytes can be put on all disks of that kind. What cannot be seen is not in the way.
///
/// # Errors
/// On one of them there is too little room.
pub async fn check_room(machine: &dyn Machine, needed: u64, of: impl Fn(DiskOf) -> bool) -> Result<(), DiskLow> {
    let Ok(look) = machine.look().await else { return Ok(()) };
    for disk in look.disks.into_iter().filter(|disk| of(disk.of)) {
        let (free, reserve) = (disk.bytes.free, reserve(disk.bytes));
        if disk.bytes.total > 0 && free < needed.saturating_add(reserve) {
            return Err(DiskLow { path: disk.path, free, needed, reserve });
        }
    }
    Ok(())
}

/// Bytes that can be put on the disk of that kind, where it can be seen.
pub async fn room_for(machine: &dyn Machine, of: DiskOf) -> Option<u64> {
    let look = machine.look().await.ok()?;
    let disk = look.disks.into_iter().find(|disk| disk.of == of && disk.bytes.total > 0)?;
    Some(disk.bytes.free.saturating_sub(reserve(disk.bytes)))
}

/// What must be left: a part of a small disk, so much of a large one.
fn reserve(room: Room) -> u64 {
    (room.total / limits::DISK_LOW_PART).min(limits::DISK_RESERVE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_is_a_part_of_a_small_disk_and_bounded_on_a_large_one() {
        let of = |total| reserve(Room { total, free: 0 });
        assert_eq!((of(1000), of(1 << 40)), (50, limits::DISK_RESERVE));
    }
}
