//! Runs that take a while: what they say as they go, and what came of them.

use std::io::{IsTerminal, stdout};

use super::failure::Failure;
use super::running::{Evaluated, Running, Said};
use super::show::{self, Style};
use crate::control::Request;
use crate::term::{Inspect, Map, Term};

/// A run that has ended.
pub(super) struct Ended {
    pub(super) value: Term,
    /// Why it failed, as it was told, where nobody has seen it yet.
    why: Option<String>,
}

/// Evaluates an expression with what it sends to `self()` printed as it comes, where somebody looks.
pub(super) fn follow(running: &mut Running, expression: &str, quiet: bool) -> Result<Ended, Failure> {
    running.client.send(&Request::Follow)?;
    let quiet = quiet || !stdout().is_terminal();
    let mut why = None;
    let told = |said: Said<'_>| match said {
        Said::Output(text) => show::print(text),
        Said::Message(message) if !quiet => line(message).map_or(Ok(()), |line| show::print(&line)),
        Said::Message(message) => {
            why = failure(message).or(why.take());
            Ok(())
        }
    };
    let value = match running.eval(expression, told).map_err(Failure::of_arguments)? {
        Evaluated::Value(value, _) => value,
        Evaluated::Nothing => Term::NIL,
    };
    Ok(Ended { value, why })
}

/// The fields of a message of progress.
fn step(message: &Term) -> Option<&Map> {
    match message.as_tuple()? {
        [tag, Term::Map(fields)] if tag.is_atom("deployment_progress") || tag.is_atom("undeploy_progress") => {
            Some(fields)
        }
        _ => None,
    }
}

/// What a message says of a failure.
fn failure(message: &Term) -> Option<String> {
    Some(step(message)?.get_atom("message")?.as_text()?.strip_prefix("Failed: ")?.to_owned())
}

/// The line of a message: a step, or a line of a build's output.
fn line(message: &Term) -> Option<String> {
    if let Some(fields) = step(message) {
        let text = |key: &str| fields.get_atom(key).map(super::apps::plain).unwrap_or_default();
        return Some(step_line(&text("step"), &text("message")));
    }
    match message.as_tuple()? {
        [tag, _, output] if tag.is_atom("command_output") => {
            let text = output.as_tuple()?.get(1)?.as_text()?;
            Some(format!("{}\n", show::paint(Style::Faint, &format!("  | {text}"))))
        }
        _ => None,
    }
}

/// A step and what it says, in columns.
pub(super) fn step_line(name: &str, message: &str) -> String {
    format!("{}  {message}\n", show::paint(Style::Bold, &format!("{name:<16}")))
}

/// What came of a deploy or a rollback: `{:ok, deployment}`, `{:error, reason, deployment}`, `{:error, reason}`.
pub(super) fn outcome(ended: &Ended, json: bool) -> Result<Option<&Map>, Failure> {
    let value = &ended.value;
    if json {
        // The environment of an application stays in the agent.
        show::print_json(&without_environment(value))?;
    }
    match value.as_tuple() {
        Some([verdict, deployment]) if verdict.is_atom("ok") => Ok(deployment.as_map()),
        Some([verdict, reason, ..]) if verdict.is_atom("error") => {
            let why = ended.why.as_ref().map(|why| format!("\n{why}")).unwrap_or_default();
            Err(Failure::new(format!("it failed: {}{why}", Inspect::short(reason, 2_000))))
        }
        _ => Err(Failure::new(format!("the agent gave an outcome that is not understood: {value:?}"))),
    }
}

fn without_environment(value: &Term) -> Term {
    match value {
        Term::Tuple(parts) => Term::Tuple(parts.iter().map(without_environment).collect()),
        Term::Map(map) => {
            let shown = map.iter().filter(|(key, _)| !key.is_atom("env") && !key.is_atom("source"));
            Term::Map(shown.cloned().collect())
        }
        other => other.clone(),
    }
}
