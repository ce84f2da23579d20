//! Matching.

use bytes::Bytes;

use super::collections::is_binary_kind;
use super::{Evaluator, Raise};
use crate::shell::fault;
use crate::shell::syntax::{Clause, Expr};
use crate::shell::token::Quote;
use crate::shell::value::{Held, Scope, Value};
use crate::term::{Map, Term, atom, elixir};

impl Evaluator {
    /// Whether a value has the shape of a pattern; its variables go to `found`.
    pub(super) fn matches(
        &self,
        pattern: &Expr,
        value: &Value,
        (scope, found): (&Scope, &mut Scope),
    ) -> Result<bool, Raise> {
        if let Expr::Variable(name) = pattern {
            return self.bind(name, value, found);
        }
        let Value::Term(term) = value else { return Ok(false) };
        Ok(match pattern {
            Expr::Literal(Term::Atom(name)) => *term == self.resolve(name),
            Expr::Literal(literal) => literal == term,
            Expr::Pinned(name) => match scope.get(name) {
                Some(held) => matches!(&held.value, Value::Term(own) if own == term),
                None => return Err(fault::compile_error(format!("undefined variable ^{name}"))),
            },
            Expr::Unary("-", number) => match (&**number, term) {
                (Expr::Literal(Term::Int(number)), Term::Int(value)) => number.checked_neg() == Some(*value),
                _ => false,
            },
            Expr::Tuple(parts) => match term {
                Term::Tuple(elements) if elements.len() == parts.len() => {
                    self.match_all(parts, elements, (scope, found))?
                }
                _ => false,
            },
            Expr::List(parts, tail) => self.match_list((parts, tail.as_deref()), term, (scope, found))?,
            Expr::Map(module, None, pairs) => match term {
                Term::Map(map) => {
                    self.match_map((module.as_ref().map(|m| self.resolve(m)), pairs), map, (scope, found))?
                }
                _ => false,
            },
            Expr::Binary("=", one, other) => {
                self.matches(one, value, (scope, found))? && self.matches(other, value, (scope, found))?
            }
            Expr::Binary("<>", start, rest) => match (&**start, term.as_text()) {
                (Expr::Literal(start), Some(text)) => {
                    match start.as_text().and_then(|start| text.strip_prefix(start)) {
                        Some(behind) => self.matches(rest, &Value::from(behind), (scope, found))?,
                        None => false,
                    }
                }
                _ => false,
            },
            Expr::Bits(segments) => match term {
                Term::Binary(bytes) => self.match_bits(segments, bytes, (scope, found))?,
                _ => false,
            },
            Expr::Text(Quote::Text, _) => return Err(fault::compile_error("a text with #{} is no pattern")),
            _ => return Err(fault::compile_error("that is no pattern")),
        })
    }

