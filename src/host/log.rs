//! What containers said: pieces of it, each with its time, read only as fast as they are asked for.

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;

use super::command::Stream;
use super::runtime::RuntimeError;

/// What of a container's output is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogQuery {
    /// Whether what comes later is given too, until the container ends.
    pub follow: bool,
    /// Only the last so many entries of what is there; all of them if none.
    pub tail: Option<usize>,
    /// Only what was said then or later.
    pub since: Option<Timestamp>,
    /// Only what was said then or before.
    pub until: Option<Timestamp>,
}

/// An entry of a container's log: a line, or a piece of one that is long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// Which stream.
    pub stream: Stream,
    /// When the engine took it, as exactly as it tells: Docker to the nanosecond, Podman to the second.
    pub at: Timestamp,
    /// The text without its newline, but with the return before it; whatever bytes the program wrote.
    pub text: Bytes,
    /// Whether its line ends with it.
    pub ends: bool,
    /// Whether all of it has come; else the next entry of the stream goes on with it.
    pub whole: bool,
}

/// A container's output as it is read. Nothing is read from the engine that was not asked for, and the engine hears at once
/// when this is dropped.
#[async_trait]
pub trait LogSource: Send {
    /// The next entries, as many as are there; `None` at the end.
    async fn next(&mut self) -> Result<Option<Vec<LogEntry>>, RuntimeError>;
}

/// Any such source.
pub type LogReader = Box<dyn LogSource>;
