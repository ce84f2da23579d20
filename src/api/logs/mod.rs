//! `Otturnaut.Logs`: what applications say, streamed to a subscriber or told at once.

mod messages;
mod options;
mod stream;

use std::sync::Arc;

use self::messages::Form;
use super::args::{arg, error, ok};
use super::supervisor::Supervisor;
use super::{Api, errors};
use crate::limits;
use crate::node::{CallResult, Context, Module, Raise};
use crate::term::{Term, atom, list, tuple};
use crate::watch::LogError;

/// Lines of `tail` when the call says nothing.
const LINES: usize = 100;

/// Who streams logs.
pub fn streams() -> Supervisor {
    Supervisor::new("Elixir.Otturnaut.Logs.Supervisor", limits::LOG_STREAMS)
}

pub(super) fn module(api: &Arc<Api>) -> Module {
    let (for_stream, for_tail, for_stop) = (api.clone(), api.clone(), api.clone());
    Module::new("Elixir.Otturnaut.Logs")
        .waiting("stream", 2..=3, move |context, args| open(for_stream.clone(), context, args))
        .waiting("tail", 1..=3, move |_, args| tail(for_tail.clone(), args))
        .waiting("stop", 1..=1, move |context, args| stop(for_stop.clone(), context, args))
}

async fn open(api: Arc<Api>, context: Context, args: Vec<Term>) -> CallResult {
    let subscriber = arg(&args, 1, "subscriber").pid()?;
    let Some(asked) = options::stream(&args)? else { return Ok(error(atom("unknown_cursor"))) };
    let seat = api.log_streams.seat().ok_or_else(too_many)?;
    match api.logs.open(asked.request).await {
        Ok(log) => Ok(ok(stream::start(&context, (seat, api.log_streams.name()), (log, asked.form, subscriber)))),
        Err(failed) => Ok(error(reason(&failed))),
    }
}

async fn tail(api: Arc<Api>, args: Vec<Term>) -> CallResult {
    let count = match args.get(1) {
        Some(_) => options::lines(&arg(&args, 1, "n"))?,
        None => LINES,
    };
    let Some(asked) = options::tail(&args)? else { return Ok(error(atom("unknown_cursor"))) };
    // It is one as long as it reads.
    let _seat = api.log_streams.seat().ok_or_else(too_many)?;
    match api.logs.last(asked.request, count).await {
        Ok(lines) => Ok(ok(list(lines.iter().map(|line| asked.form.line(line))))),
        Err(failed) => Ok(error(reason(&failed))),
    }
}

/// Ends a stream; when it answers, its end was told and the engine's connection is closed. Anything else is left alone.
async fn stop(api: Arc<Api>, context: Context, args: Vec<Term>) -> CallResult {
    let pid = arg(&args, 0, "pid").pid()?;
    if api.log_streams.stop(&pid) {
        context.node.down(&context.this, &pid).await;
    }
    Ok(Term::OK)
}

/// Why there is no log, or no more of it.
fn reason(error: &LogError) -> Term {
    match error {
        LogError::UnknownApp { .. } => atom("not_found"),
        LogError::NoLog { .. } => atom("no_logs"),
        LogError::UnknownCursor => atom("unknown_cursor"),
        LogError::ContainerGone { .. } => atom("container_gone"),
        LogError::Engine(error) => errors::runtime(error),
        LogError::Storage(error) => tuple([atom("logs_unreadable"), errors::io(error)]),
    }
}

/// Too many streams at once.
fn too_many() -> Raise {
    Raise::error(atom("system_limit"))
}
