//! Printing terms as Elixir's `inspect` does with `pretty: true`: what does not fit a line is broken, one element a line.

use super::{Inspect, Map, Term, elixir, inspect, order};

/// How much of a term is shown, as the options of `inspect`.
#[derive(Debug, Clone, Copy)]
pub struct Pretty {
    /// Columns of a line.
    pub width: usize,
    /// Most elements of a collection, in all (`limit`).
    pub limit: usize,
    /// Most characters of a text (`printable_limit`).
    pub text: usize,
}

/// Those of `inspect`.
impl Default for Pretty {
    fn default() -> Self {
        Self { width: 80, limit: 50, text: 4096 }
    }
}

/// Deepest nesting that is shown.
const DEPTH: usize = 100;

impl Pretty {
    /// The text of a term.
    pub fn text(&self, term: &Term) -> String {
        let mut left = self.limit;
        let doc = self.doc(term, &mut left, 0);
        let mut out = String::new();
        doc.write(&mut out, self.width, (0, 0));
        out
    }

    fn doc(&self, term: &Term, left: &mut usize, depth: usize) -> Doc {
        if depth > DEPTH {
            return Doc::text("...");
        }
        match term {
            Term::List(elements) if !elements.is_empty() && !inspect::is_charlist(elements) => {
                let keyword = elements.iter().all(inspect::is_pair);
                let inner = self.elements(elements, left, |element, left| match element.as_tuple() {
                    Some([key, value]) if keyword => self.pair(key, value, left, depth),
                    _ => self.doc(element, left, depth + 1),
                });
                Doc::group("[", inner, "]")
            }
            Term::Tuple(elements) => {
                Doc::group("{", self.elements(elements, left, |e, left| self.doc(e, left, depth + 1)), "}")
            }
            Term::Map(map) if !inspect::is_sigil(map) => self.map(map, left, depth),
            Term::Binary(bytes) => Doc::text(inspect::binary_text(bytes, self.text)),
            other => Doc::text(Inspect::short(other, self.text)),
        }
    }

    /// The elements that the limit leaves, and `...` for the others.
    fn elements<T>(&self, elements: &[T], left: &mut usize, mut one: impl FnMut(&T, &mut usize) -> Doc) -> Vec<Doc> {
        let mut docs = Vec::new();
        for element in elements {
            if *left == 0 {
                docs.push(Doc::text("..."));
                break;
            }
            *left -= 1;
            docs.push(one(element, left));
        }
        docs
    }

    fn map(&self, map: &Map, left: &mut usize, depth: usize) -> Doc {
        let module = map.get_atom(elixir::STRUCT).and_then(Term::as_atom);
        let mut pairs: Vec<_> =
            map.iter().filter(|(key, _)| module.is_none() || !key.is_atom(elixir::STRUCT)).collect();
        if module.is_none() {
            pairs.sort_by(|(a, _), (b, _)| order::compare(a, b));
        }
        let inner = self.elements(&pairs, left, |(key, value), left| self.pair(key, value, left, depth));
        let name = module.map(|module| module.strip_prefix("Elixir.").unwrap_or(module)).unwrap_or_default();
        Doc::group(format!("%{name}{{"), inner, "}")
    }

    fn pair(&self, key: &Term, value: &Term, left: &mut usize, depth: usize) -> Doc {
        Doc::Pair(inspect::key_text(key), Box::new(self.doc(value, left, depth + 1)))
    }
}

/// What is to be laid out.
enum Doc {
    Text(String),
    /// A key, with what stands behind it, and its value.
    Pair(String, Box<Doc>),
    /// Elements between an opening and a closing text, on one line or each on its own.
    Group(String, Vec<Doc>, &'static str),
}

impl Doc {
    fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    fn group(open: impl Into<String>, inner: Vec<Doc>, close: &'static str) -> Self {
        Self::Group(open.into(), inner, close)
    }

    /// Columns that it takes on one line.
    fn length(&self) -> usize {
        match self {
            Self::Text(text) => text.chars().count(),
            Self::Pair(key, value) => key.chars().count() + value.length(),
            Self::Group(open, inner, close) => {
                let separators = inner.len().saturating_sub(1) * 2;
                open.chars().count() + inner.iter().map(Self::length).sum::<usize>() + separators + close.len()
            }
        }
    }

    /// Writes it from a column on, its lines indented so far; `after` is what must still fit behind it.
    fn write(&self, out: &mut String, width: usize, (indent, after): (usize, usize)) {
        let column = out.chars().rev().take_while(|c| *c != '\n').count();
        match self {
            Self::Text(text) => out.push_str(text),
            Self::Pair(key, value) => {
                out.push_str(key);
                // A value that would not fit behind its key goes to a line of its own, unless it can be broken.
                let is_text = matches!(**value, Self::Text(_));
                if is_text && column + key.chars().count() + value.length() + after > width && key.ends_with(' ') {
                    out.truncate(out.trim_end().len());
                    new_line(out, indent + 2);
                }
                value.write(out, width, (indent, after));
            }
            Self::Group(open, inner, close) if inner.is_empty() || column + self.length() + after <= width => {
                out.push_str(open);
                for (i, doc) in inner.iter().enumerate() {
                    out.push_str(if i > 0 { ", " } else { "" });
                    doc.write(out, usize::MAX, (indent, 0));
                }
                out.push_str(close);
            }
            Self::Group(open, inner, close) => {
                out.push_str(open);
                for (i, doc) in inner.iter().enumerate() {
                    new_line(out, indent + 2);
                    let last = i + 1 == inner.len();
                    doc.write(out, width, (indent + 2, usize::from(!last)));
                    out.push_str(if last { "" } else { "," });
                }
                new_line(out, indent);
                out.push_str(close);
            }
        }
    }
}

fn new_line(out: &mut String, indent: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n(' ', indent));
}
