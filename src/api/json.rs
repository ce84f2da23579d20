//! JSON as Elixir's decoders give it: maps with string keys, `nil`, strings.

use serde_json::{Number, Value};

use crate::term::read::{ReadError, Reader};
use crate::term::{Float, Map, Term, binary};

/// JSON as a term.
pub(super) fn to_term(value: &Value) -> Term {
    match value {
        Value::Null => Term::NIL,
        Value::Bool(value) => Term::from(*value),
        Value::Number(number) => number_term(number),
        Value::String(text) => binary(text.as_str()),
        Value::Array(values) => Term::List(values.iter().map(to_term).collect()),
        Value::Object(pairs) => {
            let pairs = pairs.iter().map(|(key, value)| (binary(key.as_str()), to_term(value)));
            Term::Map(pairs.collect::<Map>())
        }
    }
}

fn number_term(number: &Number) -> Term {
    let whole = number.as_i64().map(Term::Int).or_else(|| number.as_u64().map(Term::from));
    let float = || number.as_f64().and_then(|value| Float::new(value).ok()).map(Term::Float);
    whole.or_else(float).unwrap_or(Term::NIL)
}

/// A term as JSON: what Elixir's encoders take.
///
/// # Errors
/// The term holds a tuple, a pid or something else that JSON does not have.
pub(super) fn from_term(reader: &Reader<'_>) -> Result<Value, ReadError> {
    convert(reader.term())
        .ok_or_else(|| reader.refuse("a value that JSON has: maps, lists, strings, numbers, booleans"))
}

fn convert(term: &Term) -> Option<Value> {
    Some(match term {
        Term::Atom(atom) => match atom.as_str() {
            "nil" => Value::Null,
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            text => Value::from(text),
        },
        Term::Int(value) => Value::from(*value),
        Term::Float(value) => Value::from(value.get()),
        Term::Binary(_) => Value::from(term.as_text()?),
        Term::List(elements) => Value::Array(elements.iter().map(convert).collect::<Option<_>>()?),
        Term::Map(map) => {
            let pair = |(key, value): &(Term, Term)| {
                let key = key.as_text().or_else(|| key.as_atom())?.to_owned();
                Some((key, convert(value)?))
            };
            Value::Object(map.iter().map(pair).collect::<Option<_>>()?)
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::term::{map, tuple};

    #[test]
    fn json_comes_back_as_it_went() {
        let value =
            serde_json::json!({"a": [1, 2.5, null, true], "b": {"c": "ж"}, "n": 18_446_744_073_709_551_615_u64});
        let term = to_term(&value);
        assert_eq!(
            format!("{term:?}"),
            r#"%{"a" => [1, 2.5, nil, true], "b" => %{"c" => "ж"}, "n" => 18446744073709551615}"#
        );
        let small = serde_json::json!({"a": [1, 2.5, null, true]});
        assert_eq!(from_term(&Reader::new("config", &to_term(&small))), Ok(small));
    }

    #[test]
    fn what_json_does_not_have_is_refused_by_name() {
        let term = map([("a", tuple([Term::OK]))]);
        let error = from_term(&Reader::new("config", &term)).unwrap_err();
        assert!(error.to_string().starts_with("config: wanted a value that JSON has"), "{error}");
    }
}
