//! The arguments of a call.

use crate::node::{CallResult, Raise};
use crate::term::read::{Fields, ReadError, Reader};
use crate::term::{Atom, Term, atom, list, tuple};

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

/// How long `GenServer.call` waits if nobody says, in milliseconds.
const CALL_TIMEOUT: i64 = 5_000;

/// The server that a call names must be `own`, of which there is one here; else the call exits as `GenServer.call` does.
pub(super) fn check_server(server: &Term, own: &str, (function, args): (&str, &[Term])) -> Result<(), Raise> {
    let named = match server {
        Term::Pid(_) => true,
        Term::Tuple(parts) => parts.first().is_some_and(|name| name.is_atom(own)),
        other => other.is_atom(own),
    };
    if named {
        return Ok(());
    }
    let verb = |verb: &str| Atom::new(verb).map_or(Term::NIL, Term::Atom);
    let request = match (function, args) {
        (function, []) => verb(function),
        ("update_status", [id, status]) => tuple([atom("update"), id.clone(), atom("status"), status.clone()]),
        (function, args) => Term::Tuple([verb(function)].into_iter().chain(args.iter().cloned()).collect()),
    };
    let call = list([server.clone(), request, Term::Int(CALL_TIMEOUT)]);
    Err(Raise::Exit(tuple([atom("noproc"), tuple([atom("Elixir.GenServer"), atom("call"), call])])))
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
