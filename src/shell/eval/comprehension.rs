//! `for` and `with`: what goes on as long as patterns match.

use super::control::section;
use super::{Evaluator, Outcome, Raise, Value};
use crate::shell::fault;
use crate::shell::library::{check_count, elements, into};
use crate::shell::meter::Share;
use crate::shell::syntax::Expr;
use crate::shell::value::Scope;
use crate::term::Term;

/// What becomes of the values of a comprehension.
struct Collected {
    values: Vec<Term>,
    share: Share,
    /// `reduce: start`: the value so far.
    reduced: Option<Value>,
}

impl Evaluator {
    /// `for pattern <- list, filter, into: map, do: value`.
    pub(super) async fn comprehension(&mut self, args: &[Expr], scope: &mut Scope) -> Outcome {
        let body = section(args, "do").ok_or_else(|| fault::compile_error("for wants do: for x <- xs, do: x"))?;
        let option = |name| section(args, name);
        let reduced = match option("reduce") {
            Some(start) => Some(self.eval(start, scope).await?),
            None => None,
        };
        let onto = match option("into") {
            Some(onto) => self.eval(onto, scope).await?.term()?,
            None => Term::List(Vec::new()),
        };
        let unique = option("uniq").is_some_and(|uniq| matches!(uniq, Expr::Literal(uniq) if uniq.is_atom("true")));
        let mut collected = Collected { values: Vec::new(), share: self.meter.share(), reduced };
        self.generate(parts(args), body, (scope, &mut collected)).await?;
        if let Some(reduced) = collected.reduced {
            return Ok(reduced);
        }
        let mut seen = std::collections::HashSet::new();
        collected.values.retain(|value| !unique || seen.insert(value.clone()));
        into(collected.values, &onto).map(Value::Term)
    }

    /// Evaluates the body for whatever the generators and filters leave; one calls itself for what stands behind it.
    fn generate<'a>(
        &'a mut self,
        parts: &'a [Expr],
        body: &'a Expr,
        (scope, collected): (&'a mut Scope, &'a mut Collected),
    ) -> futures::future::BoxFuture<'a, Result<(), Raise>> {
        Box::pin(async move {
            let Some((part, rest)) = parts.split_first() else { return self.collect(body, scope, collected).await };
            if matches!(part, Expr::Bits(_)) {
                return Err(fault::unknown("for over a binary"));
            }
            let Expr::Binary("<-", pattern, list) = part else {
                let goes_on = self.eval(part, scope).await?.is_true();
                return if goes_on { self.generate(rest, body, (scope, collected)).await } else { Ok(()) };
            };
            let list = self.eval(list, scope).await?.term()?;
            for element in elements(&list)? {
                self.step().await?;
                let mut found = Scope::new();
                if self.matches_guarded(pattern, &Value::Term(element), (scope, &mut found)).await? {
                    let mut inner = scope.clone();
                    inner.extend(found);
                    self.generate(rest, body, (&mut inner, collected)).await?;
                }
            }
            Ok(())
        })
    }

    async fn collect(&mut self, body: &Expr, scope: &mut Scope, collected: &mut Collected) -> Result<(), Raise> {
        let Some(so_far) = collected.reduced.take() else {
            let value = self.eval(body, scope).await?.term()?;
            collected.share.add_term(&value)?;
            collected.values.push(value);
            return check_count(collected.values.len());
        };
        let Expr::Clauses(clauses) = body else {
            return Err(fault::compile_error("for with reduce wants a clause: do so_far -> value end"));
        };
        let chosen = self.choose(clauses, std::slice::from_ref(&so_far), scope).await?;
        let Some((mut inner, body)) = chosen else { return Err(fault::about("case_clause", so_far.term()?)) };
        collected.reduced = Some(self.eval(body, &mut inner).await?);
        Ok(())
    }

    /// `with pattern <- value, ... do body else clauses end`.
    pub(super) async fn with(&mut self, args: &[Expr], scope: &mut Scope) -> Outcome {
        let body =
            section(args, "do").ok_or_else(|| fault::compile_error("with wants do: with {:ok, x} <- f(), do: x"))?;
        let mut inner = scope.clone();
        for part in parts(args) {
            let Expr::Binary("<-", pattern, value) = part else {
                self.eval(part, &mut inner).await?;
                continue;
            };
            let value = self.eval(value, &mut inner).await?;
            let mut found = Scope::new();
            if self.matches_guarded(pattern, &value, (&inner, &mut found)).await? {
                inner.extend(found);
            } else {
                return self.otherwise(section(args, "else"), value, scope).await;
            }
        }
        self.eval(body, &mut inner).await
    }

    /// What becomes of a value that did not match.
    async fn otherwise(&mut self, clauses: Option<&Expr>, value: Value, scope: &mut Scope) -> Outcome {
        match clauses {
            None => Ok(value),
            Some(Expr::Clauses(clauses)) => match self.choose(clauses, std::slice::from_ref(&value), scope).await? {
                Some((mut inner, body)) => self.eval(body, &mut inner).await,
                None => Err(fault::about("else_clause", value.term()?)),
            },
            Some(_) => Err(fault::compile_error("else wants clauses: else pattern -> value end")),
        }
    }

    /// `pattern when guard`, as it stands before an arrow to the left.
    async fn matches_guarded(
        &mut self,
        pattern: &Expr,
        value: &Value,
        (scope, found): (&Scope, &mut Scope),
    ) -> Result<bool, Raise> {
        let Expr::Binary("when", pattern, guard) = pattern else { return self.matches(pattern, value, (scope, found)) };
        if !self.matches(pattern, value, (scope, found))? {
            return Ok(false);
        }
        let mut inner = scope.clone();
        inner.extend(found.clone());
        Ok(self.holds(guard, &mut inner).await)
    }
}

/// What stands before the keywords.
fn parts(args: &[Expr]) -> &[Expr] {
    let keywords = args.iter().rev().take_while(|arg| super::control::keywords(arg).is_some()).count();
    args.get(..args.len() - keywords).unwrap_or_default()
}
