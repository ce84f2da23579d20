//! What of a Dockerfile the agent itself has to know: where it lies, and whether the classic builder understands it.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use crate::limits;

/// Whether only `BuildKit` understands the Dockerfile of a context.
///
/// # Errors
/// It does not lie in the context, links followed: what is elsewhere on this machine is nobody's to show.
pub(super) async fn needs_buildkit(context: PathBuf, dockerfile: PathBuf) -> Result<bool, String> {
    let named = dockerfile.display().to_string();
    let looked = tokio::task::spawn_blocking(move || {
        let inside = is_within(&context, &dockerfile);
        inside.then(|| read(&context.join(dockerfile)).is_ok_and(|text| is_beyond_classic(&text)))
    });
    let outside = || format!("the Dockerfile {named:?} does not lie in the source tree");
    looked.await.unwrap_or_default().ok_or_else(outside)
}

fn is_within(context: &Path, dockerfile: &Path) -> bool {
    if dockerfile.is_absolute() || dockerfile.components().any(|part| part == Component::ParentDir) {
        return false;
    }
    let real = context.canonicalize().and_then(|context| Ok((context.join(dockerfile).canonicalize()?, context)));
    // One that is not there is the engine's to complain of.
    real.map_or(true, |(dockerfile, context)| dockerfile.starts_with(context))
}

fn read(path: &Path) -> io::Result<String> {
    if !path.metadata()?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut text = String::new();
    File::open(path)?.take(limits::IGNORE_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

/// Whether an instruction has a flag that the classic builder does not know (`RUN --mount=...`), or a here-document.
fn is_beyond_classic(text: &str) -> bool {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#') && !line.is_empty());
    let mut instruction = String::new();
    for line in lines {
        instruction.push_str(line.trim_end_matches('\\'));
        instruction.push(' ');
        if !line.ends_with('\\') && is_instruction_beyond_classic(&std::mem::take(&mut instruction)) {
            return true;
        }
    }
    is_instruction_beyond_classic(&instruction)
}

fn is_instruction_beyond_classic(instruction: &str) -> bool {
    let mut words = instruction.split_whitespace();
    let name = words.next().unwrap_or_default().to_ascii_uppercase();
    if !["RUN", "COPY", "ADD"].contains(&name.as_str()) {
        return false;
    }
    let known = ["--from=", "--chown="];
    let beyond = |flag: &str| !known.iter().any(|known| flag.starts_with(known));
    let here_document = |word: &str| {
        let delimiter = word.strip_prefix("<<").map(|rest| rest.trim_start_matches(['-', '"', '\'']));
        delimiter.is_some_and(|name| name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_'))
    };
    words.clone().take_while(|word| word.starts_with("--")).any(beyond) || words.any(here_document)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_dockerfile_lies_in_its_tree_links_followed() {
        let dir = tempfile::tempdir().unwrap();
        let context = dir.path().join("tree");
        std::fs::create_dir_all(context.join("deploy")).unwrap();
        File::create(context.join("deploy/Dockerfile")).unwrap();
        File::create(dir.path().join("outside")).unwrap();
        symlink("deploy/Dockerfile", context.join("within")).unwrap();
        symlink("../outside", context.join("leads-out")).unwrap();
        symlink("/etc", context.join("etc")).unwrap();
        let within = |dockerfile: &str| is_within(&context, Path::new(dockerfile));
        assert_eq!(["deploy/Dockerfile", "within", "missing"].map(within), [true; 3]);
        assert_eq!(
            ["leads-out", "etc/passwd", "../outside", "deploy/../../outside", "/etc/passwd"].map(within),
            [false; 5]
        );
    }

    #[test]
    fn the_classic_builder_is_left_where_it_does_not_understand() {
        for beyond in [
            "FROM a\nRUN --mount=type=secret,id=x make",
            "FROM a\nrun \\\n  --mount=type=cache,target=/c \\\n make",
            "FROM a\nCOPY --link a b",
            "FROM a\nCOPY --chown=1:1 --chmod=644 a b",
            "FROM a\nRUN <<EOF\nmake\nEOF",
            "FROM a\nCOPY <<-\"END\" /x\nhi\nEND",
            "FROM a\nRUN --network=none make \\",
        ] {
            assert!(is_beyond_classic(beyond), "{beyond}");
        }
        for classic in [
            "",
            "# syntax=docker/dockerfile:1\nFROM a\nCOPY --from=b --chown=1:1 a b\nRUN make --mount=x",
            "FROM --platform=linux/amd64 a\nHEALTHCHECK --interval=1s CMD x",
            "FROM a\n# RUN --mount=type=cache,target=/c make\nRUN make \\\n --link",
            "FROM a\nRUN echo $((1 <<2)) && cat <<< x",
        ] {
            assert!(!is_beyond_classic(classic), "{classic}");
        }
    }
}
