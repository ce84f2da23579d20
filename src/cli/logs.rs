//! `logs`: what an application says.

use serde_json::json;

use super::ExitCode;
use super::arguments::Logs;
use super::failure::Failure;
use super::running::Running;
use super::show::{self, Style};
use crate::control::{Answer, Request};
use crate::term::{Inspect, Term, binary};

pub(super) fn run(asked: &Logs) -> Result<(), Failure> {
    let mut running = Running::connect()?;
    running.client.send(&Request::Follow)?;
    let app = Inspect::short(&binary(asked.app.as_str()), usize::MAX);
    let since = match &asked.since {
        Some(age) => format!(", since: {}", since(age)?),
        None => String::new(),
    };
    let follow = asked.follow;
    let call = format!(
        "Otturnaut.Logs.stream({app}, self(), [follow: {follow}, follow_app: {follow}, tail: {}, timestamps: true{since}])",
        asked.lines
    );
    running.client.send(&Request::Eval(call))?;
    loop {
        match running.client.receive()? {
            Answer::Error(text) => return Err(Failure::new(text).of_arguments()),
            Answer::Value(value, _) => begun(&value, &asked.app)?,
            Answer::Message(message) => {
                if let Some(end) = end(&message) {
                    return end;
                }
                if let Some(line) = line(&message, asked) {
                    show::print(&line)?;
                }
            }
            _ => {}
        }
    }
}

/// Whether there is a log.
fn begun(value: &Term, app: &str) -> Result<(), Failure> {
    match value.as_tuple() {
        Some([verdict, reason]) if verdict.is_atom("error") => Err(Failure::new(match reason.as_atom() {
            Some("not_found") => format!("there is no application {app} on this outpost: `otturnaut apps` lists them"),
            Some("no_logs") => format!("{app} has no log yet"),
            _ => format!("the log cannot be read: {}", Inspect::short(reason, 500)),
        })),
        _ => Ok(()),
    }
}

/// `{:log_done, pid, end}`: there is no more.
fn end(message: &Term) -> Option<Result<(), Failure>> {
    match message.as_tuple()? {
        [tag, _, end] if tag.is_atom("log_done") => Some(match end.as_tuple() {
            Some([verdict, reason, ..]) if verdict.is_atom("error") && reason.is_atom("shutting_down") => {
                Err(Failure { text: "the agent ends, and the log with it".to_owned(), code: ExitCode::Unavailable })
            }
            Some([verdict, reason, ..]) if verdict.is_atom("error") => {
                Err(Failure::new(format!("the log broke off: {}", Inspect::short(reason, 500))))
            }
            _ => Ok(()),
        }),
        _ => None,
    }
}

/// `{:log_output, pid, {source, at, text}}`, or a marker of what happened between lines.
fn line(message: &Term, asked: &Logs) -> Option<String> {
    let [tag, _, what] = message.as_tuple()? else { return None };
    if tag.is_atom("log_marker") {
        let text = marker(what).filter(|_| !asked.json)?;
        return Some(format!("{}\n", show::paint(Style::Faint, &format!("-- {text}"))));
    }
    let [source, at, Term::Binary(text)] = what.as_tuple().filter(|_| tag.is_atom("log_output"))? else { return None };
    let text = String::from_utf8_lossy(text);
    let (source, at) = (source.as_atom()?, show::json(at));
    if asked.json {
        return Some(format!("{}\n", json!({"at": at, "stream": source, "line": text})));
    }
    let style = if source == "stderr" { Style::Warn } else { Style::Bold };
    let text = if source == "stderr" { show::paint(style, &text) } else { text.into_owned() };
    let at = if asked.timestamps { format!("{} ", show::paint(Style::Faint, at.as_str()?)) } else { String::new() };
    Some(format!("{at}{text}\n"))
}

fn marker(what: &Term) -> Option<String> {
    match what.as_tuple()? {
        [tag, Term::Map(life)] if tag.is_atom("container") => {
            let text = |key: &str| life.get_atom(key).map(super::apps::plain).unwrap_or_default();
            Some(format!("deployment {}, {}", text("deployment_id"), text("container_name")))
        }
        [tag, ..] if tag.is_atom("dropped") => {
            Some("lines are missing here: they came faster than they were read".to_owned())
        }
        _ => None,
    }
}

/// Seconds since the epoch of an age such as `10m`.
fn since(age: &str) -> Result<i64, Failure> {
    let wrong = || Failure::usage(format!("--since is {age:?}: use a number and s, m, h or d, as 10m"));
    let (number, unit) = age.split_at_checked(age.len().saturating_sub(1)).ok_or_else(wrong)?;
    let seconds: i64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    let age: i64 = number.parse().map_err(|_| wrong())?;
    let now = jiff::Timestamp::now().as_second();
    Ok(age.checked_mul(seconds).and_then(|age| now.checked_sub(age)).ok_or_else(wrong)?.max(0))
}
