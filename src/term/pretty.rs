//! Printing terms as Elixir's `inspect` does with `pretty: true`: what does not fit a line is broken.
//!
//! It is the algebra of Elixir's `Inspect.Algebra`, as far as `inspect` needs it: a term becomes a document of texts, breaks,
//! nests and groups; a group that fits what is left of its line has no line ends, any other has one for each of its breaks.
//! Flexible breaks (of tuples, bytes, and lists of what is no collection) fill the lines instead.

use super::{Inspect, Map, Term, inspect, order};

/// How much of a term is shown, as the options of `inspect`.
#[derive(Debug, Clone, Copy)]
pub struct Pretty {
    /// Columns of a line.
    pub width: usize,
    /// Most elements of a collection, in all (`limit`).
    pub limit: usize,
    /// Most characters of a text (`printable_limit`).
    pub text: usize,
    /// Whether lists are never shown as text (`charlists: :as_lists`).
    pub lists: bool,
    /// What binaries are shown as (`binaries`).
    pub bytes: Binaries,
    /// Whether structs are shown as such (`structs: false` shows their maps).
    pub structs: bool,
    /// How integers are written (`base`).
    pub base: Base,
}

/// What binaries are shown as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binaries {
    /// As text if they are text.
    Inferred,
    /// Never as text.
    Bytes,
    /// Always as text.
    Texts,
}

/// How integers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// `0b101`.
    Binary,
    /// `0o17`.
    Octal,
    /// `255`.
    Decimal,
    /// `0xFF`.
    Hexadecimal,
}

/// Those of `inspect` in Elixir 1.20.
impl Default for Pretty {
    fn default() -> Self {
        let (bytes, base) = (Binaries::Inferred, Base::Decimal);
        Self { width: 80, limit: 200, text: 4096, lists: false, bytes, structs: true, base }
    }
}

/// Deepest nesting that is shown.
const DEPTH: usize = 100;

/// Bytes of text that is shown at most, whatever the options say: about so many, then `...` for each collection.
const ROOM: usize = 8 * 1024 * 1024;

impl Pretty {
    /// The text of a term.
    pub fn text(&self, term: &Term) -> String {
        let doc = self.doc(term, &mut Left { elements: self.limit, room: ROOM }, 0);
        Layout { width: self.width, column: 0, out: String::new() }.write(&doc)
    }

    /// Whether a term is shown as a quoted text.
    pub fn is_text(term: &Term) -> bool {
        matches!(term, Term::Binary(bytes) if inspect::printable(bytes).is_some())
    }

    fn doc(&self, term: &Term, left: &mut Left, depth: usize) -> Doc {
        if depth > DEPTH {
            return left.text("...".to_owned());
        }
        match term {
            Term::List(elements) if self.lists || !inspect::is_charlist(elements) => {
                let keyword = !elements.is_empty() && elements.iter().all(inspect::is_pair);
                let inner = within_limit(elements, left, |element, left| match element.as_tuple() {
                    Some([Term::Atom(key), value]) if keyword => {
                        self.pair(inspect::key_text(key), value, (left, depth))
                    }
                    _ => self.doc(element, left, depth + 1),
                });
                container("[", (inner, None), if keyword { Breaks::Strict } else { Breaks::BySize }, "]")
            }
            Term::Improper(list) => {
                let inner = within_limit(&list.0, left, |element, left| self.doc(element, left, depth + 1));
                // Where not all elements are shown, neither is what stands behind them.
                let cut = matches!(inner.last(), Some(Doc::Text(text)) if text == "...");
                let tail = (!cut).then(|| self.doc(&list.1, left, depth + 1));
                container("[", (inner, tail), Breaks::BySize, "]")
            }
            Term::Tuple(elements) => {
                let inner = within_limit(elements, left, |element, left| self.doc(element, left, depth + 1));
                container("{", (inner, None), Breaks::Flexible, "}")
            }
            Term::Map(map) => match calendar(map).filter(|_| self.structs) {
                Some((sigil, text)) => left.text(format!("~{sigil}[{text}]")),
                None if self.structs && inspect::is_sigil(map) => left.text(Inspect::short(term, usize::MAX)),
                None => self.map(map, left, depth),
            },
            Term::Binary(bytes) => match inspect::printable(bytes).filter(|_| self.bytes != Binaries::Bytes) {
                Some(text) => left.text(visible(inspect::quoted_within(text, self.text))),
                None if self.bytes == Binaries::Texts => left.text(forced(bytes, self.text)),
                None => self.bits(left, bytes, None),
            },
            Term::Bits(bits_of) => self.bits(left, &bits_of.0, Some(bits_of.1)),
            Term::Int(value) if self.base != Base::Decimal => left.text(self.integer(*value)),
            Term::List(elements) => left.text(inspect::charlist_within(elements, self.text)),
            other => left.text(Inspect::short(other, usize::MAX)),
        }
    }

