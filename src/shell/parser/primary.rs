//! What operators join: literals, texts, collections, calls.

use super::{ARGUMENT, ELEMENT, Parser, binding, check_chain, shown};
use crate::shell::syntax::{Expr, Part, SyntaxError};
use crate::shell::token::{Kind, Quote, Token};
use crate::term::{Atom, Term};

impl Parser {
    /// A primary expression with the calls, fields and keys behind it.
    pub(super) fn postfixed(&mut self) -> Result<Expr, SyntaxError> {
        let (mut left, mut chain) = (self.primary()?, 0);
        loop {
            chain += 1;
            check_chain(chain)?;
            let Some(token) = self.peek() else { return Ok(left) };
            if token.is(".") {
                self.at += 1;
                self.skip_breaks();
                left = self.member(left)?;
            } else if token.is("[") && !token.spaced {
                self.at += 1;
                let key = self.inside(|parser| parser.expression(0))?;
                self.close("]")?;
                left = Expr::Access(Box::new(left), Box::new(key));
            } else {
                return Ok(left);
            }
        }
    }

    /// What stands behind a dot: a function, a field, arguments.
    fn member(&mut self, of: Expr) -> Result<Expr, SyntaxError> {
        let Some(Token { kind, .. }) = self.peek().cloned() else { return Err(SyntaxError::Incomplete) };
        match kind {
            Kind::Sign("(") => {
                self.at += 1;
                Ok(Expr::Apply(Box::new(of), self.arguments(")")?))
            }
            Kind::Name(name) => {
                self.at += 1;
                self.call(Some(Box::new(of)), name)
            }
            // `:erlang.node`, where a word of Elixir is a function's name.
            Kind::Word(name) => {
                self.at += 1;
                self.call(Some(Box::new(of)), name.to_owned())
            }
            // `Kernel.+(1, 2)`
            Kind::Sign(sign) if binding(sign).is_some() => {
                self.at += 1;
                self.call(Some(Box::new(of)), sign.to_owned())
            }
            // `alias Name.{One, Other}`
            Kind::Sign("{") if matches!(of, Expr::Literal(Term::Atom(_))) => {
                self.at += 1;
                let parts = self.arguments("}")?;
                parts.into_iter().map(|part| within(&of, &part)).collect::<Result<_, _>>().map(Expr::Tuple)
            }
            other => Err(SyntaxError::unexpected(&format!("{} after a dot", shown(&other)))),
        }
    }

    fn primary(&mut self) -> Result<Expr, SyntaxError> {
        let Some(Token { kind, .. }) = self.peek().cloned() else { return Err(SyntaxError::Incomplete) };
        self.at += 1;
        match kind {
            Kind::Literal(term) => Ok(Expr::Literal(term)),
            Kind::Quoted(quote, pieces) => self.parts(pieces).and_then(|parts| text(quote, parts)),
            Kind::Sigil { name, pieces, modifiers } => {
                let parts = self.parts(pieces)?;
                let (text, modifiers) = (Expr::Text(Quote::Text, parts), Expr::Literal(crate::term::binary(modifiers)));
                Ok(Expr::Call(None, format!("sigil_{name}"), vec![text, modifiers], true))
            }
            Kind::Placeholder(number) => {
                self.placeholders = self.placeholders.max(number);
                Ok(Expr::Placeholder(number))
            }
            Kind::Alias(first) => self.alias(first),
            Kind::Name(name) => self.call(None, name),
            Kind::Word("fn") => self.function(),
            Kind::Sign(sign @ ("(" | "[" | "{" | "%" | "<<")) => self.bracketed(sign),
            // Only a keyword list without brackets begins so; it stands last in a list of arguments.
            Kind::Key(_) => Err(SyntaxError::unexpected("a keyword: put it in brackets")),
            other => Err(SyntaxError::unexpected(&shown(&other))),
        }
    }

    fn bracketed(&mut self, sign: &str) -> Result<Expr, SyntaxError> {
        match sign {
            "(" => {
                let all = self.inside(Self::section)?;
                self.close(")")?;
                Ok(all)
            }
            "[" => self.list(),
            "{" => self.arguments("}").map(Expr::Tuple),
            "<<" => self.arguments(">>").map(Expr::Bits),
            _ => self.map(),
        }
    }

