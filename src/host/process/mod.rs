//! Commands of the host, each in a process group of its own.

mod lines;
mod open_files;
mod output;

use std::ffi::OsStr;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use async_trait::async_trait;
use bytes::BytesMut;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, ChildStderr, ChildStdout};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use self::lines::Lines;
pub use self::open_files::OpenFiles;
use self::output::Kept;
use super::command::{Batch, Command, CommandEnd, CommandError, CommandResult, Processes, Stream};
use crate::elapsed;
use crate::limits;

/// Variables of the agent that no command gets to see.
const SECRETS: [&str; 2] = ["RELEASE_COOKIE", "RELEASE_COOKIE_FILE"];

/// What one read of a pipe asks for.
const READ_BYTES: usize = 32 * 1024;

/// Runs commands of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemProcesses {
    /// What commands get back, if this program raised its own limit.
    pub open_files: Option<OpenFiles>,
}

#[async_trait]
impl Processes for SystemProcesses {
    async fn run(&self, command: Command, lines: Option<mpsc::Sender<Batch>>) -> CommandResult {
        let started = Instant::now();
        let mut kept = Kept::default();
        let (timeout, open_files) = (command.timeout, self.open_files);
        let program = command.program.clone();
        // To start one takes milliseconds, in which the thread does nothing else.
        let child = tokio::task::spawn_blocking(move || start(&command, open_files)).await;
        let end = match child {
            Ok(Ok(child)) => Run { child, lines, kept: &mut kept }.until_end(timeout).await,
            Ok(Err(end)) => end,
            Err(e) => CommandEnd::Failed(CommandError { program: "start".to_owned(), reason: e.to_string() }),
        };
        let result = CommandResult { end, output: kept.finish(), duration: started.elapsed() };
        tell(&program, &result);
        result
    }
}

/// The program alone: its arguments may hold secrets.
fn tell(program: &OsStr, result: &CommandResult) {
    let (program, duration_ms) = (program.display(), elapsed::millis(result.duration));
    match &result.end {
        CommandEnd::Exited(exit_code) => tracing::debug!(%program, exit_code, duration_ms, "a command ended"),
        CommandEnd::TimedOut => tracing::debug!(%program, duration_ms, "a command was ended, its time was up"),
        CommandEnd::NotFound => tracing::debug!(%program, "there is no such command"),
        CommandEnd::Failed(failed) => tracing::debug!(%program, error = failed.reason, "a command could not be run"),
    }
}

