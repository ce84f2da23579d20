//! Expressions, and why a text is none.

use std::sync::Arc;

use super::token::Quote;
use crate::term::{Atom, Term};

/// Why a text is not an expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum SyntaxError {
    /// It ends too early: the next line may complete it.
    #[error("the expression is not complete")]
    Incomplete,
    /// It is nested deeper than is read.
    #[error("the expression is nested too deeply")]
    TooDeep,
    /// Something else is wrong with it.
    #[error("{0}")]
    Wrong(String),
}

impl SyntaxError {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self::Wrong(text.into())
    }

    pub(super) fn unexpected(what: &str) -> Self {
        Self::Wrong(format!("unexpected {what}"))
    }
}

/// An expression; also a pattern, where it stands on the left.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expr {
    Literal(Term),
    /// A text with code in it.
    Text(Quote, Vec<Part>),
    Variable(String),
    /// `^name` in a pattern.
    Pinned(String),
    /// Elements, and what stands behind `|`.
    List(Vec<Expr>, Option<Box<Expr>>),
    Tuple(Vec<Expr>),
    /// Its struct's module, what is updated, the pairs.
    Map(Option<Atom>, Option<Box<Expr>>, Vec<(Expr, Expr)>),
    /// The segments of `<<>>`.
    Bits(Vec<Expr>),
    Unary(&'static str, Box<Expr>),
    Binary(&'static str, Box<Expr>, Box<Expr>),
    /// `first..last//step`.
    Range(Box<Expr>, Box<Expr>, Option<Box<Expr>>),
    /// `name(args)` or `module.name(args)`; whether there are parentheses.
    Call(Option<Box<Expr>>, String, Vec<Expr>, bool),
    /// `function.(args)`.
    Apply(Box<Expr>, Vec<Expr>),
    /// `value[key]`.
    Access(Box<Expr>, Box<Expr>),
    /// `fn ... end`.
    Function(Arc<Vec<Clause>>),
    /// `&(...)`: its body, and the number of its arguments.
    Capture(Arc<Expr>, usize),
    /// `&name/1`, `&Module.name/1`.
    Named(Option<Box<Expr>>, String, usize),
    /// `&1`.
    Placeholder(usize),
    /// The clauses of a `do` block.
    Clauses(Arc<Vec<Clause>>),
    Block(Vec<Expr>),
}

/// A part of a text.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Part {
    Text(String),
    Code(Expr),
}

/// `patterns when guard -> body`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Clause {
    pub(super) patterns: Vec<Expr>,
    pub(super) guard: Option<Expr>,
    pub(super) body: Expr,
}

impl Expr {
    pub(super) fn atom(text: &str) -> Result<Self, SyntaxError> {
        Atom::new(text).map(|atom| Self::Literal(Term::Atom(atom))).map_err(|e| SyntaxError::new(e.to_string()))
    }
}
