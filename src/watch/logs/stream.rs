//! A stream of a log: it goes on over whatever its engine, its container and its application live through.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, sleep, sleep_until};

use super::cursor::{Cursor, Place};
use super::kept::Kept;
use super::lines::{Lines, LogItem, LogLine};
use super::lives::{Found, Life};
use crate::apps::AppState;
use crate::host::{ContainerStatus, Host, LogEntry, LogQuery, LogReader, RuntimeError};
use crate::limits;

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub struct LogRequest {
    /// The application.
    pub app_id: String,
    /// One of its deployments; none: the one that runs.
    pub deployment_id: Option<String>,
    /// Whether what comes later is given too, until the container ends.
    pub follow: bool,
    /// Whether it goes on then with the container's next start, and with the next deployment.
    pub follow_app: bool,
    /// Only so many lines of what is there; none: all.
    pub tail: Option<usize>,
    /// Only what was said then or later.
    pub since: Option<Timestamp>,
    /// Only what was said then or before.
    pub until: Option<Timestamp>,
    /// Behind this line.
    pub after: Option<Cursor>,
}

/// Why there is no log, or no more of it.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// Nothing is known of the application.
    #[error("nothing is known of application {app_id}")]
    UnknownApp {
        /// The application.
        app_id: String,
    },
    /// No log of that deployment is there.
    #[error("no log of deployment {deployment_id} is there")]
    NoLog {
        /// The deployment.
        deployment_id: String,
    },
    /// The log that the cursor is a place of is not there.
    #[error("the log that the cursor is a place of is not there")]
    UnknownCursor,
    /// The container went, and its log with it.
    #[error("the container {name} is gone, and its log with it")]
    ContainerGone {
        /// The container.
        name: String,
    },
    /// The engine does not give it.
    #[error("the engine does not give the log")]
    Engine(#[source] RuntimeError),
    /// What is kept cannot be read.
    #[error("the logs that are kept cannot be read")]
    Storage(#[source] io::Error),
}

/// Gives out logs. Clones share what they work with.
#[derive(Clone)]
pub struct Logs {
    /// The agent's name: only what it started is read.
    pub outpost: Arc<str>,
    /// The machine.
    pub host: Host,
    /// The applications.
    pub state: AppState,
}

impl Logs {
    /// Opens a stream.
    ///
    /// # Errors
    /// There is no such log, or the engine does not tell.
    pub async fn open(&self, request: LogRequest) -> Result<LogStream, LogError> {
        let found = self.find(&request).await?;
        let places = request.after.as_ref().map_or_else(<[Place; 2]>::default, |after| after.places);
        let all = request.tail.is_none() && request.since.is_none();
        let over = request.until.is_some_and(|until| until <= Timestamp::now());
        let reading = if request.follow && !over { Reading::Follow } else { Reading::Rest(request.until) };
        let (life, kept) = match found {
            Found::There(life) => (life, None),
            Found::Kept(kept) => (kept.life.clone(), Some(kept)),
        };
        let mut stream = LogStream {
            logs: self.clone(),
            lines: Lines::new(Arc::new(life), places, all),
            // It is where the stream begins alone.
            tail: request.tail.filter(|_| request.after.is_none()),
            request,
            next: Next::Read(reading),
            failing: None,
            pause: limits::LOG_PAUSES.0,
        };
        if let Some(kept) = kept {
            stream.read_kept(&kept);
        }
        Ok(stream)
    }

    /// The last lines of what is there.
    ///
    /// # Errors
    /// As [`Logs::open`], and whatever happens while it is read.
    pub async fn last(&self, request: LogRequest, count: usize) -> Result<Vec<LogLine>, LogError> {
        // Engines count pieces of long lines.
        let tail = Some(count.saturating_mul(2).saturating_add(EXTRA));
        let mut stream = self.open(LogRequest { tail, follow: false, follow_app: false, ..request }).await?;
        let (mut last, mut bytes) = (std::collections::VecDeque::new(), 0);
        while let Some(items) = stream.next().await? {
            for item in items {
                let LogItem::Line(mut line) = item else { continue };
                // It would keep all that was read with it.
                line.text = bytes::Bytes::copy_from_slice(&line.text);
                bytes += line.text.len();
                last.push_back(line);
            }
            while last.len() > count || bytes > limits::LOG_TAIL_BYTES {
                let Some(oldest) = last.pop_front() else { break };
                bytes -= oldest.text.len();
            }
        }
        Ok(last.into())
    }

    async fn find(&self, request: &LogRequest) -> Result<Found, LogError> {
        let LogRequest { app_id, .. } = request;
        if let Some(after) = &request.after {
            let place = (after.deployment_id.as_str(), after.container.as_str());
            let found = self.of_container(app_id, place).await?;
            return match found {
                Some(found) => Ok(found),
                None if self.knows(app_id).await? => Err(LogError::UnknownCursor),
                None => Err(LogError::UnknownApp { app_id: app_id.clone() }),
            };
        }
        if let Some(deployment_id) = &request.deployment_id {
            let found = self.of_deployment(app_id, deployment_id).await?;
            return match found {
                Some(found) => Ok(found),
                None if self.knows(app_id).await? => Err(LogError::NoLog { deployment_id: deployment_id.clone() }),
                None => Err(LogError::UnknownApp { app_id: app_id.clone() }),
            };
        }
        let current = self.current(app_id).await?;
        current.map(Found::There).ok_or_else(|| LogError::UnknownApp { app_id: app_id.clone() })
    }
}

/// Entries that are asked for beyond the lines.
const EXTRA: usize = 16;

/// A log as it is read.
pub struct LogStream {
    logs: Logs,
    request: LogRequest,
    /// The lines of what is there that are left to ask for.
    tail: Option<usize>,
    lines: Lines,
    next: Next,
    /// Since when the engine fails.
    failing: Option<Instant>,
    pause: Duration,
}

/// What is read of a container that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// Until it ends.
    Follow,
    /// What is there, up to that time. After its end this is what was written while the engine closed.
    Rest(Option<Timestamp>),
}

