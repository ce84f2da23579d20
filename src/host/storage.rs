//! What the agent keeps on disk: its journal, its events, and the documents of its releases.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use super::event_file::EventFile;
use super::files::{blocking, gone_is_fine, is_fresh, write_atomic};
use crate::limits;

/// The mode of a file that only the agent's user reads.
const PRIVATE: u32 = 0o600;

/// Durable storage: what a call answered with `Ok` is there after a loss of power.
#[async_trait]
pub trait Storage: Send + Sync {
    /// The journal as it is; empty if there is none. Takes the directory for this process until its end.
    ///
    /// # Errors
    /// `WouldBlock` if another process has it; whatever the system says.
    async fn open_journal(&self) -> io::Result<Vec<u8>>;
    /// Adds to the journal's end, all of it or nothing that stays.
    async fn append_journal(&self, bytes: Vec<u8>) -> io::Result<()>;
    /// Puts another journal in its place, whole or not at all.
    async fn replace_journal(&self, bytes: Vec<u8>) -> io::Result<()>;
    /// The events as they are, the oldest first; empty if there are none. Takes the directory as the journal does.
    ///
    /// # Errors
    /// As for the journal.
    async fn read_events(&self) -> io::Result<Vec<u8>>;
    /// The newest events, at least so many bytes of them if there are as many.
    async fn read_newest_events(&self, bytes: u64) -> io::Result<Vec<u8>>;
    /// Adds events, all of them or nothing that stays; the oldest go where there are too many. A loss of power may take the
    /// last ones.
    async fn append_events(&self, bytes: Vec<u8>) -> io::Result<()>;
    /// The number of the last event that Mission Control has, if it is known.
    async fn read_told(&self) -> io::Result<Option<u64>>;
    /// Notes that number; a loss of power may take it.
    async fn write_told(&self, number: u64) -> io::Result<()>;
    /// Writes a document of a folder, whole or not at all. Only the agent's user can read it.
    async fn put(&self, document: &Document, content: Vec<u8>) -> io::Result<()>;
    /// Reads a document.
    async fn get(&self, document: &Document) -> io::Result<Option<Vec<u8>>>;
    /// Removes a document, and its folder with the last one; one that is not there is fine.
    async fn delete(&self, document: &Document) -> io::Result<()>;
    /// All documents.
    async fn documents(&self) -> io::Result<Vec<Document>>;
    /// Keeps the log of a deployment as [`Storage::put`] keeps a document; those of then stay within a bound.
    async fn put_log(&self, document: &Document, content: Vec<u8>) -> io::Result<()>;
    /// Reads a log that was kept.
    async fn get_log(&self, document: &Document) -> io::Result<Option<Vec<u8>>>;
    /// Removes a log, and its folder with the last one; one that is not there is fine.
    async fn delete_log(&self, document: &Document) -> io::Result<()>;
    /// All logs that are kept, in the order in which they were.
    async fn logs(&self) -> io::Result<Vec<Document>>;
}

/// A document's place: its folder and its name in it, each one part of a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Document {
    /// The application.
    pub folder: String,
    /// The deployment.
    pub name: String,
}

/// Storage under the data directory.
#[derive(Debug, Clone)]
pub struct DataStorage {
    dir: PathBuf,
    journal: Arc<Mutex<Option<Journal>>>,
    events: Arc<Mutex<Option<EventFile>>>,
}

/// The journal while it is open.
#[derive(Debug)]
struct Journal {
    file: File,
    length: u64,
    /// Held for as long as the process lives: what dies unlocks it.
    lock: Arc<File>,
}

impl DataStorage {
    /// Storage under `data_dir`, which is made when it is first needed.
    pub fn new(data_dir: &Path) -> Self {
        Self { dir: data_dir.to_owned(), journal: Arc::default(), events: Arc::default() }
    }

    fn open(&self) -> io::Result<Vec<u8>> {
        make_dir(&self.dir)?;
        let mut open = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        let lock = if let Some(journal) = open.take() {
            journal.lock
        } else {
            let lock = Arc::new(lock(&self.dir.join("lock"))?);
            if let Err(error) = self.clear_torn() {
                tracing::warn!(%error, "what a death left half written could not be removed");
            }
            lock
        };
        let mut file = private(&self.journal_path())?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        *open = Some(Journal { file, length: bytes.len() as u64, lock });
        Ok(bytes)
    }

