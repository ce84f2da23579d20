//! The environment of an installed agent, for the commands beside it.

use std::collections::BTreeMap;
use std::path::Path;

/// Where an installed agent's service takes its environment from.
pub(super) const FILE: &str = "/etc/otturnaut/otturnaut.env";

/// Variables of this process's environment; where `RELEASE_NODE` is not among them, those of the installed agent's file
/// count for what it lacks.
#[derive(Debug, Default)]
pub struct Environment {
    of_file: BTreeMap<String, String>,
}

impl Environment {
    /// Reads the file, if it is needed and can be read.
    pub fn read() -> Self {
        let own = std::env::var_os("RELEASE_NODE").is_some();
        let path = std::env::var_os("OTTURNAUT_ENV_FILE").unwrap_or_else(|| FILE.into());
        let text = if own { None } else { std::fs::read_to_string(Path::new(&path)).ok() };
        Self { of_file: text.as_deref().map(parse).unwrap_or_default() }
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<String> {
        own_variable(name).or_else(|| self.of_file.get(name).cloned())
    }
}

/// The value of a variable of this process.
pub fn own_variable(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

/// `NAME=value` lines, as systemd reads them from an `EnvironmentFile`.
fn parse(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';']));
    let pair = |line: &str| {
        let (name, value) = line.split_once('=')?;
        let value = value.trim();
        let quoted = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
        let value = match quoted('"') {
            Some(inner) => unescaped(inner),
            None => quoted('\'').unwrap_or(value).to_owned(),
        };
        Some((name.trim().to_owned(), value))
    };
    lines.filter_map(pair).collect()
}

/// In double quotes a backslash takes the meaning of what stands behind it.
fn unescaped(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text.chars();
    while let Some(next) = rest.next() {
        out.extend(if next == '\\' { rest.next() } else { Some(next) });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_as_systemd_reads_it() {
        let read =
            parse("# the outpost\nRELEASE_NODE=a@b\n\n RELEASE_COOKIE = \"se \\\"cr\\\\et\"\nX='y'\n;no\nnothing\n");
        let pairs: Vec<_> = read.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(pairs, [("RELEASE_COOKIE", "se \"cr\\et"), ("RELEASE_NODE", "a@b"), ("X", "y")]);
    }
}
