//! `Enum` with functions, and what else calls a function.

use futures::FutureExt;
use futures::future::BoxFuture;

use super::{Body, Entry, each, elements, enumerables, take};
use crate::node::Raise;
use crate::shell::eval::{Evaluator, Outcome, operators_add as add};
use crate::shell::value::Value;
use crate::term::{Map, Term, atom, order, tuple};

const ENUM: &str = "Elixir.Enum";

pub(super) const ENTRIES: &[Entry] = &[
    Entry::new(
        ENUM,
        "all?",
        2..=2,
        Body::Shell(|shell, args| select(shell, args, |_, truths| truths.iter().all(|t| *t).into())),
    ),
    Entry::new(
        ENUM,
        "any?",
        2..=2,
        Body::Shell(|shell, args| select(shell, args, |_, truths| truths.iter().any(|t| *t).into())),
    ),
    Entry::new(
        ENUM,
        "count",
        2..=2,
        Body::Shell(|shell, args| select(shell, args, |_, truths| truths.iter().filter(|t| **t).count().into())),
    ),
    Entry::new(ENUM, "each", 2..=2, Body::Shell(|shell, args| mapped(shell, args, |_, _| Ok(Term::OK)))),
    Entry::new(
        ENUM,
        "filter",
        2..=2,
        Body::Shell(|shell, args| select(shell, args, |all, truths| kept(all, &truths, true))),
    ),
    Entry::new(ENUM, "find", 2..=2, Body::Shell(|shell, args| select(shell, args, first))),
    Entry::new(
        ENUM,
        "find_value",
        2..=2,
        Body::Shell(|shell, args| mapped(shell, args, |_, values| Ok(find_value(values)))),
    ),
    Entry::new(ENUM, "flat_map", 2..=2, Body::Shell(|shell, args| mapped(shell, args, |_, values| flat(&values)))),
    Entry::new(ENUM, "group_by", 2..=3, Body::Shell(group_by)),
    Entry::new(ENUM, "into", 3..=3, Body::Shell(into)),
    Entry::new(ENUM, "map", 2..=2, Body::Shell(|shell, args| mapped(shell, args, |_, values| Ok(Term::List(values))))),
    Entry::new(ENUM, "map_join", 2..=3, Body::Shell(map_join)),
    Entry::new(
        ENUM,
        "max_by",
        2..=2,
        Body::Shell(|shell, args| mapped(shell, args, |all, keys| Ok(sorted(all, keys).pop().unwrap_or(Term::NIL)))),
    ),
    Entry::new(
        ENUM,
        "min_by",
        2..=2,
        Body::Shell(|shell, args| {
            mapped(shell, args, |all, keys| Ok(sorted(all, keys).into_iter().next().unwrap_or(Term::NIL)))
        }),
    ),
    Entry::new(ENUM, "reduce", 2..=3, Body::Shell(reduce)),
    Entry::new(
        ENUM,
        "reject",
        2..=2,
        Body::Shell(|shell, args| select(shell, args, |all, truths| kept(all, &truths, false))),
    ),
    Entry::new(ENUM, "sort_by", 2..=3, Body::Shell(sort_by)),
    Entry::new(ENUM, "split_with", 2..=2, Body::Shell(|shell, args| select(shell, args, split_with))),
    Entry::new(ENUM, "sum_by", 2..=2, Body::Shell(|shell, args| mapped(shell, args, |_, values| sum(&values)))),
    Entry::new(
        ENUM,
        "uniq_by",
        2..=2,
        Body::Shell(|shell, args| mapped(shell, args, |all, keys| Ok(uniq_by(all, keys)))),
    ),
    Entry::new(
        "Elixir.Map",
        "filter",
        2..=2,
        Body::Shell(|shell, args| select(shell, args, |all, truths| as_map(kept(all, &truths, true)))),
    ),
    Entry::new("Elixir.Map", "new", 2..=2, Body::Shell(|shell, args| mapped(shell, args, |_, pairs| map_of(&pairs)))),
    Entry::new(
        "Elixir.Map",
        "reject",
        2..=2,
        Body::Shell(|shell, args| select(shell, args, |all, truths| as_map(kept(all, &truths, false)))),
    ),
    Entry::new("Elixir.Map", "update", 4..=4, Body::Shell(update)),
    Entry::new("Elixir.Map", "update!", 3..=3, Body::Shell(update)),
    Entry::new("", "then", 2..=2, Body::Shell(|shell, args| called(shell, args, false))),
    Entry::new("", "tap", 2..=2, Body::Shell(|shell, args| called(shell, args, true))),
];