    /// `Name.Space`: the atom of a module.
    fn alias(&mut self, first: String) -> Result<Expr, SyntaxError> {
        let mut name = first;
        while let (true, Some(Kind::Alias(part))) = (self.is_at("."), self.tokens.get(self.at + 1).map(|t| &t.kind)) {
            name = format!("{name}.{part}");
            self.at += 2;
        }
        // `Elixir` is what all of them begin with.
        let is_full = name == "Elixir" || name.starts_with("Elixir.");
        Expr::atom(&if is_full { name } else { format!("Elixir.{name}") })
    }

    /// Reads what is in brackets: a `do` in there belongs to what is in there.
    pub(super) fn inside<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, SyntaxError>,
    ) -> Result<T, SyntaxError> {
        let outer = std::mem::replace(&mut self.takes_do, true);
        self.skip_breaks();
        let result = read(self);
        self.takes_do = outer;
        result
    }

    fn close(&mut self, sign: &str) -> Result<(), SyntaxError> {
        self.skip_breaks();
        self.expect(sign)
    }

    /// Elements up to the closing sign; keywords at the end are one list.
    fn arguments(&mut self, close: &str) -> Result<Vec<Expr>, SyntaxError> {
        self.inside(|parser| {
            let mut all = Vec::new();
            loop {
                parser.skip_breaks();
                if parser.takes(close) {
                    return Ok(all);
                }
                parser.argument(&mut all)?;
                parser.skip_breaks();
                if !parser.is_at(close) {
                    parser.expect(",")?;
                }
            }
        })
    }

    /// One argument, or all the keywords that come last.
    fn argument(&mut self, all: &mut Vec<Expr>) -> Result<(), SyntaxError> {
        if matches!(self.peek().map(|token| &token.kind), Some(Kind::Key(_))) {
            all.push(Expr::List(self.keywords()?, None));
            self.check_last()?;
        } else {
            all.push(self.expression(ARGUMENT)?);
        }
        Ok(())
    }

    /// `key: value, key: value`.
    fn keywords(&mut self) -> Result<Vec<Expr>, SyntaxError> {
        let mut pairs = Vec::new();
        loop {
            self.skip_breaks();
            let Some(Kind::Key(pieces)) = self.peek().map(|token| token.kind.clone()) else { return Ok(pairs) };
            self.at += 1;
            self.skip_breaks();
            let parts = self.parts(pieces)?;
            pairs.push(Expr::Tuple(vec![text(Quote::Atom, parts)?, self.expression(ELEMENT)?]));
            let more = self.tokens.get(self.at + 1..).unwrap_or_default().iter().find(|t| t.kind != Kind::Break);
            if !self.is_at(",") || !more.is_some_and(|token| matches!(token.kind, Kind::Key(_))) {
                return Ok(pairs);
            }
            self.at += 1;
        }
    }

    /// Behind keywords nothing else may come.
    fn check_last(&self) -> Result<(), SyntaxError> {
        let mut behind = self.tokens.iter().skip(self.at).filter(|token| token.kind != Kind::Break);
        match (behind.next(), behind.next()) {
            (Some(comma), Some(next)) if comma.is(",") && !["]", ")", "}", ">>"].iter().any(|close| next.is(close)) => {
                Err(SyntaxError::new("keywords come last: nothing stands behind key: value"))
            }
            _ => Ok(()),
        }
    }

    fn list(&mut self) -> Result<Expr, SyntaxError> {
        self.inside(|parser| {
            let mut elements = Vec::new();
            loop {
                parser.skip_breaks();
                if parser.takes("]") {
                    return Ok(Expr::List(elements, None));
                }
                if matches!(parser.peek().map(|token| &token.kind), Some(Kind::Key(_))) {
                    elements.extend(parser.keywords()?);
                    parser.check_last()?;
                } else {
                    elements.push(parser.expression(ELEMENT)?);
                }
                parser.skip_breaks();
                if parser.takes("|") {
                    parser.skip_breaks();
                    let tail = parser.expression(ELEMENT)?;
                    parser.close("]")?;
                    return Ok(Expr::List(elements, Some(Box::new(tail))));
                }
                if !parser.is_at("]") {
                    parser.expect(",")?;
                }
            }
        })
    }

    /// `%{...}`, `%Name{...}`, `%{map | ...}`.
    fn map(&mut self) -> Result<Expr, SyntaxError> {
        let name = match self.peek().map(|token| token.kind.clone()) {
            Some(Kind::Alias(first)) => {
                self.at += 1;
                match self.alias(first)? {
                    Expr::Literal(Term::Atom(name)) => Some(name),
                    _ => None,
                }
            }
            _ => None,
        };
        self.expect("{")?;
        self.inside(|parser| {
            let (mut base, mut pairs) = (None, Vec::new());
            loop {
                parser.skip_breaks();
                if parser.takes("}") {
                    return Ok(Expr::Map(name, base, pairs));
                }
                parser.map_part(&mut base, &mut pairs)?;
            }
        })
    }

    fn map_part(&mut self, base: &mut Option<Box<Expr>>, pairs: &mut Vec<(Expr, Expr)>) -> Result<(), SyntaxError> {
        if matches!(self.peek().map(|token| &token.kind), Some(Kind::Key(_))) {
            let keywords = self.keywords()?;
            self.check_last()?;
            for pair in keywords {
                if let Expr::Tuple(both) = pair {
                    let [key, value] = <[Expr; 2]>::try_from(both).map_err(|_| SyntaxError::unexpected("a pair"))?;
                    pairs.push((key, value));
                }
            }
        } else {
            let first = self.expression(ELEMENT)?;
            self.skip_breaks();
            if base.is_none() && pairs.is_empty() && self.takes("|") {
                *base = Some(Box::new(first));
                return Ok(());
            }
            self.expect("=>")?;
            self.skip_breaks();
            pairs.push((first, self.expression(ELEMENT)?));
        }
        self.skip_breaks();
        if self.is_at("}") { Ok(()) } else { self.expect(",") }
    }

    /// A call, or a variable or a field where nothing says that it is one.
    fn call(&mut self, of: Option<Box<Expr>>, name: String) -> Result<Expr, SyntaxError> {
        let parentheses = self.peek().is_some_and(|token| token.is("(") && !token.spaced);
        let mut args = Vec::new();
        let called = if parentheses {
            self.at += 1;
            args = self.arguments(")")?;
            true
        } else if self.begins_argument() {
            let outer = std::mem::replace(&mut self.takes_do, false);
            let read = self.bare_arguments(&mut args);
            self.takes_do = outer;
            read?;
            true
        } else {
            false
        };
        if self.takes_do && self.is_at("do") && (called || of.is_none()) {
            args.extend(self.do_block()?);
        } else if !called && of.is_none() {
            return Ok(Expr::Variable(name));
        }
        Ok(Expr::Call(of, name, args, called))
    }

    fn bare_arguments(&mut self, args: &mut Vec<Expr>) -> Result<(), SyntaxError> {
        loop {
            self.argument(args)?;
            if !self.takes(",") {
                return Ok(());
            }
            self.skip_breaks();
        }
    }

    /// Whether what follows a name is the first argument of a call without parentheses.
    fn begins_argument(&self) -> bool {
        let Some(token) = self.peek().filter(|token| token.spaced) else { return false };
        match &token.kind {
            Kind::Literal(_)
            | Kind::Name(_)
            | Kind::Alias(_)
            | Kind::Key(_)
            | Kind::Quoted(..)
            | Kind::Sigil { .. }
            | Kind::Placeholder(_)
            | Kind::Word("fn")
            | Kind::Sign("[" | "{" | "%" | "<<" | "(" | "!" | "^" | "&") => true,
            Kind::Word("not") => !self.tokens.get(self.at + 1).is_some_and(|token| token.is("in")),
            _ => false,
        }
    }
}

