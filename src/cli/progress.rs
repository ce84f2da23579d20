//! Runs that take a while: what they say as they go, and what came of them.

use super::failure::Failure;
use super::running::{Evaluated, Running, Said};
use super::show::{self, Style};
use crate::control::Request;
use crate::term::{Inspect, Map, Term};

/// Evaluates an expression with what it sends to `self()` printed as it comes.
pub(super) fn follow(running: &mut Running, expression: &str, quiet: bool) -> Result<Term, Failure> {
    running.client.send(&Request::Follow)?;
    let told = |said: Said<'_>| match said {
        Said::Output(text) => show::print(text),
        Said::Message(message) if !quiet => line(message).map_or(Ok(()), |line| show::print(&line)),
        Said::Message(_) => Ok(()),
    };
    match running.eval(expression, told)? {
        Evaluated::Value(value, _) => Ok(value),
        Evaluated::Nothing => Ok(Term::NIL),
    }
}

/// The line of a message: a step, or a line of a build's output.
fn line(message: &Term) -> Option<String> {
    match message.as_tuple()? {
        [tag, Term::Map(fields)] if tag.is_atom("deployment_progress") || tag.is_atom("undeploy_progress") => {
            let text = |key: &str| fields.get_atom(key).map(super::apps::plain).unwrap_or_default();
            Some(format!("{:<16}  {}\n", show::paint(Style::Bold, &text("step")), text("message")))
        }
        [tag, _, output] if tag.is_atom("command_output") => {
            let text = output.as_tuple()?.get(1)?.as_text()?;
            Some(format!("{}\n", show::paint(Style::Faint, &format!("  | {text}"))))
        }
        _ => None,
    }
}

/// What came of a deploy or a rollback: `{:ok, deployment}`, `{:error, reason, deployment}`, `{:error, reason}`.
pub(super) fn outcome(value: &Term, json: bool) -> Result<Option<&Map>, Failure> {
    if json {
        // The environment of an application stays in the agent.
        show::print_json(&without_environment(value))?;
    }
    match value.as_tuple() {
        Some([verdict, deployment]) if verdict.is_atom("ok") => Ok(deployment.as_map()),
        Some([verdict, reason, ..]) if verdict.is_atom("error") => {
            Err(Failure::new(format!("it failed: {}", Inspect::short(reason, 2_000))))
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
