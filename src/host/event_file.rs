//! The file of the events, and the one before it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::files::gone_is_fine;
use super::storage::private;
use crate::limits;

/// Two files: when the newer is full it becomes the older one, and what that held is gone.
#[derive(Debug)]
pub(super) struct EventFile {
    path: PathBuf,
    file: File,
    length: u64,
}

impl EventFile {
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        let path = dir.join("events");
        let file = private(&path)?;
        let length = file.metadata()?.len();
        Ok(Self { path, file, length })
    }

    fn older(&self) -> PathBuf {
        self.path.with_extension("old")
    }

    /// All of it, the oldest first.
    pub(super) fn read(&self) -> io::Result<Vec<u8>> {
        let mut bytes = match fs::read(self.older()) {
            Ok(bytes) => bytes,
            Err(e) => gone_is_fine(Err(e)).map(|()| Vec::new())?,
        };
        bytes.extend(fs::read(&self.path)?);
        Ok(bytes)
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.length > limits::EVENT_FILE_BYTES {
            fs::rename(&self.path, self.older())?;
            self.file = private(&self.path)?;
            self.length = 0;
        }
        match self.file.write_all_at(bytes, self.length) {
            Ok(()) => self.length += bytes.len() as u64,
            // Half of it would tear what comes after.
            Err(e) => {
                self.file.set_len(self.length).unwrap_or_default();
                return Err(e);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_where_there_are_too_many() {
        let dir = tempfile::tempdir().unwrap();
        let mut events = EventFile::open(dir.path()).unwrap();
        let piece = usize::try_from(limits::EVENT_FILE_BYTES).unwrap() / 4;
        for number in 0_u8..20 {
            events.append(&vec![number; piece]).unwrap();
        }
        drop(events);
        let kept = EventFile::open(dir.path()).unwrap().read().unwrap();
        assert!(kept.len() >= 4 * piece && kept.len() <= 12 * piece, "{}", kept.len());
        assert_eq!(kept.last(), Some(&19));
        assert!(kept.is_sorted());
    }
}