/// `Name.Part`, of both.
fn within(of: &Expr, part: &Expr) -> Result<Expr, SyntaxError> {
    match (of, part) {
        (Expr::Literal(Term::Atom(of)), Expr::Literal(Term::Atom(part))) => {
            let part = part.as_str();
            Expr::atom(&format!("{}.{}", of.as_str(), part.strip_prefix("Elixir.").unwrap_or(part)))
        }
        _ => Err(SyntaxError::unexpected("what is no module")),
    }
}

/// Several expressions as one.
pub(super) fn single(mut all: Vec<Expr>) -> Expr {
    match all.len() {
        1 => all.swap_remove(0),
        _ => Expr::Block(all),
    }
}

/// A text without code is a literal.
fn text(quote: Quote, parts: Vec<Part>) -> Result<Expr, SyntaxError> {
    let whole: Option<String> = parts
        .iter()
        .map(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            Part::Code(_) => None,
        })
        .collect();
    let Some(whole) = whole else { return Ok(Expr::Text(quote, parts)) };
    Ok(Expr::Literal(match quote {
        Quote::Text => crate::term::binary(whole),
        Quote::Charlist => crate::term::charlist(&whole),
        Quote::Atom => Term::Atom(Atom::new(&whole).map_err(|e| SyntaxError::new(e.to_string()))?),
    }))
}
