//! Numbers.

use num_bigint::BigInt;

use super::{Entry, arg, integer, text};
use crate::node::Raise;
use crate::shell::eval::{big, float, from_big, power};
use crate::shell::fault::arithmetic;
use crate::term::{Float, Inspect, Term, atom, binary, tuple};

pub(super) const ENTRIES: &[Entry] = &[
    Entry::pure("", "abs", 1..=1, abs),
    Entry::pure("", "ceil", 1..=1, |args| whole(args, f64::ceil)),
    Entry::pure("", "div", 2..=2, |args| divided(args, |a, b| a / b)),
    Entry::pure("", "floor", 1..=1, |args| whole(args, f64::floor)),
    Entry::pure("", "rem", 2..=2, |args| divided(args, |a, b| a % b)),
    Entry::pure("", "round", 1..=1, |args| whole(args, f64::round)),
    Entry::pure("", "trunc", 1..=1, |args| whole(args, f64::trunc)),
    Entry::pure("Elixir.Float", "ceil", 1..=1, |args| to_float(float(arg(args, 0)?)?.ceil())),
    Entry::pure("Elixir.Float", "floor", 1..=1, |args| to_float(float(arg(args, 0)?)?.floor())),
    Entry::pure("Elixir.Float", "parse", 1..=1, parse_float),
    Entry::pure("Elixir.Float", "to_string", 1..=1, |args| Ok(binary(Inspect::short(arg(args, 0)?, usize::MAX)))),
    Entry::pure("Elixir.Integer", "digits", 1..=1, digits),
    Entry::pure("Elixir.Integer", "floor_div", 2..=2, |args| divided(args, |a, b| floor_div(&a, &b))),
    Entry::pure("Elixir.Integer", "mod", 2..=2, |args| divided(args, |a, b| &a - floor_div(&a, &b) * &b)),
    Entry::pure("Elixir.Integer", "pow", 2..=2, |args| power(arg(args, 0)?, arg(args, 1)?)),
    Entry::pure("Elixir.Float", "round", 1..=2, round),
    Entry::pure("Elixir.Integer", "parse", 1..=1, parse),
    Entry::pure("Elixir.Integer", "to_string", 1..=2, |args| {
        Ok(binary(big(arg(args, 0)?)?.to_str_radix(radix(args)?).to_uppercase()))
    }),
];

fn abs(args: &[Term]) -> Result<Term, Raise> {
    match arg(args, 0)? {
        Term::Float(value) => Float::new(value.get().abs()).map(Term::Float).map_err(|_| arithmetic()),
        other => {
            let value = big(other)?;
            Ok(from_big(if value < BigInt::ZERO { -value } else { value }))
        }
    }
}

/// A float as an integer; integers stay.
fn whole(args: &[Term], cut: fn(f64) -> f64) -> Result<Term, Raise> {
    match arg(args, 0)? {
        Term::Float(value) => {
            let digits = format!("{:.0}", cut(value.get()));
            BigInt::parse_bytes(digits.as_bytes(), 10).map(from_big).ok_or_else(arithmetic)
        }
        other => big(other).map(from_big),
    }
}

/// A quotient that is rounded down.
fn floor_div(a: &BigInt, b: &BigInt) -> BigInt {
    let quotient = a / b;
    let exact = &quotient * b == *a;
    if !exact && (*a < BigInt::ZERO) != (*b < BigInt::ZERO) { quotient - 1 } else { quotient }
}

fn to_float(value: f64) -> Result<Term, Raise> {
    Float::new(value).map(Term::Float).map_err(|_| arithmetic())
}

fn digits(args: &[Term]) -> Result<Term, Raise> {
    let text = big(arg(args, 0)?)?.magnitude().to_string();
    Ok(Term::List(text.bytes().map(|digit| Term::Int(i64::from(digit - b'0'))).collect()))
}

/// `{float, rest}` or `:error`.
fn parse_float(args: &[Term]) -> Result<Term, Raise> {
    let text = text(args, 0)?;
    let mut end = 0;
    for (at, _) in text.char_indices().skip(1).chain([(text.len(), ' ')]) {
        let head = text.get(..at).unwrap_or_default();
        let number = head.ends_with(|c: char| c.is_ascii_digit()) && head.parse::<f64>().is_ok_and(f64::is_finite);
        end = if number { at } else { end };
    }
    let (head, rest) = text.split_at(end);
    match head.parse() {
        Ok(value) => Ok(tuple([to_float(value)?, binary(rest)])),
        Err(_) => Ok(atom("error")),
    }
}

fn divided(args: &[Term], divide: fn(BigInt, BigInt) -> BigInt) -> Result<Term, Raise> {
    let (a, b) = (big(arg(args, 0)?)?, big(arg(args, 1)?)?);
    if b == BigInt::ZERO { Err(arithmetic()) } else { Ok(from_big(divide(a, b))) }
}

fn round(args: &[Term]) -> Result<Term, Raise> {
    let digits = if args.len() == 2 { integer(args, 1)?.clamp(0, 15) } else { 0 };
    let text = format!("{:.*}", usize::try_from(digits).unwrap_or(0), float(arg(args, 0)?)?);
    text.parse().ok().and_then(|value| Float::new(value).ok()).map(Term::Float).ok_or_else(arithmetic)
}

/// The base that is given second.
pub(super) fn radix(args: &[Term]) -> Result<u32, Raise> {
    let base = if args.len() == 2 { integer(args, 1)? } else { 10 };
    let base = u32::try_from(base).ok().filter(|base| (2..=36).contains(base));
    base.ok_or_else(|| Raise::argument("a base is from 2 to 36"))
}

fn parse(args: &[Term]) -> Result<Term, Raise> {
    let text = text(args, 0)?;
    let sign = usize::from(text.starts_with(['-', '+']));
    let digits = text.bytes().skip(sign).take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at(sign + digits);
    let value = BigInt::parse_bytes(number.as_bytes(), 10).filter(|_| digits > 0 && digits < 1000);
    Ok(value.map_or(atom("error"), |value| tuple([from_big(value), binary(rest)])))
}
