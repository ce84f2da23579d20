//! How a container ended, in words, and what it said last.

use crate::host::{Container, ContainerStatus, Host, RuntimeTarget};
use crate::limits;

/// What an exit means, for a person. `seen` is the container as it was looked at afterwards.
pub(super) fn describe(code: i64, seen: Option<&Container>) -> String {
    let meaning = match seen {
        Some(seen) if seen.oom_killed => Some("killed: out of memory"),
        _ => meaning(code),
    };
    let error = seen.map(|seen| &seen.error).filter(|error| !error.is_empty());
    let restarts = seen.map(|seen| seen.restart_count).filter(|count| *count > 0);
    let parts = [
        Some(format!("the container exited with code {code}")),
        meaning.map(|meaning| format!(" ({meaning})")),
        error.map(|error| format!(", the engine says: {error}")),
        restarts.map(|count| format!(", restarted by the engine (count {count})")),
    ];
    parts.into_iter().flatten().collect()
}

/// What a container does, for a person.
pub(super) fn state(container: &Container) -> String {
    match (container.status, container.exit_code) {
        (ContainerStatus::Running, _) if container.restart_count > 0 => {
            format!("the container runs, restarted by the engine (count {})", container.restart_count)
        }
        (ContainerStatus::Running, _) => "the container runs".to_owned(),
        (_, Some(code)) => describe(code, Some(container)),
        (_, None) => "the container does not run".to_owned(),
    }
}

/// What shells and kernels mean by an exit code.
fn meaning(code: i64) -> Option<&'static str> {
    Some(match code {
        126 => "its command cannot be executed",
        127 => "its command was not found",
        129 => "SIGHUP",
        130 => "SIGINT",
        131 => "SIGQUIT",
        132 => "SIGILL, illegal instruction",
        133 => "SIGTRAP",
        134 => "SIGABRT, it aborted",
        135 => "SIGBUS",
        136 => "SIGFPE",
        137 => "SIGKILL, killed from outside",
        138 => "SIGUSR1",
        139 => "SIGSEGV, segmentation fault",
        140 => "SIGUSR2",
        141 => "SIGPIPE",
        142 => "SIGALRM",
        143 => "SIGTERM",
        159 => "SIGSYS, a system call that is forbidden",
        _ => return None,
    })
}

/// The last lines of its output, if the engine tells them.
pub(super) async fn last_lines(host: &Host, runtime: &RuntimeTarget, container: &str) -> Vec<String> {
    let tail = host.runtimes.runtime(runtime).tail(container, limits::TOLD_LINES).await;
    tail.unwrap_or_default().iter().map(|line| printable(&line.text)).collect()
}

/// What somebody else's program said, as far as it is told: a bounded part without control characters.
pub(super) fn printable(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text.get(..limits::TOLD_LINE_BYTES).unwrap_or(text));
    text.chars().map(|c| if c.is_control() && c != '\t' { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_signals_are_named() {
        assert_eq!(describe(3, None), "the container exited with code 3");
        assert_eq!(describe(139, None), "the container exited with code 139 (SIGSEGV, segmentation fault)");
    }

    #[test]
    fn what_is_told_of_a_programs_words_is_bounded_and_moves_no_terminal() {
        assert_eq!(printable(b"a\x1b[2Jb\tc\xff"), "a [2Jb\tc\u{fffd}");
        assert_eq!(printable(&[b'x'; 5000]).len(), limits::TOLD_LINE_BYTES);
    }
}
