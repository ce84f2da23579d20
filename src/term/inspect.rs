//! Printing terms as Elixir's `inspect` does, to a bounded length.

use std::fmt::{self, Write};

use super::{Map, Term, elixir};

/// Most characters that `Debug` of a term prints.
const DEBUG_CHARACTERS: usize = 2_000;

/// A term to print.
pub struct Inspect<'a> {
    term: &'a Term,
    characters: usize,
}

impl<'a> Inspect<'a> {
    /// Prints `term`, at most some thousand characters of it.
    pub fn new(term: &'a Term) -> Self {
        Self { term, characters: DEBUG_CHARACTERS }
    }

    /// The text of `term`, cut with `...` after so many characters.
    pub fn short(term: &'a Term, characters: usize) -> String {
        Self { term, characters }.to_string()
    }

    /// An atom as Elixir writes it.
    pub fn atom(text: &str) -> String {
        atom_text(text)
    }
}

impl fmt::Display for Inspect<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = Bounded { f, left: self.characters, full: false };
        match write_term(&mut out, self.term) {
            Err(_) if out.full => f.write_str("..."),
            result => result,
        }
    }
}

/// Stops printing when enough was printed: a term of megabytes costs no more than its head.
struct Bounded<'a, 'b> {
    f: &'a mut fmt::Formatter<'b>,
    left: usize,
    full: bool,
}

impl Write for Bounded<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            if self.left == 0 {
                self.full = true;
                return Err(fmt::Error);
            }
            self.left -= 1;
            self.f.write_char(character)?;
        }
        Ok(())
    }
}

/// Integers beyond so many bits are not printed.
const MOST_BITS: u64 = 4096;

fn write_term(out: &mut Bounded<'_, '_>, term: &Term) -> fmt::Result {
    match term {
        Term::Atom(atom) => out.write_str(&atom_text(atom.as_str())),
        Term::Int(value) => write!(out, "{value}"),
        // Its digits take quadratic time.
        Term::Big(value) if value.bits() > MOST_BITS => write!(out, "#Integer<{} bits>", value.bits()),
        Term::Big(value) => write!(out, "{value}"),
        Term::Float(value) => write!(out, "{:?}", value.get()),
        Term::Binary(bytes) => write_binary(out, bytes),
        Term::Bits(bits) => {
            let (bytes, tail) = &**bits;
            out.write_str("<<")?;
            for (i, byte) in bytes.iter().enumerate() {
                let last = i + 1 == bytes.len();
                let separator = if i > 0 { ", " } else { "" };
                if last {
                    write!(out, "{separator}{}::size({tail})", byte >> (8 - tail))?;
                } else {
                    write!(out, "{separator}{byte}")?;
                }
            }
            out.write_str(">>")
        }
        Term::Pid(pid) => write!(out, "#PID<{}.{}.{}>", pid.node, pid.id, pid.serial),
        Term::Port(port) => write!(out, "#Port<{}.{}>", port.node, port.id),
        Term::Ref(reference) => {
            write!(out, "#Reference<{}", reference.node)?;
            reference.words().iter().rev().try_for_each(|word| write!(out, ".{word}"))?;
            out.write_char('>')
        }
        Term::List(elements) => write_list(out, elements),
        Term::Improper(list) => {
            out.write_char('[')?;
            write_separated(out, &list.0, write_term)?;
            out.write_str(" | ")?;
            write_term(out, &list.1)?;
            out.write_char(']')
        }
        Term::Tuple(elements) => {
            out.write_char('{')?;
            write_separated(out, elements, write_term)?;
            out.write_char('}')
        }
        Term::Map(map) => write_map(out, map),
        Term::Fun(_) => out.write_str("#Function<>"),
        Term::Encoded(encoded) => write!(out, "#Encoded<{} bytes>", encoded.length()),
    }
}