    fn map(&self, map: &Map, left: &mut Left, depth: usize) -> Doc {
        let name = inspect::struct_name(map).filter(|_| self.structs);
        let mut pairs: Vec<_> = map.iter().filter(|(key, _)| name.is_none() || !inspect::is_hidden(key)).collect();
        if name.is_none() {
            pairs.sort_by(|(a, _), (b, _)| order::compare(a, b));
        }
        let keyword = pairs.iter().all(|(key, _)| inspect::is_key(key));
        let inner = within_limit(pairs.iter(), left, |(key, value), left| match key {
            Term::Atom(key) if keyword => self.pair(inspect::key_text(key), value, (left, depth)),
            key => {
                let parts = [self.doc(key, left, depth + 1), Doc::text(" => "), self.doc(value, left, depth + 1)];
                Doc::Several(parts.into())
            }
        });
        container(&format!("%{}{{", name.unwrap_or_default()), (inner, None), Breaks::Strict, "}")
    }

    /// `<<1, 2, 3::size(4)>>`; `tail` is the number of bits of the last byte.
    fn bits(&self, left: &mut Left, bytes: &[u8], tail: Option<u8>) -> Doc {
        if bytes.is_empty() {
            return Doc::text("<<>>");
        }
        let mut inner = Vec::new();
        for (at, byte) in bytes.iter().enumerate() {
            if at > 0 {
                inner.extend([Doc::text(","), Doc::Break { flat: " ", flexible: true }]);
            }
            if !left.takes_element() {
                inner.push(Doc::text("..."));
                break;
            }
            inner.push(left.text(match tail.filter(|_| at + 1 == bytes.len()) {
                Some(tail) => format!("{}::size({tail})", self.integer(i64::from(byte >> (8 - tail)))),
                None => self.integer(i64::from(*byte)),
            }));
        }
        Doc::Group(vec![Doc::text("<<"), Doc::Nest(2, inner), Doc::text(">>")])
    }

    fn integer(&self, value: i64) -> String {
        let (sign, size) = (if value < 0 { "-" } else { "" }, value.unsigned_abs());
        match self.base {
            Base::Decimal => value.to_string(),
            Base::Hexadecimal => format!("{sign}{size:#X}"),
            Base::Octal => format!("{sign}{size:#o}"),
            Base::Binary => format!("{sign}{size:#b}"),
        }
    }

    fn pair(&self, key: String, value: &Term, (left, depth): (&mut Left, usize)) -> Doc {
        Doc::Several(vec![left.text(key), self.doc(value, left, depth + 1)])
    }
}

/// A quoted text of bytes that are none: what is no character as `\xFF`.
fn forced(bytes: &[u8], characters: usize) -> String {
    let mut out = String::from("\"");
    for chunk in bytes.get(..characters.min(bytes.len())).unwrap_or(bytes).utf8_chunks() {
        let text = inspect::quoted_within(chunk.valid(), usize::MAX);
        out.push_str(text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or_default());
        out.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02X}")));
    }
    out + if bytes.len() > characters { "\" <> ..." } else { "\"" }
}

