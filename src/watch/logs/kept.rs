//! The log of a container that is about to go: its last part, as text that a person can read as well.
//!
//! ```text
//! # otturnaut log 1 0123456789ab... otturnaut-shop-1 docker 2026-01-15T10:20:32Z served whole
//! 2026-01-15T10:20:30.123456789Z stdout F a line
//! 2026-01-15T10:20:31Z stderr P a piece of one
//! ```

use std::collections::VecDeque;
use std::fmt::Write as _;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use tokio::time::timeout;

use super::lives::Life;
use crate::host::{
    Container, Document, Host, LogEntry, LogQuery, LogReader, LogSource, RuntimeError, RuntimeKind, RuntimeTarget,
    Stream,
};
use crate::limits;

const HEAD: &str = "# otturnaut log 1";

/// Whose log is kept.
#[derive(Debug, Clone, Copy)]
pub struct Went<'a> {
    /// The application.
    pub app_id: &'a str,
    /// The deployment.
    pub deployment_id: &'a str,
    /// Its engine.
    pub runtime: &'a RuntimeTarget,
    /// Whether it never served.
    pub failed: bool,
}

/// Keeps the last part of the log of a container that is about to be removed. Whatever comes of it, within a bounded time the
/// removal goes on.
pub async fn keep(host: &Host, went: Went<'_>, container: &Container) {
    let keeping = async {
        let runtime = host.runtimes.runtime(went.runtime);
        // As many entries as could fit.
        let tail = limits::KEPT_LOG_BYTES / ENTRY_BYTES;
        let query = LogQuery { tail: Some(tail), ..LogQuery::default() };
        let text = write(&went, container, (runtime.logs(&container.id, &query).await?, tail)).await?;
        Ok::<_, RuntimeError>(text)
    };
    let (app_id, deployment_id) = (went.app_id, went.deployment_id);
    let text = match timeout(limits::KEEP_LOG, keeping).await {
        Ok(Ok(text)) => text,
        Ok(Err(error)) => {
            tracing::warn!(app_id, deployment_id, %error, "the log is not kept");
            return;
        }
        Err(_) => {
            tracing::warn!(app_id, deployment_id, "the log is not kept: the engine is too slow");
            return;
        }
    };
    let document = Document { folder: app_id.to_owned(), name: deployment_id.to_owned() };
    if let Err(error) = host.storage.put_log(&document, text).await {
        tracing::warn!(app_id, deployment_id, %error, "the log is not kept");
    }
}

/// The least that an entry takes.
const ENTRY_BYTES: usize = "2026-01-15T10:20:30Z stdout F \n".len();

async fn write(
    went: &Went<'_>,
    container: &Container,
    (mut log, asked): (LogReader, usize),
) -> Result<Vec<u8>, RuntimeError> {
    let (mut entries, mut bytes, mut count, mut whole) = (VecDeque::new(), 0, 0, true);
    let mut within = false;
    while let Some(batch) = log.next().await? {
        for entry in batch {
            let written = line(&entry, within);
            within = !entry.whole;
            count += usize::from(entry.whole);
            bytes += written.len();
            entries.push_back(written);
            while bytes > limits::KEPT_LOG_BYTES
                && let Some(oldest) = entries.pop_front()
            {
                bytes -= oldest.len();
                whole = false;
            }
        }
    }
    let (served, whole) = (if went.failed { "failed" } else { "served" }, whole && count < asked);
    let mut head = String::new();
    let (id, name, kind) = (&container.id, &container.name, went.runtime.kind);
    let whole = if whole { "whole" } else { "cut" };
    // A string takes all that is written.
    writeln!(head, "{HEAD} {id} {name} {kind} {} {served} {whole}", Timestamp::now()).unwrap_or_default();
    let mut text = head.into_bytes();
    for entry in &entries {
        text.extend_from_slice(entry);
    }
    Ok(text)
}

