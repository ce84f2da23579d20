//! Tokens -> expressions, by the precedence of Elixir's operators.

mod block;
mod primary;

use super::lexer;
use super::syntax::{Expr, Part, SyntaxError};
use super::token::{Kind, Piece, Token};
use crate::limits;

/// The expressions of a text, in order.
pub(super) fn parse(text: &str) -> Result<Vec<Expr>, SyntaxError> {
    if text.len() > limits::SHELL_INPUT {
        return Err(SyntaxError::new(format!("a text of more than {} bytes is not read", limits::SHELL_INPUT)));
    }
    let mut tokens = lexer::tokens(text)?;
    if tokens.first().is_some_and(goes_on) {
        tokens.splice(0..0, last_value());
    }
    let mut parser = Parser::new(tokens, 0);
    let expressions = parser.expressions(|_| false)?;
    match parser.peek() {
        None => Ok(expressions),
        Some(token) => Err(SyntaxError::unexpected(&shown(&token.kind))),
    }
}

/// Whether an expression that begins so goes on with the value of the last one: `|> Enum.count()`.
fn goes_on(token: &Token) -> bool {
    matches!(token.kind, Kind::Sign(sign) | Kind::Word(sign) if binding(sign).is_some() && !may_begin(sign))
}

/// `v()`.
fn last_value() -> [Token; 3] {
    [Kind::Name("v".to_owned()), Kind::Sign("("), Kind::Sign(")")].map(|kind| Token { kind, spaced: false })
}

/// Whether a binary operator is something else as well, with which an expression may begin.
fn may_begin(sign: &str) -> bool {
    matches!(sign, "+" | "-" | ".." | "^" | "&")
}

/// A binary operator: how strongly it binds to the left and to the right.
fn binding(sign: &str) -> Option<(u8, u8)> {
    let left = |power| Some((power, power + 1));
    let right = |power| Some((power, power));
    match sign {
        "<-" | "\\\\" => left(4),
        "when" => right(6),
        "::" => right(8),
        "|" => right(10),
        "=" => right(16),
        "||" | "|||" | "or" => left(20),
        "&&" | "&&&" | "and" => left(22),
        "==" | "!=" | "=~" | "===" | "!==" => left(24),
        "<" | ">" | "<=" | ">=" => left(26),
        "|>" | "<<<" | ">>>" => left(28),
        "in" => left(30),
        "//" => left(32),
        "++" | "--" | ".." | "<>" => right(34),
        "+" | "-" => left(36),
        "*" | "/" => left(38),
        "**" => left(39),
        _ => None,
    }
}

/// The parts of a call: `pattern <- list` is one.
const ARGUMENT: u8 = 4;
/// How strongly `&` binds to what it captures.
const CAPTURE: u8 = 14;
/// How strongly `-`, `!` and `not` bind.
const UNARY: u8 = 40;
/// Above `|` and `=>`, below all else: the parts of a map or a list.
const ELEMENT: u8 = 12;

/// An operator between two expressions.
struct Operator {
    sign: &'static str,
    /// Whether it is `not in`.
    negated: bool,
    /// Where its right side begins.
    behind: usize,
    /// How strongly what belongs to its right side binds.
    next: u8,
}

/// Reads one sequence of tokens.
struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
    /// Whether a `do` belongs to the call that is read: not to one inside another's arguments without parentheses.
    takes_do: bool,
    /// The highest `&1`, `&2`, ... of the capture that is read.
    placeholders: usize,
}

