//! The rules of the house that the compiler does not hold: who may import whom, and how long a file may be.

#![allow(clippy::expect_used, reason = "a test ends there")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Each room of `src/` and the rooms it may name. `lib` is the map and names all.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("term", &[]),
    ("limits", &[]),
    ("elapsed", &[]),
    ("secret", &[]),
    ("node", &["term", "limits", "elapsed", "secret"]),
    ("shell", &["term", "node", "limits"]),
    ("control", &["term", "node", "shell", "limits"]),
    ("host", &["limits", "elapsed", "secret"]),
    ("apps", &["host", "limits", "secret"]),
    ("watch", &["host", "limits", "elapsed", "secret", "apps"]),
    ("build", &["host", "limits", "secret", "apps"]),
    ("deploy", &["host", "limits", "elapsed", "secret", "apps", "watch", "build"]),
    ("api", &["term", "node", "host", "apps", "watch", "build", "deploy", "limits", "elapsed", "secret"]),
    ("metrics", &["host", "watch", "deploy", "limits"]),
    ("config", &["term", "node", "limits", "secret"]),
    ("shutdown", &[]),
    ("telemetry", &["config", "elapsed"]),
    (
        "agent",
        &[
            "api", "apps", "build", "config", "control", "deploy", "host", "limits", "metrics", "node", "secret",
            "shell", "shutdown", "term", "watch",
        ],
    ),
    ("cli", &["agent", "config", "control", "host", "limits", "node", "shutdown", "telemetry", "term"]),
    ("main", &["cli"]),
];

/// The adapters of `host`: for `agent` and `host` itself.
const ADAPTERS: &[&str] = &["docker", "caddy", "process", "network", "files", "machine"];

/// Longest file, in lines without docs, comments, blank lines and tests.
const MOST_LINES: usize = 400;

struct Source {
    path: PathBuf,
    room: String,
    /// The lines that count: code outside of tests.
    code: Vec<String>,
}

fn sources() -> Vec<Source> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![src.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of src can be read") {
            let path = entry.expect("an entry can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("tests.rs") {
                let relative = path.strip_prefix(&src).expect("it is under src");
                let first = relative.components().next().expect("it has a name").as_os_str().to_string_lossy();
                let room = first.trim_end_matches(".rs").to_owned();
                let text = fs::read_to_string(&path).expect("a source can be read");
                found.push(Source { path: relative.to_owned(), room, code: code_lines(&text) });
            }
        }
    }
    assert!(found.len() > 20, "only {} sources found", found.len());
    found
}

fn code_lines(text: &str) -> Vec<String> {
    let before_tests = text.split("\n#[cfg(test)]\nmod tests").next().unwrap_or(text);
    let counts = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with("//");
    before_tests.lines().filter(counts).map(str::to_owned).collect()
}

/// The rooms, and rooms' children, that code names by `crate::room::child`.
fn named(code: &[String]) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    for line in code {
        for (at, _) in line.match_indices("crate::") {
            let rest = &line[at + "crate::".len()..];
            if let Some(group) = rest.strip_prefix('{') {
                for item in group.trim_end_matches(['}', ';']).split(',') {
                    found.insert((word(item.trim()), String::new()));
                }
                continue;
            }
            let room = word(rest);
            let child = rest[room.len()..].strip_prefix("::").map(word).unwrap_or_default();
            found.insert((room, child));
        }
    }
    found
}

#[test]
fn rooms_import_only_what_they_may() {
    let mut broken = Vec::new();
    for source in sources().iter().filter(|source| source.room != "lib") {
        let rule = MAY_IMPORT.iter().find(|(room, _)| *room == source.room);
        let Some((_, allowed)) = rule else {
            broken.push(format!("{}: room {} has no rule", source.path.display(), source.room));
            continue;
        };
        for (room, child) in named(&source.code) {
            if room != source.room && !allowed.contains(&room.as_str()) {
                broken.push(format!("{} imports {room}", source.path.display()));
            }
            if room == "host" && ADAPTERS.contains(&child.as_str()) && !matches!(&*source.room, "host" | "agent") {
                broken.push(format!("{} imports the adapter host::{child}", source.path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "the import rule is broken:\n{}", broken.join("\n"));
}

#[test]
fn terms_are_pure() {
    for source in sources().iter().filter(|source| source.room == "term") {
        for line in &source.code {
            let impure = ["tokio", "std::fs", "std::net", "SystemTime::now", "Instant::now"];
            let used = impure.iter().find(|word| line.contains(**word));
            assert!(used.is_none(), "{} uses {}", source.path.display(), used.unwrap_or(&""));
        }
    }
}

#[test]
fn files_stay_small() {
    let long: Vec<_> = sources()
        .into_iter()
        .filter(|source| source.code.len() > MOST_LINES)
        .map(|source| format!("{}: {} lines", source.path.display(), source.code.len()))
        .collect();
    assert!(long.is_empty(), "longer than {MOST_LINES} lines:\n{}", long.join("\n"));
}

/// The files, as their sources name them, that become a part of the program.
fn included(code: &[String]) -> Vec<&str> {
    let path = |line| {
        let macros = ["include_str!(\"", "include_bytes!(\""];
        let (_, rest) = macros.iter().find_map(|opening| str::split_once(line, opening))?;
        rest.split_once('"').map(|(path, _)| path)
    };
    code.iter().filter_map(|line| path(line)).collect()
}

#[test]
fn the_image_is_built_from_all_that_the_program_includes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let context = fs::read_to_string(root.join(".dockerignore")).expect("it can be read");
    let let_in: Vec<_> = context.lines().filter_map(|line| line.strip_prefix('!')).collect();
    let mut seen = 0;
    for source in sources() {
        let folder = root.join("src").join(&source.path);
        for file in included(&source.code) {
            let file = folder.with_file_name(file).canonicalize().expect("it is there");
            let file = file.strip_prefix(root).expect("it is the project's");
            assert!(let_in.iter().any(|path| file.starts_with(path)), "{} is not let in", file.display());
            seen += 1;
        }
    }
    assert!(seen > 0, "no file is included");
}

#[test]
fn the_rule_sees_imports_in_every_form() {
    let code = ["use crate::node::Node;", "use crate::{term::Term, host};", "fn f() { crate::host::docker::x() }"];
    let names = named(&code.map(str::to_owned));
    let expected = [("host", ""), ("host", "docker"), ("node", "Node"), ("term", "")];
    let expected = expected.map(|(room, child)| (room.to_owned(), child.to_owned()));
    assert_eq!(names, BTreeSet::from(expected));
}