/// An entry, or a further part of one that is begun.
fn line(entry: &LogEntry, within: bool) -> Vec<u8> {
    let stream = match entry.stream {
        Stream::Stdout => "stdout",
        Stream::Stderr => "stderr",
    };
    let kind = match (entry.ends, within, entry.whole) {
        (true, ..) => 'F',
        (false, _, true) => 'P',
        // Of an entry that came in parts only the last one counts as an entry.
        (false, _, false) => 'p',
    };
    let mut line = format!("{} {stream} {kind} ", entry.at).into_bytes();
    // There is none, as engines have it.
    line.extend(entry.text.iter().map(|byte| if *byte == b'\n' { b' ' } else { *byte }));
    line.push(b'\n');
    line
}

/// A log that was kept.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) life: Life,
    /// When its container went.
    pub(super) went_at: Timestamp,
    /// Whether its container never served.
    pub(super) failed: bool,
    /// Whether it is all that the container said.
    pub(super) whole: bool,
    text: Bytes,
}

impl Kept {
    pub(super) fn read(document: &Document, text: &Bytes) -> Option<Self> {
        let end = text.iter().position(|byte| *byte == b'\n')?;
        let head = std::str::from_utf8(text.get(..end)?).ok()?.strip_prefix(HEAD)?;
        let [id, name, kind, went_at, served, whole] = head.split_whitespace().collect::<Vec<_>>().try_into().ok()?;
        let kinds = [RuntimeKind::Docker, RuntimeKind::Podman, RuntimeKind::Systemd];
        let kind = kinds.into_iter().find(|known| known.to_string() == kind)?;
        let life = Life {
            app_id: document.folder.clone(),
            deployment_id: document.name.clone(),
            container_id: id.to_owned(),
            container_name: name.to_owned(),
            runtime: RuntimeTarget { kind, socket: None },
        };
        let went_at = went_at.parse().ok()?;
        Some(Self { life, went_at, failed: served == "failed", whole: whole == "whole", text: text.slice(end + 1..) })
    }

    /// Its entries, as an engine would give them.
    pub(super) fn entries(&self, query: &LogQuery) -> LogReader {
        let mut left = self.text.clone();
        if let Some(tail) = query.tail {
            let ended = entries(&self.text).filter(|entry| entry.ends).count();
            let unended = usize::from(entries(&self.text).last().is_some_and(|entry| !entry.ends));
            let mut too_many = (ended + unended).saturating_sub(tail);
            while too_many > 0
                && let Some(entry) = next(&mut left)
            {
                too_many -= usize::from(entry.ends);
            }
        }
        Box::new(KeptEntries { left, query: *query })
    }
}

struct KeptEntries {
    left: Bytes,
    query: LogQuery,
}

/// Entries that are given at a time.
const BATCH: usize = 100;

#[async_trait]
impl LogSource for KeptEntries {
    async fn next(&mut self) -> Result<Option<Vec<LogEntry>>, RuntimeError> {
        let LogQuery { since, until, .. } = self.query;
        let wanted = |entry: &LogEntry| {
            since.is_none_or(|since| entry.at >= since) && until.is_none_or(|until| entry.at <= until)
        };
        let left = &mut self.left;
        let entries: Vec<_> = std::iter::from_fn(|| next(left)).filter(wanted).take(BATCH).collect();
        Ok((!entries.is_empty()).then_some(entries))
    }
}

fn entries(text: &Bytes) -> impl Iterator<Item = LogEntry> {
    let mut left = text.clone();
    std::iter::from_fn(move || next(&mut left))
}

/// Takes the next entry off a text; what is none is left out.
fn next(text: &mut Bytes) -> Option<LogEntry> {
    loop {
        let end = text.iter().position(|byte| *byte == b'\n')?;
        let line = text.split_to(end + 1).slice(..end);
        if let Some(entry) = read_line(&line) {
            return Some(entry);
        }
    }
}

