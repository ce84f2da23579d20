//! `stop`, `restart`, `pid`, `ping`.

use std::time::{Duration, Instant};

use super::failure::Failure;
use super::running::Running;
use super::{ExitCode, show};
use crate::limits;
use crate::term::Term;

pub(super) fn pid() -> Result<(), Failure> {
    show::print(&format!("{}\n", process(&mut Running::connect()?)?))
}

/// Answers with nothing but its exit code, as health checks want it.
pub(super) fn ping() -> Result<(), Failure> {
    let mut running = Running::connect()?;
    running.client.within(Some(limits::CONTROL_PING))?;
    process(&mut running).map(drop)
}

fn process(running: &mut Running) -> Result<u32, Failure> {
    let pid = running.call("System.pid", &[])?;
    let parsed = pid.as_text().and_then(|pid| pid.parse().ok());
    parsed.ok_or_else(|| Failure::new("the agent gave no process id"))
}

pub(super) fn stop(timeout: u64) -> Result<(), Failure> {
    let mut running = Running::connect()?;
    let pid = process(&mut running)?;
    // It may end before it answers; of a stop with a status its log tells.
    drop(running.call("System.stop", &[Term::Int(0)]));
    until(timeout, "the agent still ends: a deploy may run", || !lives(pid))
}

/// Whether a process runs; one that has ended and is not asked for yet does not (proc(5), `stat`).
fn lives(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(')').and_then(|(_, rest)| rest.trim_start().chars().next());
    state.is_some_and(|state| !matches!(state, 'Z' | 'X'))
}

pub(super) fn restart(timeout: u64) -> Result<(), Failure> {
    let mut running = Running::connect()?;
    let before = started(&mut running)?;
    drop(running.call(":init.restart", &[]));
    drop(running);
    let anew = || {
        let found = Running::connect().and_then(|mut running| {
            running.client.within(Some(limits::CONTROL_PING))?;
            started(&mut running)
        });
        found.is_ok_and(|started| started != before)
    };
    until(timeout, "the agent does not answer yet: its log says why", anew)
}

/// When the agent began, which tells its lives apart.
fn started(running: &mut Running) -> Result<Term, Failure> {
    let status = running.call("Otturnaut.Status.status", &[])?;
    Ok(status.as_map().and_then(|status| status.get_atom("started_at")).cloned().unwrap_or(Term::NIL))
}

fn until(timeout: u64, late: &str, done: impl Fn() -> bool) -> Result<(), Failure> {
    let deadline = Instant::now() + Duration::from_secs(timeout);
    while !done() {
        if Instant::now() > deadline {
            return Err(Failure { text: late.to_owned(), code: ExitCode::Failure });
        }
        pause();
    }
    Ok(())
}

/// There is nothing to wait on: the other process is none of this one's.
#[expect(clippy::disallowed_methods, reason = "a command of one thread, which does nothing else meanwhile")]
fn pause() {
    std::thread::sleep(limits::CONTROL_PAUSE);
}
