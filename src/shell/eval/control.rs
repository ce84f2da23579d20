//! What decides: `if`, `unless`, `case`, `cond`, `for`.

use std::sync::Arc;

use super::{Evaluator, Outcome, Raise};
use crate::shell::fault;
use crate::shell::help::{self, Topic};
use crate::shell::library::pair as pair_of;
use crate::shell::session::SILENT;
use crate::shell::syntax::{Clause, Expr};
use crate::shell::value::{Held, Scope, Value};
use crate::term::{Atom, Inspect, Map, Term, atom, elixir, tuple};

/// What is given under a keyword: `do`, `else`, or an option before them.
pub(super) fn section<'a>(args: &'a [Expr], name: &str) -> Option<&'a Expr> {
    args.iter().rev().map_while(keywords).flatten().find_map(|(key, body)| key.is_atom(name).then_some(body))
}

/// The pairs of a keyword list that is written as such.
pub(super) fn keywords(arg: &Expr) -> Option<Vec<(&Term, &Expr)>> {
    let Expr::List(pairs, None) = arg else { return None };
    let mut keywords = Vec::with_capacity(pairs.len());
    for pair in pairs {
        let Expr::Tuple(pair) = pair else { return None };
        let [Expr::Literal(key @ Term::Atom(_)), value] = pair.as_slice() else { return None };
        keywords.push((key, value));
    }
    Some(keywords)
}

impl Evaluator {
    /// A form that evaluates only some of its arguments; `None` if the name is of none.
    pub(super) async fn control(&mut self, name: &str, args: &[Expr], scope: &mut Scope) -> Option<Outcome> {
        match (name, args) {
            ("if", [condition, _]) => Some(self.condition((condition, false), args, scope).await),
            ("unless", [condition, _]) => Some(self.condition((condition, true), args, scope).await),
            ("case", [value, _]) => Some(self.case(value, args, scope).await),
            ("cond", [_]) => Some(self.cond(args, scope).await),
            ("with", [_, ..]) => Some(self.with(args, scope).await),
            ("h", [topic]) => Some(self.help(topic).await),
            ("raise", [Expr::Literal(Term::Atom(module)), ..]) if module.as_str().starts_with("Elixir.") => {
                Some(self.raise(module.clone(), args.get(1), scope).await)
            }
            ("for", [_, ..]) => Some(self.comprehension(args, scope).await),
            ("alias", [modules, ..]) => Some(self.alias(modules, section(args, "as"))),
            // Its macros are functions here, or not known.
            ("require", [module @ Expr::Literal(Term::Atom(_)), ..]) => Some(self.eval(module, scope).await),
            ("binding", []) => Some(Ok(binding(scope).into())),
            ("put_in" | "update_in", [path, _]) | ("get_in", [path]) => {
                self.behind(name, (path, args.get(1)), scope).await
            }
            (
                "receive" | "try" | "quote" | "defmodule" | "def" | "defp" | "defmacro" | "import" | "use" | "super"
                | "spawn" | "spawn_link",
                _,
            ) => Some(Err(fault::unknown(name))),
            _ => None,
        }
    }

    async fn condition(&mut self, (condition, negated): (&Expr, bool), args: &[Expr], scope: &mut Scope) -> Outcome {
        let then = section(args, "do").ok_or_else(|| fault::compile_error("if wants do: if x, do: y, else: z"))?;
        let holds = self.eval(condition, scope).await?.is_true() != negated;
        // What is bound in a branch stays in it.
        let mut inner = scope.clone();
        match (holds, section(args, "else")) {
            (true, _) => self.eval(then, &mut inner).await,
            (false, Some(otherwise)) => self.eval(otherwise, &mut inner).await,
            (false, None) => Ok(Term::NIL.into()),
        }
    }

    async fn case(&mut self, value: &Expr, args: &[Expr], scope: &mut Scope) -> Outcome {
        let clauses = clauses(args)?;
        let value = self.eval(value, scope).await?;
        match self.choose(clauses, std::slice::from_ref(&value), scope).await? {
            Some((mut inner, body)) => self.eval(body, &mut inner).await,
            None => Err(fault::about("case_clause", value.term()?)),
        }
    }

    async fn cond(&mut self, args: &[Expr], scope: &mut Scope) -> Outcome {
        for Clause { patterns, body, .. } in clauses(args)? {
            let mut inner = scope.clone();
            let [condition] = patterns.as_slice() else {
                return Err(fault::compile_error("cond wants condition -> value"));
            };
            if self.eval(condition, &mut inner).await?.is_true() {
                return self.eval(body, &mut inner).await;
            }
        }
        Err(Raise::error(atom("cond_clause")))
    }

    /// `h topic`, which is not evaluated: `h Module.function/1`.
    async fn help(&mut self, topic: &Expr) -> Outcome {
        let topic = self.topic(topic).ok_or_else(|| {
            Raise::argument("h wants a module or a function: h Otturnaut.AppState, h Otturnaut.AppState.list")
        })?;
        let text = help::topic(&self.context.node, &topic);
        self.terminal.print(text).await.map_err(|_| Raise::Exit(atom("terminated")))?;
        Ok(atom(SILENT).into())
    }

