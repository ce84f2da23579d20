//! Printing terms as Elixir's `inspect` does, to a bounded length.

use std::fmt::{self, Write};

use super::{Atom, Map, Term, elixir};

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
const MOST_BITS: u64 = 65_536;

fn write_term(out: &mut Bounded<'_, '_>, term: &Term) -> fmt::Result {
    match term {
        Term::Atom(atom) => out.write_str(&atom_text(atom.as_str())),
        Term::Int(value) => write!(out, "{value}"),
        // Its digits take quadratic time.
        Term::Big(value) if value.bits() > MOST_BITS => write!(out, "#Integer<{} bits>", value.bits()),
        Term::Big(value) => write!(out, "{value}"),
        Term::Float(value) => out.write_str(&float_text(value.get())),
        Term::Binary(bytes) => match printable(bytes) {
            Some(text) => write_quoted(out, text),
            None => write_bits(out, bytes, None),
        },
        Term::Bits(bits) => write_bits(out, &bits.0, Some(bits.1)),
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
    !elements.is_empty() && elements.iter().all(|e| matches!(e, Term::Int(7..=13 | 27 | 32..=126)))
}

/// Whether a term is the key of a keyword list: an atom, but no module of Elixir.
pub(super) fn is_key(key: &Term) -> bool {
    key.as_atom().is_some_and(|text| !text.starts_with("Elixir."))
}

/// Whether this is `{key, value}` of a keyword list.
pub(super) fn is_pair(element: &Term) -> bool {
    matches!(element.as_tuple(), Some([key, _]) if is_key(key))
}

/// Whether a map is shown as something else than its pairs.
pub(super) fn is_sigil(map: &Map) -> bool {
    elixir::date_time_text(map).is_some() || elixir::range_text(map).is_some()
}

/// Whether a key of a struct is none of its fields.
pub(super) fn is_hidden(key: &Term) -> bool {
    key.is_atom(elixir::STRUCT) || key.is_atom("__exception__")
}

/// A struct's name as it is written; nothing for a map that is none.
pub(super) fn struct_name(map: &Map) -> Option<String> {
    map.get_atom(elixir::STRUCT).and_then(Term::as_atom).map(atom_text)
}

/// `~c"text"` of a list of at most so many characters.
pub(super) fn charlist_within(elements: &[Term], characters: usize) -> String {
    let code = |e: &Term| match e {
        Term::Int(code) => u8::try_from(*code).ok().map(char::from),
        _ => None,
    };
    let text: String = elements.iter().take(characters).filter_map(code).collect();
    format!("~c{}{}", quoted(&text), if elements.len() > characters { " ++ ..." } else { "" })
}

/// A quoted text of at most so many characters.
pub(super) fn quoted_within(text: &str, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        Some((end, _)) => format!("{} <> ...", quoted(text.get(..end).unwrap_or_default())),
        None => quoted(text),
    }
}

/// A key of a keyword list with what stands between it and its value.
pub(super) fn key_text(key: &Atom) -> String {
    match atom_text(key.as_str()) {
        text if key.as_str() == "Elixir" => format!("\"{text}\": "),
        text => format!("{}: ", text.strip_prefix(':').unwrap_or(&text)),
    }
}

fn write_list(out: &mut Bounded<'_, '_>, elements: &[Term]) -> fmt::Result {
    if is_charlist(elements) {
        return out.write_str(&charlist_within(elements, out.left));
    }
    out.write_char('[')?;
    if !elements.is_empty() && elements.iter().all(is_pair) {
        write_separated(out, elements, |out, element| match element.as_tuple() {
            Some([Term::Atom(key), value]) => write_pair(out, key, value),
            _ => Ok(()),
        })?;
    } else {
        write_separated(out, elements, write_term)?;
    }
    out.write_char(']')
}

fn write_map(out: &mut Bounded<'_, '_>, map: &Map) -> fmt::Result {
    if let Some(time) = elixir::date_time_text(map) {
        return write!(out, "~U[{time}]");
    }
    if let Some(range) = elixir::range_text(map) {
        return out.write_str(&range);
    }
    let name = struct_name(map);
    let shown = || map.iter().filter(|(key, _)| name.is_none() || !is_hidden(key));
    write!(out, "%{}{{", name.as_deref().unwrap_or_default())?;
    let keyword = shown().all(|(key, _)| is_key(key));
    write_separated(out, shown(), |out, (key, value)| match key {
        Term::Atom(key) if keyword => write_pair(out, key, value),
        key => {
            write_term(out, key)?;
            out.write_str(" => ")?;
            write_term(out, value)
        }
    })?;
    out.write_char('}')
}