fn start(command: &Command, open_files: Option<OpenFiles>) -> Result<Group, CommandEnd> {
    if let Some(dir) = command.working_dir.as_ref().filter(|dir| !dir.is_dir()) {
        return Err(failed(command, &format!("there is no directory {}", dir.display())));
    }
    #[expect(clippy::disallowed_methods, reason = "this is the one place that starts processes")]
    let mut builder = tokio::process::Command::new(&command.program);
    builder.args(&command.args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for secret in SECRETS {
        builder.env_remove(secret);
    }
    builder.envs(command.env.iter().map(|(name, value)| (name, value.expose())));
    if let Some(dir) = &command.working_dir {
        builder.current_dir(dir);
    }
    builder.process_group(0).kill_on_drop(true);
    match builder.spawn() {
        Ok(mut child) => {
            let id = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
            if let (Some(id), Some(open_files)) = (id, open_files) {
                open_files.give(id);
            }
            Ok(Group { id, stdout: child.stdout.take(), stderr: child.stderr.take(), child })
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Err(CommandEnd::NotFound),
        Err(e) => Err(failed(command, &e.to_string())),
    }
}

fn failed(command: &Command, reason: &str) -> CommandEnd {
    let program = command.program.to_string_lossy().into_owned();
    CommandEnd::Failed(CommandError { program, reason: reason.to_owned() })
}

/// A process group; killed when it is dropped.
struct Group {
    child: Child,
    id: Option<Pid>,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
}

impl Group {
    /// Kills the command and its children, whoever of them is left.
    fn kill(&self) {
        // A group without members is what is wanted.
        if let Some(id) = self.id {
            kill_process_group(id, Signal::KILL).unwrap_or_default();
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A running command.
struct Run<'a> {
    child: Group,
    lines: Option<mpsc::Sender<Batch>>,
    kept: &'a mut Kept,
}

impl Run<'_> {
    async fn until_end(mut self, limit: Option<Duration>) -> CommandEnd {
        let ended = match limit {
            None => Some(self.follow().await),
            Some(limit) => timeout(limit, self.follow()).await.ok(),
        };
        // The rest of the group goes with the command, and its pipes with it.
        self.child.kill();
        match ended {
            Some(Ok(status)) => CommandEnd::Exited(code(status)),
            Some(Err(e)) => CommandEnd::Failed(CommandError { program: "wait".to_owned(), reason: e.to_string() }),
            None => {
                // Reaps it; it was killed.
                timeout(limits::COMMAND_DRAIN, self.child.child.wait()).await.ok();
                CommandEnd::TimedOut
            }
        }
    }

    /// Follows output and end of the command.
    async fn follow(&mut self) -> io::Result<ExitStatus> {
        let (stdout, stderr) = (self.child.stdout.take(), self.child.stderr.take());
        let mut streams = Streams {
            stdout: Pipe::new(stdout, Stream::Stdout),
            stderr: Pipe::new(stderr, Stream::Stderr),
            lines: self.lines.take(),
            kept: self.kept,
        };
        let wait = self.child.child.wait();
        tokio::pin!(wait);
        let status = loop {
            tokio::select! {
                status = &mut wait => break status?,
                open = streams.pass(None) => if !open { break wait.await?; },
            }
        };
        // What the command wrote before its end; a child of it that holds a pipe open is not waited for.
        while streams.pass(Some(limits::COMMAND_DRAIN)).await {}
        streams.finish().await;
        Ok(status)
    }
}

fn code(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(-1)
}

/// One pipe of a command, and the lines in it.
struct Pipe<R> {
    source: Option<R>,
    buffer: BytesMut,
    lines: Lines,
}

impl<R: AsyncRead + Unpin> Pipe<R> {
    fn new(source: Option<R>, stream: Stream) -> Self {
        Self { source, buffer: BytesMut::new(), lines: Lines::new(stream) }
    }

    /// Reads; gives the lines that became whole. Never ends once the pipe is closed. Safe to be dropped at any await.
    async fn read(&mut self) -> Batch {
        loop {
            let Some(source) = &mut self.source else { std::future::pending().await };
            self.buffer.reserve(READ_BYTES);
            match source.read_buf(&mut self.buffer).await {
                Ok(0) | Err(_) => {
                    self.source = None;
                    return Vec::new();
                }
                Ok(_) => {
                    let batch = self.lines.split(&mut self.buffer);
                    if !batch.is_empty() {
                        return batch;
                    }
                }
            }
        }
    }

    /// The unterminated last line.
    fn rest(&mut self) -> Batch {
        self.lines.rest(&mut self.buffer)
    }
}

/// Both pipes, and where their lines go.
struct Streams<'a> {
    stdout: Pipe<ChildStdout>,
    stderr: Pipe<ChildStderr>,
    lines: Option<mpsc::Sender<Batch>>,
    kept: &'a mut Kept,
}

impl Streams<'_> {
    /// Passes on what comes next; `false` when both pipes are closed, or nothing came within `limit`. There is a place for
    /// the batch before it is read: nothing is lost where this future is dropped.
    async fn pass(&mut self, limit: Option<Duration>) -> bool {
        if self.stdout.source.is_none() && self.stderr.source.is_none() {
            return false;
        }
        let place = match &self.lines {
            Some(lines) => lines.reserve().await.ok(),
            None => None,
        };
        let (stdout, stderr) = (&mut self.stdout, &mut self.stderr);
        let read = async {
            tokio::select! {
                batch = stdout.read() => batch,
                batch = stderr.read() => batch,
            }
        };
        let batch = match limit {
            None => read.await,
            Some(limit) => match timeout(limit, read).await {
                Ok(batch) => batch,
                Err(_) => return false,
            },
        };
        self.kept.add(&batch);
        if let Some(place) = place.filter(|_| !batch.is_empty()) {
            place.send(batch);
        }
        true
    }

    /// Passes on unterminated last lines.
    async fn finish(mut self) {
        for batch in [self.stdout.rest(), self.stderr.rest()] {
            self.kept.add(&batch);
            if let Some(lines) = self.lines.as_ref().filter(|_| !batch.is_empty()) {
                // Nobody left to tell is no failure of the command.
                lines.send(batch).await.unwrap_or_default();
            }
        }
    }
}
