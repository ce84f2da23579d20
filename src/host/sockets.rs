//! Connections of this machine, as the kernel tells them.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use super::world::Connection;

/// A state of the kernel's table: established.
const ESTABLISHED: &str = "01";

/// The established connections to `ports` on an address of loopback, seen from the side that made them.
pub(super) fn connections(ports: &[u16]) -> io::Result<Vec<Connection>> {
    let table = BufReader::new(fs::File::open("/proc/net/tcp")?);
    let mut found = Vec::new();
    for line in table.lines().skip(1) {
        found.extend(parse(&line?).filter(|connection| ports.contains(&connection.port)));
    }
    Ok(found)
}

/// A line of the table: number, local address, remote address, state, ..., inode (proc(5)).
fn parse(line: &str) -> Option<Connection> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let from = address(fields.next()?)?;
    let to = address(fields.next()?)?;
    if fields.next()? != ESTABLISHED || !to.ip().is_loopback() {
        return None;
    }
    Some(Connection { from, port: to.port(), inode: fields.nth(5)?.parse().ok()? })
}

/// `0100007F:1F90`: the address as this machine keeps it in memory, the port.
fn address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let address = u32::from_str_radix(address, 16).ok()?.to_ne_bytes();
    Some(SocketAddr::new(Ipv4Addr::from(address).into(), u16::from_str_radix(port, 16).ok()?))
}

/// The processes that hold these sockets, as `name (pid)`.
pub(super) fn owners(inodes: &[u64]) -> Vec<String> {
    let wanted: Vec<String> = inodes.iter().map(|inode| format!("socket:[{inode}]")).collect();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut owners = Vec::new();
    for process in processes {
        let pid = process.file_name().to_string_lossy().into_owned();
        if pid.bytes().all(|byte| byte.is_ascii_digit()) && holds_one(&process.path(), &wanted) {
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            owners.push(format!("{} ({pid})", name.trim_end()));
        }
    }
    owners
}

fn holds_one(process: &Path, wanted: &[String]) -> bool {
    let files = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
    let target = |file: fs::DirEntry| fs::read_link(file.path()).ok();
    files.filter_map(target).any(|target| target.to_str().is_some_and(|target| wanted.iter().any(|w| w == target)))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_connection_is_seen_while_it_is_open_with_the_process_that_made_it() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(connections(&[port]).unwrap(), []);
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let seen = connections(&[port]).unwrap();
        assert_eq!(seen.iter().map(|c| (c.from, c.port)).collect::<Vec<_>>(), [(stream.local_addr().unwrap(), port)]);
        let owners = owners(&[seen[0].inode]);
        assert!(owners.len() == 1 && owners[0].ends_with(&format!("({})", std::process::id())), "{owners:?}");
        drop(stream);
        assert_eq!(connections(&[port]).unwrap(), []);
    }

    proptest! {
        #[test]
        fn no_line_panics(line in ".{0,80}") {
            parse(&line);
        }
    }
}
