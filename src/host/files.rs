//! Directories and files of the agent.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;

use super::world::Files;
use crate::limits;

/// Attempts at a name that nobody has; one of 64 random bits is enough.
const ATTEMPTS: usize = 4;

/// The directory of programs, beside that of sources.
pub(super) const ARTIFACTS: &str = "artifacts";

/// The directory of their names, within it.
pub(super) const ARTIFACT_NAMES: &str = "names";

/// Directories under the data directory.
#[derive(Debug, Clone)]
pub struct DataFiles {
    sources: PathBuf,
    local: Vec<PathBuf>,
    /// What the names begin with of directories that this agent works in: those of others are of agents before it.
    mark: String,
}

impl DataFiles {
    /// Directories under `data_dir`, which is made when it is first needed.
    pub fn new(data_dir: &Path) -> Self {
        Self { sources: data_dir.join("sources"), local: Vec::new(), mark: format!(".{:08x}", rand::random::<u32>()) }
    }

    /// The same, with directories whose repositories may be taken.
    #[must_use]
    pub fn with_local_sources(self, local: Vec<PathBuf>) -> Self {
        Self { local, ..self }
    }

    fn make(&self) -> io::Result<PathBuf> {
        let builder = |recursive| {
            let mut builder = DirBuilder::new();
            builder.mode(0o700).recursive(recursive);
            builder
        };
        builder(true).create(&self.sources)?;
        let mut last = ErrorKind::AlreadyExists.into();
        for _ in 0..ATTEMPTS {
            let path = self.sources.join(format!("{}{:08x}", self.mark, rand::random::<u32>()));
            match builder(false).create(&path) {
                Ok(()) => return Ok(path),
                Err(e) => last = e,
            }
        }
        Err(last)
    }

    fn keep(&self, path: &Path) -> io::Result<PathBuf> {
        let dir = self.checked(path)?.ok_or(ErrorKind::NotFound)?;
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let kept = self.sources.join(name.trim_start_matches('.'));
        std::fs::rename(dir, &kept)?;
        Ok(kept)
    }

    fn sweep(&self) -> io::Result<()> {
        let given_up = |age: Duration| age > limits::SOURCE_AGE;
        sweep(&self.sources, |name, age| is_fresh(name) && !name.starts_with(&self.mark) || given_up(age))?;
        // Programs on their way in have no mark; what is on its way now is young.
        let left = |name: &str, age| is_fresh(name) && age > limits::ARTIFACT_AGE;
        let artifacts = self.sources.with_file_name(ARTIFACTS);
        sweep(&artifacts, left)?;
        sweep(&artifacts.join(ARTIFACT_NAMES), left)
    }

    /// The directory to remove; nothing if it is not there.
    fn checked(&self, path: &Path) -> io::Result<Option<PathBuf>> {
        let outside = || io::Error::new(ErrorKind::PermissionDenied, "the path is not one of the agent's sources");
        // A name within the sources, of one part: nothing that leads anywhere else, and not the sources themselves.
        let name = path.file_name().filter(|name| self.sources.join(name) == path).ok_or_else(outside)?;
        let sources = match self.sources.canonicalize() {
            Ok(sources) => sources,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e),
        };
        match path.symlink_metadata() {
            Ok(found) if found.is_dir() => Ok(Some(sources.join(name))),
            Ok(_) => Err(outside()),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }
}

#[async_trait]
impl Files for DataFiles {
    async fn make_source_dir(&self) -> io::Result<PathBuf> {
        let files = self.clone();
        blocking(move || files.make()).await
    }

    async fn keep_source_dir(&self, path: &Path) -> io::Result<PathBuf> {
        let (files, path) = (self.clone(), path.to_owned());
        blocking(move || files.keep(&path)).await
    }

    async fn sweep_source_dirs(&self) -> io::Result<()> {
        let files = self.clone();
        blocking(move || files.sweep()).await
    }

    async fn size(&self, path: &Path) -> io::Result<u64> {
        let path = path.to_owned();
        blocking(move || Ok(size(&path))).await
    }

    async fn own_sizes(&self) -> io::Result<Vec<(String, u64)>> {
        let Some(data_dir) = self.sources.parent().map(Path::to_owned) else { return Ok(Vec::new()) };
        blocking(move || {
            let entries = std::fs::read_dir(data_dir)?.flatten();
            Ok(entries.map(|entry| (entry.file_name().to_string_lossy().into_owned(), size(&entry.path()))).collect())
        })
        .await
    }

