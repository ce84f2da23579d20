//! `Map` and `Keyword` alike: what changes the value behind a key by a function.

use futures::FutureExt;
use futures::future::BoxFuture;

use super::{Entry, enumerables::pair, take};
use crate::node::Raise;
use crate::shell::eval::{Evaluator, Outcome};
use crate::shell::fault::about;
use crate::shell::value::Value;
use crate::term::{Map, Term, elixir, tuple};

const MAP: &str = "Elixir.Map";
const KEYWORD: &str = "Elixir.Keyword";

pub(super) const ENTRIES: &[Entry] = &[
    Entry::shell(MAP, "get_and_update", 3..=3, |shell, args| get_and_update(shell, args, false)),
    Entry::shell(MAP, "get_and_update!", 3..=3, |shell, args| get_and_update(shell, args, true)),
    Entry::shell(MAP, "get_lazy", 3..=3, get_lazy),
    Entry::shell(MAP, "put_new_lazy", 3..=3, put_new_lazy),
    Entry::shell(MAP, "replace_lazy", 3..=3, |shell, args| changed(shell, args, false)),
    Entry::shell(MAP, "update", 4..=4, update),
    Entry::shell(MAP, "update!", 3..=3, |shell, args| changed(shell, args, true)),
    Entry::shell(KEYWORD, "get_and_update", 3..=3, |shell, args| get_and_update(shell, args, false)),
    Entry::shell(KEYWORD, "get_lazy", 3..=3, get_lazy),
    Entry::shell(KEYWORD, "put_new_lazy", 3..=3, put_new_lazy),
    Entry::shell(KEYWORD, "update", 4..=4, update),
    Entry::shell(KEYWORD, "update!", 3..=3, |shell, args| changed(shell, args, true)),
];

/// What has keys.
enum Keyed {
    Map(Map),
    List(Vec<(Term, Term)>),
}

impl Keyed {
    fn of(term: Term) -> Result<Self, Raise> {
        match term {
            Term::Map(map) => Ok(Self::Map(map)),
            Term::List(pairs) => pairs.iter().map(pair).collect::<Result<_, _>>().map(Self::List),
            other => Err(about("badmap", other)),
        }
    }

    fn get(&self, key: &Term) -> Option<Term> {
        match self {
            Self::Map(map) => map.get(key).cloned(),
            Self::List(pairs) => pairs.iter().find(|(own, _)| own == key).map(|(_, value)| value.clone()),
        }
    }

    /// Another value behind a key, where the first one stands; a new key of a list comes last.
    fn put(&mut self, key: Term, value: Term) {
        match self {
            Self::Map(map) => drop(map.insert(key, value)),
            Self::List(pairs) => {
                let at = pairs.iter().position(|(own, _)| *own == key).unwrap_or(pairs.len());
                pairs.retain(|(own, _)| *own != key);
                pairs.insert(at, (key, value));
            }
        }
    }

    fn put_first(&mut self, key: Term, value: Term) {
        match self {
            Self::Map(map) => drop(map.insert(key, value)),
            Self::List(pairs) => pairs.insert(0, (key, value)),
        }
    }

    fn remove(&mut self, key: &Term) {
        match self {
            Self::Map(map) => drop(map.remove(key)),
            Self::List(pairs) => pairs.retain(|(own, _)| own != key),
        }
    }

    fn term(self) -> Term {
        match self {
            Self::Map(map) => Term::Map(map),
            Self::List(pairs) => Term::List(pairs.into_iter().map(|(key, value)| tuple([key, value])).collect()),
        }
    }

    fn missing(self, key: Term) -> Raise {
        Raise::error(elixir::key_error(key, self.term(), None))
    }
}

fn keyed(args: &mut Vec<Value>) -> Result<(Keyed, Term), Raise> {
    Ok((Keyed::of(take(args)?.term()?)?, take(args)?.term()?))
}

fn get_lazy(shell: &mut Evaluator, mut args: Vec<Value>) -> BoxFuture<'_, Outcome> {
    async move {
        let (of, key) = keyed(&mut args)?;
        match of.get(&key) {
            Some(value) => Ok(value.into()),
            None => shell.apply(&take(&mut args)?, Vec::new()).await,
        }
    }
    .boxed()
}

fn put_new_lazy(shell: &mut Evaluator, mut args: Vec<Value>) -> BoxFuture<'_, Outcome> {
    async move {
        let (mut of, key) = keyed(&mut args)?;
        if of.get(&key).is_none() {
            let value = shell.apply_to(&take(&mut args)?, &[]).await?;
            of.put_first(key, value);
        }
        Ok(of.term().into())
    }
    .boxed()
}

/// `update(of, key, default, function)`.
fn update(shell: &mut Evaluator, mut args: Vec<Value>) -> BoxFuture<'_, Outcome> {
    async move {
        let (mut of, key) = keyed(&mut args)?;
        let default = take(&mut args)?.term()?;
        let value = match of.get(&key) {
            Some(value) => shell.apply_to(&take(&mut args)?, &[value]).await?,
            None => default,
        };
        of.put(key, value);
        Ok(of.term().into())
    }
    .boxed()
}

/// What the function makes of the value, which must be there or may be missing.
fn changed(shell: &mut Evaluator, mut args: Vec<Value>, must: bool) -> BoxFuture<'_, Outcome> {
    async move {
        let (mut of, key) = keyed(&mut args)?;
        match of.get(&key) {
            Some(value) => {
                let value = shell.apply_to(&take(&mut args)?, &[value]).await?;
                of.put(key, value);
            }
            None if must => return Err(of.missing(key)),
            None => {}
        }
        Ok(of.term().into())
    }
    .boxed()
}

/// The function gives `{answer, new}` or `:pop`.
fn get_and_update(shell: &mut Evaluator, mut args: Vec<Value>, must: bool) -> BoxFuture<'_, Outcome> {
    async move {
        let (mut of, key) = keyed(&mut args)?;
        let value = of.get(&key);
        if value.is_none() && must {
            return Err(of.missing(key));
        }
        let value = value.unwrap_or(Term::NIL);
        let answer = shell.apply_to(&take(&mut args)?, std::slice::from_ref(&value)).await?;
        let told = match answer.as_tuple() {
            Some([told, new]) => {
                of.put(key, new.clone());
                told.clone()
            }
            _ if answer.is_atom("pop") => {
                of.remove(&key);
                value
            }
            _ => {
                let text = "the given function must return a two-element tuple or :pop, got: ";
                return Err(Raise::argument(format!("{text}{}", crate::term::Inspect::short(&answer, 200))));
            }
        };
        Ok(tuple([told, of.term()]).into())
    }
    .boxed()
}