    /// Removes what a death left of files that were being written: the last agent's, since nobody writes before the lock
    /// is held.
    fn clear_torn(&self) -> io::Result<()> {
        let mut folders = vec![self.dir.clone()];
        for kind in [RELEASES, LOGS].map(|kind| self.folders(kind)) {
            folders.extend(entries(&kind)?.into_iter().map(|folder| kind.join(folder)));
        }
        for folder in folders {
            for name in entries(&folder)?.iter().filter(|name| is_fresh(name)) {
                gone_is_fine(std::fs::remove_file(folder.join(name)))?;
            }
            if folder != self.dir {
                // It stays where it is not empty.
                std::fs::remove_dir(folder).unwrap_or_default();
            }
        }
        Ok(())
    }

    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let mut open = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        let journal = open.as_mut().ok_or_else(not_open)?;
        let written = journal.file.write_all_at(bytes, journal.length).and_then(|()| journal.file.sync_data());
        match written {
            Ok(()) => journal.length += bytes.len() as u64,
            // Half of it would tear what comes after.
            Err(_) => journal.file.set_len(journal.length).unwrap_or_default(),
        }
        written
    }

    fn replace(&self, bytes: &[u8]) -> io::Result<()> {
        let mut open = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        let journal = open.as_mut().ok_or_else(not_open)?;
        let path = self.journal_path();
        write_atomic(&path, bytes, PRIVATE)?;
        journal.file = private(&path)?;
        journal.length = bytes.len() as u64;
        Ok(())
    }

    /// The events' file, once the directory is this process's.
    fn with_events<T>(&self, work: impl FnOnce(&mut EventFile) -> io::Result<T>) -> io::Result<T> {
        if self.journal.lock().unwrap_or_else(PoisonError::into_inner).is_none() {
            self.open()?;
        }
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        let mut open = match events.take() {
            Some(open) => open,
            None => EventFile::open(&self.dir)?,
        };
        let done = work(&mut open);
        *events = Some(open);
        done
    }

    fn journal_path(&self) -> PathBuf {
        self.dir.join("journal")
    }

    fn folders(&self, kind: Kind) -> PathBuf {
        self.dir.join(kind.dir)
    }

    fn path(&self, kind: Kind, document: &Document) -> io::Result<PathBuf> {
        let plain = |part: &str| !part.is_empty() && !part.contains(['/', '\0']);
        if !plain(&document.folder) || document.folder.starts_with('.') || !plain(&document.name) {
            return Err(ErrorKind::InvalidInput.into());
        }
        Ok(self.folders(kind).join(&document.folder).join(format!("{}{}", document.name, kind.suffix)))
    }

    fn write(&self, kind: Kind, document: &Document, content: &[u8]) -> io::Result<()> {
        let path = self.path(kind, document)?;
        if kind.most.is_some_and(|most| !path.exists() && self.list(kind).is_ok_and(|all| all.len() >= most)) {
            return Err(ErrorKind::QuotaExceeded.into());
        }
        path.parent().map_or(Ok(()), make_dir)?;
        write_atomic(&path, content, PRIVATE)
    }

    fn remove(&self, kind: Kind, document: &Document) -> io::Result<()> {
        let path = self.path(kind, document)?;
        gone_is_fine(std::fs::remove_file(&path))?;
        // It stays where it is not empty.
        path.parent().map_or(Ok(()), std::fs::remove_dir).unwrap_or_default();
        Ok(())
    }

    /// The oldest first.
    fn list(&self, kind: Kind) -> io::Result<Vec<Document>> {
        let mut all = Vec::new();
        for folder in entries(&self.folders(kind))? {
            let path = self.folders(kind).join(&folder);
            for file in entries(&path)? {
                if let Some(name) = file.strip_suffix(kind.suffix).filter(|name| !name.is_empty()) {
                    let written = path.join(&file).metadata().and_then(|file| file.modified()).ok();
                    all.push((written, Document { folder: folder.clone(), name: name.to_owned() }));
                }
            }
        }
        all.sort();
        Ok(all.into_iter().map(|(_, document)| document).collect())
    }

    async fn read(&self, kind: Kind, document: &Document) -> io::Result<Option<Vec<u8>>> {
        let path = self.path(kind, document)?;
        blocking(move || match std::fs::read(path) {
            Ok(content) => Ok(Some(content)),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        })
        .await
    }
}

/// A directory of folders with documents.
#[derive(Clone, Copy)]
struct Kind {
    dir: &'static str,
    suffix: &'static str,
    /// Most documents.
    most: Option<usize>,
}

const RELEASES: Kind = Kind { dir: "releases", suffix: ".json", most: None };