    fn is_local_source(&self, path: &Path) -> bool {
        // One that is not there is git's to complain of.
        let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        self.local.iter().any(|allowed| real.starts_with(allowed.canonicalize().unwrap_or_else(|_| allowed.clone())))
    }

    async fn remove_source_dir(&self, path: &Path) -> io::Result<()> {
        let (files, path) = (self.clone(), path.to_owned());
        blocking(move || match files.checked(&path)? {
            Some(dir) => std::fs::remove_dir_all(dir),
            None => Ok(()),
        })
        .await
    }
}

/// Removes what is left in a directory, by name and age.
fn sweep(directory: &Path, is_left: impl Fn(&str, Duration) -> bool) -> io::Result<()> {
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let age = entry.metadata()?.modified()?.elapsed().unwrap_or_default();
        if is_left(&entry.file_name().to_string_lossy(), age) {
            let path = entry.path();
            tracing::info!(path = %path.display(), "removing what was left");
            if entry.file_type()?.is_dir() { std::fs::remove_dir_all(path)? } else { std::fs::remove_file(path)? }
        }
    }
    Ok(())
}

/// What is there at the moment: files come and go meanwhile.
fn size(path: &Path) -> u64 {
    match path.symlink_metadata() {
        Ok(found) if found.is_dir() => {}
        found => return found.map_or(0, |found| found.len()),
    }
    let (mut bytes, mut left) = (0, vec![path.to_owned()]);
    while let Some(directory) = left.pop() {
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(found) if found.is_dir() => left.push(entry.path()),
                Ok(found) => bytes += found.len(),
                Err(_) => {}
            }
        }
    }
    bytes
}

/// Does what waits for the disk where nothing else waits.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    // One kind of task for each kind of answer, rather than for each thing that is done.
    let work: Box<dyn FnOnce() -> io::Result<T> + Send> = Box::new(work);
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|e| Err(io::Error::other(e)))
}

/// Writes a file of that mode so that readers see the old content or the new one, also after a crash.
///
/// # Errors
/// The directory is not there or takes no files; the old content is as it was.
pub fn write_atomic(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let directory = path.parent().ok_or(ErrorKind::InvalidInput)?;
    let fresh = directory.join(fresh_name());
    let written = OpenOptions::new().write(true).create_new(true).mode(mode).open(&fresh).and_then(|mut file| {
        file.write_all(content)?;
        file.sync_all()
    });
    let renamed = written.and_then(|()| std::fs::rename(&fresh, path));
    if renamed.is_err() {
        // It may not even have been made.
        std::fs::remove_file(&fresh).unwrap_or_default();
    }
    renamed.and_then(|()| File::open(directory)?.sync_all())
}

/// Writes a file of that mode that is not there yet: whole, or not at all, and a death leaves nothing of it.
///
/// # Errors
/// Something of that name is there, or the directory takes no files.
pub(super) fn write_new(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let directory = path.parent().ok_or(ErrorKind::InvalidInput)?;
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let nameless = match rustix::fs::open(directory, flags, Mode::from_raw_mode(mode)) {
        Ok(file) => file,
        // A file system that knows no files without a name.
        Err(Errno::OPNOTSUPP) if path.exists() => return Err(ErrorKind::AlreadyExists.into()),
        Err(Errno::OPNOTSUPP) => return write_atomic(path, content, mode),
        Err(error) => return Err(error.into()),
    };
    let mut file = File::from(nameless);
    file.set_permissions(std::fs::Permissions::from_mode(mode))?;
    file.write_all(content)?;
    file.sync_all()?;
    let open = format!("/proc/self/fd/{}", file.as_raw_fd());
    rustix::fs::linkat(CWD, open, CWD, path, AtFlags::SYMLINK_FOLLOW)?;
    File::open(directory)?.sync_all()
}

/// The name of a file that is being written.
pub(super) fn fresh_name() -> String {
    format!(".{:016x}", rand::random::<u64>())
}

