//! Names that become part of a container's, an image's and a route's.

use crate::limits;

/// A name that engines or Caddy would not take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {value:?} is not a valid name: wanted are 1 to {} letters, digits, `_`, `.` or `-`{}", limits::NAME_BYTES, if *leading { "" } else { ", the first a letter or digit" })]
pub struct InvalidName {
    /// Which name (`app_id`, `id`).
    pub what: &'static str,
    /// What came.
    pub value: String,
    /// Whether it may begin with a sign.
    pub leading: bool,
}

/// Checks an application's id: part of `otturnaut-{app_id}-{id}` and of `{app_id}-route`.
///
/// # Errors
/// Engines or Caddy would not take it.
pub fn check_app_id(app_id: &str) -> Result<(), InvalidName> {
    check("app_id", app_id, false)
}

/// Checks a deployment's id: random ones may begin with `-` or `_`.
///
/// # Errors
/// Engines would not take it.
pub fn check_deployment_id(id: &str) -> Result<(), InvalidName> {
    check("id", id, true)
}

fn check(what: &'static str, value: &str, leading: bool) -> Result<(), InvalidName> {
    let sign = |b: u8| matches!(b, b'_' | b'.' | b'-');
    let allowed = value.bytes().all(|b| b.is_ascii_alphanumeric() || sign(b));
    let first = value.bytes().next().is_some_and(|b| leading || !sign(b));
    if allowed && first && value.len() <= limits::NAME_BYTES {
        return Ok(());
    }
    Err(InvalidName { what, value: value.chars().take(limits::NAME_BYTES).collect(), leading })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_engines_take_are_taken() {
        for app_id in ["a", "my-app", "My_App.2", &"a".repeat(limits::NAME_BYTES)] {
            assert_eq!(check_app_id(app_id), Ok(()), "{app_id}");
        }
        assert_eq!(check_deployment_id("-_1VjLAJ"), Ok(()));
    }

    #[test]
    fn others_are_refused_and_the_text_says_what_is_wanted() {
        for app_id in ["", "-a", ".a", "a b", "a/b", "\u{e4}", "a\n", &"a".repeat(limits::NAME_BYTES + 1)] {
            assert!(check_app_id(app_id).is_err(), "{app_id}");
        }
        assert!(check_deployment_id("").is_err());
        let wanted = "app_id \"-a\" is not a valid name: wanted are 1 to 100 letters, digits, `_`, `.` or `-`, the first a letter or digit";
        assert_eq!(check_app_id("-a").unwrap_err().to_string(), wanted);
    }
}
