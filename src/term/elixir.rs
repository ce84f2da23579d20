//! Elixir's structs as terms: exceptions and `DateTime`.

use super::{Term, atom, binary, map};

/// The name of the key that makes a map a struct.
pub const STRUCT: &str = "__struct__";

/// `%ArgumentError{message: message}`.
pub fn argument_error(message: impl Into<String>) -> Term {
    exception("Elixir.ArgumentError", [("message", binary(message))])
}

/// An exception struct of `module` with `fields`.
pub fn exception(module: &'static str, fields: impl IntoIterator<Item = (&'static str, Term)>) -> Term {
    let head = [(STRUCT, atom(module)), ("__exception__", Term::from(true))];
    map(head.into_iter().chain(fields))
}
