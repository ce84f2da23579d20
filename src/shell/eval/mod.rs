//! Expressions -> values.
//!
//! An expression is evaluated step by step, in the process of its shell: a call of the node that waits is awaited, and all of
//! it ends with the process. What it may take is bounded: steps, depth, sizes.

mod calls;
mod collections;
mod comprehension;
mod control;
mod operators;
mod patterns;

pub(super) use collections::access;
pub(super) use operators::{add as operators_add, from_big, integer as big, power};

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::BoxFuture;

use super::fault;
use super::meter::{Meter, nested};
use super::session::History;
use super::syntax::{Expr, Part};
use super::terminal::Terminal;
use super::token::Quote;
use super::value::{Function, Scope, Value};
use crate::limits;
use crate::node::{Context, Inbox, Raise};
use crate::term::{Atom, Term, atom};

/// What an expression comes to, or raises.
pub(super) type Outcome = Result<Value, Raise>;

/// Steps after which other work of its thread gets a turn.
const TURN: u64 = 500;

/// Evaluates the expressions of one shell.
pub(super) struct Evaluator {
    pub(super) context: Context,
    pub(super) terminal: Arc<dyn Terminal>,
    /// What was sent to the shell's process.
    pub(super) inbox: Inbox,
    pub(super) history: History,
    /// What its variables and unfinished collections take.
    pub(super) meter: Meter,
    /// Short names of modules, by `alias`.
    aliases: BTreeMap<String, String>,
    steps: u64,
    depth: usize,
}

impl Evaluator {
    pub(super) fn new(context: Context, terminal: Arc<dyn Terminal>, inbox: Inbox) -> Self {
        let (history, aliases) = (History::default(), BTreeMap::new());
        Self { context, terminal, inbox, history, meter: Meter::default(), aliases, steps: 0, depth: 0 }
    }

    /// Evaluates expressions in order; gives the value of the last.
    pub(super) async fn run(&mut self, all: &[Expr], scope: &mut Scope) -> Outcome {
        (self.steps, self.depth) = (0, 0);
        self.meter.begin();
        let mut last = Value::Term(Term::NIL);
        for expression in all {
            last = self.eval(expression, scope).await?;
        }
        Ok(last)
    }

