//! How a call fails: the three classes of Erlang's exceptions.

use crate::term::{Term, elixir};

/// What a function raised instead of returning.
#[derive(Debug, Clone, PartialEq)]
pub enum Raise {
    /// An error: the reason (an Elixir exception struct, an atom, ...) and the stack, a list.
    Error(Term, Term),
    /// An exit with its reason.
    Exit(Term),
    /// A thrown value.
    Throw(Term),
}

impl Raise {
    /// An error with an empty stack.
    pub fn error(reason: Term) -> Self {
        Self::Error(reason, Term::List(Vec::new()))
    }

    /// An `ArgumentError` with this message.
    pub fn argument(message: impl Into<String>) -> Self {
        Self::error(elixir::argument_error(message))
    }
}

/// A value of the wrong shape is the caller's `ArgumentError`.
impl From<crate::term::read::ReadError> for Raise {
    fn from(error: crate::term::read::ReadError) -> Self {
        Self::argument(error.to_string())
    }
}
