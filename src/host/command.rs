//! Commands of the host: what runs, its output line by line, how it ended.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::mpsc;

use crate::secret::Secret;

/// A command to run in a process group of its own.
#[derive(Debug, Clone)]
pub struct Command {
    /// Program, looked up in `PATH` when it has no slash.
    pub program: OsString,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Variables added to the agent's own environment (from which the cookie is taken out).
    pub env: Vec<(OsString, Secret<OsString>)>,
    /// Where it runs; the agent's own directory if none is given.
    pub working_dir: Option<PathBuf>,
    /// How long it may run; for ever if none is given. Then its whole process group is killed.
    pub timeout: Option<Duration>,
}

impl Command {
    /// A command without a time limit in the agent's own directory.
    pub fn new(program: impl Into<OsString>, args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        let args = args.into_iter().map(Into::into).collect();
        Self { program: program.into(), args, env: Vec::new(), working_dir: None, timeout: None }
    }

    /// Adds a variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), Secret::new(value.into())));
        self
    }
}

/// Where a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A line without its newline; one longer than `limits::LINE_BYTES` comes in pieces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Which stream.
    pub stream: Stream,
    /// The text; whatever bytes the command wrote.
    pub text: Bytes,
}

/// Lines in order of arrival, as many as one read gave.
pub type Batch = Vec<Line>;

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandEnd {
    /// By itself, with this code; death by signal `n` is `128 + n`, as shells have it.
    Exited(i32),
    /// Its time was up; the whole process group was killed.
    TimedOut,
    /// There is no such program.
    NotFound,
    /// It could not be started or watched, and why.
    Failed(CommandError),
}

/// Why a command could not be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot run {program}: {reason}")]
pub struct CommandError {
    /// The program.
    pub program: String,
    /// The system's reason.
    pub reason: String,
}

/// The end of a command and its output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandResult {
    /// How it ended.
    pub end: CommandEnd,
    /// Both streams merged, lines ending in `\n`, bounded by `limits::COMMAND_OUTPUT_BYTES` with the middle left out.
    pub output: Bytes,
    /// How long it ran.
    pub duration: Duration,
}

impl CommandResult {
    /// Whether it ended by itself with code 0.
    pub fn succeeded(&self) -> bool {
        self.end == CommandEnd::Exited(0)
    }
}

/// Runs commands.
#[async_trait]
pub trait Processes: Send + Sync {
    /// Runs `command` to its end. Lines go to `lines` as they arrive, and a receiver that is slow slows the command's
    /// pipes; a receiver that is gone only ends the streaming. Dropping the future kills the whole process group.
    async fn run(&self, command: Command, lines: Option<mpsc::Sender<Batch>>) -> CommandResult;
}