const LOGS: Kind = Kind { dir: "logs", suffix: ".log", most: Some(limits::KEPT_LOGS) };

#[async_trait]
impl Storage for DataStorage {
    async fn open_journal(&self) -> io::Result<Vec<u8>> {
        let storage = self.clone();
        blocking(move || storage.open()).await
    }

    async fn append_journal(&self, bytes: Vec<u8>) -> io::Result<()> {
        let storage = self.clone();
        blocking(move || storage.append(&bytes)).await
    }

    async fn replace_journal(&self, bytes: Vec<u8>) -> io::Result<()> {
        let storage = self.clone();
        blocking(move || storage.replace(&bytes)).await
    }

    async fn read_events(&self) -> io::Result<Vec<u8>> {
        let storage = self.clone();
        blocking(move || storage.with_events(|events| events.read())).await
    }

    async fn read_newest_events(&self, bytes: u64) -> io::Result<Vec<u8>> {
        let storage = self.clone();
        blocking(move || storage.with_events(|events| events.read_end(bytes))).await
    }

    async fn append_events(&self, bytes: Vec<u8>) -> io::Result<()> {
        let storage = self.clone();
        blocking(move || storage.with_events(|events| events.append(&bytes))).await
    }

    async fn read_told(&self) -> io::Result<Option<u64>> {
        let storage = self.clone();
        blocking(move || storage.with_events(|events| events.read_told())).await
    }

    async fn write_told(&self, number: u64) -> io::Result<()> {
        let storage = self.clone();
        blocking(move || storage.with_events(|events| events.write_told(number))).await
    }

    async fn put(&self, document: &Document, content: Vec<u8>) -> io::Result<()> {
        let (storage, document) = (self.clone(), document.clone());
        blocking(move || storage.write(RELEASES, &document, &content)).await
    }

    async fn get(&self, document: &Document) -> io::Result<Option<Vec<u8>>> {
        self.read(RELEASES, document).await
    }

    async fn delete(&self, document: &Document) -> io::Result<()> {
        let (storage, document) = (self.clone(), document.clone());
        blocking(move || storage.remove(RELEASES, &document)).await
    }

    async fn documents(&self) -> io::Result<Vec<Document>> {
        let storage = self.clone();
        blocking(move || storage.list(RELEASES)).await
    }

    async fn put_log(&self, document: &Document, content: Vec<u8>) -> io::Result<()> {
        let (storage, document) = (self.clone(), document.clone());
        blocking(move || storage.write(LOGS, &document, &content)).await
    }

    async fn get_log(&self, document: &Document) -> io::Result<Option<Vec<u8>>> {
        self.read(LOGS, document).await
    }

    async fn delete_log(&self, document: &Document) -> io::Result<()> {
        let (storage, document) = (self.clone(), document.clone());
        blocking(move || storage.remove(LOGS, &document)).await
    }

    async fn logs(&self) -> io::Result<Vec<Document>> {
        let storage = self.clone();
        blocking(move || storage.list(LOGS)).await
    }
}

fn not_open() -> io::Error {
    io::Error::other("the journal is not open")
}

fn lock(path: &Path) -> io::Result<File> {
    let file = private(path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::Error(e)) => Err(e),
        Err(TryLockError::WouldBlock) => {
            Err(io::Error::new(ErrorKind::WouldBlock, "another agent uses this data directory"))
        }
    }
}

/// A file that only the agent's user reads.
pub(super) fn private(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(PRIVATE).open(path)
}

fn make_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).recursive(true).create(path)
}

