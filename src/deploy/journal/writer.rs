//! From memory to disk: what waits is written together, so that many runs at once cost one flush of the disk.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::sync::watch;

use super::book::{Book, OpenRun};
use super::record::{Record, RunId};
use crate::deploy::releases::Release;
use crate::host::{Storage, read_records, write_record};
use crate::limits;

/// The journal could not be written.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the journal cannot be written")]
pub struct JournalError(#[source] Arc<io::Error>);

/// The journal. Clones share it.
#[derive(Clone)]
pub(in crate::deploy) struct Journal(Arc<Shared>);

struct Shared {
    storage: Arc<dyn Storage>,
    inside: Mutex<Inside>,
    /// How far it is on disk, and how the last write went.
    written: watch::Sender<Written>,
    /// There is something to write.
    wake: Notify,
}

#[derive(Default)]
struct Inside {
    book: Book,
    /// Lines that are not written yet.
    pending: Vec<u8>,
    /// How many records were taken up.
    taken: u64,
    /// Bytes on disk.
    length: usize,
    /// From which length on it is written anew.
    compact_from: usize,
    /// How far what is on disk can be trusted.
    disk: Disk,
    /// Whether records were taken up that could not be written since it could not be opened.
    missed: bool,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Disk {
    /// Nothing was read yet.
    #[default]
    Closed,
    /// A write failed: records are missing there.
    Behind,
    /// It holds what was written.
    Good,
}

#[derive(Clone, Default)]
struct Written {
    up_to: u64,
    failed: Option<JournalError>,
}

impl Journal {
    /// A journal of which nothing is known yet.
    pub(in crate::deploy) fn new(storage: Arc<dyn Storage>) -> Self {
        let (written, _) = watch::channel(Written::default());
        Self(Arc::new(Shared { storage, inside: Mutex::default(), written, wake: Notify::new() }))
    }

    /// Reads what is on disk, once; gives the runs in it that had not ended.
    ///
    /// # Errors
    /// It cannot be read; the journal is empty then, and each record tries again to open it.
    pub(in crate::deploy) async fn open(&self) -> Result<Vec<(RunId, OpenRun)>, JournalError> {
        if self.lock().disk != Disk::Closed {
            return Ok(Vec::new());
        }
        let bytes = self.0.storage.open_journal().await.map_err(JournalError::new)?;
        let (records, torn) = read_records::<Record>(&bytes);
        if torn > 0 {
            tracing::warn!(torn, whole = records.len(), "lines of the journal could not be read, the others are used");
        }
        let mut book = Book::default();
        for record in &records {
            book.apply(record);
        }
        let open = book.open.iter().map(|(run, open)| (*run, open.clone())).collect();
        let mut inside = self.lock();
        // What was taken up before it could be opened is newer.
        let since = std::mem::take(&mut inside.book);
        for record in &since.records() {
            book.apply(record);
        }
        book.last_run = book.last_run.max(since.last_run);
        inside.book = book;
        inside.length = bytes.len();
        inside.compact_from = limits::JOURNAL_BYTES;
        let whole = torn == 0 && (bytes.is_empty() || bytes.ends_with(b"\n"));
        inside.disk = if whole && !inside.missed { Disk::Good } else { Disk::Behind };
        Ok(open)
    }

    /// A number for a run that no other has.
    pub(in crate::deploy) fn next_run(&self) -> RunId {
        let mut inside = self.lock();
        inside.book.last_run += 1;
        inside.book.last_run
    }

    /// Takes a record up and waits until it is on disk.
    ///
    /// # Errors
    /// It is not there.
    pub(in crate::deploy) async fn append(&self, record: &Record) -> Result<(), JournalError> {
        let mine = self.take(record);
        self.0.wake.notify_one();
        let mut written = self.0.written.subscribe();
        // The writer lives as long as the journal.
        let written = written.wait_for(|written| written.up_to >= mine).await;
        match written.ok().and_then(|written| written.failed.clone()) {
            None => Ok(()),
            Some(failed) => Err(failed),
        }
    }

    /// Takes a record up that is on disk with the next one that is waited for. For what may be forgotten.
    pub(in crate::deploy) fn note(&self, record: &Record) {
        self.take(record);
    }

    /// Takes a record up that will be on disk soon. For what costs work that is done twice when it is forgotten.
    pub(in crate::deploy) fn settle(&self, record: &Record) {
        self.take(record);
        self.0.wake.notify_one();
    }

    fn take(&self, record: &Record) -> u64 {
        let mut inside = self.lock();
        inside.book.apply(record);
        write_record(record, &mut inside.pending);
        inside.taken += 1;
        inside.taken
    }

    /// Writes what is noted, for as long as it is polled.
    pub(in crate::deploy) async fn write(&self) {
        loop {
            self.0.wake.notified().await;
            self.flush().await;
        }
    }

    /// Writes what is noted so far.
    pub(in crate::deploy) async fn flush(&self) {
        if self.lock().pending.is_empty() {
            return;
        }
        let (up_to, written) = self.write_down().await;
        if let Err(error) = &written {
            tracing::error!(error = %error.0, "the journal cannot be written");
            self.fell_behind();
        }
        self.0.written.send_replace(Written { up_to, failed: written.err() });
    }

    fn fell_behind(&self) {
        let mut inside = self.lock();
        if inside.disk == Disk::Good {
            inside.disk = Disk::Behind;
        }
    }

    /// Adds what is pending, or writes all of it anew; gives how many records that were.
    async fn write_down(&self) -> (u64, Result<(), JournalError>) {
        if self.lock().disk == Disk::Closed
            && let Err(error) = self.open().await
        {
            let mut inside = self.lock();
            inside.pending.clear();
            inside.missed = true;
            return (inside.taken, Err(error));
        }
        let (up_to, anew, lines) = {
            let mut inside = self.lock();
            let pending = std::mem::take(&mut inside.pending);
            let anew = inside.disk == Disk::Behind || inside.length + pending.len() > inside.compact_from;
            (inside.taken, anew, if anew { snapshot(&inside.book) } else { pending })
        };
        let added = lines.len();
        let storage = &self.0.storage;
        let written = if anew { storage.replace_journal(lines).await } else { storage.append_journal(lines).await };
        if written.is_ok() {
            let mut inside = self.lock();
            inside.length = if anew { added } else { inside.length + added };
            if anew {
                inside.compact_from = limits::JOURNAL_BYTES.max(2 * added);
                inside.disk = Disk::Good;
            }
        }
        (up_to, written.map_err(JournalError::new))
    }

    /// The runs that have not ended.
    pub(in crate::deploy) fn open_runs(&self) -> Vec<(RunId, OpenRun)> {
        self.lock().book.open.iter().map(|(run, open)| (*run, open.clone())).collect()
    }

    /// An application's releases, the one that runs last.
    pub(in crate::deploy) fn releases(&self, app_id: &str) -> Vec<Release> {
        self.lock().book.releases.get(app_id).cloned().unwrap_or_default()
    }

    /// The ids of an application's releases, the one that runs last.
    pub(in crate::deploy) fn release_ids(&self, app_id: &str) -> Vec<String> {
        let inside = self.lock();
        let releases = inside.book.releases.get(app_id);
        releases.into_iter().flatten().map(|release| release.deployment.id.clone()).collect()
    }

    /// All applications that have releases.
    pub(in crate::deploy) fn apps(&self) -> Vec<String> {
        self.lock().book.releases.keys().cloned().collect()
    }

    /// The images of all releases, by name.
    pub(in crate::deploy) fn images(&self) -> BTreeSet<String> {
        let inside = self.lock();
        let releases = inside.book.releases.values().flatten();
        releases.map(|release| release.deployment.image.clone()).collect()
    }

    /// Whether an image of that name is here because of a release.
    pub(in crate::deploy) fn has_brought(&self, image: &str) -> bool {
        let inside = self.lock();
        let mut releases = inside.book.releases.values().flatten();
        releases.any(|release| release.deployment.brought && release.deployment.image == image)
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.0.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The lines of a journal that says what the book says.
fn snapshot(book: &Book) -> Vec<u8> {
    let mut lines = Vec::new();
    book.records().iter().for_each(|record| write_record(record, &mut lines));
    lines
}

impl JournalError {
    fn new(error: io::Error) -> Self {
        Self(Arc::new(error))
    }

    /// What the system says.
    pub fn kind(&self) -> io::ErrorKind {
        self.0.kind()
    }
}
