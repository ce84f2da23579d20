//! `Otturnaut.Source.Git`: source trees from git repositories.

use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;

use super::args::{arg, error, ok_or, opts};
use super::command::error_term;
use super::{Api, errors};
use crate::build::{GitError, GitOptions};
use crate::host::CommandEnd;
use crate::node::{CallResult, Module, Raise};
use crate::term::read::{Fields, ReadError, Reader};
use crate::term::{Term, atom, binary, tuple};

/// Most commits of history that `depth` may ask for: git takes no larger number.
const DEPTH: i64 = i32::MAX as i64;

pub(super) fn module(api: &Arc<Api>) -> Module {
    let (for_clone, for_cleanup) = (api.clone(), api.clone());
    Module::new("Elixir.Otturnaut.Source.Git")
        .waiting("clone", 1..=2, move |_, args| clone(for_clone.clone(), args))
        .waiting("cleanup", 1..=1, move |_, args| cleanup(for_cleanup.clone(), args))
}

async fn clone(api: Arc<Api>, args: Vec<Term>) -> CallResult {
    let url = arg(&args, 0, "url").name()?.to_owned();
    let options = options(&opts(&args, 1)?)?;
    match api.git.clone_at(&url, &options).await {
        Ok(source) => Ok(tuple([Term::OK, path_term(&source.path), binary(source.commit)])),
        Err(GitError::Refused { what, value, why }) => Err(refused(what, &value, why)),
        Err(e) => Ok(error(reason(&e))),
    }
}

async fn cleanup(api: Arc<Api>, args: Vec<Term>) -> CallResult {
    let path = arg(&args, 0, "path").path()?;
    ok_or(api.git.cleanup(&path).await, |e| errors::io(&e))
}

fn path_term(path: &std::path::Path) -> Term {
    binary(path.to_string_lossy().into_owned())
}

fn options(opts: &Fields<'_>) -> Result<GitOptions, ReadError> {
    let defaults = GitOptions::default();
    let depth = match opts.get("depth") {
        None => defaults.depth,
        Some(depth) if depth.is_nil() => None,
        Some(depth) => u32::try_from(depth.integer(1..=DEPTH)?).ok(),
    };
    Ok(GitOptions {
        git_ref: opts.read("ref", |name| Ok(name.name()?.to_owned()))?.unwrap_or(defaults.git_ref),
        depth,
        ssh_key: ssh_key(opts)?,
        submodules: submodules(opts)?,
    })
}

/// The path of a private key. Who takes it for the key itself is not shown it in an error.
pub(super) fn ssh_key(fields: &Fields<'_>) -> Result<Option<PathBuf>, ReadError> {
    fields.read("ssh_key", |key| {
        let key = key.secret();
        let path = key.path()?;
        if path.as_os_str().as_bytes().contains(&b'\n') { Err(key.refuse("the path of a key")) } else { Ok(path) }
    })
}

/// Whether submodules are fetched too.
pub(super) fn submodules(fields: &Fields<'_>) -> Result<bool, ReadError> {
    Ok(fields.read("submodules", |flag: Reader<'_>| flag.boolean())?.unwrap_or(false))
}

/// An argument that git must not be given.
pub(super) fn refused(what: &str, value: &str, why: &str) -> Raise {
    Raise::argument(format!("{what}: {value:?} is refused: {why}"))
}

/// Why there is no source tree. What an operator can do about it is logged.
pub(super) fn reason(error: &GitError) -> Term {
    if let GitError::CloneFailed { end: CommandEnd::NotFound, .. } = error {
        tracing::warn!("git is not installed here: install it, or put it in PATH");
    }
    let failed = |name, end, output: &str| tuple([atom(name), error_term(end), binary(output)]);
    match error {
        GitError::Refused { what, value, why } => {
            tuple([atom("clone_failed"), atom("badarg"), binary(format!("{what} {value:?}: {why}"))])
        }
        GitError::CloneFailed { end, output } => failed("clone_failed", end, output),
        GitError::CheckoutFailed { end, output } => failed("checkout_failed", end, output),
        GitError::TooLarge { limit } => {
            let text = error.to_string();
            tuple([atom("clone_failed"), tuple([atom("too_large"), Term::from(*limit)]), binary(text)])
        }
        GitError::WrongCommit { .. } => {
            tuple([atom("checkout_failed"), atom("wrong_commit"), binary(error.to_string())])
        }
        GitError::MkdirFailed { reason } => tuple([atom("mkdir_failed"), errors::posix(reason)]),
        GitError::GetCommitHashFailed { end, .. } => tuple([atom("get_commit_hash_failed"), error_term(end)]),
    }
}
