//! `Otturnaut.Command.Result`: how a command ended.

use bytes::Bytes;

use crate::api::args::arg;
use crate::host::{CommandEnd, CommandResult};
use crate::node::{CallResult, Module};
use crate::term::elixir::structure;
use crate::term::{Term, atom, tuple};

const STRUCT: &str = "Elixir.Otturnaut.Command.Result";

pub(in crate::api) fn module() -> Module {
    Module::new(STRUCT)
        .immediate("success", 2..=2, |_, args| success(args))
        .immediate("failure", 3..=3, |_, args| failure(args))
        .immediate("error", 3..=3, |_, args| errored(args))
        .immediate("ok?", 1..=1, |_, args| is_ok(args))
}

/// The struct of a command's result.
pub(super) fn encode(result: &CommandResult) -> Term {
    let duration = Term::from(u64::try_from(result.duration.as_millis()).unwrap_or(u64::MAX));
    let output = Term::Binary(result.output.clone());
    match &result.end {
        CommandEnd::Exited(0) => build(atom("ok"), Term::Int(0), Term::NIL, (output, duration)),
        CommandEnd::Exited(code) => {
            let code = Term::from(*code);
            build(atom("error"), code.clone(), tuple([atom("exit"), code]), (output, duration))
        }
        end => build(atom("error"), Term::NIL, error_term(end), (output, duration)),
    }
}

/// How a command ended, as the `error` of its result.
pub(in crate::api) fn error_term(end: &CommandEnd) -> Term {
    match end {
        CommandEnd::Exited(0) => Term::NIL,
        CommandEnd::Exited(code) => tuple([atom("exit"), Term::from(*code)]),
        CommandEnd::TimedOut => atom("timeout"),
        CommandEnd::NotFound => atom("command_not_found"),
        CommandEnd::Failed(_) => atom("runner_crashed"),
    }
}

/// The result of a command whose runner was killed.
pub(super) fn crashed() -> Term {
    build(atom("error"), Term::NIL, atom("runner_crashed"), (Term::Binary(Bytes::new()), Term::Int(0)))
}

fn build(status: Term, exit_code: Term, error: Term, (output, duration): (Term, Term)) -> Term {
    let fields =
        [("status", status), ("exit_code", exit_code), ("output", output), ("error", error), ("duration_ms", duration)];
    structure(STRUCT, fields)
}

fn success(args: &[Term]) -> CallResult {
    let [output, duration] = [arg(args, 0, "output"), arg(args, 1, "duration_ms")];
    output.text()?;
    duration.integer(0..=i64::MAX)?;
    Ok(build(atom("ok"), Term::Int(0), Term::NIL, (output.term().clone(), duration.term().clone())))
}

fn failure(args: &[Term]) -> CallResult {
    let [code, output, duration] = [arg(args, 0, "exit_code"), arg(args, 1, "output"), arg(args, 2, "duration_ms")];
    code.integer(i64::MIN..=i64::MAX)?;
    output.text()?;
    duration.integer(0..=i64::MAX)?;
    let code = code.term().clone();
    let rest = (output.term().clone(), duration.term().clone());
    Ok(build(atom("error"), code.clone(), tuple([atom("exit"), code]), rest))
}

fn errored(args: &[Term]) -> CallResult {
    let [reason, output, duration] = [arg(args, 0, "reason"), arg(args, 1, "output"), arg(args, 2, "duration_ms")];
    output.text()?;
    duration.integer(0..=i64::MAX)?;
    let rest = (output.term().clone(), duration.term().clone());
    Ok(build(atom("error"), Term::NIL, reason.term().clone(), rest))
}

fn is_ok(args: &[Term]) -> CallResult {
    let result = arg(args, 0, "result");
    let status = result.fields()?.get("status").is_some_and(|status| status.term().is_atom("ok"));
    Ok(Term::from(status))
}
