//! The directory of routes: where each one leads, for Caddy, and what each one is, so that it can be put back.
//!
//! ```text
//! routes/shop-route/route.json                  {"id": "shop-route", "domains": ["shop.example.com"], "port": 10000}
//!                   address                     127.0.0.1:10000
//!                   upstream/127.0.0.1:10000    empty; the newest counts
//! ```
//!
//! A record with `"given_up": true` is of a route that is only to be removed.
//!
//! Caddy reads the latter two, by the content or by the name. They are put in place at once and not waited for until they are
//! on the disk; the record is. So after a loss of power the address may be missing: the record has it too.

use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::host::files::{gone_is_fine, write_atomic};
use crate::host::proxy::Route;

/// The file whose content is the address.
pub(super) const ADDRESS: &str = "address";

/// The directory of files that are named for addresses.
pub(super) const UPSTREAM: &str = "upstream";

const RECORD: &str = "route.json";
const SECRET: &str = "secret";

/// The directory of the probe, whose name is no route's.
const PROBE: &str = ".probe";

/// What is kept of a route.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    id: String,
    domains: Vec<String>,
    port: u16,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    given_up: bool,
}

/// What the directory has.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    pub(super) routes: Vec<Route>,
    /// Ids of routes that are only to be removed.
    pub(super) given_up: Vec<String>,
    /// What is wrong with the others.
    pub(super) wrong: Vec<String>,
}

/// The directory of routes.
#[derive(Debug)]
pub(super) struct Ledger {
    dir: PathBuf,
    /// The same directory, as Caddy sees it.
    seen: String,
}

impl Ledger {
    /// Opens the directory, which is made if need be.
    pub(super) fn open(dir: PathBuf, seen: &Path) -> io::Result<Self> {
        make_readable(&dir)?;
        Ok(Self { dir, seen: seen.display().to_string().trim_end_matches('/').to_owned() })
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where Caddy sees a route's files.
    pub(super) fn seen(&self, id: &str) -> String {
        format!("{}/{}", self.seen, name(id))
    }

    /// Where Caddy sees those of the probe.
    pub(super) fn seen_probe(&self) -> String {
        format!("{}/{PROBE}", self.seen)
    }

    /// All that is recorded. What is live is true of the port; where nothing is, the record is.
    pub(super) fn load(&self) -> io::Result<Loaded> {
        let mut loaded = Loaded::default();
        for entry in fs::read_dir(&self.dir)? {
            let place = entry?.path();
            match read_record(&place) {
                Ok(Some(Record { id, given_up: true, .. })) => loaded.given_up.push(id),
                Ok(Some(Record { id, domains, port, .. })) if self.place(&id) == place => {
                    let upstream_port = live(&place).unwrap_or(port);
                    loaded.routes.push(Route { id, domains, upstream_port });
                }
                Ok(Some(record)) => loaded.wrong.push(format!("{} says that it is of {}", place.display(), record.id)),
                Ok(None) => {}
                Err(e) => loaded.wrong.push(format!("{}: {e}", place.join(RECORD).display())),
            }
        }
        Ok(loaded)
    }

    /// Where a route leads now.
    pub(super) fn live(&self, id: &str) -> Option<u16> {
        live(&self.place(id))
    }

    /// Whether both files of a route lead to this port.
    pub(super) fn leads_to(&self, id: &str, port: u16) -> bool {
        let place = self.place(id);
        let newest = names(&place.join(UPSTREAM)).ok().and_then(|names| names.into_iter().max_by_key(|name| name.at));
        live(&place) == Some(port) && newest.is_some_and(|newest| newest.path.ends_with(address(port)))
    }

    /// Leads a route to a port: the switch.
    pub(super) fn switch(&self, id: &str, port: u16) -> io::Result<()> {
        lead(&self.place(id), port)
    }

    /// Records a route, so that a loss of power does not take it.
    pub(super) fn record(&self, route: &Route) -> io::Result<()> {
        let Route { id, domains, upstream_port: port } = route.clone();
        self.write(&Record { id, domains, port, given_up: false })
    }

    /// Records that a route is only to be removed, and has it lead nowhere.
    pub(super) fn give_up(&self, id: &str) -> io::Result<()> {
        self.write(&Record { id: id.to_owned(), domains: Vec::new(), port: 0, given_up: true })?;
        let place = self.place(id);
        gone_is_fine(fs::remove_file(place.join(ADDRESS)))?;
        gone_is_fine(fs::remove_dir_all(place.join(UPSTREAM)))
    }

    fn write(&self, record: &Record) -> io::Result<()> {
        let place = self.place(&record.id);
        make_readable(&place)?;
        write_atomic(&place.join(RECORD), serde_json::to_string(record)?.as_bytes(), 0o644)?;
        File::open(&self.dir)?.sync_all()
    }

    /// Forgets a route and where it leads.
    pub(super) fn forget(&self, id: &str) -> io::Result<()> {
        let place = self.place(id);
        // First: what is left without it is of no route.
        gone_is_fine(fs::remove_file(place.join(RECORD)))?;
        gone_is_fine(fs::remove_dir_all(place))?;
        File::open(&self.dir)?.sync_all()
    }

    /// The address that the probe leads to.
    pub(super) fn probed(&self) -> Option<String> {
        live(&self.dir.join(PROBE)).map(address)
    }

    /// Leads the probe to another address than before, so that a copy of the files is seen to be one.
    pub(super) fn lead_probe(&self) -> io::Result<()> {
        lead(&self.dir.join(PROBE), rand::random_range(1..=u16::MAX))
    }

    /// What a request says that may see the probe's answer; the same at each start, since it stands in Caddy's configuration.
    pub(super) fn secret(&self) -> io::Result<String> {
        let place = self.dir.join(PROBE);
        make_readable(&place)?;
        let file = place.join(SECRET);
        match fs::read_to_string(&file) {
            Ok(secret) if secret.len() == 32 && secret.bytes().all(|byte| byte.is_ascii_hexdigit()) => Ok(secret),
            Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
            _ => {
                let secret = format!("{:032x}", rand::random::<u128>());
                write_atomic(&file, secret.as_bytes(), 0o600)?;
                Ok(secret)
            }
        }
    }

    fn place(&self, id: &str) -> PathBuf {
        self.dir.join(name(id))
    }
}

/// An address as the files say it.
fn address(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

/// A file name for an id, another for each, of characters that mean nothing in paths, patterns and placeholders.
fn name(id: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    id.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("={byte:02X}") }).collect()
}

