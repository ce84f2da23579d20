//! Where a repository is: urls taken apart, what cannot be meant refused, credentials kept apart from the address.

use std::path::PathBuf;

use crate::secret::Secret;

/// A repository's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Remote {
    /// The url as git is given it: without credentials.
    pub(super) address: String,
    /// How it is reached.
    pub(super) reach: Reach,
    /// Who asks, where the url says it.
    pub(super) credentials: Option<Credentials>,
}

/// How a repository is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reach {
    /// Over HTTP or HTTPS: scheme, host and port, for which alone the credentials are.
    Web(String),
    /// Over ssh, or git's own protocol.
    Other,
    /// A directory of this machine.
    Local(PathBuf),
}

/// A user and a password, or a token in place of either.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Credentials {
    pub(super) user: Secret<String>,
    pub(super) password: Secret<String>,
    /// As they stood in the url.
    raw: Secret<String>,
}

impl Credentials {
    fn read(raw: &str) -> Result<Self, &'static str> {
        let (user, password) = raw.split_once(':').unwrap_or((raw, ""));
        let decode = |text| percent_decoded(text).ok_or("its credentials are not percent-encoded text");
        let (user, password) = (decode(user)?, decode(password)?);
        Ok(Self { user: Secret::new(user), password: Secret::new(password), raw: Secret::new(raw.to_owned()) })
    }

    /// `text` without them.
    pub(super) fn redact(&self, text: &str) -> String {
        let user = Some(self.user.expose().as_str()).filter(|_| self.password.expose().is_empty());
        let hidden = [self.raw.expose(), self.password.expose(), self.raw_password(), user.unwrap_or_default()];
        let secrets = hidden.into_iter().filter(|secret| !secret.is_empty());
        secrets.fold(text.to_owned(), |text, secret| text.replace(secret, "***"))
    }

    fn raw_password(&self) -> &str {
        self.raw.expose().split_once(':').map_or("", |(_, password)| password)
    }
}

impl Remote {
    /// Takes a url apart, or a place as ssh has it (`git@host:shop.git`), or a path.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(url: &str) -> Result<Self, &'static str> {
        check(url)?;
        if let Some((scheme, rest)) = url.split_once("://") {
            return Self::of_scheme(scheme, rest);
        }
        let (place, path) = url.split_once(':').map_or(("", url), |(place, path)| (place, path));
        if path.starts_with(':') {
            return Err("a helper of git's would run a program");
        }
        if place.is_empty() || place.contains('/') {
            return Self::local(url, url);
        }
        let host = place.rsplit('@').next().unwrap_or(place);
        if place.starts_with('-') || path.starts_with('-') {
            return Err("its host or its path begins with a dash");
        }
        check_host(host)?;
        Ok(Self { address: url.to_owned(), reach: Reach::Other, credentials: None })
    }

    fn of_scheme(scheme: &str, rest: &str) -> Result<Self, &'static str> {
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let (user, place) = match authority.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, authority),
        };
        let address = format!("{scheme}://{place}{path}");
        match scheme {
            "file" if matches!(authority, "" | "localhost") && !path.contains('%') => Self::local(path, &address),
            "file" => Err("a file's url has three slashes and then a plain path"),
            "http" | "https" => {
                check_host(place)?;
                let credentials = user.filter(|user| !user.is_empty()).map(Credentials::read).transpose()?;
                Ok(Self { address, reach: Reach::Web(format!("{scheme}://{place}")), credentials })
            }
            "ssh" | "git" => {
                check_host(place)?;
                // ssh takes no password; its user is no secret.
                let user = user.and_then(|user| user.split(':').next()).filter(|user| !user.is_empty());
                if user.is_some_and(|user| user.starts_with('-')) {
                    return Err("its user begins with a dash");
                }
                let address = user.map_or(address.clone(), |user| format!("{scheme}://{user}@{place}{path}"));
                Ok(Self { address, reach: Reach::Other, credentials: None })
            }
            _ => Err("wanted is https, http, ssh, git, file, or user@host:path"),
        }
    }

    fn local(path: &str, address: &str) -> Result<Self, &'static str> {
        if !path.starts_with('/') {
            return Err("a path of this machine begins with a slash");
        }
        if path.split('/').any(|part| part == "..") {
            return Err("its path leads upwards");
        }
        Ok(Self { address: address.to_owned(), reach: Reach::Local(path.into()), credentials: None })
    }

    /// `text` without its credentials.
    pub(super) fn redact(&self, text: &str) -> String {
        self.credentials.as_ref().map_or_else(|| text.to_owned(), |credentials| credentials.redact(text))
    }
}

/// What neither a url nor a ref holds: an option of git, or what becomes something else further on.
pub(super) fn check(text: &str) -> Result<(), &'static str> {
    if text.is_empty() {
        Err("it is empty")
    } else if text.starts_with('-') {
        Err("it begins with a dash")
    } else if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        Err("it holds blanks, lines or control characters")
    } else if text.contains([';', '\\', '|', '`', '$']) {
        Err("it holds a sign that shells act on")
    } else {
        Ok(())
    }
}

