//! The arguments of a call.

use crate::node::CallResult;
use crate::term::read::{Fields, ReadError, Reader};
use crate::term::{Term, atom, tuple};

/// What an optional argument is when it is not given: no options.
static NONE: Term = Term::List(Vec::new());

/// Argument number `at`, called `name` in errors; an empty list if it is not given.
pub(super) fn arg<'a>(args: &'a [Term], at: usize, name: &'static str) -> Reader<'a> {
    Reader::new(name, args.get(at).unwrap_or(&NONE))
}

/// The keyword list of options at `at`; none if it is not given.
pub(super) fn opts(args: &[Term], at: usize) -> Result<Fields<'_>, ReadError> {
    arg(args, at, "opts").fields()
}

/// `{:ok, value}`.
pub(super) fn ok(value: impl Into<Term>) -> Term {
    tuple([Term::OK, value.into()])
}

/// `{:error, reason}`.
pub(super) fn error(reason: impl Into<Term>) -> Term {
    tuple([atom("error"), reason.into()])
}

/// `:ok` or `{:error, reason}`.
pub(super) fn ok_or<E>(result: Result<(), E>, reason: impl FnOnce(E) -> Term) -> CallResult {
    Ok(result.map_or_else(|e| error(reason(e)), |()| Term::OK))
}

/// `{:ok, value}` or `{:error, reason}`.
pub(super) fn ok_value_or<T, E>(
    result: Result<T, E>,
    value: impl FnOnce(T) -> Term,
    reason: impl FnOnce(E) -> Term,
) -> CallResult {
    Ok(match result {
        Ok(given) => ok(value(given)),
        Err(e) => error(reason(e)),
    })
}
