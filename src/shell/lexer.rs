//! Text -> tokens.

use std::iter::Peekable;
use std::str::Chars;

use num_bigint::BigInt;

use super::syntax::SyntaxError;
use super::token::{Kind, Piece, Quote, Token};
use crate::term::{Atom, Float, Term};

/// Longer ones first: the first that fits is taken.
const SIGNS: &[&str] = &[
    "===", "!==", "...", "**", "<<<", ">>>", "|||", "&&&", "==", "!=", "=~", "<=", ">=", "&&", "||", "|>", "<>", "<<",
    ">>", "++", "--", "->", "=>", "<-", "..", "//", "::", "\\\\", "+", "-", "*", "/", "=", "<", ">", "!", "&", "|",
    "^", "@", ".", ",", "(", ")", "[", "]", "{", "}", "%",
];

/// Atoms of signs that are no operators, or that have more signs than any.
const ATOMS: &[&str] = &["%{}", "{}", "<<>>", "..//", "+++", "---", "<<~", "<|>", "<~>", "~>>", "<~", "~>"];

const WORDS: &[&str] = &["do", "end", "fn", "else", "when", "and", "or", "not", "in", "rescue", "catch", "after"];

/// Deepest nesting of `#{}`.
const DEPTH: usize = 8;

/// The tokens of a text.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, SyntaxError> {
    let mut lexer = Lexer { rest: text.chars().peekable(), depth: 0 };
    let tokens = lexer.all()?;
    if lexer.rest.peek().is_some() {
        return Err(SyntaxError::unexpected("}"));
    }
    Ok(tokens)
}

struct Lexer<'a> {
    rest: Peekable<Chars<'a>>,
    depth: usize,
}

