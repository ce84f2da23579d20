//! Numbers.

use num_bigint::BigInt;

use super::{Body, Entry, arg, integer, text};
use crate::node::Raise;
use crate::shell::eval::{big, float, from_big};
use crate::shell::fault::arithmetic;
use crate::term::{Float, Inspect, Term, atom, binary, tuple};

pub(super) const ENTRIES: &[Entry] = &[
    Entry::new("", "abs", 1..=1, Body::Pure(abs)),
    Entry::new("", "ceil", 1..=1, Body::Pure(|args| whole(args, f64::ceil))),
    Entry::new("", "div", 2..=2, Body::Pure(|args| divided(args, |a, b| a / b))),
    Entry::new("", "floor", 1..=1, Body::Pure(|args| whole(args, f64::floor))),
    Entry::new("", "rem", 2..=2, Body::Pure(|args| divided(args, |a, b| a % b))),
    Entry::new("", "round", 1..=1, Body::Pure(|args| whole(args, f64::round))),
    Entry::new("", "trunc", 1..=1, Body::Pure(|args| whole(args, f64::trunc))),
    Entry::new("Elixir.Float", "round", 1..=2, Body::Pure(round)),
    Entry::new("Elixir.Integer", "parse", 1..=1, Body::Pure(parse)),
    Entry::new(
        "Elixir.Integer",
        "to_string",
        1..=1,
        Body::Pure(|args| Ok(binary(Inspect::new(arg(args, 0)?).to_string()))),
    ),
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

fn divided(args: &[Term], divide: fn(BigInt, BigInt) -> BigInt) -> Result<Term, Raise> {
    let (a, b) = (big(arg(args, 0)?)?, big(arg(args, 1)?)?);
    if b == BigInt::ZERO { Err(arithmetic()) } else { Ok(from_big(divide(a, b))) }
}

fn round(args: &[Term]) -> Result<Term, Raise> {
    let digits = if args.len() == 2 { integer(args, 1)?.clamp(0, 15) } else { 0 };
    let text = format!("{:.*}", usize::try_from(digits).unwrap_or(0), float(arg(args, 0)?)?);
    text.parse().ok().and_then(|value| Float::new(value).ok()).map(Term::Float).ok_or_else(arithmetic)
}

fn parse(args: &[Term]) -> Result<Term, Raise> {
    let text = text(args, 0)?;
    let sign = usize::from(text.starts_with(['-', '+']));
    let digits = text.bytes().skip(sign).take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at(sign + digits);
    let value = BigInt::parse_bytes(number.as_bytes(), 10).filter(|_| digits > 0 && digits < 1000);
    Ok(value.map_or(atom("error"), |value| tuple([from_big(value), binary(rest)])))
}