fn write_pair(out: &mut Bounded<'_, '_>, key: &Atom, value: &Term) -> fmt::Result {
    out.write_str(&key_text(key))?;
    write_term(out, value)
}

/// A float as Erlang writes it: the fewest digits that are read again, with an exponent where that is shorter.
fn float_text(value: f64) -> String {
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let power: i32 = exponent.parse().unwrap_or(0);
    let count = digits.bytes().filter(u8::is_ascii_digit).count();
    // What `e` and its number take, and `.0` where there is no point yet.
    let cost = exponent.len() + if count == 1 { 3 } else { 2 };
    let zeros = usize::try_from(-power).unwrap_or(0);
    if power < 0 && zeros + 1 > cost || power >= LARGE {
        let point = if digits.contains('.') { "" } else { ".0" };
        return format!("{digits}{point}e{exponent}");
    }
    format!("{value:?}")
}

/// Powers of ten from which on a float has an exponent.
const LARGE: i32 = 16;

/// A binary's text, if all of it is shown as such.
pub(super) fn printable(bytes: &[u8]) -> Option<&str> {
    let shown = |c: char| !matches!(c, '\0'..='\x06' | '\x0e'..='\x1a' | '\x1c'..='\x1f' | '\u{80}'..='\u{9f}');
    std::str::from_utf8(bytes).ok().filter(|text| text.chars().all(shown))
}

fn write_bits(out: &mut Bounded<'_, '_>, bytes: &[u8], tail: Option<u8>) -> fmt::Result {
    out.write_str("<<")?;
    for (at, byte) in bytes.iter().enumerate() {
        out.write_str(if at > 0 { ", " } else { "" })?;
        match tail.filter(|_| at + 1 == bytes.len()) {
            Some(tail) => write!(out, "{}::size({tail})", byte >> (8 - tail))?,
            None => write!(out, "{byte}")?,
        }
    }
    out.write_str(">>")
}

fn quoted(text: &str) -> String {
    let mut quoted = String::new();
    // Writing to a String does not fail.
    write_quoted(&mut quoted, text).unwrap_or_default();
    quoted
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
            '\0' => out.write_str("\\0")?,
            '\x07' => out.write_str("\\a")?,
            '\x08' => out.write_str("\\b")?,
            '\t' => out.write_str("\\t")?,
            '\n' => out.write_str("\\n")?,
            '\x0b' => out.write_str("\\v")?,
            '\x0c' => out.write_str("\\f")?,
            '\r' => out.write_str("\\r")?,
            '\x1b' => out.write_str("\\e")?,
            '\x7f' => out.write_str("\\d")?,
            c if u32::from(c) < 0xa0 && c.is_control() => write!(out, "\\x{:02X}", u32::from(c))?,
            c => out.write_char(c)?,
        }
    }
    out.write_char('"')
}

/// Operators that are atoms without quotes.
const OPERATORS: &[&str] = &[
    "!", "!=", "!==", "%", "%{}", "&", "&&", "&&&", "*", "**", "+", "++", "+++", "-", "--", "---", "->", ".", "..",
    "...", "..//", "/", "<", "<-", "<<<", "<<>>", "<<~", "<=", "<>", "<|>", "<~", "<~>", "=", "==", "===", "=~", ">",
    ">=", ">>>", "@", "\\\\", "^", "{}", "|", "|>", "||", "|||", "~>", "~>>",
];

fn atom_text(text: &str) -> String {
    if matches!(text, "nil" | "true" | "false" | "Elixir") {
        return text.to_owned();
    }
    if let Some(alias) = text.strip_prefix("Elixir.").filter(|rest| rest.split('.').all(is_alias)) {
        return alias.to_owned();
    }
    if is_plain(text) || OPERATORS.contains(&text) { format!(":{text}") } else { format!(":{}", quoted(text)) }
}

fn is_alias(part: &str) -> bool {
    part.starts_with(|c: char| c.is_ascii_uppercase()) && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn is_plain(text: &str) -> bool {
    let body = text.strip_suffix(['?', '!']).unwrap_or(text);
    body.starts_with(|c: char| c.is_alphabetic() || c == '_')
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
            (keyword([("a", Term::Int(1)), ("B", Term::NIL)]), "[a: 1, B: nil]"),
            (tuple([Term::OK, Term::Int(5)]), "{:ok, 5}"),
            (map([("a", Term::Int(1))]), "%{a: 1}"),
            (Term::Map([(binary("k"), Term::Int(1))].into_iter().collect()), "%{\"k\" => 1}"),
            (map([("__struct__", atom("Elixir.Release")), ("first", Term::Int(1))]), "%Release{first: 1}"),
            (elixir::range(1, 5, 2), "1..5//2"),
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
