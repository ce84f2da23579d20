//! What a shell makes of a path.

use std::path::Path;

/// `path` as one word for a POSIX shell, whatever is in it.
pub(super) fn shell_word(path: &Path) -> std::ffi::OsString {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let harmless = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-+=:,@%".contains(byte);
    if path.as_os_str().as_bytes().iter().all(harmless) {
        return path.into();
    }
    let mut word = vec![b'\''];
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'\'' => word.extend_from_slice(br"'\''"),
            other => word.push(*other),
        }
    }
    word.push(b'\'');
    std::ffi::OsString::from_vec(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_for_a_shell() {
        assert_eq!(shell_word(Path::new("/keys/a b;c'd")), r"'/keys/a b;c'\''d'");
        assert_eq!(shell_word(Path::new("/keys/shop_ed25519")), "/keys/shop_ed25519");
    }
}
