//! What goes wrong, as exceptions and in one line.

use super::missing;
use crate::node::{Node, Raise};
use crate::term::{Inspect, Map, Term, atom, binary, elixir, tuple};

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

/// `Elixir.KeyError` of what is no map, or no module either.
pub(super) fn unknown_field(name: &str, of: &Term) -> Raise {
    Raise::argument(format!("{name} is no field of {of:?}, which is no module either"))
}

/// The left side of `and` or `or` is neither `true` nor `false`.
pub(super) fn bad_boolean(sign: &str, value: &Term) -> Raise {
    let text = format!("expected a boolean on left-side of \"{sign}\", got: {}", Inspect::short(value, SHOWN));
    Raise::error(elixir::exception("Elixir.BadBooleanError", [("message", binary(text))]))
}

/// A function that is not there; with its module, and the node that knows which modules there are.
pub(super) fn undefined(module: Option<(&Node, &str)>, name: &str, arity: usize) -> Raise {
    let Some((node, module)) = module else { return undefined_local(name, arity) };
    let known = missing::functions(node, module);
    let hints = missing::alike(&known, name);
    let written = Inspect::atom(module);
    if known.is_empty() && missing::is_elsewhere(module) || hints.is_empty() && missing::is_machine(module) {
        return unknown(&format!("{written}.{name}/{arity}"));
    }
    let why = match (known.is_empty(), missing::is_basic(module)) {
        (true, _) => format!("(module {written} is not available)"),
        (false, true) if hints.is_empty() => format!("or private here, exports {written} lists what there is"),
        (false, true) => "or private here".to_owned(),
        (false, false) => "or private".to_owned(),
    };
    let hint = if hints.is_empty() { String::new() } else { format!(". Did you mean: {}", hints.join(", ")) };
    let text = format!("function {written}.{name}/{arity} is undefined {why}{hint}");
    Raise::error(elixir::exception("Elixir.UndefinedFunctionError", [("message", binary(text))]))
}

fn undefined_local(name: &str, arity: usize) -> Raise {
    if let Some(sigil) = name.strip_prefix("sigil_") {
        return if sigil.eq_ignore_ascii_case("r") {
            compile_error(
                "~r is not known in this shell: String.contains?/2 and text =~ \"part\" look for a part of a text",
            )
        } else {
            unknown(&format!("~{sigil}"))
        };
    }
    if missing::is_helper(name) { unknown(name) } else { compile_error(format!("undefined function {name}/{arity}")) }
}

/// What was raised, as `iex` shows it, in one line.
pub(super) fn text(raise: &Raise) -> String {
    match raise {
        Raise::Error(reason, stack) => error_text(reason, stack),
        Raise::Exit(reason) => format!("** (exit) {}", exit_text(reason)),
        Raise::Throw(value) => format!("** (throw) {}", Inspect::short(value, SHOWN)),
    }
}

/// Why a process ends, as `Exception.format_exit` has it.
fn exit_text(reason: &Term) -> String {
    match (reason.as_atom(), reason.as_tuple()) {
        (Some(plain @ ("normal" | "shutdown")), _) => plain.to_owned(),
        (Some("noproc"), _) => NOBODY.to_owned(),
        (_, Some([shutdown, why])) if shutdown.is_atom("shutdown") => {
            format!("shutdown: {}", Inspect::short(why, SHOWN))
        }
        (_, Some([why, call])) => match call.as_tuple() {
            Some([Term::Atom(module), Term::Atom(function), Term::List(args)]) => {
                let args: Vec<String> = args.iter().map(|arg| Inspect::short(arg, SHOWN)).collect();
                let call = format!("{}.{}({})", Inspect::atom(module.as_str()), function.as_str(), args.join(", "));
                format!("exited in: {call} ** (EXIT) {}", exit_text(why))
            }
            _ => Inspect::short(reason, SHOWN),
        },
        _ => Inspect::short(reason, SHOWN),
    }
}

/// What `noproc` says.
const NOBODY: &str = "no process: the process is not alive or there's no process currently associated with the given name, \
                      possibly because its application isn't started";

fn error_text(reason: &Term, stack: &Term) -> String {
    let exception = reason.as_map().and_then(exception_text);
    exception.or_else(|| about_text(reason)).unwrap_or_else(|| match reason.as_atom() {
        Some("badarg") => "** (ArgumentError) argument error".to_owned(),
        Some("badarith") => "** (ArithmeticError) bad argument in arithmetic expression".to_owned(),
        Some("system_limit") => "** (SystemLimitError) a system limit has been reached".to_owned(),
        Some("cond_clause") => "** (CondClauseError) no cond clause evaluated to a truthy value".to_owned(),
        Some("undef") => format!("** (UndefinedFunctionError) function {} is undefined or private", frame(stack)),
        Some("function_clause") => format!("** (FunctionClauseError) no function clause matching in {}", frame(stack)),
        _ => format!("** (ErlangError) Erlang error: {}", Inspect::short(reason, SHOWN)),
    })
}

/// An exception struct: its message, or what its module says without one.
fn exception_text(map: &Map) -> Option<String> {
    let module = map.get_atom(elixir::STRUCT).and_then(Term::as_atom)?;
    let name = module.strip_prefix("Elixir.").unwrap_or(module);
    let message = ["message", "description"].iter().find_map(|key| map.get_atom(key).and_then(Term::as_text));
    let text = match (message, map.get_atom("key"), map.get_atom("term")) {
        (Some(message), ..) => one_line(message),
        (None, Some(key), Some(term)) if !term.is_atom("nil") => {
            format!("key {} not found in: {}", Inspect::short(key, SHOWN), Inspect::short(term, SHOWN))
        }
        (None, Some(key), _) => format!("key {} not found", Inspect::short(key, SHOWN)),
        (None, None, _) => match name {
            "ArgumentError" => "argument error".to_owned(),
            "ArithmeticError" => "bad argument in arithmetic expression".to_owned(),
            "RuntimeError" => "runtime error".to_owned(),
            _ => format!("got {name} with {}", Inspect::short(&Term::Map(map.clone()), SHOWN)),
        },
    };
    Some(format!("** ({name}) {text}"))
}

fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `{reason, value}` of what Erlang raises.
fn about_text(reason: &Term) -> Option<String> {
    let Some([kind, value]) = reason.as_tuple() else { return None };
    let value = Inspect::short(value, SHOWN);
    let text = match kind.as_atom()? {
        "badmatch" => format!("(MatchError) no match of right hand side value: {value}"),
        "case_clause" => format!("(CaseClauseError) no case clause matching: {value}"),
        "else_clause" => format!("(WithClauseError) no with clause matching: {value}"),
        "badfun" => format!("(BadFunctionError) expected a function, got: {value}"),
        "badmap" => format!("(BadMapError) expected a map, got: {value}"),
        "badarity" => format!("(BadArityError) {value}"),
        _ => return None,
    };
    Some(format!("** {text}"))
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