/// Calls the function with each element; what its results come to.
fn mapped<'a>(
    shell: &'a mut Evaluator,
    args: Vec<Value>,
    finish: fn(Vec<Term>, Vec<Term>) -> Result<Term, Raise>,
) -> BoxFuture<'a, Outcome> {
    async move {
        let (all, function) = each(args)?;
        let results = shell.apply_each(&function, &all).await?;
        finish(all, results).map(Value::Term)
    }
    .boxed()
}

/// Asks the function of each element; what the answers come to.
fn select<'a>(
    shell: &'a mut Evaluator,
    args: Vec<Value>,
    finish: fn(Vec<Term>, Vec<bool>) -> Term,
) -> BoxFuture<'a, Outcome> {
    async move {
        let (all, function) = each(args)?;
        let answers = shell.apply_each(&function, &all).await?;
        let truths = answers.into_iter().map(|answer| Value::Term(answer).is_true()).collect();
        Ok(Value::Term(finish(all, truths)))
    }
    .boxed()
}

fn kept(all: Vec<Term>, truths: &[bool], wanted: bool) -> Term {
    Term::List(all.into_iter().zip(truths).filter(|(_, truth)| **truth == wanted).map(|(element, _)| element).collect())
}

fn first(all: Vec<Term>, truths: Vec<bool>) -> Term {
    all.into_iter().zip(truths).find(|(_, truth)| *truth).map_or(Term::NIL, |(element, _)| element)
}

fn split_with(all: Vec<Term>, truths: Vec<bool>) -> Term {
    tuple([kept(all.clone(), &truths, true), kept(all, &truths, false)])
}

fn find_value(values: Vec<Term>) -> Term {
    values.into_iter().find(|value| Value::Term(value.clone()).is_true()).unwrap_or(Term::NIL)
}

fn flat(values: &[Term]) -> Result<Term, Raise> {
    let parts = values.iter().map(elements).collect::<Result<Vec<_>, _>>()?;
    Ok(Term::List(parts.into_iter().flatten().collect()))
}

fn sum(values: &[Term]) -> Result<Term, Raise> {
    values.iter().try_fold(Term::Int(0), |sum, next| add(&sum, next))
}

/// The elements in the order of their keys.
fn sorted(all: Vec<Term>, keys: Vec<Term>) -> Vec<Term> {
    let mut keyed: Vec<_> = keys.into_iter().zip(all).collect();
    keyed.sort_by(|(a, _), (b, _)| order::compare(a, b));
    keyed.into_iter().map(|(_, element)| element).collect()
}

fn uniq_by(all: Vec<Term>, keys: Vec<Term>) -> Term {
    let mut seen = std::collections::HashSet::new();
    Term::List(
        all.into_iter().zip(keys).filter(|(_, key)| seen.insert(key.clone())).map(|(element, _)| element).collect(),
    )
}

fn map_of(pairs: &[Term]) -> Result<Term, Raise> {
    Ok(Term::Map(pairs.iter().map(enumerables::pair).collect::<Result<Map, _>>()?))
}

fn as_map(pairs: Term) -> Term {
    match &pairs {
        Term::List(all) => map_of(all).unwrap_or(pairs),
        _ => pairs,
    }
}

fn group_by(shell: &mut Evaluator, mut args: Vec<Value>) -> BoxFuture<'_, Outcome> {
    async move {
        let value = if args.len() == 3 { args.pop() } else { None };
        let (all, function) = each(args)?;
        let keys = shell.apply_each(&function, &all).await?;
        let values = match value {
            Some(value) => shell.apply_each(&value, &all).await?,
            None => all,
        };
        let mut order: Vec<Term> = Vec::new();
        let mut groups: std::collections::HashMap<Term, Vec<Term>> = std::collections::HashMap::new();
        for (key, value) in keys.into_iter().zip(values) {
            groups
                .entry(key.clone())
                .or_insert_with(|| {
                    order.push(key);
                    Vec::new()
                })
                .push(value);
        }
        let group = |key: Term| {
            let members = groups.remove(&key).unwrap_or_default();
            (key, Term::List(members))
        };
        Ok(Term::Map(order.into_iter().map(group).collect()).into())
    }
    .boxed()
}