fn read_line(line: &Bytes) -> Option<LogEntry> {
    let mut parts = line.splitn(4, |byte| *byte == b' ');
    let at: Timestamp = std::str::from_utf8(parts.next()?).ok()?.parse().ok()?;
    let stream = match parts.next()? {
        b"stdout" => Stream::Stdout,
        b"stderr" => Stream::Stderr,
        _ => return None,
    };
    let (ends, whole) = match parts.next()? {
        b"F" => (true, true),
        b"P" => (false, true),
        b"p" => (false, false),
        _ => return None,
    };
    let text = line.slice(line.len() - parts.next()?.len()..);
    Some(LogEntry { stream, at, text, ends, whole })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::host::ContainerStatus;

    fn document() -> Document {
        Document { folder: "shop".to_owned(), name: "1".to_owned() }
    }

    struct Fixed(Vec<Vec<LogEntry>>);

    #[async_trait]
    impl LogSource for Fixed {
        async fn next(&mut self) -> Result<Option<Vec<LogEntry>>, RuntimeError> {
            Ok(self.0.pop())
        }
    }

    async fn written(log: Vec<LogEntry>, asked: usize) -> Kept {
        let container = Container {
            id: "0123456789abcdef".to_owned(),
            name: "otturnaut-shop-1".to_owned(),
            status: ContainerStatus::Stopped,
            image: String::new(),
            image_id: String::new(),
            port: None,
            labels: [].into(),
            exit_code: None,
            restart_count: 0,
            created: 7,
            started_at: None,
            finished_at: None,
            oom_killed: false,
            error: String::new(),
            health: None,
        };
        let runtime = RuntimeTarget { kind: RuntimeKind::Podman, socket: None };
        let went = Went { app_id: "shop", deployment_id: "1", runtime: &runtime, failed: true };
        let text = write(&went, &container, (Box::new(Fixed(vec![log])), asked)).await.unwrap();
        assert!(text.len() <= limits::KEPT_LOG_BYTES + 200);
        Kept::read(&document(), &text.into()).unwrap()
    }

    async fn all(mut log: LogReader) -> Vec<LogEntry> {
        let mut all = Vec::new();
        while let Some(batch) = log.next().await.unwrap() {
            all.extend(batch);
        }
        all
    }

    fn entry(at: i64, text: &[u8], ends: bool) -> LogEntry {
        let at = Timestamp::from_millisecond(at).unwrap();
        LogEntry { stream: Stream::Stderr, at, text: Bytes::copy_from_slice(text), ends, whole: true }
    }

    #[tokio::test]
    async fn what_is_kept_is_read_as_it_was() {
        let log: Vec<_> = (0..4).map(|at| entry(at, b"a  \xff line", at != 2)).collect();
        let kept = written(log.clone(), 100).await;
        assert!(kept.failed && kept.whole);
        assert_eq!((kept.life.short_id(), kept.life.runtime.kind), ("0123456789ab", RuntimeKind::Podman));
        assert_eq!(all(kept.entries(&LogQuery::default())).await, log);
        let query = LogQuery { tail: Some(2), ..LogQuery::default() };
        assert_eq!(all(kept.entries(&query)).await, log[1..]);
        let query = LogQuery { since: Some(log[1].at), until: Some(log[2].at), ..LogQuery::default() };
        assert_eq!(all(kept.entries(&query)).await, log[1..3]);
    }

    #[tokio::test]
    async fn the_last_part_is_kept_and_tells_that_it_is_one() {
        let log: Vec<_> = (0..40).map(|at| entry(at, &vec![b'x'; limits::KEPT_LOG_BYTES / 10], true)).collect();
        let kept = written(log.clone(), 100).await;
        let seen = all(kept.entries(&LogQuery::default())).await;
        assert!(!kept.whole && seen.len() < 10 && seen == log[40 - seen.len()..]);
        assert!(!written(log[..2].to_vec(), 2).await.whole, "as many as were asked for may not be all");
    }

    proptest! {
        #[test]
        fn whatever_stands_in_the_file_is_read_or_left(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let file = [HEAD.as_bytes(), b" a b docker 2026-01-15T10:20:32Z served cut\n", &text].concat().into();
            entries(&Kept::read(&document(), &file).unwrap().text).for_each(drop);
            drop(Kept::read(&document(), &text.into()));
        }
    }
}
