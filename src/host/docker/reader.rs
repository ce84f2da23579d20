//! Readers of a container's log.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::Poll;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};

use super::answer::Answer;
use super::api::{self, Api};
use super::entries::Entries;
use super::not_found;
use crate::host::log::{LogEntry, LogQuery, LogReader, LogSource};
use crate::host::runtime::{RuntimeError, RuntimeKind};
use crate::limits;

/// Where Docker cuts lines. Podman cuts them wherever a read of its monitor ended.
const DOCKER_CUT: usize = 16 * 1024;

/// Opens a container's log.
pub(super) async fn open(api: &Api, name: &str, query: &LogQuery) -> Result<LogReader, RuntimeError> {
    let found = api.get(&format!("containers/{}/json", api::part(name)), &[]).await;
    let found = found.map_err(|e| not_found(e, name))?;
    let terminal = found.pointer("/Config/Tty").and_then(Value::as_bool).unwrap_or(false);
    let log = Log { api, name, terminal };
    match (api.engine, query.tail) {
        (RuntimeKind::Podman, Some(count)) => Ok(Box::new(log.last(query, count).await?)),
        _ => Ok(Box::new(log.read(query).await?)),
    }
}

/// A container's log as it is asked for.
struct Log<'a> {
    api: &'a Api,
    name: &'a str,
    terminal: bool,
}

impl Log<'_> {
    async fn read(&self, query: &LogQuery) -> Result<EngineLog, RuntimeError> {
        let flag = |flag: bool| u8::from(flag).to_string();
        let mut asked = vec![
            ("stdout", flag(true)),
            ("stderr", flag(true)),
            ("timestamps", flag(true)),
            ("follow", flag(query.follow)),
            ("tail", query.tail.map_or("all".to_owned(), |count| count.to_string())),
        ];
        // Podman gives what is later than that, Docker what is not earlier.
        let nanosecond = SignedDuration::from_nanos(1);
        asked.extend(query.since.map(|since| ("since", unix(since.checked_sub(nanosecond).unwrap_or(since)))));
        asked.extend(query.until.map(|until| ("until", unix(until))));
        let podman = self.api.engine == RuntimeKind::Podman;
        // Its own API has frames for terminals as well; without them nothing tells where an entry ends.
        let base = if podman && self.terminal { "v4.0.0/libpod/" } else { "" };
        let path = format!("{base}containers/{}/logs", api::part(self.name));
        let answer = Answer::get(self.api, &path, &asked).await?;
        let entries = Entries::new(self.terminal && !podman, (!podman).then_some(DOCKER_CUT));
        let (name, api) = (self.name.to_owned(), self.api.clone());
        Ok(EngineLog { api, name, answer, entries, waits: query.follow, lines_to_skip: 0, read_at: None, failed: None })
    }

    /// The last lines of Podman's log. Its own `tail` puts pieces of lines behind the line before them (4.3), but it tells
    /// when the last lines began: from there on all are counted, then those too many are left out.
    async fn last(&self, query: &LogQuery, count: usize) -> Result<EngineLog, RuntimeError> {
        if count == 0 {
            return self.read(&LogQuery { tail: None, since: Some(Timestamp::now()), ..*query }).await;
        }
        let now = LogQuery { follow: false, ..*query };
        // With the line before them: behind its end there are none but theirs.
        let more = LogQuery { tail: Some(count.saturating_add(1)), ..now };
        let began = self.read(&more).await?.next().await?.and_then(|entries| entries.first().map(|entry| entry.at));
        let since = began.max(query.since);
        let mut all = self.read(&LogQuery { tail: None, since, ..now }).await?;
        let (mut lines, mut ended) = (0, true);
        while let Some(entries) = all.next().await? {
            lines += entries.iter().filter(|entry| entry.ends).count();
            ended = entries.last().is_none_or(|entry| entry.ends);
        }
        let mut log = self.read(&LogQuery { tail: None, since, ..*query }).await?;
        log.lines_to_skip = (lines + usize::from(!ended)).saturating_sub(count);
        Ok(log)
    }
}

/// Seconds since 1970 with their fraction.
fn unix(at: Timestamp) -> String {
    let at = at.max(Timestamp::UNIX_EPOCH);
    format!("{}.{:09}", at.as_second(), at.subsec_nanosecond())
}

struct EngineLog {
    api: Api,
    name: String,
    answer: Answer,
    entries: Entries,
    /// Whether the engine may be silent for as long as it likes.
    waits: bool,
    lines_to_skip: usize,
    /// When all that was there had been taken.
    read_at: Option<Instant>,
    /// What is told once that which came before it is taken.
    failed: Option<RuntimeError>,
}

#[async_trait]
impl LogSource for EngineLog {
    async fn next(&mut self) -> Result<Option<Vec<LogEntry>>, RuntimeError> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        self.rest().await;
        let (mut out, mut taken) = (Vec::new(), 0);
        // As much as is there, to a bound: each line comes as a piece of its own.
        while out.is_empty() || taken < limits::LOG_READ_BYTES {
            let piece = if out.is_empty() { self.piece().await.map(Some) } else { self.piece_now().await };
            match piece {
                Ok(Some(Some(piece))) => {
                    taken += piece.len();
                    let fed = self.entries.feed(&piece, &mut out);
                    self.skip(&mut out);
                    if let Err(reason) = fed {
                        self.failed = Some(self.api.unclear(&reason));
                        break;
                    }
                }
                Ok(Some(None)) if out.is_empty() => return Ok(None),
                Ok(Some(None) | None) => break,
                Err(error) => {
                    self.failed = Some(not_found(error, &self.name));
                    break;
                }
            }
        }
        self.read_at = (taken < limits::LOG_READ_BYTES).then(Instant::now);
        match self.failed.take_if(|_| out.is_empty()) {
            Some(error) => Err(error),
            None => Ok(Some(out)),
        }
    }
}

impl EngineLog {
    /// An engine sends line by line, and each would wake all that are on its way: of those that follow one another closely many
    /// are taken at once.
    async fn rest(&mut self) {
        if self.read_at.is_some_and(|at| at.elapsed() < limits::LOG_REST) {
            sleep(limits::LOG_REST).await;
        }
    }

    async fn piece(&mut self) -> Result<Option<bytes::Bytes>, RuntimeError> {
        if self.waits {
            return self.answer.next().await;
        }
        let late = |_| RuntimeError::Transport {
            engine: self.api.engine,
            socket: self.api.socket.clone(),
            reason: "timeout".to_owned(),
        };
        timeout(limits::ENGINE_REQUEST, self.answer.next()).await.map_err(late)?
    }

    /// The next piece; nothing if it has not come yet.
    async fn piece_now(&mut self) -> Result<Option<Option<bytes::Bytes>>, RuntimeError> {
        poll_fn(|cx| match self.answer.poll(cx) {
            Poll::Ready(piece) => Poll::Ready(piece.map(Some)),
            Poll::Pending => Poll::Ready(Ok(None)),
        })
        .await
    }

    fn skip(&mut self, out: &mut Vec<LogEntry>) {
        if self.lines_to_skip == 0 {
            return;
        }
        let mut rest = VecDeque::from(std::mem::take(out));
        while self.lines_to_skip > 0
            && let Some(entry) = rest.pop_front()
        {
            self.lines_to_skip -= usize::from(entry.ends);
        }
        *out = rest.into();
    }
}