fn into(shell: &mut Evaluator, mut args: Vec<Value>) -> BoxFuture<'_, Outcome> {
    async move {
        let function = args.pop().ok_or_else(|| Raise::error(atom("badarg")))?;
        let onto = args.pop().ok_or_else(|| Raise::error(atom("badarg")))?;
        args.push(function);
        let (all, function) = each(args)?;
        let results = Value::Term(Term::List(shell.apply_each(&function, &all).await?));
        let name = crate::term::Atom::from_static(ENUM);
        shell.remote(&name, "into", vec![results, onto]).await
    }
    .boxed()
}

fn map_join(shell: &mut Evaluator, mut args: Vec<Value>) -> BoxFuture<'_, Outcome> {
    async move {
        let separator = if args.len() == 3 { args.remove(1) } else { Value::from("") };
        let (all, function) = each(args)?;
        let results = Value::Term(Term::List(shell.apply_each(&function, &all).await?));
        let name = crate::term::Atom::from_static(ENUM);
        shell.remote(&name, "join", vec![results, separator]).await
    }
    .boxed()
}

fn reduce(shell: &mut Evaluator, mut args: Vec<Value>) -> BoxFuture<'_, Outcome> {
    async move {
        let mut all = elements(&take(&mut args)?.term()?)?.into_iter();
        let mut sum = match args.len() {
            2 => take(&mut args)?.term()?,
            _ => all.next().ok_or_else(|| Raise::argument("there is nothing to begin with: give a start"))?,
        };
        let function = take(&mut args)?;
        for element in all {
            sum = shell.apply_to(&function, &[element, sum]).await?;
        }
        Ok(sum.into())
    }
    .boxed()
}

fn sort_by(shell: &mut Evaluator, mut args: Vec<Value>) -> BoxFuture<'_, Outcome> {
    async move {
        let direction = if args.len() == 3 { args.pop() } else { None };
        let (all, function) = each(args)?;
        let keys = shell.apply_each(&function, &all).await?;
        let mut all = sorted(all, keys);
        match direction.map(Value::term).transpose()? {
            None => {}
            Some(way) if way.is_atom("asc") => {}
            Some(way) if way.is_atom("desc") => all.reverse(),
            Some(_) => return Err(Raise::argument("sort_by takes :asc or :desc")),
        }
        Ok(Term::List(all).into())
    }
    .boxed()
}

/// `Map.update(map, key, default, function)`, `Map.update!(map, key, function)`.
fn update(shell: &mut Evaluator, mut args: Vec<Value>) -> BoxFuture<'_, Outcome> {
    async move {
        let Term::Map(mut map) = take(&mut args)?.term()? else { return Err(Raise::argument("wanted a map")) };
        let key = take(&mut args)?.term()?;
        let default = if args.len() == 2 { Some(take(&mut args)?.term()?) } else { None };
        let function = take(&mut args)?;
        let value = match (map.get(&key).cloned(), default) {
            (Some(value), _) => shell.apply_to(&function, &[value]).await?,
            (None, Some(default)) => default,
            (None, None) => return Err(Raise::error(crate::term::elixir::key_error(key, map.into(), None))),
        };
        map.insert(key, value);
        Ok(Term::Map(map).into())
    }
    .boxed()
}

/// `then` gives what the function gives, `tap` the value.
fn called(shell: &mut Evaluator, mut args: Vec<Value>, tapped: bool) -> BoxFuture<'_, Outcome> {
    async move {
        let value = take(&mut args)?;
        let function = take(&mut args)?;
        let result = shell.apply(&function, vec![value.clone()]).await?;
        Ok(if tapped { value } else { result })
    }
    .boxed()
}
