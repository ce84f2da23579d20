//! What a shell makes of a word.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// `text` as one word for a POSIX shell, whatever is in it.
pub fn shell_word(text: impl AsRef<OsStr>) -> OsString {
    let text = text.as_ref();
    let harmless = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-+=:,@%".contains(byte);
    if !text.is_empty() && text.as_bytes().iter().all(harmless) {
        return text.into();
    }
    let mut word = vec![b'\''];
    for byte in text.as_bytes() {
        match byte {
            b'\'' => word.extend_from_slice(br"'\''"),
            other => word.push(*other),
        }
    }
    word.push(b'\'');
    OsString::from_vec(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_one_word_for_a_shell() {
        assert_eq!(shell_word("/keys/a b;c'd"), r"'/keys/a b;c'\''d'");
        assert_eq!(shell_word("/keys/shop_ed25519"), "/keys/shop_ed25519");
        assert_eq!(shell_word(""), "''");
    }
}
