//! Logs of containers of the real Docker and the real Podman, as the adapters read them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test ends there"
)]

#[path = "support/engines.rs"]
mod engines;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use engines::{KINDS, engine, shell, task, unique};
use otturnaut::host::{LogEntry, LogQuery, LogReader, Runtime, RuntimeError, RuntimeKind, Stream};
use serde_json::json;
use tokio::io::copy_bidirectional;
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(60);

/// A container that is gone when the test ends.
struct Container {
    kind: RuntimeKind,
    name: String,
}

impl Drop for Container {
    fn drop(&mut self) {
        let program = if self.kind == RuntimeKind::Docker { "docker" } else { "podman" };
        std::process::Command::new(program).args(["rm", "-f", &self.name]).output().unwrap();
    }
}

async fn run(kind: RuntimeKind, script: &str) -> Container {
    let name = unique("log");
    engine(kind).start(&task(&name, &shell(kind, &[]), script)).await.unwrap();
    Container { kind, name }
}

async fn all(mut log: LogReader) -> Vec<LogEntry> {
    let mut all = Vec::new();
    while let Some(entries) = timeout(PATIENCE, log.next()).await.expect("the log ends").unwrap() {
        assert!(!entries.is_empty());
        all.extend(entries);
    }
    all
}

/// Whole entries, and whole lines of each stream.
fn lines(entries: &[LogEntry], stream: Stream) -> Vec<String> {
    let (mut lines, mut begun) = (Vec::new(), Vec::new());
    for entry in entries.iter().filter(|entry| entry.stream == stream) {
        begun.extend_from_slice(&entry.text);
        if entry.ends {
            lines.push(String::from_utf8(std::mem::take(&mut begun)).unwrap());
        }
    }
    if !begun.is_empty() {
        lines.push(String::from_utf8(begun).unwrap());
    }
    lines
}

const LONG: &str = "i=0; s=x; while [ $i -lt 15 ]; do s=$s$s; i=$((i+1)); done";

#[tokio::test]
async fn entries_have_their_times_and_pieces_of_long_lines_make_lines() {
    for kind in KINDS {
        let script = format!("{LONG}; echo one; echo bad >&2; echo \"$s-end\"; echo two; printf last");
        let container = run(kind, &script).await;
        let (engine, name) = (engine(kind), container.name.as_str());
        engine.wait(name).await.unwrap();
        let entries = all(engine.logs(name, &LogQuery::default()).await.unwrap()).await;
        let long = format!("{}-end", "x".repeat(32_768));
        assert_eq!(lines(&entries, Stream::Stdout), ["one", &long, "two", "last"], "{kind}");
        assert_eq!(lines(&entries, Stream::Stderr), ["bad"], "{kind}");
        let times: Vec<_> = entries.iter().filter(|e| e.stream == Stream::Stdout).map(|e| e.at).collect();
        assert!(times.is_sorted() && times[0].as_second() > 1_700_000_000, "{kind}: {times:?}");
        assert!(entries.iter().filter(|e| !e.ends && e.whole).count() >= 2, "{kind}: the long line comes in pieces");
    }
}

#[tokio::test]
async fn the_last_lines_and_those_of_a_time_are_given() {
    for kind in KINDS {
        // Podman tells times by the second.
        let script = "echo 1; echo 2; printf 'begun '; test -e /x || sleep 1.2; echo 3; echo 4; sleep 1.2; echo 5";
        let container = run(kind, script).await;
        let (engine, name) = (engine(kind), container.name.as_str());
        engine.wait(name).await.unwrap();
        let read = |query| {
            let engine = engine.clone();
            async move { all(engine.logs(name, &query).await.unwrap()).await }
        };
        let whole = read(LogQuery::default()).await;
        assert_eq!(lines(&whole, Stream::Stdout), ["1", "2", "begun 3", "4", "5"], "{kind}");
        for count in 1..=6 {
            let last = read(LogQuery { tail: Some(count), ..LogQuery::default() }).await;
            let expected = ["1", "2", "begun 3", "4", "5"];
            assert_eq!(lines(&last, Stream::Stdout), expected[5_usize.saturating_sub(count)..], "{kind} {count}");
        }
        let none = read(LogQuery { tail: Some(0), ..LogQuery::default() }).await;
        assert_eq!(none, [], "{kind}");
        let since = whole.last().unwrap().at;
        let last = read(LogQuery { since: Some(since), ..LogQuery::default() }).await;
        assert_eq!(lines(&last, Stream::Stdout), ["5"], "{kind}");
        let first = whole.first().unwrap().at;
        let until = first.checked_add(jiff::SignedDuration::from_millis(100)).unwrap();
        let early = read(LogQuery { until: Some(until), ..LogQuery::default() }).await;
        assert!(early.len() < whole.len() && early == whole[..early.len()], "{kind}: {early:?}");
    }
}

