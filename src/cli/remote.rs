//! `remote`: a shell in the running agent, its lines edited here.

use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::history::MemHistory;
use rustyline::{Config, Context, Editor, Helper};
use rustyline::{highlight::Highlighter, hint::Hinter, validate::Validator};
use std::cell::RefCell;
use std::io::{IsTerminal, stdin};

use super::failure::Failure;
use super::running::Running;
use super::show;
use crate::control::{Answer, Client, Request, leaves};
use crate::limits;

pub(super) fn run() -> Result<(), Failure> {
    let mut running = Running::connect()?;
    let typed = stdin().is_terminal();
    let config = Config::builder().max_history_size(limits::REMOTE_HISTORY)?.build();
    let mut editor = Editor::with_history(config, MemHistory::new())?;
    editor.set_helper(Some(Names(RefCell::new(Running::connect()?.client))));
    if typed {
        show::print("A shell in the running agent. h() helps, Tab completes, exit leaves.\n")?;
    }
    // Whether an expression is begun and not complete.
    let mut open = false;
    loop {
        let prompt = prompt(&mut running.client)?;
        let columns = editor.dimensions().map_or(80, |(columns, _)| usize::from(columns));
        running.client.send(&Request::Columns(columns))?;
        match editor.readline(if typed { prompt.as_str() } else { "" }) {
            Ok(line) if !open && leaves(&line) => return Ok(()),
            Ok(line) => {
                if typed && !line.trim().is_empty() {
                    // A history that takes no line is no reason to stop.
                    editor.add_history_entry(line.as_str()).unwrap_or_default();
                }
                open = evaluate(&mut running.client, line)?;
            }
            Err(ReadlineError::Interrupted) => {
                running.client.send(&Request::Forget)?;
                open = false;
            }
            Err(ReadlineError::Eof) => return Ok(()),
            Err(e) => return Err(e.into()),
        }
    }
}

impl From<ReadlineError> for Failure {
    fn from(error: ReadlineError) -> Self {
        Self::new(format!("the terminal cannot be read: {error}"))
    }
}

fn prompt(client: &mut Client) -> Result<String, Failure> {
    client.send(&Request::Prompt)?;
    loop {
        if let Answer::Prompt(prompt) = client.receive()? {
            return Ok(prompt);
        }
    }
}

/// Sends a line and prints what comes of it; gives whether the next line goes on with it.
fn evaluate(client: &mut Client, line: String) -> Result<bool, Failure> {
    client.send(&Request::Eval(line + "\n"))?;
    loop {
        match client.receive()? {
            Answer::Output(text) => show::print(&text)?,
            Answer::Value(_, shown) => return show::print(&(shown + "\n")).map(|()| false),
            Answer::Error(text) => {
                return show::print(&(show::paint(show::Style::Bad, &text) + "\n")).map(|()| false);
            }
            Answer::More => return Ok(true),
            Answer::Nothing => return Ok(false),
            Answer::Message(_) | Answer::Prompt(_) | Answer::Completion(_) => {}
        }
    }
}

/// Completes by asking the agent, over a connection of its own.
struct Names(RefCell<Client>);

impl Completer for Names {
    type Candidate = Pair;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let line = line.get(..at).unwrap_or_default().to_owned();
        let mut client = self.0.borrow_mut();
        let answer = client.send(&Request::Complete(line)).and_then(|()| client.receive());
        let Ok(Answer::Completion(completion)) = answer else { return Ok((at, Vec::new())) };
        let pair = |shown: String| Pair { display: shown, replacement: completion.insert.clone() };
        Ok((at, completion.candidates.into_iter().map(pair).collect()))
    }
}

impl Helper for Names {}
impl Highlighter for Names {}
impl Hinter for Names {
    type Hint = String;
}
impl Validator for Names {}
