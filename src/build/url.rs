//! Urls of repositories: the credentials in them, and what a shell makes of a path.

use std::path::Path;

/// The credentials of a url (`user:password`, or a token) that must not be printed.
pub(super) fn credentials(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let (user, _) = authority.rsplit_once('@')?;
    // The user of ssh (`git`) is no secret.
    let secret = !user.is_empty() && (user.contains(':') || !scheme.contains("ssh"));
    secret.then_some(user)
}

/// `text` without the credentials of `url`.
pub(super) fn redact(text: &str, url: &str) -> String {
    match credentials(url) {
        Some(secret) => text.replace(secret, "***"),
        None => text.to_owned(),
    }
}

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
    fn credentials_are_what_stands_before_the_host() {
        assert_eq!(credentials("https://me:to/ken@host/a.git"), None, "a slash ends the authority");
        assert_eq!(credentials("https://me:token@host/a.git"), Some("me:token"));
        assert_eq!(credentials("https://ghp_x@github.com/a/b"), Some("ghp_x"));
        assert_eq!(credentials("ssh://git@host/a.git"), None);
        assert_eq!(credentials("git@host:a/b.git"), None);
        assert_eq!(credentials("https://host/a@b.git"), None);
    }

    #[test]
    fn texts_lose_the_credentials_of_their_url() {
        let url = "https://me:token@host/a.git";
        assert_eq!(
            redact(&format!("fatal: repository '{url}' not found"), url),
            "fatal: repository 'https://***@host/a.git' not found"
        );
    }

    #[test]
    fn a_path_is_one_word_for_a_shell() {
        assert_eq!(shell_word(Path::new("/keys/a b;c'd")), r"'/keys/a b;c'\''d'");
        assert_eq!(shell_word(Path::new("/keys/shop_ed25519")), "/keys/shop_ed25519");
    }
}
