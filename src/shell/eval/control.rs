//! What decides: `if`, `unless`, `case`, `cond`, `for`.

use super::{Evaluator, Outcome, Raise, Value};
use crate::shell::fault;
use crate::shell::library::elements;
use crate::shell::syntax::{Clause, Expr};
use crate::shell::value::Scope;
use crate::term::{Term, atom};

/// The body of a block's section, `do` or `else`.
fn section<'a>(args: &'a [Expr], name: &str) -> Option<&'a Expr> {
    let Some(Expr::List(pairs, None)) = args.last() else { return None };
    pairs.iter().find_map(|pair| match pair {
        Expr::Tuple(pair) => match pair.as_slice() {
            [Expr::Literal(key), body] if key.is_atom(name) => Some(body),
            _ => None,
        },
        _ => None,
    })
}

impl Evaluator {
    /// A form that evaluates only some of its arguments; `None` if the name is of none.
    pub(super) async fn control(&mut self, name: &str, args: &[Expr], scope: &mut Scope) -> Option<Outcome> {
        match (name, args) {
            ("if", [condition, _]) => Some(self.condition((condition, false), args, scope).await),
            ("unless", [condition, _]) => Some(self.condition((condition, true), args, scope).await),
            ("case", [value, _]) => Some(self.case(value, args, scope).await),
            ("cond", [_]) => Some(self.cond(args, scope).await),
            ("for", [_, ..]) => Some(self.comprehension(args, scope).await),
            ("alias", [Expr::Literal(Term::Atom(module))]) => Some(self.alias(module.as_str())),
            (
                "receive" | "try" | "with" | "quote" | "defmodule" | "def" | "defp" | "defmacro" | "import" | "require"
                | "use" | "super" | "spawn" | "spawn_link",
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

    /// `for pattern <- list, filter, do: value`.
    async fn comprehension(&mut self, args: &[Expr], scope: &mut Scope) -> Outcome {
        let body = section(args, "do").ok_or_else(|| fault::compile_error("for wants do: for x <- xs, do: x"))?;
        let (_, parts) = args.split_last().ok_or_else(|| fault::compile_error("for wants a generator"))?;
        let mut scopes = vec![scope.clone()];
        for part in parts {
            let mut next = Vec::new();
            for mut inner in scopes {
                self.narrow(part, (&mut inner, &mut next)).await?;
            }
            scopes = next;
        }
        let mut results = Vec::new();
        for mut inner in scopes {
            results.push(self.eval(body, &mut inner).await?.term()?);
        }
        Ok(Value::Term(Term::List(results)))
    }

    /// The scopes that a generator or a filter leaves of one.
    async fn narrow(&mut self, part: &Expr, (scope, next): (&mut Scope, &mut Vec<Scope>)) -> Result<(), Raise> {
        let Expr::Binary("<-", pattern, list) = part else {
            if self.eval(part, scope).await?.is_true() {
                next.push(scope.clone());
            }
            return Ok(());
        };
        let list = self.eval(list, scope).await?.term()?;
        for element in elements(&list)? {
            self.step().await?;
            let mut found = Scope::new();
            if self.matches(pattern, &Value::Term(element), (scope, &mut found))? {
                let mut inner = scope.clone();
                inner.extend(found);
                next.push(inner);
            }
        }
        Ok(())
    }

    fn alias(&mut self, module: &str) -> Outcome {
        if let Some(last) = module.rsplit('.').next() {
            self.aliases.insert(last.to_owned(), module.to_owned());
        }
        let name = crate::term::Atom::new(module).map_err(|e| Raise::argument(e.to_string()))?;
        Ok(Term::Atom(name).into())
    }
}

fn clauses(args: &[Expr]) -> Result<&[Clause], Raise> {
    match section(args, "do") {
        Some(Expr::Clauses(clauses)) => Ok(clauses),
        _ => Err(fault::compile_error("it wants clauses: do pattern -> value end")),
    }
}
