//! The functions of Erlang's own modules that `iex`, `rpc` users and Elixir's `Node`, `Task` and `:sys` use on a remote
//! node. They tell the truth about this node; what it does not have is `undef`.

mod applications;
mod code;
mod erlang;
mod figures;
mod info;
mod observer;
mod process;
mod system;

use super::{CallResult, Modules, Raise};
use crate::term::Term;
use crate::term::read::Reader;

/// Adds Erlang's own modules, and to every module what each has: `module_info`, `__info__`.
pub(super) fn complete(mut modules: Modules) -> Modules {
    let erlang = [erlang::module(), info::module(), process::module()];
    let others = [code::module(), system::application(), system::init(), system::net_kernel(), system::sys()];
    let observed = [process::proc_lib(), observer::module(), applications::module(), system::elixir()];
    for module in erlang.into_iter().chain(others).chain(observed) {
        modules.add(module);
    }
    let names: Vec<&'static str> = modules.iter().map(|module| module.name).collect();
    for name in names {
        modules.add(code::reflection(name));
    }
    modules
}

/// Erlang's own error for an argument of the wrong shape.
fn badarg() -> Raise {
    Raise::error(crate::term::atom("badarg"))
}

/// The text of an atom, else `badarg` as Erlang's own functions raise it.
fn atom_text(args: &[Term], at: usize) -> Result<&str, Raise> {
    args.get(at).and_then(Term::as_atom).ok_or_else(badarg)
}

fn reader<'a>(args: &'a [Term], at: usize, name: &'static str) -> Result<Reader<'a>, Raise> {
    args.get(at).map(|term| Reader::new(name, term)).ok_or_else(badarg)
}

/// The names of what is asked for, each once: so the answer is no larger than all that there is.
fn distinct(asked: &[Term]) -> Result<&[Term], Raise> {
    const MOST: usize = 64;
    let names = || asked.iter().take(MOST);
    let twice = names().enumerate().any(|(at, name)| names().take(at).any(|before| before == name));
    if twice || asked.len() > MOST { Err(badarg()) } else { Ok(asked) }
}

/// The answer of a function that always has one.
fn answer(value: impl Into<Term>) -> CallResult {
    Ok(value.into())
}