enum Next {
    /// The log is to be opened.
    Read(Reading),
    Reading(LogReader, Reading),
    /// A log that was kept.
    Kept(LogReader),
    /// Its container has said all that it will say now; whether it is gone.
    Over {
        gone: bool,
    },
    Ended,
}

impl LogStream {
    /// The next lines and what happens between them; `None` at the end. Nothing is read meanwhile.
    ///
    /// # Errors
    /// It ends here.
    pub async fn next(&mut self) -> Result<Option<Vec<LogItem>>, LogError> {
        let mut items = Vec::new();
        while items.is_empty() {
            match &mut self.next {
                Next::Read(reading) => {
                    let reading = *reading;
                    self.open(reading).await?;
                }
                Next::Reading(reader, reading) => {
                    let reading = *reading;
                    let read = tokio::select! {
                        read = reader.next() => read,
                        () = past(self.request.until) => Ok(None),
                    };
                    self.read(read, reading, &mut items).await?;
                }
                Next::Kept(reader) => {
                    if let Ok(Some(entries)) = reader.next().await {
                        self.take(entries, &mut items);
                    } else {
                        self.lines.flush(&mut items);
                        self.next = Next::Over { gone: true };
                    }
                }
                Next::Over { gone } => {
                    let gone = *gone;
                    self.go_on(gone, &mut items).await?;
                }
                Next::Ended => return Ok(None),
            }
        }
        Ok(Some(items))
    }

    fn query(&self, reading: Reading) -> LogQuery {
        let since = self.lines.since().or(self.request.since);
        let (follow, until) = match reading {
            Reading::Follow => (true, None),
            Reading::Rest(until) => (false, until),
        };
        LogQuery { follow, tail: self.tail, since, until }
    }

    async fn open(&mut self, reading: Reading) -> Result<(), LogError> {
        let life = self.lines.life().clone();
        let runtime = self.logs.host.runtimes.runtime(&life.runtime);
        match runtime.logs(&life.container_id, &self.query(reading)).await {
            Ok(reader) => {
                self.next = Next::Reading(reader, reading);
                Ok(())
            }
            Err(error) => self.broken(error, reading).await,
        }
    }

    async fn read(
        &mut self,
        read: Result<Option<Vec<LogEntry>>, RuntimeError>,
        reading: Reading,
        items: &mut Vec<LogItem>,
    ) -> Result<(), LogError> {
        match read {
            Ok(Some(entries)) => {
                (self.failing, self.pause) = (None, limits::LOG_PAUSES.0);
                self.take(entries, items);
                Ok(())
            }
            Ok(None) if reading == Reading::Follow => {
                // Its last lines may have come while the engine closed.
                let (logs, life) = (self.logs.clone(), self.lines.life().clone());
                let end = end(logs, life, self.request.until).await;
                self.again(Reading::Rest(end));
                Ok(())
            }
            Ok(None) => {
                self.lines.flush(items);
                self.next = Next::Over { gone: false };
                Ok(())
            }
            Err(error) => self.broken(error, reading).await,
        }
    }

    fn take(&mut self, entries: Vec<LogEntry>, items: &mut Vec<LogItem>) {
        for entry in entries {
            if self.request.until.is_some_and(|until| entry.at > until) {
                self.lines.flush(items);
                self.next = Next::Ended;
                return;
            }
            self.lines.push(entry, items);
        }
    }

    /// Reads the log again, behind what was given.
    fn again(&mut self, reading: Reading) {
        // Where nothing has come yet, as much is asked for as before.
        if self.lines.since().is_some() {
            self.tail = None;
        }
        self.lines.read_again();
        self.next = Next::Read(reading);
    }

