//! `code`, and what every module tells of itself: all of it follows from the tables.

use md5::{Digest, Md5};

use super::{answer, atom_text, badarg};
use crate::node::{CallResult, Context, Module, Raise, pair};
use crate::term::{Term, atom, binary, charlist, list};

pub(super) fn module() -> Module {
    Module::new("code")
        .immediate("ensure_loaded", 1..=1, |context, args| {
            let name = atom_text(args, 0).map_err(|_| Raise::error(atom("function_clause")))?;
            let known = is_known(context, name);
            let module = args.first().cloned().unwrap_or(Term::NIL);
            Ok(if known { pair(atom("module"), module) } else { pair(atom("error"), atom("nofile")) })
        })
        .immediate("is_loaded", 1..=1, |context, args| {
            let known = is_known(context, atom_text(args, 0)?);
            Ok(if known { pair(atom("file"), charlist("otturnaut")) } else { Term::from(false) })
        })
        .immediate("which", 1..=1, |context, args| {
            let known = is_known(context, atom_text(args, 0)?);
            Ok(if known { charlist("otturnaut") } else { atom("non_existing") })
        })
}

pub(super) fn is_known(context: &Context, module: &str) -> bool {
    context.node.0.modules.module(module).is_some()
}

/// `module_info/0,1`, and `__info__/1` of Elixir modules.
pub(super) fn reflection(name: &'static str) -> Module {
    let module = Module::new(name).immediate("module_info", 0..=1, move |context, args| match args {
        [] => Ok(list([
            pair(atom("module"), atom(name)),
            pair(atom("exports"), exports(context, name)),
            pair(atom("attributes"), attributes(context)),
            pair(atom("compile"), list([])),
            pair(atom("md5"), md5(context, name)),
        ])),
        [item] => match item.as_atom() {
            Some("module") => answer(atom(name)),
            Some("exports" | "functions") => Ok(exports(context, name)),
            Some("attributes") => Ok(attributes(context)),
            Some("md5") => Ok(md5(context, name)),
            Some("compile" | "nifs") => Ok(list([])),
            _ => Err(badarg()),
        },
        _ => Err(badarg()),
    });
    if !name.starts_with("Elixir.") {
        return module;
    }
    module.immediate("__info__", 1..=1, move |context, args| elixir_info(context, name, args))
}

fn elixir_info(context: &Context, name: &'static str, args: &[Term]) -> CallResult {
    match atom_text(args, 0)? {
        "module" => answer(atom(name)),
        "functions" => Ok(functions(context, name)),
        "macros" | "compile" | "deprecated" => Ok(list([])),
        "attributes" => Ok(attributes(context)),
        "md5" => Ok(md5(context, name)),
        "struct" => Ok(Term::NIL),
        _ => Err(Raise::error(atom("function_clause"))),
    }
}

/// Tells versions of a module apart, as the digest of its code does on a BEAM node.
fn md5(context: &Context, name: &str) -> Term {
    let digest: [u8; 16] =
        Md5::new().chain_update(name).chain_update(context.node.0.settings.application.1).finalize().into();
    Term::Binary(digest.to_vec().into())
}

/// All functions with their arities.
fn exports(context: &Context, name: &str) -> Term {
    named(context, name, |_| true)
}

/// Those that were written, without what every module has.
fn functions(context: &Context, name: &str) -> Term {
    named(context, name, |function| !matches!(function, "module_info" | "__info__"))
}

fn named(context: &Context, name: &str, wanted: impl Fn(&str) -> bool) -> Term {
    let exports = context.node.0.modules.module(name).map_or(&[][..], |module| &module.exports);
    let each = exports.iter().filter(|export| wanted(export.name));
    let arities = each.flat_map(|export| export.arities.clone().map(|arity| (export.name, arity)));
    let mut all: Vec<_> = arities.collect();
    all.sort_unstable();
    list(all.into_iter().map(|(function, arity)| pair(atom(function), Term::from(arity))))
}

fn attributes(context: &Context) -> Term {
    list([pair(atom("vsn"), list([binary(context.node.0.settings.application.1)]))])
}