fn read_record(place: &Path) -> io::Result<Option<Record>> {
    let text = match fs::read_to_string(place.join(RECORD)) {
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
        text => text?,
    };
    Ok(Some(serde_json::from_str(&text)?))
}

fn live(place: &Path) -> Option<u16> {
    let text = fs::read_to_string(place.join(ADDRESS)).ok()?;
    text.strip_prefix("127.0.0.1:")?.parse().ok()
}

/// Puts an address in place, as content and as name.
fn lead(place: &Path, port: u16) -> io::Result<()> {
    let upstream = place.join(UPSTREAM);
    make_readable(place)?;
    make_readable(&upstream)?;
    let fresh = place.join(".address");
    let mut file = readable(&fresh)?;
    file.write_all(address(port).as_bytes())?;
    fs::rename(&fresh, place.join(ADDRESS))?;
    // Newer than all others, whatever the clock says; the one that was the newest stays, since somebody may be about to take it.
    let mut there = names(&upstream)?;
    there.sort_by_key(|name| name.at);
    let before = there.pop();
    let after = before.as_ref().map(|before| before.at + Duration::from_millis(1));
    let now = SystemTime::now();
    let fresh = place.join(".upstream");
    readable(&fresh)?.set_modified(after.map_or(now, |after| now.max(after)))?;
    let named = upstream.join(address(port));
    fs::rename(&fresh, &named)?;
    there.iter().filter(|old| old.path != named).try_for_each(|old| fs::remove_file(&old.path))
}

/// A file that is named for an address.
struct Name {
    path: PathBuf,
    at: SystemTime,
}

fn names(upstream: &Path) -> io::Result<Vec<Name>> {
    let name = |entry: io::Result<fs::DirEntry>| {
        let entry = entry?;
        Ok(Name { path: entry.path(), at: entry.metadata()?.modified()? })
    };
    fs::read_dir(upstream)?.map(name).collect()
}

/// Makes a directory that Caddy can read, whoever it runs as. Those above it that are missing can be passed through, not
/// listed; those that are there are as they are.
fn make_readable(dir: &Path) -> io::Result<()> {
    if let Some(above) = dir.parent().filter(|above| !above.exists()) {
        fs::create_dir_all(above)?;
        fs::set_permissions(above, Permissions::from_mode(0o711))?;
    }
    match fs::create_dir(dir) {
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(()),
        made => made.and_then(|()| fs::set_permissions(dir, Permissions::from_mode(0o755))),
    }
}