/// Whether a name is one of those: what a death left of them is of no use.
pub(super) fn is_fresh(name: &str) -> bool {
    let digits = name.strip_prefix('.').filter(|digits| digits.len() == 16);
    digits.is_some_and(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
}

/// What is not there need not be removed.
pub(super) fn gone_is_fine(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::time::SystemTime;

    use super::*;

    #[tokio::test]
    async fn a_source_directory_is_the_agents_alone_and_can_be_removed_twice() {
        let data = tempfile::tempdir().unwrap();
        let files = DataFiles::new(data.path());
        let dir = files.make_source_dir().await.unwrap();
        assert_eq!(dir.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        File::create(dir.join("file")).unwrap();
        files.remove_source_dir(&dir).await.unwrap();
        files.remove_source_dir(&dir).await.unwrap();
        assert!(!dir.exists());
    }

    #[test]
    fn a_new_file_takes_no_ones_place_and_has_its_mode() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("unit");
        write_new(&path, b"one", 0o640).unwrap();
        let taken = write_new(&path, b"two", 0o640).unwrap_err();
        assert_eq!(taken.kind(), ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&path).unwrap(), b"one");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn what_a_death_left_is_swept_and_what_was_given_away_stays_for_a_day() {
        let data = tempfile::tempdir().unwrap();
        let before = DataFiles::new(data.path());
        let (left, given, old) = (before.make().unwrap(), before.make().unwrap(), before.make().unwrap());
        let (given, old) = (before.keep(&given).unwrap(), before.keep(&old).unwrap());
        let age = |path: &Path, age| File::open(path).unwrap().set_modified(SystemTime::now() - age).unwrap();
        age(&old, limits::SOURCE_AGE + Duration::from_secs(1));
        File::create(given.join("file")).unwrap();
        let now = DataFiles::new(data.path());
        let own = now.make().unwrap();
        let artifacts =
            [data.path().join(ARTIFACTS).join(fresh_name()), data.path().join(ARTIFACTS).join(fresh_name())];
        artifacts.iter().try_for_each(std::fs::create_dir_all).unwrap();
        age(&artifacts[0], limits::ARTIFACT_AGE + Duration::from_secs(1));
        now.sweep_source_dirs().await.unwrap();
        assert_eq!(artifacts.each_ref().map(|dir| dir.exists()), [false, true]);
        assert_eq!([&left, &given, &old, &own].map(|dir| dir.exists()), [false, true, false, true]);
        now.remove_source_dir(&given).await.unwrap();
        assert!(!given.exists());
    }

    #[test]
    fn the_size_is_that_of_all_files_and_links_lead_nowhere() {
        let data = tempfile::tempdir().unwrap();
        std::fs::create_dir(data.path().join("a")).unwrap();
        write_atomic(&data.path().join("a/b"), &[0; 1000], 0o600).unwrap();
        symlink("/usr", data.path().join("c")).unwrap();
        let found = size(data.path());
        assert!((1000..2000).contains(&found), "{found}");
    }

    #[test]
    fn only_repositories_under_the_listed_directories_are_local_sources() {
        let data = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(data.path().join("git/shop")).unwrap();
        std::fs::create_dir(data.path().join("other")).unwrap();
        symlink(data.path().join("other"), data.path().join("git/link")).unwrap();
        let files = DataFiles::new(data.path()).with_local_sources(vec![data.path().join("git")]);
        let local = |path: &str| files.is_local_source(&data.path().join(path));
        assert_eq!(["git/shop", "git/none", "other", "git/link"].map(local), [true, true, false, false]);
        assert!(!DataFiles::new(data.path()).is_local_source(&data.path().join("git/shop")));
    }

    #[tokio::test]
    async fn nothing_outside_of_the_sources_is_removed() {
        let data = tempfile::tempdir().unwrap();
        let files = DataFiles::new(data.path());
        let dir = files.make_source_dir().await.unwrap();
        let other = data.path().join("other");
        std::fs::create_dir(&other).unwrap();
        let link = dir.parent().unwrap().join("link");
        symlink(&other, &link).unwrap();
        let outside = [
            other.clone(),
            dir.parent().unwrap().to_owned(),
            dir.parent().unwrap().join(".."),
            dir.join("..").join("..").join("other"),
            link,
            PathBuf::from("/"),
        ];
        for path in outside {
            let error = files.remove_source_dir(&path).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{}", path.display());
        }
        assert!(other.exists() && dir.exists());
    }

    #[test]
    fn a_file_is_written_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        write_atomic(&path, b"one", 0o600).unwrap();
        write_atomic(&path, b"two", 0o600).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(write_atomic(&dir.path().join("missing/state"), b"x", 0o600).is_err());
    }
}