    /// The engine failed, or the container is gone.
    async fn broken(&mut self, error: RuntimeError, reading: Reading) -> Result<(), LogError> {
        let life = self.lines.life().clone();
        if matches!(error, RuntimeError::NotFound { .. }) {
            let kept = self.logs.kept(&life.app_id, &life.deployment_id).await?;
            let kept = kept.filter(|kept| kept.life.container_id == life.container_id);
            if let Some(kept) = kept {
                self.again(Reading::Rest(self.request.until));
                self.read_kept(&kept);
                return Ok(());
            }
            if self.request.follow_app {
                self.next = Next::Over { gone: true };
                return Ok(());
            }
            return Err(LogError::ContainerGone { name: life.container_name.clone() });
        }
        let since = *self.failing.get_or_insert_with(Instant::now);
        if since.elapsed() >= limits::LOG_PATIENCE {
            return Err(LogError::Engine(error));
        }
        tracing::debug!(app_id = life.app_id, container = life.container_name, %error, "the log broke off: it is read again");
        sleep(self.pause).await;
        self.pause = (self.pause * 2).min(limits::LOG_PAUSES.1);
        self.again(reading);
        Ok(())
    }

    fn read_kept(&mut self, kept: &Kept) {
        self.next = Next::Kept(kept.entries(&self.query(Reading::Rest(self.request.until))));
    }

    /// What follows the end of a container: its next start, or the next deployment.
    async fn go_on(&mut self, gone: bool, items: &mut Vec<LogItem>) -> Result<(), LogError> {
        if !(self.request.follow && self.request.follow_app) {
            self.next = Next::Ended;
            return Ok(());
        }
        let life = self.lines.life().clone();
        let Some(entry) = self.logs.state.get(&life.app_id) else {
            // It was taken away.
            self.next = Next::Ended;
            return Ok(());
        };
        let renamed = entry.container_name.as_ref().is_some_and(|name| *name != life.container_name);
        if (renamed || gone)
            && let Ok(Some(next)) = self.logs.of_state(&life.app_id, &entry).await
            && next.container_id != life.container_id
        {
            match self.logs.next_kept(&life).await? {
                Some(kept) => self.begin_with_kept(&kept, items),
                None => self.begin(next, items),
            }
            return Ok(());
        }
        tokio::select! {
            () = sleep(limits::LOG_LOOK) => {}
            () = past(self.request.until) => {
                self.next = Next::Ended;
                return Ok(());
            }
        }
        if !gone {
            self.look(&life, items).await;
        }
        Ok(())
    }

    /// Whether the container runs again.
    async fn look(&mut self, life: &Arc<Life>, items: &mut Vec<LogItem>) {
        match self.logs.host.runtimes.runtime(&life.runtime).inspect(&life.container_id).await {
            Ok(container) if container.status == ContainerStatus::Running => {
                items.push(LogItem::Container(life.clone()));
                self.again(Reading::Follow);
            }
            Err(RuntimeError::NotFound { .. }) => self.next = Next::Over { gone: true },
            // An engine that does not answer is asked again.
            Ok(_) | Err(_) => {}
        }
    }

    fn begin(&mut self, life: Life, items: &mut Vec<LogItem>) {
        self.lines = Lines::new(Arc::new(life), <[Place; 2]>::default(), true);
        self.tail = None;
        self.request.since = None;
        items.push(LogItem::Container(self.lines.life().clone()));
        self.next = Next::Read(Reading::Follow);
    }

    fn begin_with_kept(&mut self, kept: &Kept, items: &mut Vec<LogItem>) {
        self.begin(kept.life.clone(), items);
        if !kept.whole {
            items.push(LogItem::Dropped);
        }
        self.read_kept(kept);
    }
}

/// Until when a container said what belongs to the start that has ended, where the next one has begun: what was left in
/// its pipes was read soon after its end, and the next one says nothing long before its start is known.
async fn end(logs: Logs, life: Arc<Life>, until: Option<Timestamp>) -> Option<Timestamp> {
    let seen = logs.host.runtimes.runtime(&life.runtime).inspect(&life.container_id).await.ok()?;
    let end = if seen.status == ContainerStatus::Running {
        let (finished, started) = (seen.finished_at?, seen.started_at?);
        let between = started.duration_since(finished);
        finished.checked_add(between / 2).ok().filter(|_| between.is_positive())
    } else {
        Some(Timestamp::now())
    };
    end.into_iter().chain(until).min()
}

/// Until that time, and a moment for what was said then.
async fn past(until: Option<Timestamp>) {
    match until {
        Some(until) => {
            let left = Duration::try_from(until.duration_since(Timestamp::now())).unwrap_or_default();
            sleep_until(Instant::now() + left + limits::LOG_LOOK).await;
        }
        None => std::future::pending().await,
    }
}
