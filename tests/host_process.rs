//! Commands of the host, on real processes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods, reason = "a test ends there")]

use std::path::Path;
use std::time::{Duration, Instant};

use otturnaut::host::process::SystemProcesses;
use otturnaut::host::{Batch, Command, CommandEnd, CommandResult, Processes, Stream};
use tokio::sync::mpsc;

fn shell(script: &str) -> Command {
    Command::new("sh", ["-c", script])
}

async fn run(command: Command) -> CommandResult {
    SystemProcesses::default().run(command, None).await
}

/// A number of seconds that no other test's `sleep` has: it tells this test's processes from all others.
fn unique_seconds() -> String {
    format!("{}.{}", 1000 + std::process::id() % 1000, rand::random_range(100_000..999_999))
}

fn is_running(argument: &str) -> bool {
    std::fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).any(|part| part == argument.as_bytes())
    })
}

async fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn output_and_end_of_a_command_are_known() {
    let result = run(shell("echo out; echo err >&2; printf unterminated; exit 3")).await;
    assert_eq!(result.end, CommandEnd::Exited(3));
    let mut lines: Vec<_> = std::str::from_utf8(&result.output).unwrap().lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["err", "out", "unterminated"]);
}

#[tokio::test]
async fn an_end_by_a_signal_is_128_and_its_number() {
    assert_eq!(run(shell("kill -KILL $$")).await.end, CommandEnd::Exited(137));
    assert_eq!(run(shell("kill -TERM $$")).await.end, CommandEnd::Exited(143));
}

#[tokio::test]
async fn what_cannot_be_run_says_why() {
    assert_eq!(run(Command::new("no-such-program", [""; 0])).await.end, CommandEnd::NotFound);
    let mut lost = shell("true");
    lost.working_dir = Some(Path::new("/nowhere/at/all").to_owned());
    let CommandEnd::Failed(error) = run(lost).await.end else { panic!("there is no such directory") };
    assert!(error.to_string().contains("there is no directory /nowhere/at/all"), "{error}");
}

#[tokio::test]
async fn a_command_gets_its_environment_and_never_the_cookie() {
    let command = shell("echo $GREETING; env").env("GREETING", "olá");
    let result = run(command).await;
    let text = std::str::from_utf8(&result.output).unwrap();
    assert!(text.starts_with("olá\n") && !text.contains("RELEASE_COOKIE"), "{text}");
}

#[tokio::test]
async fn at_its_timeout_a_command_and_its_children_are_gone_and_the_output_so_far_is_kept() {
    let seconds = unique_seconds();
    let mut command = shell(&format!("echo begun; sleep {seconds} & sleep {seconds}"));
    command.timeout = Some(Duration::from_millis(300));
    let result = run(command).await;
    assert_eq!((result.end, &*result.output), (CommandEnd::TimedOut, b"begun\n".as_slice()));
    wait_until("the children are gone", || !is_running(&seconds)).await;
}

#[tokio::test]
async fn a_command_that_is_dropped_is_killed_with_its_children() {
    let seconds = unique_seconds();
    let command = shell(&format!("sleep {seconds} & sleep {seconds}"));
    let running = tokio::spawn(run(command));
    wait_until("it runs", || is_running(&seconds)).await;
    running.abort();
    wait_until("it is gone", || !is_running(&seconds)).await;
}

#[tokio::test]
async fn a_child_that_holds_the_pipe_open_is_not_waited_for() {
    let seconds = unique_seconds();
    let began = Instant::now();
    let result = run(shell(&format!("sleep {seconds} & echo done"))).await;
    assert_eq!((result.end, &*result.output), (CommandEnd::Exited(0), b"done\n".as_slice()));
    assert!(began.elapsed() < Duration::from_secs(5));
    wait_until("the child is gone", || !is_running(&seconds)).await;
}

#[tokio::test]
async fn every_line_comes_in_order_with_its_stream() {
    let (lines, mut received) = mpsc::channel::<Batch>(4);
    let command = shell("seq 1 200000; echo problem >&2");
    let count = async {
        let (mut next, mut problems) = (1, 0);
        while let Some(batch) = received.recv().await {
            for line in batch {
                match line.stream {
                    Stream::Stdout => {
                        assert_eq!(line.text, next.to_string());
                        next += 1;
                    }
                    Stream::Stderr => problems += 1,
                }
            }
        }
        (next - 1, problems)
    };
    let processes = SystemProcesses::default();
    let (result, counted) = tokio::join!(processes.run(command, Some(lines)), count);
    assert_eq!((result.end, counted), (CommandEnd::Exited(0), (200_000, 1)));
}

#[tokio::test]
async fn a_receiver_that_does_not_read_stops_the_command_and_one_that_is_gone_does_not() {
    let (lines, received) = mpsc::channel::<Batch>(1);
    let mut endless = shell("yes");
    endless.timeout = Some(Duration::from_millis(500));
    let result = SystemProcesses::default().run(endless, Some(lines)).await;
    // What pipe, channel and one read hold, and no more: a reader would have got hundreds of megabytes.
    assert_eq!(result.end, CommandEnd::TimedOut);
    assert!(result.output.len() < 300_000, "{} bytes", result.output.len());
    drop(received);
    let (lines, received) = mpsc::channel::<Batch>(1);
    drop(received);
    let result = SystemProcesses::default().run(shell("seq 1 100000"), Some(lines)).await;
    assert_eq!(result.end, CommandEnd::Exited(0));
}
