//! Programs by content: `artifacts/{sha256}/app`, and names that lead to them.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sha2::{Digest, Sha256};

use crate::host::files::{ARTIFACT_NAMES, ARTIFACTS, fresh_name, gone_is_fine, is_fresh, write_atomic};
use crate::limits;

/// What an id begins with, as engines have it.
const SHA256: &str = "sha256:";

/// The programs of this machine's units.
#[derive(Debug, Clone)]
pub(super) struct Store {
    dir: PathBuf,
    /// One at a time gives names and takes them away: a program goes with its last name.
    turn: Arc<Mutex<()>>,
}

/// Why a file is no program.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoreError {
    /// The system's reason.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It does not begin as programs do.
    #[error("it is no program: it begins neither as ELF nor with #!")]
    NoProgram,
}

impl Store {
    pub(super) fn new(data_dir: &Path) -> Self {
        Self { dir: data_dir.join(ARTIFACTS), turn: Arc::default() }
    }

    /// Takes a program in under a name that follows from its id; gives the name.
    pub(super) fn load(&self, program: &Path, name: impl Fn(&str) -> String) -> Result<String, StoreError> {
        let _turn = self.turn();
        let id = self.take(program)?;
        let name = name(&id);
        self.write_name(&name, &id)?;
        Ok(name)
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a program in; gives its id.
    fn take(&self, program: &Path) -> Result<String, StoreError> {
        let mut source = File::open(program)?;
        let fresh = self.dir.join(fresh_name());
        // Units run as nobody's user: what they read is mounted for them, and must be readable there.
        fs::DirBuilder::new().mode(0o755).recursive(true).create(&fresh)?;
        let taken = write(&mut source, &fresh.join("app")).and_then(|sum| self.settle(&fresh, &sum));
        if taken.is_err() {
            gone_is_fine(fs::remove_dir_all(&fresh))?;
        }
        taken
    }

    /// The id that a program would have.
    pub(super) fn id(program: &Path) -> Result<String, StoreError> {
        Ok(format!("{SHA256}{}", copy(&mut File::open(program)?, &mut io::sink())?))
    }

    fn settle(&self, fresh: &Path, sum: &str) -> Result<String, StoreError> {
        let place = self.dir.join(sum);
        if place.exists() {
            fs::remove_dir_all(fresh)?;
        } else {
            fs::rename(fresh, &place)?;
            File::open(&self.dir)?.sync_all()?;
        }
        Ok(format!("{SHA256}{sum}"))
    }

    /// The directory of a program, by its id.
    pub(super) fn place(&self, id: &str) -> PathBuf {
        self.dir.join(id.trim_start_matches(SHA256))
    }

    /// The id of a name or an id that is here.
    pub(super) fn find(&self, name: &str) -> Option<String> {
        let id = match name.strip_prefix(SHA256) {
            Some(_) => name.to_owned(),
            None => fs::read_to_string(self.name_file(name)).ok()?,
        };
        // An id may come from outside: one that is a path would lead out of the store, and what it names is removed some day.
        (is_id(&id) && self.place(&id).join("app").is_file()).then_some(id)
    }

    /// All programs with their bytes.
    pub(super) fn all(&self) -> io::Result<Vec<(String, u64)>> {
        let entries = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let program = |entry: fs::DirEntry| {
            let size = entry.path().join("app").metadata().ok()?.len();
            Some((format!("{SHA256}{}", entry.file_name().to_string_lossy()), size))
        };
        Ok(entries
            .flatten()
            .filter(|entry| !is_fresh(&entry.file_name().to_string_lossy()))
            .filter_map(program)
            .collect())
    }

    /// All names that lead to a program.
    pub(super) fn names(&self, id: &str) -> Vec<String> {
        let entries = fs::read_dir(self.dir.join(ARTIFACT_NAMES)).into_iter().flatten().flatten();
        let leads = |entry: &fs::DirEntry| fs::read_to_string(entry.path()).is_ok_and(|to| to == id);
        let named = entries.filter(|entry| !is_fresh(&entry.file_name().to_string_lossy()));
        named.filter(leads).filter_map(|entry| decoded(&entry.file_name().to_string_lossy())).collect()
    }

    /// Lets a further name lead to a program; `false` if that is not here.
    pub(super) fn name(&self, program: &str, name: &str) -> io::Result<bool> {
        let _turn = self.turn();
        let Some(id) = self.find(program) else { return Ok(false) };
        self.write_name(name, &id).map(|()| true)
    }

    fn write_name(&self, name: &str, id: &str) -> io::Result<()> {
        fs::DirBuilder::new().mode(0o755).recursive(true).create(self.dir.join(ARTIFACT_NAMES))?;
        write_atomic(&self.name_file(name), id.as_bytes(), 0o600)
    }

    /// Takes a name, or an id with all of its names, away; the program goes with its last name. `false` if it is not here.
    pub(super) fn remove(&self, name: &str) -> io::Result<bool> {
        let _turn = self.turn();
        let Some(id) = self.find(name) else { return Ok(false) };
        let names = if name.starts_with(SHA256) { self.names(&id) } else { vec![name.to_owned()] };
        for name in names {
            gone_is_fine(fs::remove_file(self.name_file(&name)))?;
        }
        if self.names(&id).is_empty() {
            gone_is_fine(fs::remove_dir_all(self.place(&id)))?;
        }
        Ok(true)
    }

    fn name_file(&self, name: &str) -> PathBuf {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let encode = |byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02x}") };
        self.dir.join(ARTIFACT_NAMES).join(name.bytes().map(encode).collect::<String>())
    }
}

