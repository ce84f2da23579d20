//! Operators.

use std::cmp::Ordering;

use num_bigint::BigInt;

use super::{Evaluator, Outcome, Raise, Value, check_size};
use crate::shell::fault;
use crate::shell::library::is_in;
use crate::shell::syntax::Expr;
use crate::shell::value::{Held, Scope};
use crate::term::{Float, Term, order};

/// Bits of the largest integer.
const MOST_BITS: u64 = 65_536;

/// The variable of what is piped: no text can name it.
const PIPED: &str = "|>";

impl Evaluator {
    pub(super) async fn binary(
        &mut self,
        sign: &'static str,
        (left, right): (&Expr, &Expr),
        scope: &mut Scope,
    ) -> Outcome {
        match sign {
            "=" => {
                let value = self.eval(right, scope).await?;
                self.assign(left, value, scope)
            }
            "|>" => self.pipe(left, right, scope).await,
            "&&" | "and" | "||" | "or" => {
                let first = self.eval(left, scope).await?;
                let strict = matches!(sign, "and" | "or");
                if strict && !matches!(&first, Value::Term(term) if term.is_atom("true") || term.is_atom("false")) {
                    return Err(fault::bad_boolean(sign, &first.term()?));
                }
                let decided = first.is_true() == matches!(sign, "||" | "or");
                if decided { Ok(first) } else { self.eval(right, scope).await }
            }
            _ => {
                let left = self.eval(left, scope).await?.term()?;
                let right = self.eval(right, scope).await?.term()?;
                operate(sign, left, right).map(Value::Term)
            }
        }
    }

    fn assign(&self, pattern: &Expr, value: Value, scope: &mut Scope) -> Outcome {
        let mut found = Scope::new();
        if !self.matches(pattern, &value, (scope, &mut found))? {
            return Err(fault::about("badmatch", value.term()?));
        }
        scope.extend(found);
        Ok(value)
    }

    /// `left |> call(args)`: the value is the first argument.
    async fn pipe(&mut self, left: &Expr, right: &Expr, scope: &mut Scope) -> Outcome {
        let first = self.eval(left, scope).await?;
        let piped = |args: &[Expr]| -> Vec<Expr> {
            std::iter::once(Expr::Variable(PIPED.to_owned())).chain(args.iter().cloned()).collect()
        };
        let call = match right {
            Expr::Call(of, name, args, _) => Expr::Call(of.clone(), name.clone(), piped(args), true),
            Expr::Variable(name) => Expr::Call(None, name.clone(), piped(&[]), true),
            Expr::Apply(function, args) => Expr::Apply(function.clone(), piped(args)),
            _ => return Err(fault::compile_error("|> wants a call on its right: value |> Enum.map(&(&1.status))")),
        };
        let outer = scope.insert(PIPED.to_owned(), Held::new(&self.meter, first)?);
        let result = self.eval(&call, scope).await;
        match outer {
            Some(outer) => scope.insert(PIPED.to_owned(), outer),
            None => scope.remove(PIPED),
        };
        result
    }
}

pub(super) fn unary(sign: &str, operand: Value) -> Outcome {
    match sign {
        "!" => Ok((!operand.is_true()).into()),
        "not" => match operand.term()? {
            term if term.is_atom("true") => Ok(false.into()),
            term if term.is_atom("false") => Ok(true.into()),
            _ => Err(Raise::error(crate::term::atom("badarg"))),
        },
        "-" => match operand.term()? {
            Term::Float(value) => {
                Float::new(-value.get()).map(|value| Term::Float(value).into()).map_err(|_| fault::arithmetic())
            }
            other => operate("-", Term::Int(0), other).map(Value::Term),
        },
        _ => operate("+", Term::Int(0), operand.term()?).map(Value::Term),
    }
}

/// An operator by its name: `Kernel.+(1, 2)`, `&+/2`.
pub(super) fn named(name: &str, left: Term, right: Term) -> Result<Term, Raise> {
    let known =
        ["+", "-", "*", "/", "**", "==", "!=", "===", "!==", "<", ">", "<=", ">=", "<>", "++", "--", "in", "=~"];
    if known.contains(&name) { operate(name, left, right) } else { Err(fault::undefined(None, name, 2)) }
}