#[tokio::test]
async fn a_log_is_followed_until_the_container_ends() {
    for kind in KINDS {
        let container = run(kind, "i=0; while [ $i -lt 5 ]; do echo $i; sleep 0.1; i=$((i+1)); done").await;
        let query = LogQuery { follow: true, ..LogQuery::default() };
        let entries = all(engine(kind).logs(&container.name, &query).await.unwrap()).await;
        assert_eq!(lines(&entries, Stream::Stdout), ["0", "1", "2", "3", "4"], "{kind}");
        let silent = run(kind, "sleep 0.5").await;
        let entries = all(engine(kind).logs(&silent.name, &query).await.unwrap()).await;
        assert_eq!(entries, [], "{kind}");
    }
}

#[tokio::test]
async fn a_terminal_is_read_as_well() {
    for kind in KINDS {
        let name = unique("terminal");
        let script = format!("{LONG}; echo one; echo \"$s\"; echo two");
        let config = json!({ "Image": shell(kind, &[]), "Cmd": ["/bin/sh", "-c", script], "Tty": true });
        engines::run(kind, &name, &config).await;
        let container = Container { kind, name };
        let engine = engine(kind);
        engine.wait(&container.name).await.unwrap();
        let entries = all(engine.logs(&container.name, &LogQuery::default()).await.unwrap()).await;
        let long = "x".repeat(32_768);
        assert_eq!(lines(&entries, Stream::Stdout), ["one\r", &format!("{long}\r"), "two\r"], "{kind}");
    }
}

#[tokio::test]
async fn a_container_that_is_not_there_has_no_log() {
    for kind in KINDS {
        let none = engine(kind).logs("otturnaut-it-none", &LogQuery::default()).await;
        assert!(matches!(none.map(drop), Err(RuntimeError::NotFound { .. })), "{kind}");
    }
    let nowhere = engines::at(RuntimeKind::Docker, Some("/nowhere.sock".into()));
    let none = nowhere.logs("x", &LogQuery::default()).await;
    assert!(matches!(none.map(drop), Err(RuntimeError::Transport { reason, .. }) if reason == "enoent"));
}

/// The engine behind another socket, which counts what goes over it and how many hold a connection.
struct Counting {
    dir: tempfile::TempDir,
    bytes: Arc<AtomicUsize>,
    open: Arc<AtomicUsize>,
}

impl Counting {
    fn before(kind: RuntimeKind) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join("engine.sock")).unwrap();
        let (bytes, open) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let to = if kind == RuntimeKind::Docker { "/var/run/docker.sock" } else { "/run/podman/podman.sock" };
        let (counted, held) = (bytes.clone(), open.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (counted, held) = (counted.clone(), held.clone());
                tokio::spawn(async move {
                    held.fetch_add(1, Ordering::SeqCst);
                    let engine = UnixStream::connect(to).await.unwrap();
                    let mut client = Counted { inner: client, written: counted };
                    let mut engine = engine;
                    copy_bidirectional(&mut client, &mut engine).await.unwrap_or_default();
                    held.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { dir, bytes, open }
    }

    fn runtime(&self, kind: RuntimeKind) -> Arc<dyn Runtime> {
        engines::at(kind, Some(self.socket()))
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("engine.sock")
    }

    fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }
}

struct Counted {
    inner: UnixStream,
    written: Arc<AtomicUsize>,
}

impl tokio::io::AsyncRead for Counted {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl tokio::io::AsyncWrite for Counted {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buf: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        let written = std::task::ready!(std::pin::Pin::new(&mut self.inner).poll_write(cx, buf))?;
        self.written.fetch_add(written, Ordering::SeqCst);
        std::task::Poll::Ready(Ok(written))
    }

    fn poll_flush(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// Waits until it is so.
async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let waited = timeout(PATIENCE, async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("{what}"));
}

#[tokio::test]
async fn what_nobody_asks_for_is_not_read_and_a_reader_that_is_dropped_closes_its_connection() {
    for kind in KINDS {
        let container = run(kind, "while true; do echo a line of a container that says much; done").await;
        let counting = Counting::before(kind);
        let query = LogQuery { follow: true, ..LogQuery::default() };
        let mut log = counting.runtime(kind).logs(&container.name, &query).await.unwrap();
        timeout(PATIENCE, log.next()).await.expect("it says something").unwrap().unwrap();
        // What the sockets between hold fills up, and no more comes.
        let mut before = 0;
        let bytes = counting.bytes.clone();
        let (mut still, mut looks) = (0, 0);
        while still < 10 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let now = bytes.load(Ordering::SeqCst);
            still = if now == before { still + 1 } else { 0 };
            (before, looks) = (now, looks + 1);
            assert!(looks < 1000, "{kind}: it is read on, {now} bytes");
        }
        assert!(before < 2 * 1024 * 1024, "{kind}: {before} bytes were read ahead");
        assert!(counting.open() >= 1, "{kind}");
        drop(log);
        // The connection that asked about the container may be kept for the next question.
        until("the connection is closed", || counting.open() <= 1).await;
    }
}