    fn match_all(&self, parts: &[Expr], terms: &[Term], (scope, found): (&Scope, &mut Scope)) -> Result<bool, Raise> {
        for (part, term) in parts.iter().zip(terms) {
            if !self.matches(part, &Value::Term(term.clone()), (scope, found))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn match_list(
        &self,
        (parts, tail): (&[Expr], Option<&Expr>),
        term: &Term,
        (scope, found): (&Scope, &mut Scope),
    ) -> Result<bool, Raise> {
        let (elements, end) = match term {
            Term::List(elements) => (elements, None),
            Term::Improper(list) => (&list.0, Some(&list.1)),
            _ => return Ok(false),
        };
        let Some((head, rest)) = elements.split_at_checked(parts.len()) else { return Ok(false) };
        if !self.match_all(parts, head, (scope, found))? {
            return Ok(false);
        }
        match tail {
            Some(tail) => {
                let rest = match end {
                    None => Term::List(rest.to_vec()),
                    Some(end) if rest.is_empty() => end.clone(),
                    Some(end) => Term::Improper(Box::new((rest.to_vec(), end.clone()))),
                };
                self.matches(tail, &Value::Term(rest), (scope, found))
            }
            None => Ok(rest.is_empty() && end.is_none()),
        }
    }

    /// Bytes and, last, the rest of a binary.
    fn match_bits(
        &self,
        segments: &[Expr],
        bytes: &Bytes,
        (scope, found): (&Scope, &mut Scope),
    ) -> Result<bool, Raise> {
        let mut rest = bytes.clone();
        for (at, segment) in segments.iter().enumerate() {
            let value = match segment {
                Expr::Binary("::", rest_of, kind) if is_binary_kind(kind) && at + 1 == segments.len() => {
                    return self.matches(rest_of, &Value::Term(Term::Binary(rest)), (scope, found));
                }
                Expr::Binary("::", ..) => return Err(fault::unknown("a segment's size or type in a pattern")),
                Expr::Literal(Term::Binary(start)) if rest.starts_with(start) => {
                    rest = rest.slice(start.len()..);
                    continue;
                }
                Expr::Literal(Term::Binary(_)) => return Ok(false),
                _ if rest.is_empty() => return Ok(false),
                _ => Value::Term(Term::Int(rest.split_to(1).first().copied().unwrap_or_default().into())),
            };
            if !self.matches(segment, &value, (scope, found))? {
                return Ok(false);
            }
        }
        Ok(rest.is_empty())
    }

    fn match_map(
        &self,
        (module, pairs): (Option<Term>, &[(Expr, Expr)]),
        map: &Map,
        (scope, found): (&Scope, &mut Scope),
    ) -> Result<bool, Raise> {
        if module.is_some() && map.get(&atom(elixir::STRUCT)) != module.as_ref() {
            return Ok(false);
        }
        for (key, pattern) in pairs {
            let key = match key {
                Expr::Literal(key) => key.clone(),
                Expr::Pinned(name) => match scope.get(name).map(|held| &held.value) {
                    Some(Value::Term(key)) => key.clone(),
                    _ => return Err(fault::compile_error(format!("undefined variable ^{name}"))),
                },
                _ => return Err(fault::compile_error("the key of a pattern is a literal or ^variable")),
            };
            let Some(value) = map.get(&key) else { return Ok(false) };
            if !self.matches(pattern, &Value::Term(value.clone()), (scope, found))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether a guard holds; what it raises means that it does not.
    pub(super) async fn holds(&mut self, guard: &Expr, scope: &mut Scope) -> bool {
        self.eval(guard, scope).await.is_ok_and(|value| value.is_true())
    }

    /// The variables of the first clause that takes the values, and its body.
    pub(super) async fn choose<'c>(
        &mut self,
        clauses: &'c [Clause],
        values: &[Value],
        scope: &Scope,
    ) -> Result<Option<(Scope, &'c Expr)>, Raise> {
        for clause in clauses {
            let mut found = Scope::new();
            let mut fits = clause.patterns.len() == values.len();
            for (pattern, value) in clause.patterns.iter().zip(values) {
                fits = fits && self.matches(pattern, value, (scope, &mut found))?;
            }
            if !fits {
                continue;
            }
            let mut inner = scope.clone();
            inner.extend(found);
            if let Some(guard) = &clause.guard
                && !self.holds(guard, &mut inner).await
            {
                continue;
            }
            return Ok(Some((inner, &clause.body)));
        }
        Ok(None)
    }

    /// A variable that stands twice means the same value twice.
    fn bind(&self, name: &str, value: &Value, found: &mut Scope) -> Result<bool, Raise> {
        if name == "_" {
            return Ok(true);
        }
        match (found.get(name).map(|held| &held.value), value) {
            (Some(Value::Term(before)), Value::Term(now)) => Ok(before == now),
            (Some(_), _) => Ok(false),
            (None, value) => {
                found.insert(name.to_owned(), Held::new(&self.meter, value.clone())?);
                Ok(true)
            }
        }
    }
}
