//! One shell's memory: variables, results, what was typed so far.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::Mutex;

use super::apart::apart;
use super::eval::Evaluator;
use super::syntax::{Expr, SyntaxError};
use super::terminal::Terminal;
use super::value::{Scope, Value};
use super::{fault, parser};
use crate::limits;
use crate::node::{Context, Inbox};
use crate::term::{Pretty, Term, budget, codec};

/// The atom that a function gives whose result is not to be shown, as `IEx.dont_display_result/0`.
pub(super) const SILENT: &str = "do not show this result in output";

/// What came of a line.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It begins an expression: the next line goes on with it.
    More,
    /// Nothing was typed, or nothing is to be shown.
    Nothing,
    /// A value, and how it is shown.
    Value(Term, String),
    /// What went wrong, in one line.
    Error(String),
}

/// The results of a shell, for `v()`.
#[derive(Default)]
pub(super) struct History {
    /// Number of the expression, what its value takes, the value.
    values: VecDeque<(u64, usize, Value)>,
    count: u64,
}

impl History {
    /// The value of an expression: by its number, or from the last one back.
    pub(super) fn get(&self, number: i64) -> Option<Value> {
        let wanted = match u64::try_from(number) {
            Ok(number) => number,
            Err(_) => (self.count + 1).checked_sub(number.unsigned_abs())?,
        };
        self.values.iter().find(|(own, ..)| *own == wanted).map(|(.., value)| value.clone())
    }

    fn push(&mut self, value: Value) {
        self.count += 1;
        self.values.push_back((self.count, size(&value), value));
        while self.values.len() > limits::SHELL_HISTORY
            || self.values.iter().map(|(_, size, _)| size).sum::<usize>() > limits::SHELL_HISTORY_BYTES
        {
            self.values.pop_front();
        }
    }
}

/// Bytes of memory that a value takes.
fn size(value: &Value) -> usize {
    let Value::Term(term) = value else { return 0 };
    let mut encoded = Vec::new();
    let measured = codec::encode(term, &mut encoded).ok().and_then(|()| budget::measure(&encoded, usize::MAX).ok());
    measured.map_or(usize::MAX >> 8, |size| size.memory)
}

/// A shell without its terminal's loop: takes lines, gives what came of them.
pub struct Session {
    /// On the thread of an evaluation while there is one.
    memory: Arc<Mutex<Memory>>,
    name: String,
    /// Number of the expression that is typed.
    number: u64,
    buffer: String,
}

/// What is remembered from line to line.
struct Memory {
    evaluator: Evaluator,
    scope: Scope,
}

impl Session {
    /// A shell that runs in the process of `context`, prints to `terminal` and has its messages in `inbox`.
    pub fn new(context: Context, terminal: Arc<dyn Terminal>, inbox: Inbox) -> Self {
        let name = context.node.name().as_str().to_owned();
        let memory = Memory { evaluator: Evaluator::new(context, terminal, inbox), scope: Scope::new() };
        Self { memory: Arc::new(Mutex::new(memory)), name, number: 1, buffer: String::new() }
    }

    /// The prompt: the number of the expression, or three dots where one is not complete.
    pub fn prompt(&self) -> String {
        let begin = if self.is_open() { "..." } else { "iex" };
        format!("{begin}({}){}> ", self.name, self.number)
    }

    /// Forgets what was typed so far.
    pub fn forget(&mut self) {
        self.buffer.clear();
    }

    /// Whether an expression is begun and not complete.
    pub fn is_open(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Takes a line, or several.
    pub async fn line(&mut self, line: &str) -> Outcome {
        if self.is_open() && line.trim() == "#iex:break" {
            self.forget();
            return Outcome::Error("** (TokenMissingError) incomplete expression".to_owned());
        }
        self.buffer.push_str(line);
        let (memory, text) = (self.memory.clone(), self.buffer.clone());
        let work = async move {
            let mut memory = memory.lock().await;
            (memory.take(&text).await, memory.evaluator.history.count + 1)
        };
        let lost = || (Outcome::Error("** (ErlangError) the evaluation was lost".to_owned()), self.number);
        let (outcome, number) = apart(work).await.unwrap_or_else(lost);
        self.number = number;
        if outcome != Outcome::More {
            self.forget();
        }
        outcome
    }
}

impl Memory {
    async fn take(&mut self, text: &str) -> Outcome {
        match parser::parse(text) {
            Err(SyntaxError::Incomplete) => Outcome::More,
            Err(e) => Outcome::Error(format!("** (SyntaxError) {e}")),
            Ok(all) if all.is_empty() => Outcome::Nothing,
            Ok(all) => self.evaluate(&all).await,
        }
    }

    async fn evaluate(&mut self, all: &[Expr]) -> Outcome {
        // A line that fails halfway keeps what it bound before.
        match self.evaluator.run(all, &mut self.scope).await {
            Ok(value) => self.shown(value).await,
            Err(raise) => Outcome::Error(fault::text(&raise)),
        }
    }

    async fn shown(&mut self, value: Value) -> Outcome {
        self.evaluator.history.push(value.clone());
        let pretty = Pretty { width: self.evaluator.terminal.columns().await, ..Pretty::default() };
        match value {
            Value::Term(term) if term.is_atom(SILENT) => Outcome::Nothing,
            Value::Term(term) => {
                let text = pretty.text(&term);
                Outcome::Value(term, text)
            }
            Value::Function(function) => Outcome::Value(Term::NIL, function.shown()),
        }
    }
}
