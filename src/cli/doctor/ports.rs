//! Who listens on the ports of the web (proc(5), `net/tcp`).

use std::fs;
use std::path::Path;

use super::Finding;
use crate::config::Config;

/// State of a listening socket.
const LISTEN: &str = "0A";

pub(super) fn look(config: &Config) -> Vec<Finding> {
    let table = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default()).concat();
    [("port http", config.http_port), ("port https", config.https_port)]
        .into_iter()
        .map(|(about, port)| {
            finding((about, port), listeners(&table, port).iter().find_map(|inode| owner(inode)), &table)
        })
        .collect()
}

fn finding((about, port): (&'static str, u16), owner: Option<String>, table: &str) -> Finding {
    match owner {
        Some(name) if name.contains("caddy") => Finding::good(about, format!("Caddy listens on {port}")),
        Some(name) => Finding::bad(
            about,
            format!("{name} listens on {port}"),
            "end it, or let Caddy use other ports: OTTURNAUT_HTTP_PORT, OTTURNAUT_HTTPS_PORT",
        ),
        None if listeners(table, port).is_empty() => {
            Finding::good(about, format!("{port} is free; Caddy takes it with the first domain"))
        }
        // Of another user's process only its socket is seen.
        None => Finding::good(about, format!("a process of another user or container listens on {port}")),
    }
}

/// The inodes of the sockets that listen on a port.
fn listeners(table: &str, port: u16) -> Vec<String> {
    let suffix = format!(":{port:04X}");
    let inode = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let listens = fields.get(1)?.ends_with(&suffix) && *fields.get(3)? == LISTEN;
        listens.then(|| fields.get(9).map(|inode| (*inode).to_owned()))?
    };
    table.lines().filter_map(inode).collect()
}

/// Name and process id of who holds a socket, if that may be seen.
fn owner(inode: &str) -> Option<String> {
    let wanted = format!("socket:[{inode}]");
    let holds = |process: &Path| {
        let files = fs::read_dir(process.join("fd")).ok()?;
        let held = |file: fs::DirEntry| fs::read_link(file.path()).is_ok_and(|to| to.as_os_str() == wanted.as_str());
        files.flatten().any(held).then(|| {
            let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
            let pid = process.file_name().unwrap_or_default().to_string_lossy().into_owned();
            format!("{} (process {pid})", name.trim())
        })
    };
    let is_process =
        |entry: &fs::DirEntry| entry.file_name().to_string_lossy().bytes().all(|byte| byte.is_ascii_digit());
    let processes = fs::read_dir("/proc").ok()?.flatten().filter(is_process);
    processes.into_iter().find_map(|process| holds(&process.path()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_found_by_its_port_and_its_owner_by_its_socket() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        // The table is read piece by piece while others change it.
        let look = || listeners(&fs::read_to_string("/proc/net/tcp").unwrap(), port);
        let inodes = std::iter::repeat_with(look).take(100).find(|inodes| !inodes.is_empty()).unwrap();
        let owner = owner(&inodes[0]).unwrap();
        assert!(owner.ends_with(&format!("(process {})", std::process::id())), "{owner}");
        drop(listener);
    }
}
