//! Programs that a command builds, in a transient unit: nobody's user, which sees of this machine its source tree and what is
//! installed.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::mpsc;

use super::Systemd;
use super::manager::EndUnit;
use super::unit::{self, Building};
use crate::host::command::{Batch, CommandEnd, CommandResult};
use crate::host::files::{blocking, fresh_name, gone_is_fine, write_atomic};
use crate::host::runtime::RuntimeError;
use crate::host::spec::{BuildImage, Recipe};
use crate::limits;

/// Runs the build's command in its tree and takes the program in under the build's tag. Dropping the future ends it.
pub(super) async fn build(
    systemd: &Systemd,
    build: &BuildImage,
    lines: Option<mpsc::Sender<Batch>>,
) -> Result<(), RuntimeError> {
    let failed = |reason: String| RuntimeError::Build { tag: build.tag.clone(), reason };
    let Recipe::Native { command, output } = &build.recipe else {
        return Err(failed("systemd builds by a command (build_command), not from a Dockerfile".to_owned()));
    };
    systemd.check_bounds(build.resources).await?;
    systemd.bus().await?;
    let context = build.context.clone();
    let opened = blocking(move || open_to_all(&context)).await;
    opened.map_err(|error| failed(format!("its source tree cannot be given to it: {error}")))?;
    let name = format!("{}{:016x}", prefix(systemd), rand::random::<u64>());
    let private = Private::write(build).await.map_err(|error| failed(error.to_string()))?;
    let (environment, secrets) = (private.environment(), private.secrets());
    let places = systemd.places(&build.context, &environment);
    let building = Building { name: &name, build, command, places: &places, secrets: &secrets };
    let run = systemd.scope.command("systemd-run", unit::building(&building)?);
    // The client alone ends with whoever waits for it.
    let ending = EndUnit { name, scope: systemd.scope.clone(), processes: Arc::clone(&systemd.processes) };
    let ended = systemd.processes.run(run, lines).await;
    drop(private);
    match &ended.end {
        CommandEnd::Exited(code) => {
            ending.ended();
            if *code != 0 {
                return Err(failed(told(*code, &ended)));
            }
        }
        CommandEnd::TimedOut => return Err(failed("it took too long".to_owned())),
        CommandEnd::NotFound => return Err(failed("there is no systemd-run here".to_owned())),
        CommandEnd::Failed(error) => return Err(failed(error.to_string())),
    }
    take(systemd, (build, output)).await.map_err(failed)
}

/// Ends every build of this agent.
pub(super) async fn end_all(systemd: &Systemd) {
    let units = format!("{}*.service", prefix(systemd));
    let mut stop = systemd.scope.command("systemctl", ["kill", "--signal=KILL", &units]);
    stop.timeout = Some(limits::ENGINE_REQUEST);
    let ended = systemd.processes.run(stop, None).await;
    if !ended.succeeded() {
        let said = String::from_utf8_lossy(&ended.output).into_owned();
        tracing::debug!(said, "builds that were left could not be ended");
    }
}

/// What the names of the units begin with in which this agent builds; another one has another data directory.
fn prefix(systemd: &Systemd) -> String {
    format!("otturnaut-build-{:08x}-", crc32fast::hash(systemd.data_dir.as_os_str().as_encoded_bytes()))
}

/// Takes the program in that the build has left.
async fn take(systemd: &Systemd, (build, output): (&BuildImage, &Path)) -> Result<(), String> {
    let (store, tag) = (systemd.store.clone(), build.tag.clone());
    let (tree, output) = (build.context.clone(), output.to_owned());
    let taking = move || {
        let named = output.display();
        // What it links to may be anywhere, and whoever built it is a stranger.
        let real = tree.canonicalize().and_then(|tree| Ok((tree.join(&output).canonicalize()?, tree)));
        match real {
            Ok((program, tree)) if program.starts_with(&tree) && program.is_file() => {
                if program.metadata().is_ok_and(|found| found.len() > limits::ARTIFACT_BYTES) {
                    return Err(format!("its output {named} has more than {} bytes", limits::ARTIFACT_BYTES));
                }
                let taken = store.load(&program, |_| tag.clone());
                taken.map(drop).map_err(|error| format!("its output {named} is not taken: {error}"))
            }
            Ok(_) => Err(format!("its output {named} is no file of its tree")),
            Err(error) => Err(format!("its output {named} is not there: {error}")),
        }
    };
    tokio::task::spawn_blocking(taking).await.unwrap_or_else(|error| Err(error.to_string()))
}

