//! `Keyword`.

use std::collections::HashSet;

use super::{Entry, arg, elements, enumerables::pair, given, list_of};
use crate::node::Raise;
use crate::term::{Term, atom, elixir, tuple};

const KEYWORD: &str = "Elixir.Keyword";

pub(super) const ENTRIES: &[Entry] = &[
    Entry::pure(KEYWORD, "delete", 2..=2, |args| Ok(list(without(args)?))),
    Entry::pure(KEYWORD, "drop", 2..=2, |args| chosen(args, false)),
    Entry::pure(KEYWORD, "fetch", 2..=2, |args| Ok(get(args)?.map_or(atom("error"), |value| tuple([Term::OK, value])))),
    Entry::pure(KEYWORD, "fetch!", 2..=2, fetch),
    Entry::pure(KEYWORD, "get", 2..=3, |args| Ok(get(args)?.unwrap_or_else(|| given(args, 2).clone()))),
    Entry::pure(KEYWORD, "get_values", 2..=2, get_values),
    Entry::pure(KEYWORD, "has_key?", 2..=2, |args| Ok(get(args)?.is_some().into())),
    Entry::pure(KEYWORD, "keys", 1..=1, |args| {
        Ok(Term::List(pairs(args, 0)?.into_iter().map(|(key, _)| key).collect()))
    }),
    Entry::pure(KEYWORD, "keyword?", 1..=1, |args| Ok(is_keyword(arg(args, 0)?).into())),
    Entry::pure(KEYWORD, "merge", 2..=2, merge),
    Entry::pure(KEYWORD, "new", 0..=1, |args| unique(&args.first().map_or(Ok(Vec::new()), elements)?)),
    Entry::pure(KEYWORD, "pop", 2..=3, |args| {
        Ok(tuple([get(args)?.unwrap_or_else(|| given(args, 2).clone()), list(without(args)?)]))
    }),
    Entry::pure(KEYWORD, "pop!", 2..=2, |args| Ok(tuple([fetch(args)?, list(without(args)?)]))),
    Entry::pure(KEYWORD, "put", 3..=3, put),
    Entry::pure(
        KEYWORD,
        "put_new",
        3..=3,
        |args| if get(args)?.is_some() { Ok(arg(args, 0)?.clone()) } else { put(args) },
    ),
    Entry::pure(KEYWORD, "replace", 3..=3, |args| {
        let at = pairs(args, 0)?.iter().position(|(own, _)| Some(own) == args.get(1));
        let Some(at) = at else { return Ok(arg(args, 0)?.clone()) };
        let mut others = without(args)?;
        others.insert(at, (given(args, 1).clone(), given(args, 2).clone()));
        Ok(list(others))
    }),
    Entry::pure(KEYWORD, "split", 2..=2, |args| Ok(tuple([chosen(args, true)?, chosen(args, false)?]))),
    Entry::pure(KEYWORD, "take", 2..=2, |args| chosen(args, true)),
    Entry::pure(KEYWORD, "to_list", 1..=1, |args| pairs(args, 0).map(list)),
    Entry::pure(KEYWORD, "values", 1..=1, |args| {
        Ok(Term::List(pairs(args, 0)?.into_iter().map(|(_, value)| value).collect()))
    }),
];

/// The pairs, of those with the same key the last.
pub(super) fn unique(all: &[Term]) -> Result<Term, Raise> {
    let all = all.iter().map(pair).collect::<Result<Vec<_>, _>>()?;
    let mut seen = HashSet::new();
    let mut kept: Vec<Pair> = all.into_iter().rev().filter(|(key, _)| seen.insert(key.clone())).collect();
    kept.reverse();
    Ok(list(kept))
}

type Pair = (Term, Term);

fn pairs(args: &[Term], at: usize) -> Result<Vec<Pair>, Raise> {
    list_of(args, at)?.iter().map(pair).collect()
}

fn list(pairs: Vec<Pair>) -> Term {
    Term::List(pairs.into_iter().map(|(key, value)| tuple([key, value])).collect())
}

fn is_keyword(term: &Term) -> bool {
    let is_pair = |element: &Term| matches!(element.as_tuple(), Some([Term::Atom(_), _]));
    term.as_list().is_some_and(|elements| elements.iter().all(is_pair))
}

fn get(args: &[Term]) -> Result<Option<Term>, Raise> {
    let key = arg(args, 1)?;
    Ok(pairs(args, 0)?.into_iter().find(|(own, _)| own == key).map(|(_, value)| value))
}

fn fetch(args: &[Term]) -> Result<Term, Raise> {
    let missing = || Raise::error(elixir::key_error(given(args, 1).clone(), given(args, 0).clone(), None));
    get(args)?.ok_or_else(missing)
}

fn get_values(args: &[Term]) -> Result<Term, Raise> {
    let key = arg(args, 1)?;
    Ok(Term::List(pairs(args, 0)?.into_iter().filter(|(own, _)| own == key).map(|(_, value)| value).collect()))
}

fn without(args: &[Term]) -> Result<Vec<Pair>, Raise> {
    let key = arg(args, 1)?;
    Ok(pairs(args, 0)?.into_iter().filter(|(own, _)| own != key).collect())
}

/// The pairs whose keys are listed, or the others.
fn chosen(args: &[Term], listed: bool) -> Result<Term, Raise> {
    let keys: HashSet<&Term> = list_of(args, 1)?.iter().collect();
    Ok(list(pairs(args, 0)?.into_iter().filter(|(key, _)| keys.contains(key) == listed).collect()))
}

fn put(args: &[Term]) -> Result<Term, Raise> {
    let new = (arg(args, 1)?.clone(), arg(args, 2)?.clone());
    Ok(list(std::iter::once(new).chain(without(args)?).collect()))
}

fn merge(args: &[Term]) -> Result<Term, Raise> {
    let new = pairs(args, 1)?;
    let keys: HashSet<&Term> = new.iter().map(|(key, _)| key).collect();
    let old = pairs(args, 0)?.into_iter().filter(|(key, _)| !keys.contains(key));
    Ok(list(old.chain(new.iter().cloned()).collect()))
}
