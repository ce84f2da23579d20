//! Clock, disk, programs.

use std::path::Path;

use rustix::fs::{Access, access, statvfs};
use rustix::io::Errno;

use super::Finding;
use crate::cli::show;
use crate::config::{Config, Environment};
use crate::limits;

/// No machine's clock is right before this program was written: 2026-01-01.
const WRITTEN: i64 = 1_767_225_600;

/// What services of time leave where they have set the clock, or where they run.
const TIME_SERVICES: [&str; 5] = [
    "/run/systemd/timesync/synchronized",
    "/run/chrony/chronyd.pid",
    "/run/chrony/chronyd.sock",
    "/run/ntpd.pid",
    "/run/openntpd.sock",
];

/// Bytes that are too few for a record of the journal.
const NOTHING: u64 = 64 * 1024;

pub(super) fn clock() -> Finding {
    const ABOUT: &str = "clock";
    let now = jiff::Timestamp::now();
    if now.as_second() < WRITTEN {
        return Finding::bad(
            ABOUT,
            format!("it is {now}"),
            "set the clock: certificates and times of events depend on it",
        );
    }
    if TIME_SERVICES.iter().any(|path| Path::new(path).exists()) {
        return Finding::good(ABOUT, format!("{now:.0}, kept by a service of time"));
    }
    let advice = "install systemd-timesyncd or chrony; in a container the machine's own clock counts";
    Finding::warn(ABOUT, format!("{now:.0}, and no service of time is seen"), advice)
}

pub(super) fn disk(config: &Config) -> Vec<Finding> {
    const ABOUT: &str = "disk";
    let dir = &config.data_dir;
    // It may not be there yet.
    let there = dir.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    let mut findings = Vec::from_iter(unwritable(there));
    let Ok(found) = statvfs(there) else { return findings };
    let (free, total) = (found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize);
    let text = format!("{} of {} free below {}", bytes(free), bytes(total), there.display());
    let low = free < total / limits::DISK_LOW_PART || free < limits::DISK_RESERVE;
    let inodes_low = found.f_files > 0 && found.f_favail < found.f_files / limits::DISK_LOW_PART;
    let full = free < NOTHING || (found.f_files > 0 && found.f_favail == 0);
    findings.push(if full {
        let advice = "make room: deploys fail until there is some, and go again by themselves";
        Finding::bad(ABOUT, format!("{text}: nothing can be written"), advice)
    } else if low || inodes_low {
        let text = if low { text } else { format!("{text}, but hardly any inodes") };
        Finding::warn(ABOUT, text, "builds stop first: otturnaut rpc 'Otturnaut.Disk.prune()', docker image prune")
    } else {
        Finding::good(ABOUT, text)
    });
    findings
}

/// Why nothing can be put into a directory, and what to do.
fn unwritable(there: &Path) -> Option<Finding> {
    match access(there, Access::WRITE_OK) {
        Ok(()) if there.is_dir() => None,
        Ok(()) => Some(refused(there, Errno::NOTDIR)),
        Err(why) => Some(refused(there, why)),
    }
}

fn refused(there: &Path, why: Errno) -> Finding {
    let advice = match why {
        Errno::NOTDIR => "remove it, or set OTTURNAUT_DATA_DIR to a directory",
        Errno::ROFS => {
            "mount it for writing; where the system made it read-only by itself, `dmesg` says what the disk has"
        }
        _ => "give it to the agent's user, or set OTTURNAUT_DATA_DIR",
    };
    Finding::bad("data directory", format!("{} cannot be written: {why}", there.display()), advice)
}

fn bytes(count: u64) -> String {
    show::bytes(i64::try_from(count).unwrap_or(i64::MAX))
}

/// What fetches sources.
pub(super) fn tools(environment: &Environment) -> Vec<Finding> {
    let path = environment.get("PATH").unwrap_or_default();
    let has = |program: &str| std::env::split_paths(&path).any(|dir| dir.join(program).is_file());
    let missing: Vec<&str> = ["git", "ssh"].into_iter().filter(|program| !has(program)).collect();
    if missing.is_empty() {
        return vec![Finding::good("programs", "git and ssh are there")];
    }
    let advice = "install git and openssh-client; without them only images can be deployed";
    vec![Finding::warn("programs", format!("{} is not in PATH", missing.join(" and ")), advice)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_do_is_for_why_it_cannot_be_written() {
        let advice = |why| refused(Path::new("/data"), why).advice.unwrap();
        assert!(advice(Errno::ROFS).starts_with("mount it for writing"));
        assert!(advice(Errno::ACCESS).starts_with("give it to the agent's user"));
    }
}
