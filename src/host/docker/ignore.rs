//! `.dockerignore`, or one for this Dockerfile alone (`Dockerfile.dockerignore`): what of a build context stays here. The rules are those of Docker: the last line that matches decides,
//! `!` makes an exception, a directory that is ignored takes all within it along.

use std::fs;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use crate::limits;

const FILE: &str = ".dockerignore";

/// The lines of a `.dockerignore`.
#[derive(Debug, Default)]
pub(super) struct Ignore {
    rules: Vec<Rule>,
    /// Always sent: the engine needs them.
    needed: Vec<String>,
}

#[derive(Debug)]
struct Rule {
    exception: bool,
    parts: Vec<String>,
}

impl Ignore {
    /// Reads the file of a context; none ignores nothing.
    pub(super) fn read(directory: &Path, dockerfile: &str) -> io::Result<Self> {
        for file in [format!("{dockerfile}{FILE}"), FILE.to_owned()] {
            match directory.join(&file).symlink_metadata() {
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                found => return Self::of_file(&directory.join(file), &found?, dockerfile),
            }
        }
        Ok(Self::default())
    }

    fn of_file(path: &Path, found: &fs::Metadata, dockerfile: &str) -> io::Result<Self> {
        // The repository is a stranger's: what it links to is not read, and not what never ends.
        if !found.is_file() || found.len() > limits::IGNORE_BYTES {
            let why = format!("a {FILE} is no file of at most {} bytes", limits::IGNORE_BYTES);
            return Err(io::Error::new(ErrorKind::InvalidData, why));
        }
        let mut text = String::new();
        fs::File::open(path)?.take(limits::IGNORE_BYTES).read_to_string(&mut text)?;
        Ok(Self::parse(&text, dockerfile))
    }

    fn parse(text: &str, dockerfile: &str) -> Self {
        let rule = |line: &str| {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                return None;
            }
            let (exception, pattern) = line.strip_prefix('!').map_or((false, line), |rest| (true, rest.trim()));
            let parts = pattern.split('/').filter(|part| !part.is_empty() && *part != ".").map(str::to_owned);
            Some(Rule { exception, parts: parts.collect() })
        };
        let needed = vec![FILE.to_owned(), dockerfile.trim_start_matches("./").to_owned()];
        Self { rules: text.lines().filter_map(rule).filter(|rule| !rule.parts.is_empty()).collect(), needed }
    }

    /// Whether a path of the context stays here.
    pub(super) fn is_ignored(&self, path: &Path) -> bool {
        let text = path.to_string_lossy();
        if self.needed.iter().any(|needed| *needed == text) {
            return false;
        }
        let parts: Vec<&str> = text.split('/').collect();
        let last = self.rules.iter().rev().find(|rule| rule.covers(&parts));
        last.is_some_and(|rule| !rule.exception)
    }

    /// Whether something within an ignored directory may be wanted all the same.
    pub(super) fn may_hold_exceptions(&self) -> bool {
        self.rules.iter().any(|rule| rule.exception) || self.needed.iter().any(|needed| needed.contains('/'))
    }
}

impl Rule {
    /// Whether the pattern means the path, or a directory that it lies in.
    fn covers(&self, path: &[&str]) -> bool {
        let pattern: Vec<&str> = self.parts.iter().map(String::as_str).collect();
        (1..=path.len()).any(|depth| path.get(..depth).is_some_and(|head| matches(&pattern, head)))
    }
}

/// Matches part by part; `**` stands for any number of parts.
fn matches(pattern: &[&str], path: &[&str]) -> bool {
    match (pattern.split_first(), path.split_first()) {
        (None, None) => true,
        (Some((&"**", rest)), _) => {
            rest.is_empty() || (0..=path.len()).any(|skip| path.get(skip..).is_some_and(|path| matches(rest, path)))
        }
        (Some((first, rest)), Some((part, path))) => {
            part_matches(first.as_bytes(), part.as_bytes()) && matches(rest, path)
        }
        _ => false,
    }
}

/// Matches one part; `*` stands for any text, `?` for one character.
fn part_matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where the last star was, and how much of the text it took: each mismatch lets it take one more.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match (pattern.get(p), text.get(t)) {
            (Some(b'*'), _) => {
                star = Some((p, t));
                p += 1;
            }
            (Some(a), Some(b)) if a == b || *a == b'?' => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    (p, t) = (at + 1, taken + 1);
                }
                None => return false,
            },
        }
    }
    pattern.get(p..).is_some_and(|rest| rest.iter().all(|byte| *byte == b'*'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ignored(rules: &str, path: &str) -> bool {
        Ignore::parse(rules, "docker/Dockerfile").is_ignored(Path::new(path))
    }

    #[test]
    fn what_a_repository_links_to_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/dev/zero", dir.path().join(FILE)).unwrap();
        let refused = Ignore::read(dir.path(), "Dockerfile").unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidData);
    }

    #[test]
    fn a_dockerfile_may_have_one_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        for (name, rule) in [(".dockerignore", "common"), ("web.dockerfile.dockerignore", "own")] {
            io::Write::write_all(&mut fs::File::create(dir.path().join(name)).unwrap(), rule.as_bytes()).unwrap();
        }
        let ignored = |dockerfile: &str| {
            let ignore = Ignore::read(dir.path(), dockerfile).unwrap();
            ["common", "own"].map(|path| ignore.is_ignored(Path::new(path)))
        };
        assert_eq!([ignored("web.dockerfile"), ignored("Dockerfile")], [[false, true], [true, false]]);
    }

    #[test]
    fn the_last_line_that_matches_decides() {
        let rules = "# comment\n*.md\n!README.md\n\nsecret*\n/target\n**/node_modules\ndocs/**/draft?\n";
        for path in ["a.md", "secrets.txt", "target", "target/debug/x", "a/b/node_modules/c", "docs/x/y/draft1"] {
            assert!(ignored(rules, path), "{path}");
        }
        for path in ["README.md", "sub/a.md", "src/target", "docs/draft12", "a/nodemodules"] {
            assert!(!ignored(rules, path), "{path}");
        }
    }

    #[test]
    fn what_the_engine_needs_is_always_sent() {
        assert!(!ignored("*\n", ".dockerignore") && !ignored("*\n", "docker/Dockerfile"));
        assert!(ignored("*\n", "docker/other"));
        assert!(Ignore::parse("*", "docker/Dockerfile").may_hold_exceptions());
    }

    #[test]
    fn a_pattern_of_many_stars_takes_no_more_than_a_moment() {
        let pattern = format!("{}b", "a*".repeat(40));
        assert!(!part_matches(pattern.as_bytes(), "a".repeat(200).as_bytes()));
    }
}
