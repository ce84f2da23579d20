//! The file of the events, and the one before it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::files::gone_is_fine;
use super::records::{read_records, write_record};
use super::storage::private;
use crate::limits;

/// A checksum and the greatest number.
const TOLD_BYTES: usize = 32;

/// Two files: when the newer is full it becomes the older one, and what that held is gone.
#[derive(Debug)]
pub(super) struct EventFile {
    path: PathBuf,
    file: File,
    length: u64,
    /// How far Mission Control was told.
    told: File,
}

impl EventFile {
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        let path = dir.join("events");
        let file = private(&path)?;
        let length = file.metadata()?.len();
        Ok(Self { path, file, length, told: private(&dir.join("events.told"))? })
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

    /// Its end, whole lines alone, the oldest first: at least as much as is wanted, if there is as much.
    pub(super) fn read_end(&self, wanted: u64) -> io::Result<Vec<u8>> {
        if self.length < wanted {
            // Two files at most, of a size that is bounded.
            let all = self.read()?;
            let from = all.len().saturating_sub(usize::try_from(wanted).unwrap_or(usize::MAX));
            return Ok(whole_lines(&all, from).to_vec());
        }
        // With the byte before, which tells whether a line begins there.
        let from = (self.length - wanted).saturating_sub(1);
        let mut end = vec![0; usize::try_from(self.length - from).unwrap_or(0)];
        self.file.read_exact_at(&mut end, from)?;
        Ok(whole_lines(&end, usize::from(self.length > wanted)).to_vec())
    }

    /// The last number that was noted; none where it is torn.
    pub(super) fn read_told(&self) -> io::Result<Option<u64>> {
        let mut line = vec![0; TOLD_BYTES];
        let read = self.told.read_at(&mut line, 0)?;
        line.truncate(read);
        Ok(read_records(&line).0.pop())
    }

    /// Notes a number, in place.
    pub(super) fn write_told(&self, number: u64) -> io::Result<()> {
        let mut line = Vec::new();
        write_record(&number, &mut line);
        // Numbers grow, and blanks after one of them are none of it.
        line.resize(TOLD_BYTES, b'\n');
        self.told.write_all_at(&line, 0)
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

/// From the first line that begins at `from` or after it; all if that is the beginning.
fn whole_lines(bytes: &[u8], from: usize) -> &[u8] {
    let Some(before) = from.checked_sub(1) else { return bytes };
    let rest = bytes.get(before..).unwrap_or_default();
    let line = rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |end| end + 1);
    rest.get(line..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_end_is_whole_lines() {
        let dir = tempfile::tempdir().unwrap();
        let mut events = EventFile::open(dir.path()).unwrap();
        assert_eq!(events.read_end(4).unwrap(), b"");
        events.append(b"one\ntwo\nthree\n").unwrap();
        assert_eq!(events.read_end(6).unwrap(), b"three\n");
        assert_eq!(events.read_end(9).unwrap(), b"three\n");
        assert_eq!(events.read_end(10).unwrap(), b"two\nthree\n");
        assert_eq!(events.read_end(100).unwrap(), b"one\ntwo\nthree\n");
        fs::rename(dir.path().join("events"), dir.path().join("events.old")).unwrap();
        let mut events = EventFile::open(dir.path()).unwrap();
        events.append(b"four\n").unwrap();
        assert_eq!(events.read_end(11).unwrap(), b"three\nfour\n");
    }

    #[test]
    fn how_far_mission_control_was_told_is_read_as_it_was_noted() {
        let dir = tempfile::tempdir().unwrap();
        let events = EventFile::open(dir.path()).unwrap();
        assert_eq!(events.read_told().unwrap(), None);
        for number in [7, u64::MAX, 12] {
            events.write_told(number).unwrap();
            assert_eq!(events.read_told().unwrap(), Some(number));
        }
        File::create(dir.path().join("events.told")).unwrap().write_all_at(b"torn", 0).unwrap();
        assert_eq!(events.read_told().unwrap(), None);
    }

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