/// An empty file that Caddy can read.
fn readable(path: &Path) -> io::Result<File> {
    let file = File::create(path)?;
    file.set_permissions(Permissions::from_mode(0o644))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(dir: &tempfile::TempDir) -> Ledger {
        Ledger::open(dir.path().join("routes"), &dir.path().join("routes")).unwrap()
    }

    fn route(id: &str, upstream_port: u16) -> Route {
        Route { id: id.to_owned(), domains: vec![format!("{id}.b")], upstream_port }
    }

    #[test]
    fn a_switch_is_seen_in_both_files_and_the_name_before_stays_for_one_switch() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = ledger(&dir);
        for port in [1, 2, 3, 2, 2] {
            ledger.switch("a", port).unwrap();
            assert_eq!(ledger.live("a"), Some(port));
            assert!(ledger.leads_to("a", port));
        }
        let mut names: Vec<_> = names(&dir.path().join("routes/a/upstream")).unwrap();
        names.sort_by_key(|name| name.at);
        assert!(names.last().unwrap().path.ends_with("127.0.0.1:2"));
        assert!(names.len() <= 2);
    }

    #[test]
    fn a_name_is_the_newest_also_when_the_clock_was_set_back() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = ledger(&dir);
        ledger.switch("a", 1).unwrap();
        let future = SystemTime::now() + Duration::from_hours(1);
        let file = File::options().write(true).open(dir.path().join("routes/a/upstream/127.0.0.1:1")).unwrap();
        file.set_modified(future).unwrap();
        ledger.switch("a", 2).unwrap();
        assert!(ledger.leads_to("a", 2));
    }

    #[test]
    fn records_come_back_with_the_port_that_is_live_and_what_is_broken_does_not_stop_them() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = ledger(&dir);
        for id in ["a", "b", "c/../d", "cut", "moved"] {
            ledger.switch(id, 1).unwrap();
            ledger.record(&route(id, 1)).unwrap();
        }
        let routes = dir.path().join("routes");
        ledger.switch("a", 2).unwrap();
        fs::remove_file(routes.join("b/address")).unwrap();
        File::create(routes.join("cut/route.json")).unwrap().write_all(b"{\"id\":").unwrap();
        fs::rename(routes.join("moved"), routes.join("elsewhere")).unwrap();
        ledger.switch("no-record", 1).unwrap();
        let Loaded { routes: mut found, given_up, mut wrong } = ledger.load().unwrap();
        assert_eq!(given_up, [""; 0]);
        found.sort_by(|a, b| a.id.cmp(&b.id));
        assert_eq!(found, [route("a", 2), route("b", 1), route("c/../d", 1)]);
        wrong.sort();
        assert!(wrong.len() == 2 && wrong[0].contains("cut/route.json") && wrong[1].contains("of moved"), "{wrong:?}");
        ledger.forget("a").unwrap();
        ledger.forget("a").unwrap();
        assert_eq!(ledger.live("a"), None);
    }

    #[test]
    fn a_route_that_is_given_up_leads_nowhere_and_is_known_until_it_is_forgotten_or_put_again() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = ledger(&dir);
        for id in ["a", "b"] {
            ledger.switch(id, 1).unwrap();
            ledger.record(&route(id, 1)).unwrap();
            ledger.give_up(id).unwrap();
            assert_eq!(ledger.live(id), None);
        }
        // One that no record is of.
        ledger.give_up("c").unwrap();
        let mut loaded = ledger.load().unwrap();
        loaded.given_up.sort();
        assert_eq!((loaded.routes, loaded.given_up), (vec![], vec!["a".to_owned(), "b".to_owned(), "c".to_owned()]));
        ledger.forget("a").unwrap();
        ledger.forget("c").unwrap();
        ledger.switch("b", 2).unwrap();
        ledger.record(&route("b", 2)).unwrap();
        let loaded = ledger.load().unwrap();
        assert_eq!((loaded.routes, loaded.given_up), (vec![route("b", 2)], vec![]));
    }

    #[test]
    fn caddy_may_read_what_it_is_to_read_and_the_secret_stays() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let ledger = Ledger::open(data.join("routes"), Path::new("/elsewhere/")).unwrap();
        ledger.switch("a", 1).unwrap();
        let mode = |path: &str| fs::metadata(data.join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(""), 0o711);
        assert_eq!(mode("routes/a/upstream"), 0o755);
        assert_eq!(mode("routes/a/address"), 0o644);
        let secret = ledger.secret().unwrap();
        assert_eq!(ledger.secret().unwrap(), secret);
        assert_eq!(mode("routes/.probe/secret"), 0o600);
        assert_eq!(ledger.seen("a"), "/elsewhere/a");
    }
}
