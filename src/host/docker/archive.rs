//! What an archive of images says of itself, before an engine is given it.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use serde::Deserialize;

use super::api::posix;
use crate::host::runtime::RuntimeError;
use crate::limits;

/// An image, as the archives of `docker save` list them.
#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "RepoTags")]
    names: Option<Vec<String>>,
}

/// The names that it would bring; none where only the engine can tell (it is compressed, or of another kind).
///
/// # Errors
/// It cannot be read, is no archive, or holds several images.
pub(super) fn names(path: &Path) -> Result<Vec<String>, RuntimeError> {
    let unreadable = |e: std::io::Error| RuntimeError::File { path: path.to_owned(), reason: posix(&e) };
    let refused = |reason: String| RuntimeError::Archive { path: path.to_owned(), reason };
    let mut file = File::open(path).map_err(unreadable)?;
    if is_compressed(&mut file).map_err(unreadable)? {
        return Ok(Vec::new());
    }
    let mut archive = tar::Archive::new(file);
    let broken = |e: std::io::Error| refused(format!("it is no whole tar archive: {e}"));
    let (mut found, mut other) = (None, false);
    for entry in archive.entries_with_seek().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        match entry.path_bytes().as_ref() {
            b"manifest.json" => {
                let mut text = Vec::new();
                entry.by_ref().take(limits::ARCHIVE_MANIFEST_BYTES).read_to_end(&mut text).map_err(broken)?;
                found = Some(text);
            }
            b"index.json" => other = true,
            _ => {}
        }
    }
    let Some(text) = found else {
        return if other { Ok(Vec::new()) } else { Err(refused("it holds no image".to_owned())) };
    };
    let entries: Vec<Entry> =
        serde_json::from_slice(&text).map_err(|e| refused(format!("its list of images cannot be read: {e}")))?;
    match <[Entry; 1]>::try_from(entries) {
        Ok([entry]) => Ok(entry.names.unwrap_or_default()),
        Err(entries) => Err(refused(format!("it holds {} images, wanted is one", entries.len()))),
    }
}

/// By gzip, bzip2, xz or zstd, as engines take them.
fn is_compressed(file: &mut File) -> std::io::Result<bool> {
    let mut first = [0; 4];
    let read = file.read(&mut first)?;
    file.seek(SeekFrom::Start(0))?;
    let known: [&[u8]; 4] = [&[0x1f, 0x8b], b"BZh", &[0xfd, b'7', b'z', b'X'], &[0x28, 0xb5, 0x2f, 0xfd]];
    Ok(known.iter().any(|magic| first.get(..read).is_some_and(|first| first.starts_with(magic))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(files: &[(&str, &str)]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut builder = tar::Builder::new(file.reopen().unwrap());
        for (name, content) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            builder.append_data(&mut header, name, content.as_bytes()).unwrap();
        }
        builder.finish().unwrap();
        file
    }

    #[test]
    fn an_archive_of_one_image_tells_its_names() {
        let named = archive(&[("layer.tar", "x"), ("manifest.json", r#"[{"RepoTags":["shop:1","shop:2"]}]"#)]);
        assert_eq!(names(named.path()).unwrap(), ["shop:1", "shop:2"]);
        let unnamed = archive(&[("manifest.json", r#"[{"RepoTags":null}]"#)]);
        assert_eq!(names(unnamed.path()).unwrap(), [""; 0]);
        assert_eq!(names(archive(&[("index.json", "{}")]).path()).unwrap(), [""; 0]);
    }

    #[test]
    fn what_is_no_archive_of_one_image_is_refused_with_what_is_wrong() {
        let two = archive(&[("manifest.json", r#"[{"RepoTags":["a:1"]},{"RepoTags":["b:1"]}]"#)]);
        for (file, wanted) in [
            (two, "it holds 2 images, wanted is one"),
            (archive(&[("readme", "x")]), "it holds no image"),
            (archive(&[("manifest.json", "{")]), "its list of images cannot be read"),
        ] {
            let error = names(file.path()).unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
        }
        let junk = tempfile::NamedTempFile::new().unwrap();
        junk.as_file().set_len(3000).unwrap();
        std::io::Write::write_all(&mut junk.as_file(), &[b'x'; 2000]).unwrap();
        assert!(names(junk.path()).unwrap_err().to_string().contains("no whole tar archive"));
        let missing = names(Path::new("/nowhere/image.tar")).unwrap_err();
        assert!(matches!(missing, RuntimeError::File { reason, .. } if reason == "enoent"));
    }
}