fn write_separated<'t, T: 't>(
    out: &mut Bounded<'_, '_>,
    items: impl IntoIterator<Item = &'t T>,
    write: impl Fn(&mut Bounded<'_, '_>, &T) -> fmt::Result,
) -> fmt::Result {
    for (i, item) in items.into_iter().enumerate() {
        if i > 0 {
            out.write_str(", ")?;
        }
        write(out, item)?;
    }
    Ok(())
}

/// Whether a list is shown as text.
pub(super) fn is_charlist(elements: &[Term]) -> bool {
    !elements.is_empty() && elements.iter().all(|e| matches!(e, Term::Int(9 | 10 | 13 | 32..=126)))
}

/// Whether this is `{key, value}` of a keyword list.
pub(super) fn is_pair(element: &Term) -> bool {
    matches!(element.as_tuple(), Some([Term::Atom(_), _]))
}

/// Whether a map is shown as something else than its pairs.
pub(super) fn is_sigil(map: &Map) -> bool {
    elixir::date_time_text(map).is_some() || elixir::range_text(map).is_some()
}

/// A binary's text of at most so many characters.
pub(super) fn binary_text(bytes: &[u8], characters: usize) -> String {
    let text = std::str::from_utf8(bytes).ok().filter(|text| text.chars().count() > characters);
    match text {
        Some(text) => {
            let head: String = text.chars().take(characters).collect();
            format!("{} <> ...", Inspect::short(&super::binary(head), usize::MAX))
        }
        None => Inspect::short(&Term::Binary(bytes.to_vec().into()), characters.saturating_mul(4)),
    }
}

/// A key of a map or a keyword list with what stands between it and its value.
pub(super) fn key_text(key: &Term) -> String {
    if let Term::Atom(atom) = key {
        let text = atom_text(atom.as_str());
        if let Some(bare) = text.strip_prefix(':') {
            return format!("{bare}: ");
        }
        if matches!(text.as_str(), "nil" | "true" | "false") {
            return format!("{text}: ");
        }
        return format!("{text} => ");
    }
    format!("{} => ", Inspect::short(key, DEBUG_CHARACTERS))
}

fn write_list(out: &mut Bounded<'_, '_>, elements: &[Term]) -> fmt::Result {
    if is_charlist(elements) {
        let code = |e: &Term| match e {
            Term::Int(code) => u8::try_from(*code).ok().map(char::from),
            _ => None,
        };
        out.write_str("~c")?;
        return write_quoted(out, &elements.iter().filter_map(code).collect::<String>());
    }
    out.write_char('[')?;
    if !elements.is_empty() && elements.iter().all(is_pair) {
        write_separated(out, elements, |out, element| match element.as_tuple() {
            Some([key, value]) => write_pair(out, key, value),
            _ => Ok(()),
        })?;
    } else {
        write_separated(out, elements, write_term)?;
    }
    out.write_char(']')
}

fn write_map(out: &mut Bounded<'_, '_>, map: &Map) -> fmt::Result {
    let module = map.get_atom(elixir::STRUCT).and_then(Term::as_atom);
    if let Some(time) = elixir::date_time_text(map) {
        return write!(out, "~U[{time}]");
    }
    if let Some(range) = elixir::range_text(map) {
        return out.write_str(&range);
    }
    out.write_char('%')?;
    if let Some(module) = module {
        out.write_str(module.strip_prefix("Elixir.").unwrap_or(module))?;
    }
    out.write_char('{')?;
    let shown = map.iter().filter(|(key, _)| module.is_none() || !key.is_atom(elixir::STRUCT));
    write_separated(out, shown, |out, (key, value)| write_pair(out, key, value))?;
    out.write_char('}')
}

fn write_pair(out: &mut Bounded<'_, '_>, key: &Term, value: &Term) -> fmt::Result {
    out.write_str(&key_text(key))?;
    write_term(out, value)
}