/// A host and maybe a port.
fn check_host(place: &str) -> Result<(), &'static str> {
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (place, None),
    };
    let plain = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let named = plain.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:%".contains(&byte));
    let numbered = port.is_none_or(|port| port.parse::<u16>().is_ok());
    if plain.is_empty() || plain.starts_with('-') || !named || !numbered {
        return Err("its host is none");
    }
    Ok(())
}

/// Percent-encoding undone; nothing with a line in it, which would end a line of git's credential protocol.
fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        let byte = digit()? * 16 + digit()?;
        decoded.push(u8::try_from(byte).ok()?);
    }
    String::from_utf8(decoded).ok().filter(|text| !text.contains(char::is_control))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn exposed(url: &str) -> Option<(String, String)> {
        let credentials = Remote::parse(url).unwrap().credentials?;
        Some((credentials.user.expose().clone(), credentials.password.expose().clone()))
    }

    #[test]
    fn what_git_reaches_is_taken() {
        for url in [
            "https://host/a.git",
            "http://127.0.0.1:8080/a",
            "https://[::1]:8443/a.git",
            "ssh://git@host:2222/a/b.git",
            "ssh://host/~me/a.git",
            "git://host/a",
            "git@host:a/b.git",
            "host:a.git",
            "/srv/git/a.git",
            "file:///srv/git/a.git",
        ] {
            assert_eq!(Remote::parse(url).map(|remote| remote.address), Ok(url.to_owned()));
        }
        let local = Remote::parse("file:///srv/a").unwrap();
        assert_eq!(local.reach, Reach::Local("/srv/a".into()));
    }

    #[test]
    fn what_would_run_a_program_or_lead_elsewhere_is_refused() {
        for url in [
            "",
            "--upload-pack=touch /tmp/x",
            "-u",
            "ext::sh -c touch% /tmp/x",
            "ext::sh",
            "fd::17",
            "transport::https://host/a",
            "ftp://host/a",
            "ext://host/a",
            "https:///a",
            "https://-oProxyCommand=x/a",
            "https://host:port/a",
            "ssh://-oProxyCommand=x/a",
            "ssh://-x@host/a",
            "-oProxyCommand=x:a",
            "host:-a",
            "host:a;touch",
            "https://host/a\nb",
            "https://host/a b",
            "https://host/$(x)",
            "file://other/a",
            "file:///srv/../etc",
            "file:///srv/%2e%2e/etc",
            "/srv/../etc",
            "./a",
            "a/b:c",
            "../a",
            "https://me:a%0ab@host/a",
            "https://me:%zz@host/a",
        ] {
            assert!(Remote::parse(url).is_err(), "{url}");
        }
    }

    #[test]
    fn credentials_are_kept_apart_and_decoded() {
        assert_eq!(exposed("https://me:t%40ken%2F@host/a.git"), Some(("me".into(), "t@ken/".into())));
        assert_eq!(exposed("https://ghp_x@github.com/a/b"), Some(("ghp_x".into(), String::new())));
        assert_eq!(exposed("https://host/a@b.git"), None);
        assert_eq!(exposed("ssh://git:pass@host/a.git"), None);
        assert_eq!(Remote::parse("ssh://git:pass@host/a.git").unwrap().address, "ssh://git@host/a.git");
        let remote = Remote::parse("https://me:token@host:8443/a.git").unwrap();
        assert_eq!(remote.address, "https://host:8443/a.git");
        assert_eq!(remote.reach, Reach::Web("https://host:8443".to_owned()));
        assert!(!format!("{remote:?}").contains("token"), "{remote:?}");
    }

    #[test]
    fn texts_lose_the_credentials_of_their_url_in_each_form() {
        let remote = Remote::parse("https://me:t%40ken@host/a.git").unwrap();
        let said = "fatal: 'https://me:t%40ken@host/a.git' denied t@ken and t%40ken";
        assert_eq!(remote.redact(said), "fatal: 'https://***@host/a.git' denied *** and ***");
        let token = Remote::parse("https://a%2Fb@host/a.git").unwrap();
        assert_eq!(token.redact("denied a/b and a%2Fb"), "denied *** and ***", "a token in place of the user");
    }

    proptest! {
        #[test]
        fn nothing_panics_and_no_address_holds_a_password(
            url in "(https|ssh|file|ext|git)?(::|://|:)?([a-z]{1,4}:pa55w0rd@)?[a-z.-]{0,6}[:/]?.{0,10}",
        ) {
            if let Ok(remote) = Remote::parse(&url) {
                let web = matches!(remote.reach, Reach::Web(_));
                prop_assert!(!web || !remote.address.contains("pa55w0rd@"), "{}", remote.address);
                prop_assert!(!remote.address.starts_with('-'));
            }
        }
    }
}