/// How it ended, and what it said last.
fn told(code: i32, ended: &CommandResult) -> String {
    let output = String::from_utf8_lossy(&ended.output);
    let lines: Vec<&str> = output.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = lines.get(lines.len().saturating_sub(limits::TOLD_LINES)..).unwrap_or_default();
    let cut = |line: &&str| line.chars().take(limits::TOLD_LINE_BYTES).collect::<String>();
    let last = last.iter().map(cut).collect::<Vec<_>>().join("\n");
    format!("its command exited with {code}, and said last:\n{last}")
}

/// Lets everybody read and write in a tree, which lies in a directory of the agent's user alone: the user of the unit has
/// no number before it runs.
fn open_to_all(tree: &Path) -> io::Result<()> {
    let mut folders = vec![tree.to_owned()];
    while let Some(folder) = folders.pop() {
        open(&folder, 0o777)?;
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                let executable = entry.metadata()?.permissions().mode() & 0o100 != 0;
                open(&entry.path(), if executable { 0o777 } else { 0o666 })?;
            }
        }
    }
    Ok(())
}

fn open(path: &Path, mode: u32) -> io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode))
}

/// The directory of a build's environment and secrets, which only the manager opens. In the tree, so that they go with it
/// whatever happens; they go before, where nothing does.
pub(super) struct Private(PathBuf);

impl Private {
    async fn write(build: &BuildImage) -> io::Result<Self> {
        let dir = build.context.join(format!(".otturnaut{}", fresh_name()));
        let environment =
            unit::variables(build.build_args.iter().map(|(name, value)| (name.as_str(), value.as_str())))?;
        let secrets: Vec<_> = build.secrets.iter().map(|(id, secret)| (id.clone(), secret.clone())).collect();
        let private = Self(dir);
        let (dir, file, folder) = (private.0.clone(), private.environment(), private.secrets());
        blocking(move || {
            fs::DirBuilder::new().mode(0o700).create(&dir)?;
            write_atomic(&file, &environment, 0o600)?;
            // Mounted for the unit's user, which has no number before it runs; nobody else comes past the directory above.
            fs::DirBuilder::new().mode(0o755).create(&folder)?;
            secrets
                .iter()
                .try_for_each(|(id, secret)| write_atomic(&folder.join(id), secret.expose().as_bytes(), 0o444))
        })
        .await?;
        Ok(private)
    }

    fn environment(&self) -> PathBuf {
        self.0.join("environment")
    }

    fn secrets(&self) -> PathBuf {
        self.0.join("secrets")
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        if let Err(error) = gone_is_fine(fs::remove_dir_all(&self.0)) {
            tracing::debug!(%error, "a build's environment goes with its tree");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_tree_is_open_and_what_it_links_to_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let (tree, outside) = (dir.path().join("tree"), dir.path().join("outside"));
        fs::create_dir_all(tree.join("sub")).unwrap();
        for path in [&outside, &tree.join("sub/file"), &tree.join("run")] {
            fs::File::create(path).unwrap();
            open(path, 0o600).unwrap();
        }
        open(&tree.join("run"), 0o700).unwrap();
        symlink(&outside, tree.join("link")).unwrap();
        symlink(dir.path(), tree.join("link-to-dir")).unwrap();
        open_to_all(&tree).unwrap();
        let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(
            [mode(tree.join("sub/file")), mode(tree.join("run")), mode(tree.join("sub"))],
            [0o666, 0o777, 0o777]
        );
        assert_eq!(mode(outside), 0o600);
    }
}
