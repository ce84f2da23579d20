//! `Otturnaut.HealthCheck`: one question to an application, or a few.

use std::sync::Arc;
use std::time::Duration;

use super::args::{arg, opts};
use super::{Api, runtime};
use crate::host::RuntimeTarget;
use crate::node::{CallResult, Module};
use crate::term::read::{Fields, ReadError, Reader};
use crate::term::{Term, atom};
use crate::watch::{self, Check, ExpectedStatus, OnUnhealthy, Retry, Verdict};

/// Time for one answer if `timeout` does not say.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Questions of `check_with_retry` if `max_attempts` does not say.
const ATTEMPTS: u32 = 5;
/// Time between two if `interval` does not say.
const INTERVAL: Duration = Duration::from_secs(1);

/// What a configuration's `type` can be.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Running,
    Http,
    Tcp,
    Command,
    Engine,
}

pub(super) const KINDS: [(&str, Kind); 5] = [
    ("running", Kind::Running),
    ("http", Kind::Http),
    ("tcp", Kind::Tcp),
    ("command", Kind::Command),
    ("engine", Kind::Engine),
];

pub(super) fn module(api: &Arc<Api>) -> Module {
    let (once, often) = (api.clone(), api.clone());
    Module::new("Elixir.Otturnaut.HealthCheck")
        .waiting("check", 1..=1, move |_, args| {
            let api = once.clone();
            async move { Ok(encode(&watch::check(&api.host, &check(&arg(&args, 0, "config"))?).await)) }
        })
        .waiting("check_with_retry", 1..=2, move |_, args| check_with_retry(often.clone(), args))
}

async fn check_with_retry(api: Arc<Api>, args: Vec<Term>) -> CallResult {
    let check = check(&arg(&args, 0, "config"))?;
    let opts = opts(&args, 1)?;
    let retry = Retry {
        max_attempts: attempts(&opts)?.unwrap_or(ATTEMPTS),
        interval: opts.read("interval", |interval| interval.milliseconds())?.unwrap_or(INTERVAL),
    };
    Ok(encode(&watch::check_with_retry(&api.host, &check, retry).await))
}

fn encode(verdict: &Verdict) -> Term {
    atom(if verdict.healthy { "healthy" } else { "unhealthy" })
}

/// `max_attempts`, one at least.
pub(super) fn attempts(opts: &Fields<'_>) -> Result<Option<u32>, ReadError> {
    let attempts = opts.read("max_attempts", |n| n.integer(1..=i64::from(u32::MAX)))?;
    Ok(attempts.and_then(|n| u32::try_from(n).ok()))
}

pub(super) fn check(config: &Reader<'_>) -> Result<Check, ReadError> {
    let fields = config.fields()?;
    let timeout = fields.read("timeout", |timeout| timeout.milliseconds())?.unwrap_or(TIMEOUT);
    match fields.required("type")?.choice(&KINDS)? {
        Kind::Running => container(&fields).map(|(runtime, name)| Check::Running { runtime, name }),
        Kind::Engine => container(&fields).map(|(runtime, name)| Check::Engine { runtime, name }),
        Kind::Command => {
            let (runtime, name) = container(&fields)?;
            Ok(Check::Command { runtime, name, command: command(&fields.required("command")?)?, timeout })
        }
        Kind::Http => Ok(Check::Http {
            url: fields.required("url")?.name()?.to_owned(),
            host: fields.read("host", |host| Ok(host.name()?.to_owned()))?,
            expected: expected(&fields)?,
            timeout,
        }),
        Kind::Tcp => Ok(Check::Tcp {
            host: fields.required("host")?.texty()?.into_owned(),
            port: fields.required("port")?.port()?,
            timeout,
        }),
    }
}

/// The container that a check is about, and its engine.
fn container(fields: &Fields<'_>) -> Result<(RuntimeTarget, String), ReadError> {
    let opts = fields.read("runtime_opts", |opts| opts.fields())?;
    let runtime = runtime::target(&fields.required("runtime")?, opts.as_ref())?;
    Ok((runtime, fields.required("name")?.name()?.to_owned()))
}

/// `on_unhealthy`: `:report` if it is not given.
pub(super) fn on_unhealthy(fields: &Fields<'_>) -> Result<OnUnhealthy, ReadError> {
    let choices = [("report", OnUnhealthy::Report), ("restart", OnUnhealthy::Restart)];
    Ok(fields.read("on_unhealthy", |given| given.choice(&choices))?.unwrap_or_default())
}

/// A program with its arguments, or a line for the shell.
pub(super) fn command(value: &Reader<'_>) -> Result<Vec<String>, ReadError> {
    match value.term() {
        Term::Binary(_) => Ok(["/bin/sh", "-c", value.name()?].map(str::to_owned).into()),
        // Words of commands may be secrets.
        _ => value.texts().map_err(|_| value.clone().secret().refuse("a list of strings, or a string for the shell")),
    }
}

/// `expected_status`: a code, a range or a list of these; any status if it is not given.
pub(super) fn expected(fields: &Fields<'_>) -> Result<ExpectedStatus, ReadError> {
    let Some(given) = fields.given("expected_status") else { return Ok(ExpectedStatus::default()) };
    let each = match given.list() {
        Ok(elements) => elements,
        Err(_) => vec![given],
    };
    Ok(ExpectedStatus(each.iter().map(statuses).collect::<Result<_, _>>()?))
}

fn statuses(given: &Reader<'_>) -> Result<std::ops::RangeInclusive<u16>, ReadError> {
    let status = |value: &Reader<'_>| {
        let value = value.integer(100..=599).ok().and_then(|value| u16::try_from(value).ok());
        value.ok_or_else(|| given.refuse("a status from 100 to 599, a range or a list of these"))
    };
    if let Term::Int(_) = given.term() {
        return status(given).map(|status| status..=status);
    }
    let fields = given.fields().map_err(|_| given.refuse("a status from 100 to 599, a range or a list of these"))?;
    Ok(status(&fields.required("first")?)?..=status(&fields.required("last")?)?)
}
