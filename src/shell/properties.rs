//! What holds for any text that somebody types: functions that panic where it does not. The property tests run them, and the
//! targets of `fuzz/`; no part of the program.

use super::parser;

/// Whatever is typed is an expression, the beginning of one, or refused; so is all that it begins with.
pub fn parse(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let parsed = parser::parse(&text);
    drop(parsed);
    if let Some((half, _)) = text.char_indices().nth(text.chars().count() / 2) {
        drop(parser::parse(text.get(..half).unwrap_or_default()));
    }
}

#[cfg(test)]
mod tests {
    use num_bigint::BigInt;
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::super::syntax::{Expr, Part};
    use super::*;
    use crate::term::{Atom, Float, Inspect, Map, Pretty, Term, charlist};

    /// The term that an expression without calls is.
    fn constant(expr: &Expr) -> Option<Term> {
        let all = |exprs: &[Expr]| exprs.iter().map(constant).collect::<Option<Vec<_>>>();
        match expr {
            Expr::Literal(term) => Some(term.clone()),
            Expr::List(elements, None) => Some(Term::List(all(elements)?)),
            Expr::List(elements, Some(tail)) => Some(Term::Improper(Box::new((all(elements)?, constant(tail)?)))),
            Expr::Tuple(elements) => Some(Term::Tuple(all(elements)?)),
            Expr::Map(None, None, pairs) => {
                let pair = |(key, value): &(Expr, Expr)| Some((constant(key)?, constant(value)?));
                Some(Term::Map(pairs.iter().map(pair).collect::<Option<Map>>()?))
            }
            Expr::Bits(segments) => {
                let byte = |term| match term {
                    Term::Int(byte) => u8::try_from(byte).ok(),
                    _ => None,
                };
                Some(Term::Binary(all(segments)?.into_iter().map(byte).collect::<Option<Vec<_>>>()?.into()))
            }
            Expr::Unary("-", number) => match constant(number)? {
                Term::Int(value) => {
                    Some(value.checked_neg().map_or_else(|| Term::Big(Box::new(-BigInt::from(value))), Term::Int))
                }
                Term::Big(value) => {
                    Some(i64::try_from(-&*value).map_or_else(|_| Term::Big(Box::new(-*value)), Term::Int))
                }
                Term::Float(value) => Float::new(-value.get()).ok().map(Term::Float),
                _ => None,
            },
            Expr::Call(None, name, args, _) if name == "sigil_c" => match args.as_slice() {
                [Expr::Text(_, parts), _] => parts
                    .iter()
                    .try_fold(String::new(), |text, part| match part {
                        Part::Text(part) => Some(text + part),
                        Part::Code(_) => None,
                    })
                    .map(|text| charlist(&text)),
                _ => None,
            },
            _ => None,
        }
    }

    fn atoms() -> impl Strategy<Value = Term> {
        let known = prop::sample::select(vec![
            "nil",
            "true",
            "do",
            "end",
            "fn",
            "in",
            "not",
            "when",
            "Elixir",
            "Elixir.Foo.Bar",
            "Elixir.",
            "+",
            "<>",
            "::",
            "%{}",
            "..//",
            "a@b",
            "a?",
            "Upper",
            "é",
            "",
            "a b",
            "=>",
            "//",
            "{}",
            "...",
            "&",
            "!",
            "\\\\",
            "9",
            "a\"b",
            "#{x}",
        ]);
        prop_oneof![known.prop_map(str::to_owned), ".{0,8}", "[a-z_]{1,6}[?!]?"]
            .prop_map(|text| Term::Atom(Atom::new(text).unwrap()))
    }

    fn terms() -> impl Strategy<Value = Term> {
        let leaf = prop_oneof![
            atoms(),
            any::<i64>().prop_map(Term::Int),
            any::<u64>().prop_map(Term::from),
            any::<f64>().prop_filter_map("finite", |value| Float::new(value).ok()).prop_map(Term::Float),
            ".{0,20}".prop_map(Term::from),
            vec(any::<u8>(), 0..12).prop_map(|bytes| Term::Binary(bytes.into())),
            vec(7_u8..=126, 0..6)
                .prop_map(|codes| Term::List(codes.into_iter().map(|code| Term::Int(code.into())).collect())),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            let pairs = vec((prop_oneof![atoms(), inner.clone()], inner.clone()), 0..5);
            prop_oneof![
                vec(inner.clone(), 0..6).prop_map(Term::List),
                vec(inner.clone(), 0..5).prop_map(Term::Tuple),
                pairs.clone().prop_map(|pairs| Term::Map(pairs.into_iter().collect())),
                vec((atoms(), inner.clone()), 1..5)
                    .prop_map(|pairs| Term::List(pairs.into_iter().map(|(k, v)| Term::Tuple(vec![k, v])).collect())),
                (vec(inner, 1..4), atoms()).prop_map(|parts| Term::Improper(Box::new(parts))),
            ]
        })
    }

    fn read(text: &str) -> Option<Term> {
        match parser::parse(text).ok()?.as_slice() {
            [expr] => constant(expr),
            _ => None,
        }
    }

    proptest! {
        #[test]
        fn whatever_is_typed_is_read_or_refused(text in ".{0,60}") {
            parse(text.as_bytes());
        }

        #[test]
        fn whatever_consists_of_signs_is_read_or_refused(
            parts in vec(prop::sample::select(vec![
                "fn", "do", "end", "->", "(", ")", "[", "]", "{", "}", "%", "<<", ">>", "\"", "#{", "'", "~w(", ":", "a", "A", ".",
                ",", "1", "\n", " ", "|>", "=", "&", "&1", "|", "=>", "not", "in", "when", "a:", "else", "\"\"\"", "\\", "?", "^",
            ]), 0..40)
        ) {
            parse(parts.concat().as_bytes());
        }

        #[test]
        fn what_is_shown_is_read_again(term in terms()) {
            let shown = Inspect::short(&term, usize::MAX);
            prop_assert_eq!(read(&shown), Some(term.clone()), "{}", shown);
            for width in [10, 80] {
                let pretty = Pretty { width, limit: usize::MAX, ..Pretty::default() }.text(&term);
                prop_assert_eq!(read(&pretty), Some(term.clone()), "{}", pretty);
            }
        }
    }
}