    fn topic(&self, expr: &Expr) -> Option<Topic> {
        let module = |name: &Atom| self.resolve(name).as_atom().map(Inspect::atom);
        match expr {
            Expr::Literal(Term::Atom(name)) => module(name).map(Topic::Module),
            Expr::Literal(text) => text.as_text().map(Topic::of),
            Expr::Call(Some(of), name, _, _) => match &**of {
                Expr::Literal(Term::Atom(of)) => Some(Topic::Function(module(of), name.clone(), None)),
                _ => None,
            },
            Expr::Variable(name) | Expr::Call(None, name, _, _) => Some(Topic::Function(None, name.clone(), None)),
            Expr::Binary("/", function, arity) => match (self.topic(function)?, &**arity) {
                (Topic::Function(of, name, _), Expr::Literal(Term::Int(arity))) => {
                    Some(Topic::Function(of, name, usize::try_from(*arity).ok()))
                }
                _ => None,
            },
            _ => None,
        }
    }

    /// `raise Module, "message"` or `raise Module, key: value`.
    async fn raise(&mut self, module: Atom, args: Option<&Expr>, scope: &mut Scope) -> Outcome {
        let given = match args {
            Some(args) => self.eval(args, scope).await?.term()?,
            None => Term::List(Vec::new()),
        };
        let mut exception = Map::new();
        exception.insert(atom(elixir::STRUCT), Term::Atom(module));
        exception.insert(atom("__exception__"), true.into());
        match given {
            Term::List(pairs) => {
                for pair in pairs {
                    let (key, value) = pair_of(&pair)?;
                    exception.insert(key, value);
                }
            }
            message => drop(exception.insert(atom("message"), message)),
        }
        Err(Raise::error(Term::Map(exception)))
    }

    /// `alias A.B`, `alias A.B, as: C`, `alias A.{B, C}`.
    fn alias(&mut self, modules: &Expr, name: Option<&Expr>) -> Outcome {
        let wrong = || fault::compile_error("alias wants a module: alias Otturnaut.AppState, as: Apps");
        let all = match modules {
            Expr::Tuple(all) => all.as_slice(),
            one => std::slice::from_ref(one),
        };
        let mut given = Vec::with_capacity(all.len());
        for module in all {
            let Expr::Literal(Term::Atom(module)) = module else { return Err(wrong()) };
            let short = match name {
                Some(Expr::Literal(Term::Atom(name))) => name.as_str().strip_prefix("Elixir.").ok_or_else(wrong)?,
                Some(_) => return Err(wrong()),
                None => module.as_str().rsplit('.').next().unwrap_or_default(),
            };
            let (short, full) = (short.to_owned(), self.resolve(module));
            self.aliases.insert(short, full.as_atom().unwrap_or_default().to_owned());
            given.push(full);
        }
        Ok(match modules {
            Expr::Tuple(_) => Term::List(given).into(),
            _ => given.pop().unwrap_or(Term::NIL).into(),
        })
    }

    /// `put_in(map.key[:other], value)`: the path as it is written. Nothing for a call with a list of keys.
    async fn behind(&mut self, name: &str, (path, last): (&Expr, Option<&Expr>), scope: &mut Scope) -> Option<Outcome> {
        let (mut of, mut keys) = (path, Vec::new());
        loop {
            of = match of {
                Expr::Access(inner, key) => {
                    keys.push((**key).clone());
                    inner
                }
                Expr::Call(Some(inner), key, args, false) if args.is_empty() => {
                    keys.push(Expr::atom(key).ok()?);
                    inner
                }
                _ => break,
            };
        }
        if keys.is_empty() {
            return None;
        }
        if name == "get_in" {
            return Some(self.eval(path, scope).await);
        }
        keys.reverse();
        let call = vec![of.clone(), Expr::List(keys, None), last?.clone()];
        Some(self.eval(&Expr::Call(None, name.to_owned(), call, true), scope).await)
    }
}

/// The variables and what they hold, as far as it is data.
fn binding(scope: &Scope) -> Term {
    let pair = |(name, held): (&String, &Arc<Held>)| match &held.value {
        Value::Term(value) => Some(tuple([Term::Atom(Atom::new(name).ok()?), value.clone()])),
        Value::Function(_) => None,
    };
    Term::List(scope.iter().filter(|(name, _)| !name.starts_with(['&', '|'])).filter_map(pair).collect())
}

/// The clauses of the `do` block.
fn clauses(args: &[Expr]) -> Result<&[Clause], Raise> {
    match section(args, "do") {
        Some(Expr::Clauses(clauses)) => Ok(clauses),
        _ => Err(fault::compile_error("it wants clauses: do pattern -> value end")),
    }
}
