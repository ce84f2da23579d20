//! What goes wrong, as exceptions and in one line.

use crate::node::Raise;
use crate::term::{Inspect, Term, atom, binary, elixir, tuple};

/// Most characters of a term in a message.
const SHOWN: usize = 400;

/// Something that Elixir has and this shell does not.
pub(super) fn unknown(what: &str) -> Raise {
    compile_error(format!("{what} is not known in this shell: it runs the functions of this node, h() lists them"))
}

pub(super) fn compile_error(text: impl Into<String>) -> Raise {
    Raise::error(elixir::exception("Elixir.CompileError", [("description", binary(text))]))
}

pub(super) fn arithmetic() -> Raise {
    Raise::error(atom("badarith"))
}

/// An exception of a reason and the value that it is about: `{:badmatch, value}`.
pub(super) fn about(reason: &'static str, value: Term) -> Raise {
    Raise::error(tuple([atom(reason), value]))
}

pub(super) fn undefined(module: Option<&str>, name: &str, arity: usize) -> Raise {
    match module {
        Some(module) => Raise::error(elixir::exception(
            "Elixir.UndefinedFunctionError",
            [("message", binary(format!("function {}.{name}/{arity} is undefined or private", Inspect::atom(module))))],
        )),
        None => compile_error(format!("undefined function {name}/{arity}")),
    }
}

/// What was raised, as `iex` shows it, in one line.
pub(super) fn text(raise: &Raise) -> String {
    match raise {
        Raise::Error(reason, stack) => error_text(reason, stack),
        Raise::Exit(reason) => format!("** (exit) {}", Inspect::short(reason, SHOWN)),
        Raise::Throw(value) => format!("** (throw) {}", Inspect::short(value, SHOWN)),
    }
}

fn error_text(reason: &Term, stack: &Term) -> String {
    if let Some(map) = reason.as_map()
        && let Some(module) = map.get_atom(elixir::STRUCT).and_then(Term::as_atom)
    {
        let name = module.strip_prefix("Elixir.").unwrap_or(module);
        let message = ["message", "description"].iter().find_map(|key| map.get_atom(key).and_then(Term::as_text));
        return match (message, map.get_atom("key")) {
            (Some(message), _) => format!("** ({name}) {message}"),
            (None, Some(key)) => format!("** ({name}) key {} not found", Inspect::short(key, SHOWN)),
            (None, None) => format!("** ({name}) {}", Inspect::short(reason, SHOWN)),
        };
    }
    if let Some([kind, value]) = reason.as_tuple() {
        let value = Inspect::short(value, SHOWN);
        match kind.as_atom() {
            Some("badmatch") => return format!("** (MatchError) no match of right hand side value: {value}"),
            Some("case_clause") => return format!("** (CaseClauseError) no case clause matching: {value}"),
            Some("badfun") => return format!("** (BadFunctionError) expected a function, got: {value}"),
            Some("badmap") => return format!("** (BadMapError) expected a map, got: {value}"),
            Some("badarity") => return format!("** (BadArityError) {value}"),
            _ => {}
        }
    }
    match reason.as_atom() {
        Some("badarg") => "** (ArgumentError) argument error".to_owned(),
        Some("badarith") => "** (ArithmeticError) bad argument in arithmetic expression".to_owned(),
        Some("system_limit") => "** (SystemLimitError) a system limit has been reached".to_owned(),
        Some("cond_clause") => "** (CondClauseError) no cond clause evaluated to a truthy value".to_owned(),
        Some("undef") => format!("** (UndefinedFunctionError) function {} is undefined or private", frame(stack)),
        Some("function_clause") => format!("** (FunctionClauseError) no function clause matching in {}", frame(stack)),
        _ => format!("** (ErlangError) Erlang error: {}", Inspect::short(reason, SHOWN)),
    }
}

/// The function of the top of a stack.
fn frame(stack: &Term) -> String {
    let Some([Term::Atom(module), Term::Atom(function), args, ..]) =
        stack.as_list().and_then(|stack| stack.first()).and_then(Term::as_tuple)
    else {
        return "it".to_owned();
    };
    let arity = match args {
        Term::List(args) => args.len().to_string(),
        arity => format!("{arity:?}"),
    };
    format!("{}.{}/{arity}", Inspect::atom(module.as_str()), function.as_str())
}
