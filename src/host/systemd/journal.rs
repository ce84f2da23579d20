//! What units said, from systemd's journal.

use std::collections::VecDeque;
use std::process::Stdio;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::{sleep, timeout};

use super::Systemd;
use super::scope::Scope;
use crate::host::command::{Line, Stream};
use crate::host::log::{LogEntry, LogQuery, LogReader, LogSource};
use crate::host::runtime::{ContainerStatus, Runtime, RuntimeError};
use crate::limits;

/// The last lines of a unit.
pub(super) async fn tail((scope, unit): (&Scope, &str), count: usize) -> Result<Vec<Line>, RuntimeError> {
    let query = LogQuery { tail: Some(count), ..LogQuery::default() };
    let mut journal = Journal::open((scope, unit), &query)?;
    let mut lines = VecDeque::new();
    let reading = async {
        while let Some(entries) = journal.next().await? {
            for entry in entries {
                let most = entry.text.len().min(limits::LINE_BYTES);
                lines.push_back(Line { stream: entry.stream, text: entry.text.slice(..most) });
                if lines.len() > count {
                    lines.pop_front();
                }
            }
        }
        Ok(())
    };
    let late = |_| failed(unit, "it did not answer in time");
    timeout(limits::ENGINE_REQUEST, reading).await.map_err(late)??;
    Ok(lines.into())
}

/// A unit's log as it is asked for; one that is followed ends with its unit.
pub(super) fn open(unit: &str, query: &LogQuery, systemd: Systemd) -> Result<LogReader, RuntimeError> {
    let journal = Journal::open((&systemd.scope, unit), query)?;
    Ok(if query.follow { Box::new(Followed { journal, systemd }) } else { Box::new(journal) })
}

/// A journal that goes on for ever, read as long as its unit has something to say.
struct Followed {
    journal: Journal,
    systemd: Systemd,
}

#[async_trait]
impl LogSource for Followed {
    async fn next(&mut self) -> Result<Option<Vec<LogEntry>>, RuntimeError> {
        let name = self.journal.unit.trim_end_matches(".service").to_owned();
        let mut next = self.journal.next();
        loop {
            tokio::select! {
                biased;
                entries = &mut next => return entries,
                () = sleep(limits::UNIT_END_LOOK) => {}
            }
            let ended = match self.systemd.inspect(&name).await {
                Ok(seen) => seen.status == ContainerStatus::Stopped,
                Err(error) => matches!(error, RuntimeError::NotFound { .. }),
            };
            if ended {
                // The journal may be a moment behind.
                return timeout(limits::UNIT_END_LOOK, next).await.unwrap_or(Ok(None));
            }
        }
    }
}

/// The journal's own reader, which writes only as fast as it is read, and ends when this is dropped.
struct Journal {
    unit: String,
    process: Child,
    out: BufReader<ChildStdout>,
    until: Option<Timestamp>,
}

