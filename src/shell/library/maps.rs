//! `Map`, and what looks into maps.

use std::collections::HashSet;

use super::{Entry, arg, enumerables::pair, given, list_of, sorted};
use crate::limits;
use crate::node::Raise;
use crate::shell::eval::access;
use crate::term::{Map, Term, atom, elixir, tuple};

const MAP: &str = "Elixir.Map";

pub(super) const ENTRIES: &[Entry] = &[
    Entry::pure(MAP, "delete", 2..=2, |args| changed(args, |map| drop(map.remove(given(args, 1))))),
    Entry::pure(MAP, "drop", 2..=2, |args| chosen(args, false)),
    Entry::pure(MAP, "equal?", 2..=2, |args| Ok((map(args)? == map(args.get(1..).unwrap_or_default())?).into())),
    Entry::pure(MAP, "fetch", 2..=2, |args| {
        Ok(map(args)?.get(arg(args, 1)?).map_or(atom("error"), |value| tuple([Term::OK, value.clone()])))
    }),
    Entry::pure(MAP, "fetch!", 2..=2, fetch),
    Entry::pure(MAP, "from_struct", 1..=1, |args| changed(args, |map| drop(map.remove(&atom(elixir::STRUCT))))),
    Entry::pure(MAP, "from_keys", 2..=2, |args| {
        let value = arg(args, 1)?;
        super::check_copies(value, super::elements(arg(args, 0)?)?.len())?;
        Ok(Term::Map(super::elements(arg(args, 0)?)?.into_iter().map(|key| (key, value.clone())).collect()))
    }),
    Entry::pure(MAP, "get", 2..=3, |args| Ok(map(args)?.get(arg(args, 1)?).cloned().unwrap_or_else(|| default(args)))),
    Entry::pure(MAP, "has_key?", 2..=2, |args| Ok(map(args)?.get(arg(args, 1)?).is_some().into())),
    Entry::pure(MAP, "keys", 1..=1, |args| sides(args, |(key, _)| key.clone())),
    Entry::pure(MAP, "merge", 2..=2, merge),
    Entry::pure(MAP, "new", 0..=1, new),
    Entry::pure(MAP, "pop", 2..=3, |args| {
        let rest = changed(args, |map| drop(map.remove(given(args, 1))))?;
        Ok(tuple([map(args)?.get(arg(args, 1)?).cloned().unwrap_or_else(|| default(args)), rest]))
    }),
    Entry::pure(MAP, "pop!", 2..=2, |args| {
        Ok(tuple([fetch(args)?, changed(args, |map| drop(map.remove(given(args, 1))))?]))
    }),
    Entry::pure(MAP, "put", 3..=3, |args| {
        changed(args, |map| drop(map.insert(given(args, 1).clone(), given(args, 2).clone())))
    }),
    Entry::pure(MAP, "put_new", 3..=3, |args| {
        let new = map(args)?.get(arg(args, 1)?).is_none();
        changed(args, |map| drop(new.then(|| map.insert(given(args, 1).clone(), given(args, 2).clone()))))
    }),
    Entry::pure(MAP, "replace", 3..=3, |args| {
        let known = map(args)?.get(arg(args, 1)?).is_some();
        changed(args, |map| drop(known.then(|| map.insert(given(args, 1).clone(), given(args, 2).clone()))))
    }),
    Entry::pure(MAP, "replace!", 3..=3, |args| {
        fetch(args)?;
        changed(args, |map| drop(map.insert(given(args, 1).clone(), given(args, 2).clone())))
    }),
    Entry::pure(MAP, "split", 2..=2, |args| Ok(tuple([chosen(args, true)?, chosen(args, false)?]))),
    Entry::pure(MAP, "take", 2..=2, |args| chosen(args, true)),
    Entry::pure(MAP, "to_list", 1..=1, |args| sides(args, |(k, v)| tuple([k.clone(), v.clone()]))),
    Entry::pure(MAP, "values", 1..=1, |args| sides(args, |(_, value)| value.clone())),
    Entry::pure("", "get_in", 2..=2, get_in),
    Entry::pure("", "is_map_key", 2..=2, |args| Ok(map(args)?.get(arg(args, 1)?).is_some().into())),
    Entry::pure("", "put_in", 3..=3, |args| put_in(arg(args, 0)?, list_of(args, 1)?, arg(args, 2)?)),
];

pub(super) fn map(args: &[Term]) -> Result<&Map, Raise> {
    let of = arg(args, 0)?;
    of.as_map().ok_or_else(|| crate::shell::fault::about("badmap", of.clone()))
}

/// Something of each pair of a map, in the order of the keys.
pub(super) fn sides(args: &[Term], side: fn(&(Term, Term)) -> Term) -> Result<Term, Raise> {
    Ok(Term::List(sorted(map(args)?).into_iter().map(side).collect()))
}

fn default(args: &[Term]) -> Term {
    args.get(2).cloned().unwrap_or(Term::NIL)
}

fn changed(args: &[Term], change: impl FnOnce(&mut Map)) -> Result<Term, Raise> {
    let mut map = map(args)?.clone();
    change(&mut map);
    Ok(Term::Map(map))
}

fn fetch(args: &[Term]) -> Result<Term, Raise> {
    let (map, key) = (map(args)?, arg(args, 1)?);
    let missing = || Raise::error(elixir::key_error(key.clone(), Term::Map(map.clone()), None));
    map.get(key).cloned().ok_or_else(missing)
}

/// The pairs whose keys are listed, or the others.
fn chosen(args: &[Term], listed: bool) -> Result<Term, Raise> {
    let keys: HashSet<&Term> = list_of(args, 1)?.iter().collect();
    Ok(Term::Map(map(args)?.iter().filter(|(key, _)| keys.contains(key) == listed).cloned().collect()))
}

pub(super) fn merge(args: &[Term]) -> Result<Term, Raise> {
    let other = map(args.get(1..).unwrap_or_default())?;
    Ok(Term::Map(map(args)?.iter().chain(other).cloned().collect()))
}

pub(super) fn new(args: &[Term]) -> Result<Term, Raise> {
    let Some(from) = args.first() else { return Ok(Term::Map(Map::new())) };
    let all = super::elements(from)?;
    Ok(Term::Map(all.iter().map(pair).collect::<Result<Map, _>>()?))
}

/// A value with another one behind a path of keys.
pub(super) fn put_in(of: &Term, path: &[Term], value: &Term) -> Result<Term, Raise> {
    // What is put so deep is no value here; and each key takes stack.
    if path.len() > limits::SHELL_VALUE_NESTING {
        return Err(Raise::error(atom("system_limit")));
    }
    let Some((key, rest)) = path.split_first() else { return Ok(value.clone()) };
    let inner = put_in(&access(of, key)?, rest, value)?;
    match of {
        Term::Map(map) => {
            let mut map = map.clone();
            map.insert(key.clone(), inner);
            Ok(Term::Map(map))
        }
        Term::List(pairs) => {
            let others = pairs.iter().filter(|pair| pair.as_tuple().and_then(<[Term]>::first) != Some(key)).cloned();
            Ok(Term::List(std::iter::once(tuple([key.clone(), inner])).chain(others).collect()))
        }
        other => Err(Raise::argument(format!("nothing can be put into {other:?}"))),
    }
}

pub(super) fn get_in(args: &[Term]) -> Result<Term, Raise> {
    list_of(args, 1)?.iter().try_fold(arg(args, 0)?.clone(), |of, key| access(&of, key))
}