/// A text in which no character changes how the others are seen, or is not seen itself.
fn visible(text: String) -> String {
    let hidden = |c: char| {
        matches!(c, '\u{a0}' | '\u{34f}' | '\u{61c}' | '\u{2000}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{205f}'..='\u{2064}' | '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{fff9}'..='\u{fffc}')
    };
    if !text.contains(hidden) {
        return text;
    }
    let shown = |c: char| if hidden(c) { format!("\\u{:04X}", u32::from(c)) } else { c.to_string() };
    text.chars().map(shown).collect()
}

/// The sigil and the text of a `%Date{}`, `%Time{}` or `%NaiveDateTime{}`.
pub fn calendar(map: &Map) -> Option<(char, String)> {
    let name = map.get_atom(super::elixir::STRUCT)?.as_atom()?;
    let number = |key: &str| match map.get_atom(key) {
        Some(Term::Int(value)) => Some(*value),
        _ => None,
    };
    let date = || Some(format!("{:04}-{:02}-{:02}", number("year")?, number("month")?, number("day")?));
    let time = || {
        let fraction = match map.get_atom("microsecond")?.as_tuple()? {
            [_, Term::Int(0)] => String::new(),
            [Term::Int(micros), Term::Int(digits)] => {
                format!(".{micros:06}").chars().take(1 + usize::try_from(*digits).ok()?).collect()
            }
            _ => return None,
        };
        Some(format!("{:02}:{:02}:{:02}{fraction}", number("hour")?, number("minute")?, number("second")?))
    };
    match name {
        "Elixir.Date" => Some(('D', date()?)),
        "Elixir.Time" => Some(('T', time()?)),
        "Elixir.NaiveDateTime" => Some(('N', format!("{} {}", date()?, time()?))),
        _ => None,
    }
}

/// The elements that the limit leaves, and `...` for the others.
fn within_limit<'t, T: 't>(
    elements: impl IntoIterator<Item = &'t T>,
    left: &mut Left,
    mut one: impl FnMut(&T, &mut Left) -> Doc,
) -> Vec<Doc> {
    let mut docs = Vec::new();
    for element in elements {
        if !left.takes_element() {
            docs.push(Doc::text("..."));
            break;
        }
        docs.push(one(element, left));
    }
    docs
}

/// What may still be shown.
struct Left {
    elements: usize,
    room: usize,
}

impl Left {
    fn takes_element(&mut self) -> bool {
        let some = self.elements > 0 && self.room > 0;
        if some && self.elements < usize::MAX {
            self.elements -= 1;
        }
        some
    }

    fn text(&mut self, text: String) -> Doc {
        self.room = self.room.saturating_sub(text.len());
        Doc::Text(text)
    }
}

/// Where a collection breaks that does not fit.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Breaks {
    /// Behind each element.
    Strict,
    /// Where a line is full.
    Flexible,
    /// Where a line is full if no element is a collection, behind each element else.
    BySize,
}

/// Elements, and what stands behind `|`, between an opening and a closing text.
fn container(open: &str, (elements, tail): (Vec<Doc>, Option<Doc>), breaks: Breaks, close: &'static str) -> Doc {
    if elements.is_empty() && tail.is_none() {
        return Doc::Text(format!("{open}{close}"));
    }
    let simple = breaks == Breaks::BySize && elements.iter().chain(&tail).all(Doc::is_simple);
    let flexible = simple || breaks == Breaks::Flexible;
    let mut inner = Vec::new();
    for (at, element) in elements.into_iter().enumerate() {
        if at > 0 {
            inner.extend([Doc::text(","), Doc::Break { flat: " ", flexible }]);
        }
        inner.push(element);
    }
    if let Some(tail) = tail {
        inner.extend([Doc::text(" |"), Doc::Break { flat: " ", flexible: simple }, tail]);
    }
    if flexible {
        return Doc::Group(vec![Doc::text(open), Doc::Nest(1, inner), Doc::text(close)]);
    }
    let edge = || Doc::Break { flat: "", flexible: false };
    inner.splice(0..0, [Doc::text(open), edge()]);
    Doc::Group(vec![Doc::Nest(2, inner), edge(), Doc::text(close)])
}

