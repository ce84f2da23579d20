//! Lists, tuples, maps, binaries, ranges; what is behind a key.

use super::{Evaluator, Raise, Value, check_size};
use crate::shell::fault;
use crate::shell::syntax::Expr;
use crate::shell::value::{Scope, terms};
use crate::term::{Atom, Map, Term, elixir};

impl Evaluator {
    pub(super) async fn collection(&mut self, expr: &Expr, scope: &mut Scope) -> Result<Term, Raise> {
        match expr {
            Expr::List(elements, tail) => {
                let mut elements = terms(self.all(elements, scope).await?)?;
                let Some(tail) = tail else { return Ok(Term::List(elements)) };
                match self.eval(tail, scope).await?.term()? {
                    Term::List(rest) => {
                        elements.extend(rest);
                        Ok(Term::List(elements))
                    }
                    Term::Improper(rest) => {
                        elements.extend(rest.0);
                        Ok(Term::Improper(Box::new((elements, rest.1))))
                    }
                    other => Ok(Term::Improper(Box::new((elements, other)))),
                }
            }
            Expr::Tuple(elements) => Ok(Term::Tuple(terms(self.all(elements, scope).await?)?)),
            Expr::Map(module, base, pairs) => self.map(module.as_ref(), (base.as_deref(), pairs), scope).await,
            Expr::Bits(segments) => self.bits(segments, scope).await,
            Expr::Range(first, last, step) => {
                let first = integer(self.eval(first, scope).await?)?;
                let last = integer(self.eval(last, scope).await?)?;
                let step = match step {
                    Some(step) => integer(self.eval(step, scope).await?)?,
                    None if first > last => -1,
                    None => 1,
                };
                if step == 0 {
                    Err(Raise::argument("the step of a range is not 0"))
                } else {
                    Ok(elixir::range(first, last, step))
                }
            }
            _ => Err(fault::compile_error("that is no collection")),
        }
    }

    async fn map(
        &mut self,
        module: Option<&Atom>,
        (base, pairs): (Option<&Expr>, &[(Expr, Expr)]),
        scope: &mut Scope,
    ) -> Result<Term, Raise> {
        let mut map = match base {
            None => Map::new(),
            Some(base) => match self.eval(base, scope).await?.term()? {
                Term::Map(map) => map,
                other => return Err(fault::about("badmap", other)),
            },
        };
        let updates = base.is_some();
        for (key, value) in pairs {
            let key = self.eval(key, scope).await?.term()?;
            let value = self.eval(value, scope).await?.term()?;
            if updates && map.get(&key).is_none() {
                return Err(Raise::error(elixir::key_error(key, Term::Map(map), None)));
            }
            map.insert(key, value);
        }
        if let Some(module) = module.filter(|_| !updates) {
            // The fields that are not given are not known here: the node's functions fill them.
            let mut full = Map::new();
            full.insert(crate::term::atom(elixir::STRUCT), self.resolve(module));
            map.into_iter().for_each(|(key, value)| drop(full.insert(key, value)));
            map = full;
        }
        Ok(Term::Map(map))
    }

    async fn bits(&mut self, segments: &[Expr], scope: &mut Scope) -> Result<Term, Raise> {
        let mut bytes = Vec::new();
        for segment in segments {
            let value = match segment {
                Expr::Binary("::", value, kind) if matches!(&**kind, Expr::Variable(kind) if kind == "binary" || kind == "bytes") => {
                    value
                }
                Expr::Binary("::", ..) => return Err(fault::unknown("a segment's size or type but binary")),
                other => other,
            };
            match self.eval(value, scope).await?.term()? {
                Term::Binary(part) => bytes.extend_from_slice(&part),
                Term::Int(value) => bytes.push(value.to_le_bytes()[0]),
                other => return Err(Raise::argument(format!("a segment is a byte or a binary, not {other:?}"))),
            }
            check_size(bytes.len())?;
        }
        Ok(Term::Binary(bytes.into()))
    }
}

fn integer(value: Value) -> Result<i64, Raise> {
    match value.term()? {
        Term::Int(value) => Ok(value),
        other => Err(Raise::argument(format!("ranges have integers on both sides, got {other:?}"))),
    }
}

/// `of[key]`.
pub(in crate::shell) fn access(of: &Term, key: &Term) -> Result<Term, Raise> {
    match of {
        Term::Map(map) => Ok(map.get(key).cloned().unwrap_or(Term::NIL)),
        Term::Atom(_) if of.is_atom("nil") => Ok(Term::NIL),
        Term::List(elements) if matches!(key, Term::Atom(_)) => {
            let value = |element: &Term| match element.as_tuple() {
                Some([own, value]) if own == key => Some(value.clone()),
                _ => None,
            };
            Ok(elements.iter().find_map(value).unwrap_or(Term::NIL))
        }
        Term::List(_) => Err(Raise::argument(format!("the key of a keyword list is an atom, got {key:?}"))),
        other => Err(Raise::argument(format!("[] looks into maps and keyword lists, not into {other:?}"))),
    }
}
