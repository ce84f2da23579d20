//! `Map` and `Keyword`.

use super::{Body, Entry, arg, enumerables::pair, given, list_of};
use crate::node::Raise;
use crate::shell::eval::access;
use crate::term::{Map, Term, atom, elixir, tuple};

const MAP: &str = "Elixir.Map";
const KEYWORD: &str = "Elixir.Keyword";

pub(super) const ENTRIES: &[Entry] = &[
    Entry::new(MAP, "delete", 2..=2, Body::Pure(|args| changed(args, |map| drop(map.remove(given(args, 1)))))),
    Entry::new(MAP, "drop", 2..=2, Body::Pure(drop_keys)),
    Entry::new(
        MAP,
        "fetch",
        2..=2,
        Body::Pure(|args| {
            Ok(map(args)?.get(arg(args, 1)?).map_or(atom("error"), |value| tuple([Term::OK, value.clone()])))
        }),
    ),
    Entry::new(MAP, "fetch!", 2..=2, Body::Pure(fetch)),
    Entry::new(
        MAP,
        "from_struct",
        1..=1,
        Body::Pure(|args| changed(args, |map| drop(map.remove(&atom(elixir::STRUCT))))),
    ),
    Entry::new(
        MAP,
        "get",
        2..=3,
        Body::Pure(|args| Ok(map(args)?.get(arg(args, 1)?).cloned().unwrap_or_else(|| default(args)))),
    ),
    Entry::new(MAP, "has_key?", 2..=2, Body::Pure(|args| Ok(map(args)?.get(arg(args, 1)?).is_some().into()))),
    Entry::new(
        MAP,
        "keys",
        1..=1,
        Body::Pure(|args| Ok(Term::List(map(args)?.iter().map(|(key, _)| key.clone()).collect()))),
    ),
    Entry::new(MAP, "merge", 2..=2, Body::Pure(merge)),
    Entry::new(MAP, "new", 0..=1, Body::Pure(new)),
    Entry::new(
        MAP,
        "put",
        3..=3,
        Body::Pure(|args| changed(args, |map| drop(map.insert(given(args, 1).clone(), given(args, 2).clone())))),
    ),
    Entry::new(MAP, "take", 2..=2, Body::Pure(take_keys)),
    Entry::new(
        MAP,
        "to_list",
        1..=1,
        Body::Pure(|args| Ok(Term::List(map(args)?.iter().map(|(k, v)| tuple([k.clone(), v.clone()])).collect()))),
    ),
    Entry::new(
        MAP,
        "values",
        1..=1,
        Body::Pure(|args| Ok(Term::List(map(args)?.iter().map(|(_, value)| value.clone()).collect()))),
    ),
    Entry::new(KEYWORD, "delete", 2..=2, Body::Pure(|args| Ok(Term::List(without(args)?)))),
    Entry::new(KEYWORD, "fetch!", 2..=2, Body::Pure(keyword_fetch)),
    Entry::new(KEYWORD, "get", 2..=3, Body::Pure(|args| Ok(keyword_get(args)?.unwrap_or_else(|| default(args))))),
    Entry::new(KEYWORD, "has_key?", 2..=2, Body::Pure(|args| Ok(keyword_get(args)?.is_some().into()))),
    Entry::new(
        KEYWORD,
        "keys",
        1..=1,
        Body::Pure(|args| Ok(Term::List(pairs(args, 0)?.into_iter().map(|(key, _)| key).collect()))),
    ),
    Entry::new(KEYWORD, "merge", 2..=2, Body::Pure(keyword_merge)),
    Entry::new(KEYWORD, "new", 0..=1, Body::Pure(|args| Ok(args.first().cloned().unwrap_or(Term::List(Vec::new()))))),
    Entry::new(KEYWORD, "put", 3..=3, Body::Pure(keyword_put)),
    Entry::new(
        KEYWORD,
        "values",
        1..=1,
        Body::Pure(|args| Ok(Term::List(pairs(args, 0)?.into_iter().map(|(_, value)| value).collect()))),
    ),
    Entry::new("", "get_in", 2..=2, Body::Pure(get_in)),
    Entry::new("", "is_map_key", 2..=2, Body::Pure(|args| Ok(map(args)?.get(arg(args, 1)?).is_some().into()))),
];

fn map(args: &[Term]) -> Result<&Map, Raise> {
    let of = arg(args, 0)?;
    of.as_map().ok_or_else(|| crate::shell::fault::about("badmap", of.clone()))
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

fn drop_keys(args: &[Term]) -> Result<Term, Raise> {
    let keys = list_of(args, 1)?;
    Ok(Term::Map(map(args)?.iter().filter(|(key, _)| !keys.contains(key)).cloned().collect()))
}

fn take_keys(args: &[Term]) -> Result<Term, Raise> {
    let keys = list_of(args, 1)?;
    Ok(Term::Map(map(args)?.iter().filter(|(key, _)| keys.contains(key)).cloned().collect()))
}

fn merge(args: &[Term]) -> Result<Term, Raise> {
    let other = map(args.get(1..).unwrap_or_default())?;
    Ok(Term::Map(map(args)?.iter().chain(other).cloned().collect()))
}

fn new(args: &[Term]) -> Result<Term, Raise> {
    let Some(from) = args.first() else { return Ok(Term::Map(Map::new())) };
    let all = super::elements(from)?;
    Ok(Term::Map(all.iter().map(pair).collect::<Result<Map, _>>()?))
}

fn pairs(args: &[Term], at: usize) -> Result<Vec<(Term, Term)>, Raise> {
    list_of(args, at)?.iter().map(pair).collect()
}

fn keyword_get(args: &[Term]) -> Result<Option<Term>, Raise> {
    let key = arg(args, 1)?;
    Ok(pairs(args, 0)?.into_iter().find(|(own, _)| own == key).map(|(_, value)| value))
}

fn keyword_fetch(args: &[Term]) -> Result<Term, Raise> {
    let missing = || Raise::error(elixir::key_error(given(args, 1).clone(), given(args, 0).clone(), None));
    keyword_get(args)?.ok_or_else(missing)
}

fn without(args: &[Term]) -> Result<Vec<Term>, Raise> {
    let key = arg(args, 1)?;
    Ok(pairs(args, 0)?.into_iter().filter(|(own, _)| own != key).map(|(key, value)| tuple([key, value])).collect())
}

fn keyword_put(args: &[Term]) -> Result<Term, Raise> {
    let rest = without(args)?;
    Ok(Term::List(std::iter::once(tuple([arg(args, 1)?.clone(), arg(args, 2)?.clone()])).chain(rest).collect()))
}

fn keyword_merge(args: &[Term]) -> Result<Term, Raise> {
    let new = pairs(args, 1)?;
    let old = pairs(args, 0)?.into_iter().filter(|(key, _)| !new.iter().any(|(own, _)| own == key)).collect::<Vec<_>>();
    Ok(Term::List(old.into_iter().chain(new.clone()).map(|(key, value)| tuple([key, value])).collect()))
}

fn get_in(args: &[Term]) -> Result<Term, Raise> {
    list_of(args, 1)?.iter().try_fold(arg(args, 0)?.clone(), |of, key| access(&of, key))
}
