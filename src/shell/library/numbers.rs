//! Numbers.

use num_bigint::BigInt;

use super::{Entry, arg, integer, text};
use crate::node::Raise;
use crate::shell::eval::{big, from_big, power};
use crate::shell::fault::arithmetic;
use crate::term::{Float, Inspect, Term, atom, binary, charlist, tuple};

pub(super) const ENTRIES: &[Entry] = &[
    Entry::pure("", "abs", 1..=1, abs),
    Entry::pure("", "ceil", 1..=1, |args| whole(args, f64::ceil)),
    Entry::pure("", "div", 2..=2, |args| divided(args, |a, b| a / b)),
    Entry::pure("", "floor", 1..=1, |args| whole(args, f64::floor)),
    Entry::pure("", "rem", 2..=2, |args| divided(args, |a, b| a % b)),
    Entry::pure("", "round", 1..=1, |args| whole(args, f64::round)),
    Entry::pure("", "trunc", 1..=1, |args| whole(args, f64::trunc)),
    Entry::pure("Elixir.Float", "ceil", 1..=2, |args| rounded(args, Way::Up)),
    Entry::pure("Elixir.Float", "floor", 1..=2, |args| rounded(args, Way::Down)),
    Entry::pure("Elixir.Float", "parse", 1..=1, parse_float),
    Entry::pure("Elixir.Float", "to_string", 1..=1, |args| Ok(binary(Inspect::short(arg(args, 0)?, usize::MAX)))),
    Entry::pure("Elixir.Integer", "digits", 1..=2, digits),
    Entry::pure("Elixir.Integer", "floor_div", 2..=2, |args| divided(args, |a, b| floor_div(&a, &b))),
    Entry::pure("Elixir.Integer", "mod", 2..=2, |args| divided(args, |a, b| &a - floor_div(&a, &b) * &b)),
    Entry::pure("Elixir.Integer", "pow", 2..=2, |args| power(arg(args, 0)?, arg(args, 1)?)),
    Entry::pure("Elixir.Float", "round", 1..=2, |args| rounded(args, Way::Near)),
    Entry::pure("Elixir.Integer", "gcd", 2..=2, gcd),
    Entry::pure("Elixir.Integer", "is_even", 1..=1, |args| Ok((!big(arg(args, 0)?)?.bit(0)).into())),
    Entry::pure("Elixir.Integer", "is_odd", 1..=1, |args| Ok(big(arg(args, 0)?)?.bit(0).into())),
    Entry::pure("Elixir.Integer", "parse", 1..=2, parse),
    Entry::pure("Elixir.Integer", "to_charlist", 1..=2, |args| {
        Ok(charlist(&big(arg(args, 0)?)?.to_str_radix(radix(args)?).to_uppercase()))
    }),
    Entry::pure("Elixir.Integer", "undigits", 1..=2, |args| {
        let base = radix(args)?;
        let mut value = BigInt::ZERO;
        for digit in super::list_of(args, 0)? {
            value = value * base + big(digit)?;
            if value.bits() > 65_536 {
                return Err(Raise::error(atom("system_limit")));
            }
        }
        Ok(from_big(value))
    }),
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
    let base = radix(args)?;
    let text = big(arg(args, 0)?)?.to_str_radix(base);
    let negative = text.starts_with('-');
    let digit = |c: char| c.to_digit(base).map(|digit| if negative { -i64::from(digit) } else { i64::from(digit) });
    Ok(Term::List(text.chars().filter_map(digit).map(Term::Int).collect()))
}

fn gcd(args: &[Term]) -> Result<Term, Raise> {
    let (mut a, mut b) = (big(arg(args, 0)?)?, big(arg(args, 1)?)?);
    while b != BigInt::ZERO {
        (a, b) = (b.clone(), a % b);
    }
    Ok(from_big(if a < BigInt::ZERO { -a } else { a }))
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

/// Where a float is rounded to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Up,
    Down,
    /// The nearest; of two the one further from 0.
    Near,
}

/// A float with so many digits behind its point, from all the digits that it has.
fn rounded(args: &[Term], way: Way) -> Result<Term, Raise> {
    let Term::Float(value) = arg(args, 0)? else {
        let name = match way {
            Way::Up => "ceil",
            Way::Down => "floor",
            Way::Near => "round",
        };
        let frame = tuple([atom("Elixir.Float"), atom(name), Term::Int(2), Term::List(Vec::new())]);
        return Err(Raise::Error(atom("function_clause"), Term::List(vec![frame])));
    };
    let (value, digits) = (value.get(), if args.len() == 2 { integer(args, 1)? } else { 0 });
    let digits = usize::try_from(digits).ok().filter(|digits| *digits <= 15);
    let digits = digits.ok_or_else(|| Raise::argument("a float is rounded to 0 to 15 digits"))?;
    // No float has more digits than these.
    let exact = format!("{:.1100}", value.abs());
    let (whole, fraction) = exact.split_once('.').unwrap_or((&exact, ""));
    let (kept, cut) = fraction.split_at_checked(digits).unwrap_or((fraction, ""));
    let more = cut.bytes().any(|digit| digit != b'0');
    let away = match way {
        Way::Up => more && value > 0.0,
        Way::Down => more && value < 0.0,
        Way::Near => cut.as_bytes().first().is_some_and(|digit| *digit >= b'5'),
    };
    let number = BigInt::parse_bytes(format!("{whole}{kept}").as_bytes(), 10).unwrap_or_default() + u8::from(away);
    let sign = if value.is_sign_negative() { "-" } else { "" };
    let text = format!("{sign}{number}e-{digits}");
    text.parse().map_err(|_| arithmetic()).and_then(to_float)
}

/// The base that is given second.
pub(super) fn radix(args: &[Term]) -> Result<u32, Raise> {
    let base = if args.len() == 2 { integer(args, 1)? } else { 10 };
    let base = u32::try_from(base).ok().filter(|base| (2..=36).contains(base));
    base.ok_or_else(|| Raise::argument("a base is from 2 to 36"))
}

/// `{integer, rest}` or `:error`.
fn parse(args: &[Term]) -> Result<Term, Raise> {
    let (text, base) = (text(args, 0)?, radix(args)?);
    let sign = usize::from(text.starts_with(['-', '+']));
    let digits = text.chars().skip(sign).take_while(|c| c.is_digit(base)).count();
    let (number, rest) = text.split_at(sign + digits);
    let value = BigInt::parse_bytes(number.as_bytes(), base).filter(|_| digits > 0 && digits < 1000);
    Ok(value.map_or(atom("error"), |value| tuple([from_big(value), binary(rest)])))
}
