//! A build context: a directory as a tar stream, in constant memory.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures::Stream;
use futures::stream::unfold;
use tar::{Builder, EntryType, Header};
use tokio::sync::mpsc;

use super::ignore::Ignore;
use crate::limits;
use crate::secret::Secret;

/// A piece of a context.
pub(super) type Piece = io::Result<Bytes>;

/// A file that a context gets beside those of its directory.
pub(super) struct Extra {
    /// Its name at the top of the context.
    pub(super) name: String,
    /// What is in it.
    pub(super) content: Secret<String>,
}

/// The directory as a tar archive, made while it is read: a thread walks it and waits where the reader is slow. It ends when
/// the stream is dropped.
pub(super) fn stream(
    directory: &Path,
    dockerfile: &str,
    extra: Vec<Extra>,
) -> impl Stream<Item = Piece> + Send + 'static {
    let (pieces, received) = mpsc::channel(limits::CONTEXT_PIECES);
    let (directory, dockerfile) = (directory.to_owned(), dockerfile.to_owned());
    tokio::task::spawn_blocking(move || {
        let out = Pieces { pieces: pieces.clone(), buffer: Vec::with_capacity(limits::CONTEXT_PIECE_BYTES) };
        if let Err(e) = write(&directory, (&dockerfile, &extra), out) {
            // The reader may be gone; then it needs no reason.
            pieces.blocking_send(Err(e)).unwrap_or_default();
        }
    });
    unfold(received, |mut received| async move { Some((received.recv().await?, received)) })
}

fn write(directory: &Path, (dockerfile, extra): (&str, &[Extra]), out: Pieces) -> io::Result<()> {
    let ignore = Ignore::read(directory, dockerfile)?;
    let mut tar = Builder::new(out);
    tar.follow_symlinks(false);
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let mut entries = fs::read_dir(directory.join(&folder))?.collect::<Result<Vec<_>, _>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let relative = folder.join(entry.file_name());
            let kind = entry.file_type()?;
            let ignored = ignore.is_ignored(&relative);
            if kind.is_dir() && (!ignored || ignore.may_hold_exceptions()) {
                folders.push(relative.clone());
            }
            if !ignored {
                append(&mut tar, &entry.path(), &relative)?;
            }
        }
    }
    for Extra { name, content } in extra {
        let mut header = Header::new_gnu();
        header.set_mode(0o600);
        header.set_size(content.expose().len() as u64);
        tar.append_data(&mut header, name, content.expose().as_bytes())?;
    }
    tar.into_inner()?.flush()
}

fn append(tar: &mut Builder<Pieces>, path: &Path, name: &Path) -> io::Result<()> {
    let found = path.symlink_metadata()?;
    let mut header = Header::new_gnu();
    header.set_mode(found.mode() & 0o7777);
    header.set_mtime(u64::try_from(found.mtime()).unwrap_or(0));
    let kind = found.file_type();
    if kind.is_dir() {
        header.set_entry_type(EntryType::Directory);
        header.set_size(0);
        tar.append_data(&mut header, name, io::empty())
    } else if kind.is_symlink() {
        header.set_entry_type(EntryType::Symlink);
        header.set_size(0);
        tar.append_link(&mut header, name, fs::read_link(path)?)
    } else if kind.is_file() {
        header.set_entry_type(EntryType::Regular);
        header.set_size(found.len());
        tar.append_data(&mut header, name, Exactly { file: File::open(path)?, left: found.len() })
    } else {
        // Sockets, pipes and devices have no content that an image could hold.
        Ok(())
    }
}

/// As many bytes of a file as its header says, also where the file changes meanwhile.
struct Exactly {
    file: File,
    left: u64,
}

impl io::Read for Exactly {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let place = buffer.get_mut(..wanted).unwrap_or_default();
        if place.is_empty() {
            return Ok(0);
        }
        let read = match self.file.read(place)? {
            0 => {
                place.fill(0);
                wanted
            }
            read => read,
        };
        self.left -= read as u64;
        Ok(read)
    }
}

/// Passes bytes on in pieces.
struct Pieces {
    pieces: mpsc::Sender<Piece>,
    buffer: Vec<u8>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = limits::CONTEXT_PIECE_BYTES - self.buffer.len();
        let taken = bytes.get(..room.min(bytes.len())).unwrap_or_default();
        self.buffer.extend_from_slice(taken);
        if self.buffer.len() == limits::CONTEXT_PIECE_BYTES {
            self.flush()?;
        }
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.buffer, Vec::with_capacity(limits::CONTEXT_PIECE_BYTES));
        self.pieces.blocking_send(Ok(piece.into())).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use futures::StreamExt;

    use super::*;

    async fn archive(directory: &Path) -> BTreeMap<String, (EntryType, u32, u64)> {
        let mut bytes = Vec::new();
        let pieces = stream(directory, "Dockerfile", Vec::new());
        futures::pin_mut!(pieces);
        while let Some(piece) = pieces.next().await {
            bytes.extend_from_slice(&piece.unwrap());
        }
        let mut archive = tar::Archive::new(bytes.as_slice());
        let entry = |entry: io::Result<tar::Entry<'_, _>>| {
            let entry: tar::Entry<'_, &[u8]> = entry.unwrap();
            let header = entry.header();
            let facts = (header.entry_type(), header.mode().unwrap() & 0o777, header.size().unwrap());
            (entry.path().unwrap().to_string_lossy().into_owned(), facts)
        };
        archive.entries().unwrap().map(entry).collect()
    }

    #[tokio::test]
    async fn the_directory_is_archived_as_it_is_without_what_is_ignored() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir_all(at("sub/deep")).unwrap();
        fs::create_dir(at("node_modules")).unwrap();
        let long = format!("sub/deep/{}", "n".repeat(150));
        let large = vec![7; 300_000];
        let content: [(&str, &[u8]); 6] = [
            ("Dockerfile", b"FROM scratch"),
            (".dockerignore", b"node_modules\n*.log\n!keep.log\n"),
            ("node_modules/x", b"x"),
            ("a.log", b"x"),
            ("keep.log", b"x"),
            (&long, &large),
        ];
        for (name, bytes) in content {
            File::create(at(name)).unwrap().write_all(bytes).unwrap();
        }
        fs::set_permissions(at("Dockerfile"), fs::Permissions::from_mode(0o755)).unwrap();
        symlink("/etc/passwd", at("link")).unwrap();
        let found = archive(dir.path()).await;
        let names: Vec<&str> = found.keys().map(String::as_str).collect();
        assert_eq!(names, [".dockerignore", "Dockerfile", "keep.log", "link", "sub", "sub/deep", &long]);
        assert_eq!(found["Dockerfile"], (EntryType::Regular, 0o755, 12));
        assert_eq!(found["link"].0, EntryType::Symlink);
        assert_eq!(found[&long].2, 300_000);
    }

    #[tokio::test]
    async fn a_missing_directory_is_an_error_of_the_stream() {
        let pieces = stream(Path::new("/nowhere/at/all"), "Dockerfile", Vec::new());
        futures::pin_mut!(pieces);
        assert!(pieces.next().await.unwrap().is_err());
    }
}