impl Journal {
    fn open((scope, unit): (&Scope, &str), query: &LogQuery) -> Result<Self, RuntimeError> {
        #[expect(clippy::disallowed_methods, reason = "it is read piece by piece, and not to its end")]
        let mut command = Command::new("journalctl");
        // Not `--unit`, which adds what the manager says of it.
        command.arg(format!("{}={unit}", scope.journal_field())).args([
            "--output=json",
            "--all",
            "--no-pager",
            "--quiet",
        ]);
        command.arg("--output-fields=MESSAGE");
        match query.tail {
            Some(count) => command.arg(format!("--lines={count}")),
            None => command.arg("--lines=all"),
        };
        if query.follow {
            command.arg("--follow");
        }
        if let Some(since) = query.since {
            command.arg(format!("--since=@{}", seconds(since)));
        }
        if let Some(until) = query.until.filter(|_| !query.follow) {
            command.arg(format!("--until=@{}", seconds(until)));
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().map_err(|error| failed(unit, &format!("journalctl: {error}")))?;
        let out = process.stdout.take().ok_or_else(|| failed(unit, "journalctl has no output"))?;
        let out = BufReader::with_capacity(limits::CONTEXT_PIECE_BYTES, out);
        Ok(Self { unit: unit.to_owned(), process, out, until: query.until })
    }

    /// The end: an error where the journal could not be read.
    async fn end(&mut self) -> Result<Option<Vec<LogEntry>>, RuntimeError> {
        let mut said = String::new();
        if let Some(stderr) = self.process.stderr.take() {
            stderr.take(limits::PROBE_BODY_BYTES as u64).read_to_string(&mut said).await.unwrap_or_default();
        }
        match self.process.wait().await {
            Ok(status) if status.success() => Ok(None),
            // It ends so where there is nothing to show as well.
            Ok(_) if said.trim().is_empty() => Ok(None),
            Ok(_) => Err(failed(&self.unit, said.trim())),
            Err(error) => Err(failed(&self.unit, &error.to_string())),
        }
    }
}

#[async_trait]
impl LogSource for Journal {
    async fn next(&mut self) -> Result<Option<Vec<LogEntry>>, RuntimeError> {
        let mut entries = Vec::new();
        loop {
            let mut line = Vec::new();
            let mut bounded = (&mut self.out).take(limits::ENGINE_LINE_BYTES as u64);
            match bounded.read_until(b'\n', &mut line).await {
                Ok(0) if entries.is_empty() => return self.end().await,
                Ok(0) => return Ok(Some(entries)),
                Ok(_) => {}
                Err(error) => return Err(failed(&self.unit, &error.to_string())),
            }
            let Some(entry) = entry(&line) else { continue };
            if self.until.is_some_and(|until| entry.at > until) {
                return if entries.is_empty() { Ok(None) } else { Ok(Some(entries)) };
            }
            entries.push(entry);
            // As many as are there, and none that would have to be waited for.
            if !self.out.buffer().contains(&b'\n') {
                return Ok(Some(entries));
            }
        }
    }
}

/// An entry of the journal; nothing for what is none. It does not tell standard output from standard error.
fn entry(line: &[u8]) -> Option<LogEntry> {
    let value: Value = serde_json::from_slice(line).ok()?;
    let at: i64 = value.get("__REALTIME_TIMESTAMP")?.as_str()?.parse().ok()?;
    let text = match value.get("MESSAGE")? {
        Value::String(text) => Bytes::from(text.clone()),
        // What is no text comes as its bytes.
        Value::Array(bytes) => {
            bytes.iter().map(|byte| u8::try_from(byte.as_u64()?).ok()).collect::<Option<Vec<_>>>()?.into()
        }
        _ => return None,
    };
    let at = Timestamp::from_microsecond(at).ok()?;
    Some(LogEntry { stream: Stream::Stdout, at, text, ends: true, whole: true })
}

/// Seconds and microseconds, as the journal counts.
fn seconds(at: Timestamp) -> String {
    let micros = at.as_microsecond();
    format!("{}.{:06}", micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000))
}

fn failed(unit: &str, reason: &str) -> RuntimeError {
    RuntimeError::Unit { name: unit.to_owned(), reason: format!("its journal cannot be read: {reason}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_bytes_of_the_journal_are_read() {
        let text = br#"{"__REALTIME_TIMESTAMP":"1700000000000001","MESSAGE":"one"}"#;
        let read = entry(text).unwrap();
        assert_eq!((read.text.as_ref(), read.at.as_microsecond()), (&b"one"[..], 1_700_000_000_000_001));
        let bytes = br#"{"__REALTIME_TIMESTAMP":"1","MESSAGE":[255,0,97]}"#;
        assert_eq!(entry(bytes).unwrap().text.as_ref(), [255, 0, 97]);
        for none in [&b"{}"[..], b"no", br#"{"__REALTIME_TIMESTAMP":"1","MESSAGE":null}"#] {
            assert_eq!(entry(none), None);
        }
        assert_eq!(seconds(Timestamp::from_microsecond(1_500_000).unwrap()), "1.500000");
    }
}
