//! What a line consists of.

use crate::term::Term;

/// A token, and whether blanks stand before it: `f (x)`, `a -b` and `a[0]` depend on it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) spaced: bool,
}

/// What a token is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    /// A number, an atom, `nil`, `true`, `false`.
    Literal(Term),
    /// A variable or a function's name.
    Name(String),
    /// `Name.Space`, one part of it.
    Alias(String),
    /// A keyword's key: `key:`, `"key":`.
    Key(Vec<Piece>),
    /// A text in quotes.
    Quoted(Quote, Vec<Piece>),
    /// `~name"..."modifiers`.
    Sigil { name: String, pieces: Vec<Piece>, modifiers: String },
    /// `do`, `end`, `fn`, `else` and their kin.
    Word(&'static str),
    /// An operator or a bracket.
    Sign(&'static str),
    /// `&1`.
    Placeholder(usize),
    /// A line's end, or `;`.
    Break,
}

/// How a text is quoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quote {
    /// `"text"`.
    Text,
    /// `'text'`.
    Charlist,
    /// `:"text"`.
    Atom,
}

/// A part of a quoted text.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Piece {
    /// As it is.
    Text(String),
    /// `#{code}`.
    Code(Vec<Token>),
}

impl Token {
    pub(super) fn is(&self, sign: &str) -> bool {
        matches!(self.kind, Kind::Sign(own) | Kind::Word(own) if own == sign)
    }
}
