//! Lists, tuples, maps, binaries, ranges; what is behind a key.

use num_bigint::BigInt;

use super::{Evaluator, Raise, Value, big, check_size};
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
            None => self.defaults(module).await?,
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
        Ok(Term::Map(map))
    }

    /// What a map begins with: of a struct its name, and the defaults of its fields where the node knows them.
    async fn defaults(&mut self, module: Option<&Atom>) -> Result<Map, Raise> {
        let Some(Term::Atom(module)) = module.map(|module| self.resolve(module)) else { return Ok(Map::new()) };
        let node = self.context.node.clone();
        if node.exports(module.as_str(), elixir::STRUCT, 0) {
            let call = (module, Atom::from_static(elixir::STRUCT));
            if let Term::Map(defaults) = node.call(self.context.clone(), call, Vec::new()).await? {
                return Ok(defaults);
            }
            return Ok(Map::new());
        }
        let raised = module.as_str().ends_with("Error").then(|| (crate::term::atom("__exception__"), true.into()));
        Ok([(crate::term::atom(elixir::STRUCT), Term::Atom(module))].into_iter().chain(raised).collect())
    }

    async fn bits(&mut self, segments: &[Expr], scope: &mut Scope) -> Result<Term, Raise> {
        let mut bits = Bits::default();
        for segment in segments {
            let (value, kind) = match segment {
                Expr::Binary("::", value, kind) => (&**value, Some(&**kind)),
                value => (value, None),
            };
            let value = self.eval(value, scope).await?.term()?;
            bits.segment(&value, kind)?;
            check_size(bits.bytes.len())?;
        }
        Ok(bits.term())
    }
}

/// Whether a segment is the bytes of a binary.
pub(super) fn is_binary_kind(kind: &Expr) -> bool {
    matches!(kind, Expr::Variable(kind) if matches!(kind.as_str(), "binary" | "bytes" | "bitstring" | "bits"))
}

/// Most bits of an integer in a binary.
const INTEGER_BITS: i64 = 65_536;

/// Bits as they are put together.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    /// Bits of the last byte that are set already; none if it is full.
    tail: u8,
}

impl Bits {
    fn segment(&mut self, value: &Term, kind: Option<&Expr>) -> Result<(), Raise> {
        match (value, kind) {
            (Term::Binary(bytes), kind) if kind.is_none_or(is_binary_kind) => bytes.iter().for_each(|b| self.byte(*b)),
            (Term::Bits(bits), Some(kind)) if is_binary_kind(kind) => {
                let (last, whole) = bits.0.split_last().unwrap_or((&0, &[]));
                for byte in whole {
                    self.byte(*byte);
                }
                (0..bits.1).for_each(|at| self.bit(last >> (7 - at) & 1));
            }
            (Term::Int(code), Some(Expr::Variable(kind))) if kind == "utf8" => {
                let character = u32::try_from(*code).ok().and_then(char::from_u32);
                let character = character.ok_or_else(|| Raise::argument(format!("{code} is no code point")))?;
                character.to_string().bytes().for_each(|byte| self.byte(byte));
            }
            (Term::Int(_) | Term::Big(_), kind) => self.integer(&big(value)?, size_of_segment(kind)?),
            (other, _) => return Err(Raise::argument(format!("a segment is an integer or a binary, not {other:?}"))),
        }
        Ok(())
    }

    /// The last bits of an integer, the highest first.
    fn integer(&mut self, value: &BigInt, size: u32) {
        (0..u64::from(size)).rev().for_each(|at| self.bit(value.bit(at).into()));
    }

    fn byte(&mut self, byte: u8) {
        if self.tail == 0 {
            self.bytes.push(byte);
        } else {
            (0..8).rev().for_each(|at| self.bit(byte >> at & 1));
        }
    }

    fn bit(&mut self, bit: u8) {
        if self.tail == 0 {
            self.bytes.push(0);
        }
        if let Some(last) = self.bytes.last_mut() {
            *last |= bit << (7 - self.tail);
        }
        self.tail = (self.tail + 1) % 8;
    }

    fn term(self) -> Term {
        match self.tail {
            0 => Term::Binary(self.bytes.into()),
            tail => Term::Bits(Box::new((self.bytes.into(), tail))),
        }
    }
}

/// Bits of an integer: `value`, `value::16`, `value::size(16)`.
fn size_of_segment(kind: Option<&Expr>) -> Result<u32, Raise> {
    let size = match kind {
        None => 8,
        Some(Expr::Variable(kind)) if kind == "integer" => 8,
        Some(Expr::Literal(Term::Int(size))) => *size,
        Some(Expr::Call(None, name, args, _)) if name == "size" => match args.as_slice() {
            [Expr::Literal(Term::Int(size))] => *size,
            _ => return Err(fault::unknown("a segment's size that is no number")),
        },
        Some(_) => return Err(fault::unknown("that type of a segment")),
    };
    let size = Some(size).filter(|size| (0..=INTEGER_BITS).contains(size)).and_then(|size| u32::try_from(size).ok());
    size.ok_or_else(|| Raise::argument(format!("an integer in a binary has at most {INTEGER_BITS} bits")))
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
        Term::List(_) if matches!(key, Term::Int(_)) => {
            let text = "the Access module does not support accessing lists by index, got";
            Err(Raise::argument(format!("{text}: {key:?}, Enum.at/2 does")))
        }
        Term::List(_) => Err(Raise::argument(format!("the key of a keyword list is an atom, got {key:?}"))),
        other => Err(Raise::argument(format!("[] looks into maps and keyword lists, not into {other:?}"))),
    }
}