    /// One step more; boxed, since expressions hold expressions.
    pub(super) fn eval<'a>(&'a mut self, expr: &'a Expr, scope: &'a mut Scope) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            self.step().await?;
            self.depth += 1;
            let result = if self.depth > limits::SHELL_DEPTH {
                Err(Raise::error(atom("system_limit")))
            } else {
                self.form(expr, scope).await
            };
            self.depth -= 1;
            result
        })
    }

    /// Counts a step; now and then others get a turn.
    pub(super) async fn step(&mut self) -> Result<(), Raise> {
        self.steps += 1;
        if self.steps.is_multiple_of(TURN) {
            tokio::task::yield_now().await;
        }
        if self.steps > limits::SHELL_STEPS { Err(Raise::error(atom("system_limit"))) } else { Ok(()) }
    }

    async fn form(&mut self, expr: &Expr, scope: &mut Scope) -> Outcome {
        match expr {
            Expr::Literal(Term::Atom(name)) => Ok(self.resolve(name).into()),
            Expr::Literal(term) => Ok(Value::Term(term.clone())),
            Expr::Text(quote, parts) => self.text(*quote, parts, scope).await,
            Expr::Variable(name) => self.variable(name, scope).await,
            Expr::Pinned(_) => Err(fault::compile_error("^ belongs into a pattern")),
            Expr::Placeholder(number) => {
                let found = scope.get(&placeholder(*number)).map(|held| held.value.clone());
                found.ok_or_else(|| fault::compile_error(format!("&{number} belongs behind a &")))
            }
            Expr::List(..) | Expr::Tuple(_) | Expr::Map(..) | Expr::Bits(_) | Expr::Range(..) => {
                self.collection(expr, scope).await.map(Value::Term)
            }
            Expr::Unary(sign, operand) => {
                let operand = self.eval(operand, scope).await?;
                operators::unary(sign, operand)
            }
            Expr::Binary(sign, left, right) => self.binary(sign, (left, right), scope).await,
            Expr::Call(of, name, args, parentheses) => {
                self.call_form((of.as_deref(), name), args, (*parentheses, scope)).await
            }
            Expr::Apply(function, args) => {
                let function = self.eval(function, scope).await?;
                let args = self.all(args, scope).await?;
                self.apply(&function, args).await
            }
            Expr::Access(of, key) => {
                let of = self.eval(of, scope).await?.term()?;
                let key = self.eval(key, scope).await?.term()?;
                access(&of, &key).map(Value::Term)
            }
            Expr::Function(clauses) => {
                let depth = nested(scope.values().map(|held| &held.value));
                Ok(Value::Function(Arc::new(Function::Clauses(clauses.clone(), scope.clone(), depth))))
            }
            Expr::Capture(body, arity) => {
                let depth = nested(scope.values().map(|held| &held.value));
                Ok(Value::Function(Arc::new(Function::Capture(body.clone(), *arity, scope.clone(), depth))))
            }
            Expr::Named(of, name, arity) => self.named(of.as_deref(), (name, *arity), scope).await,
            Expr::Clauses(_) => Err(fault::compile_error("an arrow belongs into case, cond or fn")),
            Expr::Block(all) => {
                let mut last = Value::Term(Term::NIL);
                for expression in all {
                    last = self.eval(expression, scope).await?;
                }
                Ok(last)
            }
        }
    }

    /// The values of expressions, in order.
    pub(super) async fn all(&mut self, expressions: &[Expr], scope: &mut Scope) -> Result<Vec<Value>, Raise> {
        let (mut values, mut share) = (Vec::with_capacity(expressions.len()), self.meter.share());
        for expression in expressions {
            let value = self.eval(expression, scope).await?;
            share.add(&value)?;
            values.push(value);
        }
        Ok(values)
    }

    async fn text(&mut self, quote: Quote, parts: &[Part], scope: &mut Scope) -> Outcome {
        let mut text = String::new();
        for part in parts {
            match part {
                Part::Text(part) => text.push_str(part),
                Part::Code(code) => {
                    let value = self.eval(code, scope).await?.term()?;
                    text.push_str(&super::library::to_text(&value)?);
                }
            }
            check_size(text.len())?;
        }
        Ok(Value::Term(match quote {
            Quote::Text => crate::term::binary(text),
            Quote::Charlist => crate::term::charlist(&text),
            Quote::Atom => Term::Atom(Atom::new(text).map_err(|e| Raise::argument(e.to_string()))?),
        }))
    }

    /// A variable, or a function that is called by its name alone.
    async fn variable(&mut self, name: &str, scope: &mut Scope) -> Outcome {
        if let Some(held) = scope.get(name) {
            return Ok(held.value.clone());
        }
        if name == "__MODULE__" {
            return Ok(Value::Term(Term::NIL));
        }
        if super::library::is_local(name, 0) {
            return self.local(name, Vec::new()).await;
        }
        Err(fault::compile_error(format!("undefined variable \"{name}\"")))
    }

    async fn named(&mut self, of: Option<&Expr>, (name, arity): (&str, usize), scope: &mut Scope) -> Outcome {
        let module = match of {
            None => None,
            Some(of) => match self.eval(of, scope).await?.term()? {
                Term::Atom(module) => Some(module),
                other => return Err(Raise::argument(format!("{other:?} is not a module"))),
            },
        };
        Ok(Value::Function(Arc::new(Function::Named(module, name.to_owned(), arity))))
    }

    /// A module's name, its first part by `alias`.
    fn resolve(&self, name: &Atom) -> Term {
        let full = || {
            let (first, rest) = match name.as_str().strip_prefix("Elixir.")?.split_once('.') {
                Some((first, rest)) => (first, format!(".{rest}")),
                None => (name.as_str().strip_prefix("Elixir.")?, String::new()),
            };
            Atom::new(format!("{}{rest}", self.aliases.get(first)?)).ok()
        };
        Term::Atom(full().unwrap_or_else(|| name.clone()))
    }
}

/// The variable that an argument of a capture is.
fn placeholder(number: usize) -> String {
    format!("&{number}")
}

/// What is made must not be larger than an answer of the node may be.
pub(in crate::shell) fn check_size(size: usize) -> Result<(), Raise> {
    if size > limits::SHELL_SIZE { Err(Raise::error(atom("system_limit"))) } else { Ok(()) }
}