/// What is to be laid out.
enum Doc {
    Text(String),
    Several(Vec<Doc>),
    /// A line's end, or a text where there is none.
    Break {
        flat: &'static str,
        flexible: bool,
    },
    /// Lines that begin so many columns further right.
    Nest(usize, Vec<Doc>),
    /// What has line ends or has none.
    Group(Vec<Doc>),
}

impl Doc {
    fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    /// Whether it is one text, so that it cannot break.
    fn is_simple(&self) -> bool {
        match self {
            Self::Text(_) => true,
            Self::Several(parts) => parts.iter().all(Self::is_simple),
            Self::Break { .. } | Self::Nest(..) | Self::Group(_) => false,
        }
    }
}

/// What is still to be written, the next thing last.
enum Rest<'d> {
    /// A document: how far its lines are indented, and whether its breaks are line ends.
    Doc(usize, bool, &'d Doc),
    /// The end of a group.
    Over,
}

struct Layout {
    width: usize,
    column: usize,
    out: String,
}

impl Layout {
    fn write(mut self, doc: &Doc) -> String {
        let mut rest = vec![Rest::Doc(0, false, doc)];
        while let Some(next) = rest.pop() {
            let Rest::Doc(indent, broken, doc) = next else { continue };
            match doc {
                Doc::Text(text) => self.put(text),
                Doc::Several(parts) => rest.extend(parts.iter().rev().map(|part| Rest::Doc(indent, broken, part))),
                Doc::Nest(by, parts) => {
                    rest.extend(parts.iter().rev().map(|part| Rest::Doc(indent + by, broken, part)));
                }
                Doc::Group(parts) => {
                    let breaks = !self.group_fits(parts);
                    rest.push(Rest::Over);
                    rest.extend(parts.iter().rev().map(|part| Rest::Doc(indent, breaks, part)));
                }
                Doc::Break { flat, flexible } => {
                    let stays = !broken || (*flexible && self.rest_fits(&rest, flat.len()));
                    if stays { self.put(flat) } else { self.new_line(indent) }
                }
            }
        }
        self.out
    }

    fn put(&mut self, text: &str) {
        self.out.push_str(text);
        // As Elixir counts: bytes, not characters.
        self.column = self.column.saturating_add(text.len());
    }

    fn new_line(&mut self, indent: usize) {
        self.out.push('\n');
        self.out.extend(std::iter::repeat_n(' ', indent));
        self.column = indent;
    }

    /// Whether a group fits on what is left of the line.
    fn group_fits(&self, parts: &[Doc]) -> bool {
        let mut look = Look { width: self.width, column: self.column, can_break: false };
        look.takes(parts) && look.is_within()
    }

    /// Whether what comes up to the next line's end fits behind a flexible break.
    fn rest_fits(&self, rest: &[Rest<'_>], flat: usize) -> bool {
        let mut look = Look { width: self.width, column: self.column + flat, can_break: true };
        for next in rest.iter().rev() {
            match next {
                _ if !look.is_within() => return false,
                Rest::Over | Rest::Doc(_, _, Doc::Break { .. }) => return true,
                Rest::Doc(_, _, doc) => {
                    if !look.takes(std::slice::from_ref(doc)) {
                        return false;
                    }
                }
            }
        }
        look.is_within()
    }
}

/// A look ahead along one line.
struct Look {
    width: usize,
    column: usize,
    /// Whether there was a break so far: a text without any stays as it is, however long.
    can_break: bool,
}

impl Look {
    fn is_within(&self) -> bool {
        self.column <= self.width || !self.can_break
    }

    /// Goes over documents without line ends, as long as they fit.
    fn takes(&mut self, docs: &[Doc]) -> bool {
        docs.iter().all(|doc| {
            match doc {
                Doc::Text(text) => self.column = self.column.saturating_add(text.len()),
                Doc::Break { flat, .. } => {
                    self.column += flat.len();
                    self.can_break = true;
                }
                Doc::Several(parts) | Doc::Nest(_, parts) => return self.takes(parts),
                Doc::Group(parts) => {
                    // The breaks of a group are its own.
                    let could = self.can_break;
                    let fits = self.takes(parts);
                    self.can_break = could;
                    return fits && self.is_within();
                }
            }
            self.is_within()
        })
    }
}