/// Names in a directory; none where it is not there.
fn entries(path: &Path) -> io::Result<Vec<String>> {
    let listed = match std::fs::read_dir(path) {
        Ok(listed) => listed,
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    let names = listed.map(|entry| Ok(entry?.file_name().into_string().unwrap_or_default()));
    let names = names.collect::<io::Result<Vec<_>>>()?;
    Ok(names.into_iter().filter(|name| !name.is_empty()).collect())
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::host::files::fresh_name;

    fn document(folder: &str, name: &str) -> Document {
        Document { folder: folder.to_owned(), name: name.to_owned() }
    }

    #[tokio::test]
    async fn what_is_appended_is_there_after_it_is_opened_again() {
        let dir = tempfile::tempdir().unwrap();
        let storage = DataStorage::new(&dir.path().join("data"));
        assert!(storage.append_journal(b"x".to_vec()).await.is_err(), "it is not open");
        assert_eq!(storage.open_journal().await.unwrap(), b"");
        storage.append_journal(b"one ".to_vec()).await.unwrap();
        storage.append_journal(b"two".to_vec()).await.unwrap();
        assert_eq!(storage.open_journal().await.unwrap(), b"one two");
        storage.replace_journal(b"three ".to_vec()).await.unwrap();
        storage.append_journal(b"four".to_vec()).await.unwrap();
        assert_eq!(storage.open_journal().await.unwrap(), b"three four");
    }

    #[tokio::test]
    async fn events_are_kept_beside_the_journal_and_by_one_agent() {
        let dir = tempfile::tempdir().unwrap();
        let first = DataStorage::new(dir.path());
        first.append_events(b"one ".to_vec()).await.unwrap();
        first.open_journal().await.unwrap();
        first.append_events(b"two".to_vec()).await.unwrap();
        let second = DataStorage::new(dir.path());
        assert_eq!(second.append_events(b"three".to_vec()).await.unwrap_err().kind(), ErrorKind::WouldBlock);
        drop(first);
        assert_eq!(second.read_events().await.unwrap(), b"one two");
    }

    #[tokio::test]
    async fn a_directory_has_one_agent_and_is_free_when_it_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let first = DataStorage::new(dir.path());
        first.open_journal().await.unwrap();
        let second = DataStorage::new(dir.path());
        assert_eq!(second.open_journal().await.unwrap_err().kind(), ErrorKind::WouldBlock);
        drop(first);
        second.open_journal().await.unwrap();
    }

    #[tokio::test]
    async fn what_a_death_left_half_written_goes_with_the_next_start() {
        let dir = tempfile::tempdir().unwrap();
        let storage = DataStorage::new(dir.path());
        let [one, two] = [document("shop", "..1"), document("blog", "2")];
        for document in [&one, &two] {
            storage.put(document, b"whole".to_vec()).await.unwrap();
        }
        let torn =
            ["", "releases/shop/", "releases/blog/"].map(|place| dir.path().join(format!("{place}{}", fresh_name())));
        for file in &torn {
            File::create(file).unwrap().write_all(b"ha").unwrap();
        }
        std::fs::remove_file(dir.path().join("releases/blog/2.json")).unwrap();
        storage.open_journal().await.unwrap();
        assert!(torn.iter().all(|file| !file.exists()));
        assert_eq!(storage.documents().await.unwrap(), [one]);
        assert!(!dir.path().join("releases/blog").exists());
    }

    #[tokio::test]
    async fn logs_lie_beside_the_documents_and_are_the_agents_alone_as_well() {
        let dir = tempfile::tempdir().unwrap();
        let storage = DataStorage::new(dir.path());
        let one = document("shop", "1");
        storage.put_log(&one, b"said".to_vec()).await.unwrap();
        let path = dir.path().join("logs/shop/1.log");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(storage.get_log(&one).await.unwrap().unwrap(), b"said");
        assert_eq!((storage.logs().await.unwrap(), storage.documents().await.unwrap()), (vec![one.clone()], vec![]));
        storage.delete_log(&one).await.unwrap();
        assert!(!dir.path().join("logs/shop").exists());
    }

    #[tokio::test]
    async fn documents_are_the_agents_alone_and_their_folder_goes_with_the_last() {
        let dir = tempfile::tempdir().unwrap();
        let storage = DataStorage::new(dir.path());
        assert_eq!(storage.documents().await.unwrap(), []);
        let [one, two] = [document("shop", "..1"), document("shop", "2")];
        storage.put(&one, b"old".to_vec()).await.unwrap();
        storage.put(&one, b"new".to_vec()).await.unwrap();
        storage.put(&two, b"two".to_vec()).await.unwrap();
        let path = dir.path().join("releases/shop/2.json");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(storage.get(&one).await.unwrap().unwrap(), b"new");
        let mut all = storage.documents().await.unwrap();
        all.sort();
        assert_eq!(all, [one.clone(), two.clone()]);
        for document in [&one, &one, &two] {
            storage.delete(document).await.unwrap();
        }
        assert_eq!(storage.get(&two).await.unwrap(), None);
        assert!(!dir.path().join("releases/shop").exists());
    }

    #[tokio::test]
    async fn a_document_lies_in_its_folder() {
        let dir = tempfile::tempdir().unwrap();
        let storage = DataStorage::new(dir.path());
        for outside in [document("..", "x"), document("a/b", "x"), document("a", "../x"), document("", "x")] {
            let error = storage.put(&outside, vec![]).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{outside:?}");
        }
    }
}
