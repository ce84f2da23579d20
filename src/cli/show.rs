//! What commands print: colours where a person looks, tables, JSON.

use std::io::{IsTerminal, Write, stdout};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::failure::Failure;
use crate::term::{Inspect, Term, elixir};

/// How a text is to be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Good,
    Warn,
    Bad,
    Faint,
    Bold,
}

/// Whether standard output takes colours: it is a terminal, and nobody said `NO_COLOR` (no-color.org).
pub(super) fn has_colours() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    stdout().is_terminal() && !refused && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// A text in a style, where there are colours.
pub(super) fn paint(style: Style, text: &str) -> String {
    let code = match style {
        Style::Good => 32,
        Style::Warn => 33,
        Style::Bad => 31,
        Style::Faint => 2,
        Style::Bold => 1,
    };
    if has_colours() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

/// Prints to standard output; a reader that went is the end of the command.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let mut out = stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Failure::from)
}

/// A table: each column as wide as its widest cell, the last as it is.
pub(super) fn table(head: &[&str], rows: &[Vec<(String, Option<Style>)>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|(text, _)| text.chars().count());
        cells.chain([head.get(column).map_or(0, |name| name.len())]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: Vec<(String, Option<Style>)>| {
        let mut line = String::new();
        for ((text, style), width) in cells.iter().zip(&widths) {
            let padding = " ".repeat(width.saturating_sub(text.chars().count()) + 2);
            line.push_str(&style.map_or_else(|| text.clone(), |style| paint(style, text)));
            line.push_str(&padding);
        }
        format!("{}\n", line.trim_end())
    };
    let head = head.iter().map(|name| ((*name).to_owned(), Some(Style::Faint))).collect();
    std::iter::once(head).chain(rows.iter().cloned()).map(line).collect()
}

/// A term as JSON: atoms and pids as texts, tuples as arrays, keyword lists as objects, times as ISO 8601, bytes that are no
/// text in Base64.
pub(super) fn json(term: &Term) -> Value {
    match term {
        Term::Atom(atom) => match atom.as_str() {
            "nil" => Value::Null,
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            text => Value::from(text.strip_prefix("Elixir.").unwrap_or(text)),
        },
        Term::Int(value) => Value::from(*value),
        Term::Float(value) => Value::from(value.get()),
        Term::Binary(bytes) => term.as_text().map_or_else(|| Value::from(STANDARD.encode(bytes)), Value::from),
        Term::List(elements) if is_keyword(elements) => object(elements.iter().filter_map(|element| {
            let [key, value] = element.as_tuple()? else { return None };
            Some((key, value))
        })),
        Term::List(elements) | Term::Tuple(elements) => Value::Array(elements.iter().map(json).collect()),
        Term::Map(map) if map.get_atom(elixir::STRUCT).is_some_and(|name| name.is_atom("Elixir.DateTime")) => {
            let shown = Inspect::new(term).to_string();
            Value::from(shown.trim_start_matches("~U[").trim_end_matches(']').replace(' ', "T"))
        }
        Term::Map(map) => object(map.iter().filter(|(key, _)| !key.is_atom(elixir::STRUCT)).map(|(k, v)| (k, v))),
        other => Value::from(Inspect::new(other).to_string()),
    }
}

fn is_keyword(elements: &[Term]) -> bool {
    !elements.is_empty() && elements.iter().all(|e| matches!(e.as_tuple(), Some([Term::Atom(_), _])))
}

fn object<'a>(pairs: impl Iterator<Item = (&'a Term, &'a Term)>) -> Value {
    let key = |key: &Term| match key {
        Term::Atom(atom) => atom.as_str().to_owned(),
        other => other.as_text().map_or_else(|| Inspect::new(other).to_string(), str::to_owned),
    };
    Value::Object(pairs.map(|(name, value)| (key(name), json(value))).collect::<Map<_, _>>())
}

/// Prints a term as JSON on lines of its own.
pub(super) fn print_json(term: &Term) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(&json(term)).map_err(|e| Failure::new(e.to_string()))?;
    print(&(text + "\n"))
}

/// Bytes for people.
pub(super) fn bytes(count: i64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let (mut tenths, mut unit) = (count.saturating_mul(10) >> 10, 0);
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths >>= 10;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS.get(unit).unwrap_or(&"B"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::term::{atom, binary, keyword, list, map, tuple};

    #[test]
    fn terms_become_the_json_that_scripts_expect() {
        let term = map([
            ("id", binary("a")),
            ("status", atom("running")),
            ("runtime", atom("Elixir.Otturnaut.Runtime.Docker")),
            ("none", Term::NIL),
            ("pair", tuple([Term::OK, Term::Int(1)])),
            ("opts", keyword([("k", Term::from(true))])),
            ("empty", list([])),
            ("at", elixir::date_time("2026-01-15T10:20:30Z".parse().unwrap())),
            ("bytes", Term::Binary(vec![255].into())),
        ]);
        let expected = serde_json::json!({
            "id": "a", "status": "running", "runtime": "Otturnaut.Runtime.Docker", "none": null, "pair": ["ok", 1],
            "opts": {"k": true}, "empty": [], "at": "2026-01-15T10:20:30.000000Z", "bytes": "/w=="
        });
        assert_eq!(json(&term), expected);
    }

    #[test]
    fn figures_are_for_people() {
        assert_eq!([0, 1023, 1024, 1 << 20, 5 << 30].map(bytes), ["0 B", "1023 B", "1.0 KiB", "1.0 MiB", "5.0 GiB"]);
        assert_eq!([9 << 39, 3 << 50].map(bytes), ["4.5 TiB", "3.0 PiB"]);
    }

    #[test]
    fn a_table_has_columns() {
        let rows = vec![
            vec![("shop".to_owned(), None), ("running".to_owned(), None)],
            vec![("a".to_owned(), None), (String::new(), None)],
        ];
        assert_eq!(table(&["APP", "STATUS"], &rows), "APP   STATUS\nshop  running\na\n");
    }
}