fn write_binary(out: &mut Bounded<'_, '_>, bytes: &[u8]) -> fmt::Result {
    let text = std::str::from_utf8(bytes).ok();
    let printable = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t' | '\x1b');
    if let Some(text) = text.filter(|text| text.chars().all(printable)) {
        return write_quoted(out, text);
    }
    out.write_str("<<")?;
    write_separated(out, bytes, |out, byte| write!(out, "{byte}"))?;
    out.write_str(">>")
}

fn write_quoted(out: &mut impl Write, text: &str) -> fmt::Result {
    out.write_char('"')?;
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            // Read again, it must not become code.
            '#' if rest.peek() == Some(&'{') => out.write_str("\\#")?,
            '"' => out.write_str("\\\"")?,
            '\\' => out.write_str("\\\\")?,
            '\n' => out.write_str("\\n")?,
            '\r' => out.write_str("\\r")?,
            '\t' => out.write_str("\\t")?,
            '\x1b' => out.write_str("\\e")?,
            c => out.write_char(c)?,
        }
    }
    out.write_char('"')
}

fn atom_text(text: &str) -> String {
    if matches!(text, "nil" | "true" | "false") {
        return text.to_owned();
    }
    if let Some(alias) = text.strip_prefix("Elixir.").filter(|rest| rest.split('.').all(is_alias)) {
        return alias.to_owned();
    }
    if is_plain(text) {
        return format!(":{text}");
    }
    let mut quoted = String::from(":");
    // Writing to a String does not fail.
    write_quoted(&mut quoted, text).unwrap_or_default();
    quoted
}

fn is_alias(part: &str) -> bool {
    part.starts_with(|c: char| c.is_ascii_uppercase()) && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn is_plain(text: &str) -> bool {
    let body = text.strip_suffix(['?', '!']).unwrap_or(text);
    body.starts_with(|c: char| c.is_lowercase() || c == '_')
        && body.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '@')
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::term::{Float, atom, binary, charlist, keyword, list, map, tuple};

    #[test]
    fn prints_as_elixir_does() {
        let cases = [
            (atom("ok"), ":ok"),
            (Term::NIL, "nil"),
            (atom("Elixir.Otturnaut.AppState"), "Otturnaut.AppState"),
            (atom("with space@x"), ":\"with space@x\""),
            (atom("in_use?"), ":in_use?"),
            (binary("#{x} #"), "\"\\#{x} #\""),
            (binary("a \"b\"\n"), "\"a \\\"b\\\"\\n\""),
            (Term::Binary(Bytes::from_static(&[0, 255])), "<<0, 255>>"),
            (Term::Bits(Box::new((Bytes::from_static(&[255, 128]), 1))), "<<255, 1::size(1)>>"),
            (Term::Float(Float::new(1.5).unwrap()), "1.5"),
            (charlist("hi"), "~c\"hi\""),
            (list([]), "[]"),
            (list([Term::Int(1), atom("a")]), "[1, :a]"),
            (keyword([("a", Term::Int(1)), ("B", Term::NIL)]), "[a: 1, \"B\": nil]"),
            (tuple([Term::OK, Term::Int(5)]), "{:ok, 5}"),
            (map([("a", Term::Int(1))]), "%{a: 1}"),
            (Term::Map([(binary("k"), Term::Int(1))].into_iter().collect()), "%{\"k\" => 1}"),
            (map([("__struct__", atom("Elixir.Release")), ("first", Term::Int(1))]), "%Release{first: 1}"),
            (crate::term::elixir::range(1, 5, 2), "1..5//2"),
            (Term::Improper(Box::new((vec![Term::Int(1)], atom("t")))), "[1 | :t]"),
        ];
        for (term, text) in cases {
            assert_eq!(Inspect::new(&term).to_string(), text);
        }
    }

    #[test]
    fn a_large_term_is_cut() {
        let large = list((0..1_000_000).map(Term::Int));
        assert_eq!(Inspect::short(&large, 10), "[0, 1, 2, ...");
    }
}