impl Parser {
    fn new(tokens: Vec<Token>, depth: usize) -> Self {
        Self { tokens, at: 0, depth, takes_do: true, placeholders: 0 }
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn is_at(&self, sign: &str) -> bool {
        self.peek().is_some_and(|token| token.is(sign))
    }

    /// Takes the sign if it is next.
    fn takes(&mut self, sign: &str) -> bool {
        let found = self.is_at(sign);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, sign: &str) -> Result<(), SyntaxError> {
        if self.takes(sign) {
            return Ok(());
        }
        match self.peek() {
            None => Err(SyntaxError::Incomplete),
            Some(token) => Err(SyntaxError::new(format!("expected {sign}, found {}", shown(&token.kind)))),
        }
    }

    fn skip_breaks(&mut self) {
        while self.peek().is_some_and(|token| token.kind == Kind::Break) {
            self.at += 1;
        }
    }

    /// Expressions with line ends between them, up to the end or to what ends them.
    fn expressions(&mut self, ends: impl Fn(&Self) -> bool) -> Result<Vec<Expr>, SyntaxError> {
        let mut all = Vec::new();
        loop {
            self.skip_breaks();
            if self.peek().is_none() || ends(self) {
                return Ok(all);
            }
            all.push(self.expression(0)?);
            if self.peek().is_some_and(|token| token.kind != Kind::Break) && !ends(self) {
                return Ok(all);
            }
        }
    }

    /// An expression of operators that bind at least so strongly.
    fn expression(&mut self, least: u8) -> Result<Expr, SyntaxError> {
        self.depth += 1;
        if self.depth > limits::SHELL_NESTING {
            return Err(SyntaxError::TooDeep);
        }
        let (mut left, mut chain) = (self.prefixed()?, 0);
        while let Some(Operator { sign, negated, behind, next }) = self.operator(least) {
            self.at = behind;
            self.skip_breaks();
            let right = self.expression(next)?;
            left = joined(left, sign, right);
            chain += 1;
            check_chain(chain)?;
            if negated {
                left = Expr::Unary("not", Box::new(left));
            }
        }
        self.depth -= 1;
        Ok(left)
    }

    /// The operator that is next and binds at least so strongly; on the next line too if nothing else can begin with it.
    fn operator(&self, least: u8) -> Option<Operator> {
        let breaks = self.tokens.iter().skip(self.at).take_while(|token| token.kind == Kind::Break).count();
        let at = self.at + breaks;
        let (Kind::Sign(sign) | Kind::Word(sign)) = self.tokens.get(at)?.kind else { return None };
        let negated = sign == "not" && breaks == 0 && self.tokens.get(at + 1).is_some_and(|token| token.is("in"));
        if breaks > 0 && may_begin(sign) {
            return None;
        }
        let sign = if negated { "in" } else { sign };
        let (_, next) = binding(sign).filter(|(power, _)| *power >= least)?;
        Some(Operator { sign, negated, behind: at + 1 + usize::from(negated), next })
    }

    fn prefixed(&mut self) -> Result<Expr, SyntaxError> {
        let Some(token) = self.peek() else { return Err(SyntaxError::Incomplete) };
        let (Kind::Sign(sign) | Kind::Word(sign)) = token.kind else { return self.postfixed() };
        match sign {
            "-" | "+" | "!" | "not" => {
                self.at += 1;
                Ok(Expr::Unary(sign, Box::new(self.expression(UNARY)?)))
            }
            "^" => {
                self.at += 1;
                match self.expression(UNARY)? {
                    Expr::Variable(name) => Ok(Expr::Pinned(name)),
                    _ => Err(SyntaxError::new("^ wants a variable: ^name")),
                }
            }
            "&" => self.capture(),
            _ => self.postfixed(),
        }
    }

    /// `&name/arity`, `&(... &1 ...)`.
    fn capture(&mut self) -> Result<Expr, SyntaxError> {
        self.at += 1;
        if let Some(operator) = self.captured_operator() {
            return Ok(operator);
        }
        let outer = std::mem::replace(&mut self.placeholders, 0);
        let body = self.expression(CAPTURE)?;
        let arguments = std::mem::replace(&mut self.placeholders, outer);
        let named = |function: &Expr, arity: &Expr| match (function, arity) {
            (Expr::Call(of, name, args, _), Expr::Literal(crate::term::Term::Int(arity))) if args.is_empty() => {
                Some(Expr::Named(of.clone(), name.clone(), usize::try_from(*arity).ok()?))
            }
            (Expr::Variable(name), Expr::Literal(crate::term::Term::Int(arity))) => {
                Some(Expr::Named(None, name.clone(), usize::try_from(*arity).ok()?))
            }
            _ => None,
        };
        match &body {
            Expr::Binary("/", function, arity) if arguments == 0 => {
                named(function, arity).ok_or_else(|| SyntaxError::new("& wants a name and its arity: &String.upcase/1"))
            }
            _ if arguments == 0 => Err(SyntaxError::new("& wants an argument: &1, or a name and its arity")),
            _ => Ok(Expr::Capture(body.into(), arguments)),
        }
    }

    /// `&+/2`.
    fn captured_operator(&mut self) -> Option<Expr> {
        let [name, slash, arity] = self.tokens.get(self.at..self.at + 3)? else { return None };
        let Kind::Sign(sign) = name.kind else { return None };
        let Kind::Literal(crate::term::Term::Int(arity)) = arity.kind else { return None };
        let arity = usize::try_from(arity).ok().filter(|_| binding(sign).is_some() && slash.is("/"))?;
        self.at += 3;
        Some(Expr::Named(None, sign.to_owned(), arity))
    }

    /// The parts of a text: its code is read by a parser of its own.
    fn parts(&mut self, pieces: Vec<Piece>) -> Result<Vec<Part>, SyntaxError> {
        let part = |piece| match piece {
            Piece::Text(text) => Ok(Part::Text(text)),
            Piece::Code(tokens) => {
                let mut parser = Self::new(tokens, self.depth + 1);
                let all = parser.expressions(|_| false)?;
                self.placeholders = self.placeholders.max(parser.placeholders);
                match parser.peek() {
                    None => Ok(Part::Code(Expr::Block(all))),
                    Some(token) => Err(SyntaxError::unexpected(&shown(&token.kind))),
                }
            }
        };
        pieces.into_iter().map(part).collect()
    }
}

/// Each of a chain lies within the next.
fn check_chain(length: usize) -> Result<(), SyntaxError> {
    if length > limits::SHELL_CHAIN { Err(SyntaxError::TooDeep) } else { Ok(()) }
}

/// Two expressions and the operator between them.
fn joined(left: Expr, sign: &'static str, right: Expr) -> Expr {
    match (sign, left) {
        ("..", left) => Expr::Range(Box::new(left), Box::new(right), None),
        ("//", Expr::Range(first, last, None)) => Expr::Range(first, last, Some(Box::new(right))),
        // `not x in list` asks whether it is in the list.
        ("in", Expr::Unary(not @ ("not" | "!"), left)) => {
            Expr::Unary(not, Box::new(Expr::Binary(sign, left, Box::new(right))))
        }
        (_, left) => Expr::Binary(sign, Box::new(left), Box::new(right)),
    }
}

/// A token in a message.
fn shown(kind: &Kind) -> String {
    match kind {
        Kind::Literal(term) => format!("{term:?}"),
        Kind::Name(name) | Kind::Alias(name) => name.clone(),
        Kind::Key(_) => "a keyword".to_owned(),
        Kind::Quoted(..) => "a text".to_owned(),
        Kind::Sigil { name, .. } => format!("~{name}"),
        Kind::Word(sign) | Kind::Sign(sign) => (*sign).to_owned(),
        Kind::Placeholder(number) => format!("&{number}"),
        Kind::Break => "the end of the line".to_owned(),
    }
}
