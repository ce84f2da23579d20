//! `do` blocks and functions: what has clauses.

use super::{Parser, primary::single, shown};
use crate::shell::syntax::{Clause, Expr, SyntaxError};
use crate::shell::token::Kind;
use crate::term::Term;

impl Parser {
    /// `do ... else ... end`, as the keywords that it stands for.
    pub(super) fn do_block(&mut self) -> Result<Option<Expr>, SyntaxError> {
        let (mut pairs, mut section) = (Vec::new(), "do");
        self.expect("do")?;
        loop {
            let body = self.inside(Self::section)?;
            pairs.push(Expr::Tuple(vec![Expr::atom(section)?, body]));
            section = match self.peek().map(|token| &token.kind) {
                Some(Kind::Word("end")) => {
                    self.at += 1;
                    return Ok(Some(Expr::List(pairs, None)));
                }
                Some(Kind::Word(word @ ("else" | "rescue" | "catch" | "after"))) => word,
                Some(token) => return Err(SyntaxError::new(format!("expected end, found {}", shown(token)))),
                None => return Err(SyntaxError::Incomplete),
            };
            self.at += 1;
        }
    }

    /// `fn a, b when guard -> body end`.
    pub(super) fn function(&mut self) -> Result<Expr, SyntaxError> {
        let clauses = self.inside(Self::clauses)?;
        self.expect("end")?;
        let arity = clauses.first().map_or(0, |clause| clause.patterns.len());
        if clauses.iter().any(|clause| clause.patterns.len() != arity) {
            return Err(SyntaxError::new("the clauses of a function take the same number of arguments"));
        }
        Ok(Expr::Function(clauses.into()))
    }

    /// Clauses, if there is an arrow, or expressions.
    pub(super) fn section(&mut self) -> Result<Expr, SyntaxError> {
        self.skip_breaks();
        if self.is_clause() {
            return Ok(Expr::Clauses(self.clauses()?.into()));
        }
        self.expressions(Self::section_ends).map(single)
    }

    fn section_ends(&self) -> bool {
        let word = self.peek().map(|token| &token.kind);
        matches!(word, Some(Kind::Word("end" | "else" | "rescue" | "catch" | "after") | Kind::Sign(")")))
    }

    fn clauses(&mut self) -> Result<Vec<Clause>, SyntaxError> {
        let mut clauses = Vec::new();
        loop {
            self.skip_breaks();
            match self.peek() {
                None => return Err(SyntaxError::Incomplete),
                Some(_) if self.section_ends() && !clauses.is_empty() => return Ok(clauses),
                Some(_) => clauses.push(self.clause()?),
            }
        }
    }

    fn clause(&mut self) -> Result<Clause, SyntaxError> {
        let (mut patterns, mut guard) = (Vec::new(), None);
        let parentheses = self.is_at("(") && self.closes_before_arrow();
        self.at += usize::from(parentheses);
        while !(self.is_at("->") || parentheses && self.is_at(")")) {
            // Above `when`.
            patterns.push(self.expression(8)?);
            if self.takes("when") {
                guard = Some(self.expression(8)?);
                break;
            }
            if !self.takes(",") {
                break;
            }
        }
        if parentheses {
            self.expect(")")?;
            if self.takes("when") {
                guard = Some(self.expression(8)?);
            }
        }
        self.expect("->")?;
        let body = self.expressions(|parser| parser.section_ends() || parser.is_clause())?;
        let body = if body.is_empty() { Expr::Literal(Term::NIL) } else { single(body) };
        Ok(Clause { patterns, guard, body })
    }

    /// Whether an arrow stands on this line, outside of brackets and blocks.
    fn is_clause(&self) -> bool {
        self.arrow().is_some()
    }

    fn arrow(&self) -> Option<usize> {
        let mut open = 0_usize;
        for (at, token) in self.tokens.iter().enumerate().skip(self.at) {
            match token.kind {
                Kind::Sign("(" | "[" | "{" | "<<") | Kind::Word("fn" | "do") => open += 1,
                Kind::Sign(")" | "]" | "}" | ">>") | Kind::Word("end") => open = open.checked_sub(1)?,
                Kind::Break | Kind::Word("else" | "rescue" | "catch" | "after") if open == 0 => return None,
                Kind::Sign("->") if open == 0 => return Some(at),
                _ => {}
            }
        }
        None
    }

    /// Whether the parenthesis that is next closes right before the arrow or its guard: `fn (a, b) -> ... end`.
    fn closes_before_arrow(&self) -> bool {
        let Some(arrow) = self.arrow() else { return false };
        let mut open = 0_usize;
        for (at, token) in self.tokens.iter().enumerate().take(arrow).skip(self.at) {
            match token.kind {
                Kind::Sign("(" | "[" | "{" | "<<") => open += 1,
                Kind::Sign(")" | "]" | "}" | ">>") => {
                    open -= 1;
                    if open == 0 {
                        let next = self.tokens.get(at + 1);
                        return next.is_some_and(|token| token.is("->") || token.is("when"));
                    }
                }
                _ => {}
            }
        }
        false
    }
}