impl Lexer<'_> {
    /// Tokens up to the end, or to the `}` that closes an interpolation.
    fn all(&mut self) -> Result<Vec<Token>, SyntaxError> {
        let (mut tokens, mut spaced, mut open) = (Vec::<Token>::new(), false, 0_usize);
        while let Some(&next) = self.rest.peek() {
            if next == '#' {
                while self.rest.next_if(|c| *c != '\n').is_some() {}
                continue;
            }
            if matches!(next, ' ' | '\t' | '\r') {
                self.rest.next();
                spaced = true;
                continue;
            }
            if self.takes_sign("}") && open == 0 {
                break;
            }
            let kind = self.token(next)?;
            match kind {
                Kind::Sign("{") => open += 1,
                Kind::Sign("}") => open -= 1,
                _ => {}
            }
            if kind != Kind::Break || tokens.last().is_some_and(|last| last.kind != Kind::Break) {
                tokens.push(Token { kind, spaced });
            }
            spaced = false;
        }
        Ok(tokens)
    }

    fn token(&mut self, next: char) -> Result<Kind, SyntaxError> {
        match next {
            '\n' | ';' => {
                self.rest.next();
                Ok(Kind::Break)
            }
            '0'..='9' => self.number(),
            '"' => self.text(Quote::Text),
            '\'' => self.text(Quote::Charlist),
            ':' => self.colon(),
            '?' => self.character(),
            '~' => self.sigil(),
            '&' if self.ahead(1).is_some_and(|c| c.is_ascii_digit()) => {
                self.rest.next();
                let digits = self.take_while(|c| c.is_ascii_digit());
                digits
                    .parse()
                    .map(Kind::Placeholder)
                    .map_err(|_| SyntaxError::new("there is no argument of that number"))
            }
            c if c.is_alphabetic() || c == '_' => self.name(),
            _ => self.operator(),
        }
    }

    /// A sign, or one as the key of a keyword list: `+: 1`.
    fn operator(&mut self) -> Result<Kind, SyntaxError> {
        let key = ATOMS.iter().find(|sign| self.takes_sign(&format!("{sign}: ")));
        let sign = match key.and_then(|_| self.atom_sign()) {
            Some(sign) => sign,
            None => self.sign()?,
        };
        if self.ends_key() && !matches!(sign, "," | "(" | ")" | "[" | "]" | "{" | "}" | "<<" | ">>") {
            self.rest.next();
            return Ok(Kind::Key(vec![Piece::Text(sign.to_owned())]));
        }
        Ok(Kind::Sign(sign))
    }

    /// Whether a colon is next that makes a key of what stands before it.
    fn ends_key(&self) -> bool {
        self.ahead(0) == Some(':') && self.ahead(1).is_none_or(char::is_whitespace)
    }

    fn ahead(&self, by: usize) -> Option<char> {
        self.rest.clone().nth(by)
    }

    fn takes_sign(&self, sign: &str) -> bool {
        let mut rest = self.rest.clone();
        sign.chars().all(|c| rest.next() == Some(c))
    }

    fn take_while(&mut self, fits: impl Fn(char) -> bool) -> String {
        std::iter::from_fn(|| self.rest.next_if(|c| fits(*c))).collect()
    }

    fn atom_sign(&mut self) -> Option<&'static str> {
        let sign = ATOMS.iter().find(|sign| self.takes_sign(sign))?;
        self.rest.by_ref().nth(sign.len() - 1);
        Some(sign)
    }

    fn sign(&mut self) -> Result<&'static str, SyntaxError> {
        let found = SIGNS.iter().find(|sign| self.takes_sign(sign));
        let Some(sign) = found else {
            let unknown = self.rest.next().map(String::from).unwrap_or_default();
            return Err(SyntaxError::new(format!("{unknown:?} means nothing here")));
        };
        self.rest.by_ref().nth(sign.len() - 1);
        Ok(sign)
    }

    fn name(&mut self) -> Result<Kind, SyntaxError> {
        let mut name = self.take_while(|c| c.is_alphanumeric() || c == '_');
        if self.rest.peek() == Some(&'@') && self.is_key_with_at() {
            name += &self.take_while(is_of_atom);
        }
        let mark = self.rest.peek().copied().filter(|c| matches!(c, '?' | '!'));
        // `a != b` is no name with a mark.
        if let Some(mark) = mark.filter(|_| self.ahead(1) != Some('=') || self.ahead(2) == Some('=')) {
            self.rest.next();
            name.push(mark);
        }
        if self.ends_key() {
            self.rest.next();
            return Ok(Kind::Key(vec![Piece::Text(name)]));
        }
        if let Some(word) = WORDS.iter().find(|word| **word == name) {
            return Ok(Kind::Word(word));
        }
        if matches!(name.as_str(), "nil" | "true" | "false") {
            return Ok(Kind::Literal(atom(&name)?));
        }
        let alias = name.starts_with(|c: char| c.is_uppercase());
        Ok(if alias { Kind::Alias(name) } else { Kind::Name(name) })
    }

    /// Whether what follows belongs to a key: `a@b: 1`.
    fn is_key_with_at(&self) -> bool {
        let mut behind = self.rest.clone().skip_while(|c| is_of_atom(*c)).skip_while(|c| matches!(c, '?' | '!'));
        behind.next() == Some(':') && behind.next().is_none_or(char::is_whitespace)
    }

    fn number(&mut self) -> Result<Kind, SyntaxError> {
        let radix = match (self.ahead(0), self.ahead(1)) {
            (Some('0'), Some('x')) => 16,
            (Some('0'), Some('b')) => 2,
            (Some('0'), Some('o')) => 8,
            _ => 10,
        };
        if radix != 10 {
            self.rest.next();
            self.rest.next();
        }
        let mut digits = self.take_while(|c| c.is_digit(radix) || c == '_').replace('_', "");
        let bad = |digits: &str| SyntaxError::new(format!("{digits:?} is not a number"));
        if radix == 10 && self.rest.peek() == Some(&'.') && self.ahead(1).is_some_and(|c| c.is_ascii_digit()) {
            self.rest.next();
            digits.push('.');
            digits += &self.take_while(|c| c.is_ascii_digit() || c == '_').replace('_', "");
            if self.rest.next_if(|c| matches!(c, 'e' | 'E')).is_some() {
                digits.push('e');
                digits.extend(self.rest.next_if(|c| matches!(c, '-' | '+')));
                digits += &self.take_while(|c| c.is_ascii_digit());
            }
            let value = digits.parse().ok().and_then(|value| Float::new(value).ok());
            return value.map(|value| Kind::Literal(Term::Float(value))).ok_or_else(|| bad(&digits));
        }
        // `12ab` is no number with a name behind it.
        digits += &self.take_while(char::is_alphanumeric);
        let value = BigInt::parse_bytes(digits.as_bytes(), radix).filter(|_| digits.len() <= 1000);
        let value = value.ok_or_else(|| bad(&digits))?;
        Ok(Kind::Literal(i64::try_from(&value).map_or_else(|_| Term::Big(Box::new(value)), Term::Int)))
    }

    /// `:atom`, `:"an atom"`, `:+` or the `::` of a binary's segment.
    fn colon(&mut self) -> Result<Kind, SyntaxError> {
        match self.ahead(1) {
            Some(':') => self.sign().map(Kind::Sign),
            Some('"') => {
                self.rest.next();
                self.text(Quote::Atom)
            }
            Some(c) if c.is_alphabetic() || c == '_' => {
                self.rest.next();
                let mut name = self.take_while(is_of_atom);
                name.extend(self.rest.next_if(|c| matches!(c, '?' | '!')));
                Ok(Kind::Literal(atom(&name)?))
            }
            Some(_) => {
                self.rest.next();
                let sign = match self.atom_sign() {
                    Some(sign) => sign,
                    None => self.sign()?,
                };
                Ok(Kind::Literal(atom(sign)?))
            }
            None => Err(SyntaxError::Incomplete),
        }
    }

    fn character(&mut self) -> Result<Kind, SyntaxError> {
        self.rest.next();
        let character = match self.rest.next() {
            Some('\\') => self.escape()?,
            other => other.map(String::from),
        };
        let code = character.and_then(|text| text.chars().next()).ok_or(SyntaxError::Incomplete)?;
        Ok(Kind::Literal(Term::Int(i64::from(u32::from(code)))))
    }

    fn text(&mut self, quote: Quote) -> Result<Kind, SyntaxError> {
        let close = self.rest.next().unwrap_or('"');
        if quote != Quote::Atom && self.ahead(0) == Some(close) && self.ahead(1) == Some(close) {
            return self.document(close, true).map(|pieces| Kind::Quoted(quote, pieces));
        }
        let pieces = self.pieces(Some(close), true)?;
        if quote != Quote::Atom && self.ends_key() {
            self.rest.next();
            return Ok(Kind::Key(pieces));
        }
        Ok(Kind::Quoted(quote, pieces))
    }

    /// A text over several lines, between lines of three quotes; what the last is indented is left out of all.
    fn document(&mut self, close: char, cooked: bool) -> Result<Vec<Piece>, SyntaxError> {
        self.rest.by_ref().nth(1);
        if !self.take_while(|c| c != '\n').trim().is_empty() {
            return Err(SyntaxError::new("a text over several lines begins on the line behind its three quotes"));
        }
        self.rest.next();
        let (mut lines, quotes) = (Vec::new(), String::from(close).repeat(3));
        let indent = loop {
            let blanks = self.take_while(|c| matches!(c, ' ' | '\t'));
            if self.takes_sign(&quotes) {
                self.rest.by_ref().nth(2);
                break blanks.len();
            }
            let line = blanks + &self.take_while(|c| c != '\n');
            self.rest.next().ok_or(SyntaxError::Incomplete)?;
            lines.push(line);
        };
        let outdented = |line: &String| {
            let blanks = line.len() - line.trim_start_matches([' ', '\t']).len();
            line.get(blanks.min(indent)..).unwrap_or_default().to_owned() + "\n"
        };
        let text: String = lines.iter().map(outdented).collect();
        Lexer { rest: text.chars().peekable(), depth: self.depth }.pieces(None, cooked)
    }

    /// `~w(a b)a`: the name, the text between its delimiters, the modifiers.
    fn sigil(&mut self) -> Result<Kind, SyntaxError> {
        self.rest.next();
        let name = self.take_while(|c| c.is_ascii_alphabetic());
        let open = self.rest.next().ok_or(SyntaxError::Incomplete)?;
        let close = match open {
            '(' => ')',
            '[' => ']',
            '{' => '}',
            '<' => '>',
            '"' | '\'' | '/' | '|' => open,
            _ => return Err(SyntaxError::new(format!("~{name} wants a text: ~{name}(...)"))),
        };
        let small = name.starts_with(|c: char| c.is_ascii_lowercase());
        let quotes = matches!(open, '"' | '\'') && self.ahead(0) == Some(open) && self.ahead(1) == Some(open);
        let pieces = if quotes { self.document(open, small)? } else { self.pieces(Some(close), small)? };
        let modifiers = self.take_while(|c| c.is_ascii_alphabetic());
        Ok(Kind::Sigil { name, pieces, modifiers })
    }

    /// A text up to its closing sign, or to the end; `cooked` ones know escapes and `#{}`.
    fn pieces(&mut self, close: Option<char>, cooked: bool) -> Result<Vec<Piece>, SyntaxError> {
        let (mut pieces, mut text) = (Vec::new(), String::new());
        loop {
            let next = self.rest.next();
            if next == close {
                break;
            }
            match next.ok_or(SyntaxError::Incomplete)? {
                '\\' if cooked => text.extend(self.escape()?),
                '\\' if close.is_some() && self.rest.peek() == close.as_ref() => text.extend(self.rest.next()),
                '#' if cooked && self.rest.peek() == Some(&'{') => {
                    self.rest.next();
                    if !text.is_empty() {
                        pieces.push(Piece::Text(std::mem::take(&mut text)));
                    }
                    pieces.push(Piece::Code(self.interpolated()?));
                }
                c => text.push(c),
            }
        }
        if !text.is_empty() {
            pieces.push(Piece::Text(text));
        }
        Ok(pieces)
    }

    fn interpolated(&mut self) -> Result<Vec<Token>, SyntaxError> {
        if self.depth >= DEPTH {
            return Err(SyntaxError::TooDeep);
        }
        self.depth += 1;
        let tokens = self.all()?;
        self.depth -= 1;
        match self.rest.next() {
            Some('}') => Ok(tokens),
            _ => Err(SyntaxError::Incomplete),
        }
    }

    /// What stands behind a backslash; nothing for an escaped line's end.
    fn escape(&mut self) -> Result<Option<String>, SyntaxError> {
        let next = self.rest.next().ok_or(SyntaxError::Incomplete)?;
        Ok(Some(match next {
            'n' => "\n".to_owned(),
            't' => "\t".to_owned(),
            'r' => "\r".to_owned(),
            'e' => "\x1b".to_owned(),
            's' => " ".to_owned(),
            '0' => "\0".to_owned(),
            'a' => "\x07".to_owned(),
            'b' => "\x08".to_owned(),
            'd' => "\x7f".to_owned(),
            'f' => "\x0c".to_owned(),
            'v' => "\x0b".to_owned(),
            '\n' => return Ok(None),
            'u' => self.code_point(4)?,
            'x' => self.code_point(2)?,
            other => other.to_string(),
        }))
    }

    /// `\u00e9`, `\u{1F600}`, `\x41`: at most so many digits without braces.
    fn code_point(&mut self, most: usize) -> Result<String, SyntaxError> {
        let digits = if self.rest.next_if_eq(&'{').is_some() {
            let digits = self.take_while(|c| c.is_ascii_hexdigit());
            self.rest.next();
            digits
        } else {
            (0..most).map_while(|_| self.rest.next_if(char::is_ascii_hexdigit)).collect()
        };
        let point = u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32);
        point.map(String::from).ok_or_else(|| SyntaxError::new(format!("{digits:?} is not a code point")))
    }
}

/// Whether a character may stand in an atom without quotes.
fn is_of_atom(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '@')
}

fn atom(text: &str) -> Result<Term, SyntaxError> {
    Atom::new(text).map(Term::Atom).map_err(|e| SyntaxError::new(e.to_string()))
}
