//! `Otturnaut.Command`: commands of the host, their output streamed to a subscriber.

mod result;
mod runner;

pub(super) use result::{error_term, module as result_module};
pub(super) use runner::{Output, forward};

use std::sync::Arc;
use std::time::Duration;

use super::Api;
use super::args::{arg, ok, opts};
use super::supervisor::Supervisor;
use crate::host::Command;
use crate::limits;
use crate::node::{CallResult, Context, Module, Raise};
use crate::secret::Secret;
use crate::term::read::{Fields, ReadError, Reader};
use crate::term::{Pid, Term, atom};

/// How long a command may run if `timeout` does not say.
const TIMEOUT: Duration = Duration::from_secs(300);

/// Who runs commands.
pub fn runners() -> Supervisor {
    Supervisor::new("Elixir.Otturnaut.Command.Supervisor", limits::RUNNERS)
}

pub(super) fn module(api: &Arc<Api>) -> Module {
    let (for_run, for_async, for_cancel) = (api.clone(), api.clone(), api.clone());
    Module::new("Elixir.Otturnaut.Command")
        .waiting("run", 2..=3, move |context, args| run(for_run.clone(), context, args))
        .immediate("run_async", 2..=3, move |context, args| run_async(&for_async, context, args))
        .waiting("cancel", 1..=1, move |context, args| cancel(for_cancel.clone(), context, args))
}

/// What `run` and `run_async` are asked for.
struct Request {
    command: Command,
    subscriber: Option<Pid>,
    /// Nobody but the subscriber hears of the command: without it there is nothing to go on for.
    ends_with_subscriber: bool,
}

fn request(args: &[Term]) -> Result<Request, ReadError> {
    let program = arg(args, 0, "command");
    let mut command = Command::new(plain(&program)?, texts(&arg(args, 1, "args").secret())?);
    let opts = opts(args, 2)?;
    command.timeout = match opts.read("timeout", |timeout| timeout.timeout())? {
        Some(timeout) => timeout,
        None => Some(TIMEOUT),
    };
    command.working_dir = opts.read("working_dir", |dir| dir.path())?;
    command.env = environment(&opts)?;
    Ok(Request { command, subscriber: opts.read("subscriber", |pid| pid.pid())?, ends_with_subscriber: false })
}

fn texts(args: &Reader<'_>) -> Result<Vec<String>, ReadError> {
    args.list()?.iter().map(plain).collect()
}

/// A string that can be a program's name or argument.
fn plain(text: &Reader<'_>) -> Result<String, ReadError> {
    let value = text.text()?;
    if value.contains('\0') { Err(text.refuse("a string without a zero byte")) } else { Ok(value.to_owned()) }
}

fn environment(opts: &Fields<'_>) -> Result<Vec<(std::ffi::OsString, Secret<std::ffi::OsString>)>, ReadError> {
    let variables = opts.read("env", |env| env.variables().map(|variables| (env, variables)))?;
    let Some((env, variables)) = variables else { return Ok(Vec::new()) };
    let bad = |name: &str, value: &str| name.is_empty() || name.contains(['=', '\0']) || value.contains('\0');
    if variables.iter().any(|(name, value)| bad(name, value)) {
        return Err(env.secret().refuse("names without = and values without zero bytes"));
    }
    Ok(variables.into_iter().map(|(name, value)| (name.into(), Secret::new(value.into()))).collect())
}

async fn run(api: Arc<Api>, context: Context, args: Vec<Term>) -> CallResult {
    let request = request(&args)?;
    let started = runner::start(&api, &context, request)?;
    Ok(started.result().await)
}

fn run_async(api: &Arc<Api>, context: &Context, args: &[Term]) -> CallResult {
    let mut request = request(args)?;
    request.subscriber.get_or_insert_with(|| context.caller.clone());
    request.ends_with_subscriber = true;
    Ok(ok(runner::start(api, context, request)?.detach()))
}

/// Ends a runner; when it answers, the command and its children were killed. Anything but a runner is left alone.
async fn cancel(api: Arc<Api>, context: Context, args: Vec<Term>) -> CallResult {
    let pid = arg(&args, 0, "pid").pid()?;
    if api.runners.holds(&pid) {
        context.node.exit_own(&pid, atom("shutdown"));
        context.node.down(&context.this, &pid).await;
    }
    Ok(Term::OK)
}

/// Too many commands at once.
fn too_many() -> Raise {
    Raise::error(atom("system_limit"))
}