fn operate(sign: &str, left: Term, right: Term) -> Result<Term, Raise> {
    let ordered = |wanted: &[Ordering]| Ok(Term::from(wanted.contains(&order::compare(&left, &right))));
    match sign {
        "+" | "-" | "*" | "/" => arithmetic(sign, &left, &right),
        "**" => power(&left, &right),
        "==" => ordered(&[Ordering::Equal]),
        "!=" => ordered(&[Ordering::Less, Ordering::Greater]),
        "===" => Ok((left == right).into()),
        "!==" => Ok((left != right).into()),
        "<" => ordered(&[Ordering::Less]),
        ">" => ordered(&[Ordering::Greater]),
        "<=" => ordered(&[Ordering::Less, Ordering::Equal]),
        ">=" => ordered(&[Ordering::Greater, Ordering::Equal]),
        "<>" => match (&left, &right) {
            (Term::Binary(a), Term::Binary(b)) => {
                check_size(a.len() + b.len())?;
                Ok(Term::Binary([&a[..], &b[..]].concat().into()))
            }
            (Term::Binary(_), other) | (other, _) => {
                Err(Raise::argument(format!("expected binary argument in <> operator but got: {other:?}")))
            }
        },
        "++" => append(left, right),
        "--" => subtract(left, right),
        "in" => Ok(is_in(&left, &right)?.into()),
        "=~" => match (left.as_text(), right.as_text()) {
            (Some(text), Some(part)) => Ok(text.contains(part).into()),
            _ => Err(fault::unknown("=~ with something else than two texts")),
        },
        other => Err(fault::unknown(other)),
    }
}

fn append(left: Term, right: Term) -> Result<Term, Raise> {
    let Term::List(mut all) = left else { return Err(Raise::argument(format!("++ wants lists, got {left:?}"))) };
    match right {
        Term::List(rest) => {
            check_size((all.len() + rest.len()) * size_of::<Term>())?;
            all.extend(rest);
            Ok(Term::List(all))
        }
        other => Ok(Term::Improper(Box::new((all, other)))),
    }
}

fn subtract(left: Term, right: Term) -> Result<Term, Raise> {
    let (Term::List(mut all), Term::List(taken)) = (left, right) else { return Err(Raise::argument("-- wants lists")) };
    if all.len().saturating_mul(taken.len()) > 1 << 24 {
        return Err(Raise::error(crate::term::atom("system_limit")));
    }
    for term in taken {
        if let Some(at) = all.iter().position(|own| *own == term) {
            all.remove(at);
        }
    }
    Ok(Term::List(all))
}

fn arithmetic(sign: &str, left: &Term, right: &Term) -> Result<Term, Raise> {
    if sign == "/" || matches!(left, Term::Float(_)) || matches!(right, Term::Float(_)) {
        let (a, b) = (float(left)?, float(right)?);
        let result = match sign {
            "+" => a + b,
            "-" => a - b,
            "*" => a * b,
            _ => a / b,
        };
        return Float::new(result).map(Term::Float).map_err(|_| fault::arithmetic());
    }
    let (a, b) = (integer(left)?, integer(right)?);
    Ok(from_big(match sign {
        "+" => a + b,
        "-" => a - b,
        _ if a.bits() + b.bits() > MOST_BITS => return Err(Raise::error(crate::term::atom("system_limit"))),
        _ => a * b,
    }))
}

/// A number to a power: of integers an integer, as long as it is one.
pub(in crate::shell) fn power(base: &Term, exponent: &Term) -> Result<Term, Raise> {
    let (Ok(whole), Term::Int(exponent @ 0..)) = (integer(base), exponent) else {
        let result = float(base)?.powf(float(exponent)?);
        return Float::new(result).map(Term::Float).map_err(|_| fault::arithmetic());
    };
    let exponent = u32::try_from(*exponent)
        .ok()
        .filter(|exponent| whole.bits() <= 1 || whole.bits().saturating_mul(u64::from(*exponent)) <= MOST_BITS);
    exponent
        .map(|exponent| from_big(whole.pow(exponent)))
        .ok_or_else(|| Raise::error(crate::term::atom("system_limit")))
}

/// The sum of two numbers.
pub(in crate::shell) fn add(left: &Term, right: &Term) -> Result<Term, Raise> {
    arithmetic("+", left, right)
}

/// A number as a float.
pub(in crate::shell) fn float(term: &Term) -> Result<f64, Raise> {
    match term {
        Term::Float(value) => Ok(value.get()),
        Term::Int(_) | Term::Big(_) => integer(term)?.to_string().parse().map_err(|_| fault::arithmetic()),
        _ => Err(fault::arithmetic()),
    }
}

/// An integer of any size.
pub(in crate::shell) fn integer(term: &Term) -> Result<BigInt, Raise> {
    match term {
        Term::Int(value) => Ok(BigInt::from(*value)),
        Term::Big(value) => Ok((**value).clone()),
        _ => Err(fault::arithmetic()),
    }
}

pub(in crate::shell) fn from_big(value: BigInt) -> Term {
    i64::try_from(&value).map_or_else(|_| Term::Big(Box::new(value)), Term::Int)
}