fn is_id(id: &str) -> bool {
    let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    id.strip_prefix(SHA256).is_some_and(|sum| sum.len() == 64 && sum.bytes().all(digit))
}

/// A file's name as it was encoded.
fn decoded(file: &str) -> Option<String> {
    let mut parts = file.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (code, rest) = part.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(code, 16).ok()?);
        bytes.extend(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

fn write(source: &mut File, to: &Path) -> Result<String, StoreError> {
    let mut target = fs::OpenOptions::new().write(true).create_new(true).mode(0o755).open(to)?;
    let sum = copy(source, &mut target)?;
    target.sync_all()?;
    Ok(sum)
}

/// Copies a program; gives its SHA-256.
fn copy(source: &mut File, target: &mut impl io::Write) -> Result<String, StoreError> {
    let (mut digest, mut buffer, mut begun) = (Sha256::new(), vec![0; limits::CONTEXT_PIECE_BYTES], false);
    loop {
        let read = match source.read(&mut buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            read => read?,
        };
        let piece = buffer.get(..read).unwrap_or_default();
        if !begun && !piece.starts_with(b"\x7fELF") && !piece.starts_with(b"#!") {
            return Err(StoreError::NoProgram);
        }
        if piece.is_empty() {
            break;
        }
        begun = true;
        digest.update(piece);
        target.write_all(piece)?;
    }
    Ok(crate::host::download::hexadecimal(&digest.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(dir: &Path, text: &str) -> PathBuf {
        let path = dir.join("program");
        write_atomic(&path, text.as_bytes(), 0o600).unwrap();
        path
    }

    #[test]
    fn a_program_is_known_by_its_content_and_goes_with_its_last_name() {
        let data = tempfile::tempdir().unwrap();
        let store = Store::new(data.path());
        let path = program(data.path(), "#!/bin/sh\necho one\n");
        let id = store.take(&path).unwrap();
        assert_eq!(store.take(&path).unwrap(), id);
        assert!(store.name(&id, "shop:1").unwrap());
        assert!(store.name("shop:1", "otturnaut-release:shop-1").unwrap());
        assert_eq!(store.find("shop:1").as_ref(), Some(&id));
        let mut names = store.names(&id);
        names.sort();
        assert_eq!(names, ["otturnaut-release:shop-1", "shop:1"]);
        assert!(store.remove("shop:1").unwrap() && store.find(&id).is_some());
        assert!(store.remove("otturnaut-release:shop-1").unwrap());
        assert_eq!((store.find(&id), store.remove("shop:1").unwrap()), (None, false));
    }

    #[test]
    fn an_id_that_is_a_path_leads_nowhere_and_removes_nothing() {
        let data = tempfile::tempdir().unwrap();
        let store = Store::new(data.path());
        store.take(&program(data.path(), "#!/bin/sh\n")).unwrap();
        let strange = data.path().join("strange");
        fs::create_dir(&strange).unwrap();
        write_atomic(&strange.join("app"), b"somebody's", 0o600).unwrap();
        for id in [format!("sha256:{}", strange.display()), "sha256:../strange".to_owned()] {
            assert_eq!(store.find(&id), None, "{id}");
            assert!(!store.name(&id, "shop:1").unwrap());
            // As if one had been written by hand.
            store.write_name("shop:1", &id).unwrap();
            assert!(!store.remove(&id).unwrap() && !store.remove("shop:1").unwrap(), "{id}");
            assert!(strange.join("app").exists(), "{id}");
        }
    }

    #[test]
    fn what_is_no_program_is_refused_and_leaves_nothing() {
        let data = tempfile::tempdir().unwrap();
        let store = Store::new(data.path());
        for text in ["", "echo one"] {
            let path = program(data.path(), text);
            assert!(matches!(store.take(&path), Err(StoreError::NoProgram)));
        }
        assert_eq!(fs::read_dir(data.path().join("artifacts")).unwrap().count(), 0);
    }
}
