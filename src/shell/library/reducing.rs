//! `Enum` with functions that are called with each element, and what else calls a function.

use std::collections::{HashMap, HashSet};

use futures::FutureExt;
use futures::future::BoxFuture;

use super::{Entry, each, elements, empty_error, enumerables, keywords, maps, take};
use crate::node::Raise;
use crate::shell::eval::{Evaluator, Outcome, operators_add as add};
use crate::shell::value::Value;
use crate::term::{Map, Term, atom, tuple};

const ENUM: &str = "Elixir.Enum";

pub(super) const ENTRIES: &[Entry] = &[
    Entry::shell(ENUM, "count", 2..=2, |shell, args| {
        select(shell, args, |_, truths| truths.iter().filter(|t| **t).count().into())
    }),
    Entry::shell(ENUM, "each", 2..=2, |shell, args| mapped(shell, args, |_, _| Ok(Term::OK))),
    Entry::shell(ENUM, "filter", 2..=2, |shell, args| select(shell, args, |all, truths| kept(all, &truths, true))),
    Entry::shell(ENUM, "flat_map", 2..=2, |shell, args| {
        mapped(shell, args, |_, values| enumerables::joined(&values).map(Term::List))
    }),
    Entry::shell(ENUM, "frequencies_by", 2..=2, |shell, args| {
        mapped(shell, args, |_, keys| Ok(enumerables::frequencies(keys)))
    }),
    Entry::shell(ENUM, "group_by", 2..=3, group_by),
    Entry::shell(ENUM, "into", 3..=3, into),
    Entry::shell(ENUM, "map", 2..=2, |shell, args| mapped(shell, args, |_, values| Ok(Term::List(values)))),
    Entry::shell(ENUM, "map_join", 2..=3, map_join),
    Entry::shell(ENUM, "map_every", 3..=3, map_every),
    Entry::shell(ENUM, "reduce", 2..=3, reduce),
    Entry::shell(ENUM, "reject", 2..=2, |shell, args| select(shell, args, |all, truths| kept(all, &truths, false))),
    Entry::shell(ENUM, "scan", 2..=2, scan),
    Entry::shell(ENUM, "split_with", 2..=2, |shell, args| select(shell, args, split_with)),
    Entry::shell(ENUM, "sum_by", 2..=2, |shell, args| mapped(shell, args, |_, values| sum(&values))),
    Entry::shell(ENUM, "uniq_by", 2..=2, |shell, args| mapped(shell, args, |all, keys| Ok(uniq_by(all, keys)))),
    Entry::shell("Elixir.Map", "filter", 2..=2, |shell, args| {
        select(shell, args, |all, truths| as_map(kept(all, &truths, true)))
    }),
    Entry::shell("Elixir.Map", "merge", 3..=3, merge),
    Entry::shell("Elixir.Map", "new", 2..=2, |shell, args| mapped(shell, args, |_, pairs| map_of(&pairs))),
    Entry::shell("Elixir.Map", "reject", 2..=2, |shell, args| {
        select(shell, args, |all, truths| as_map(kept(all, &truths, false)))
    }),
    Entry::shell("Elixir.Keyword", "filter", 2..=2, |shell, args| {
        select(shell, args, |all, truths| kept(all, &truths, true))
    }),
    Entry::shell("Elixir.Keyword", "merge", 3..=3, merge_keywords),
    Entry::shell("Elixir.Keyword", "new", 2..=2, |shell, args| {
        mapped(shell, args, |_, pairs| keywords::unique(&pairs))
    }),
    Entry::shell("Elixir.Keyword", "reject", 2..=2, |shell, args| {
        select(shell, args, |all, truths| kept(all, &truths, false))
    }),
    Entry::shell("", "then", 2..=2, |shell, args| called(shell, args, false)),
    Entry::shell("", "tap", 2..=2, |shell, args| called(shell, args, true)),
    Entry::shell("", "update_in", 3..=3, update_in),
];

/// Calls the function with each element; what its results come to.
fn mapped(
    shell: &mut Evaluator,
    args: Vec<Value>,
    finish: fn(Vec<Term>, Vec<Term>) -> Result<Term, Raise>,
) -> BoxFuture<'_, Outcome> {
    async move {
        let (all, function) = each(args)?;
        let results = shell.apply_each(&function, &all).await?;
        finish(all, results).map(Value::Term)
    }
    .boxed()
}

/// Asks the function of each element; what the answers come to.
fn select(shell: &mut Evaluator, args: Vec<Value>, finish: fn(Vec<Term>, Vec<bool>) -> Term) -> BoxFuture<'_, Outcome> {
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

#[expect(clippy::needless_pass_by_value, reason = "as all that finish a selection")]
fn split_with(all: Vec<Term>, truths: Vec<bool>) -> Term {
    tuple([kept(all.clone(), &truths, true), kept(all, &truths, false)])
}

fn sum(values: &[Term]) -> Result<Term, Raise> {
    values.iter().try_fold(Term::Int(0), |sum, next| add(&sum, next))
}

fn uniq_by(all: Vec<Term>, keys: Vec<Term>) -> Term {
    let mut seen = HashSet::new();
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
        let mut groups: HashMap<Term, Vec<Term>> = HashMap::new();
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
        let results = shell.apply_each(&function, &all).await?;
        enumerables::into(results, &onto.term()?).map(Value::Term)
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
            _ => all.next().ok_or_else(empty_error)?,
        };
        let function = take(&mut args)?;
        for element in all {
            sum = shell.apply_to(&function, &[element, sum]).await?;
        }
        Ok(sum.into())
    }
    .boxed()
}

/// `Enum.map_every(collection, nth, function)`: the first and every nth behind it.
fn map_every(shell: &mut Evaluator, mut args: Vec<Value>) -> BoxFuture<'_, Outcome> {
    async move {
        let mut all = elements(&take(&mut args)?.term()?)?;
        let (nth, function) = (super::integer(&[take(&mut args)?.term()?], 0)?, take(&mut args)?);
        let nth = usize::try_from(nth).map_err(|_| Raise::argument("every nth is 0 or more"))?;
        for element in all.iter_mut().step_by(nth.max(1)).filter(|_| nth > 0) {
            *element = shell.apply_to(&function, std::slice::from_ref(element)).await?;
        }
        Ok(Term::List(all).into())
    }
    .boxed()
}

fn scan(shell: &mut Evaluator, args: Vec<Value>) -> BoxFuture<'_, Outcome> {
    async move {
        let (all, function) = each(args)?;
        let mut sums: Vec<Term> = Vec::with_capacity(all.len());
        for element in all {
            let sum = match sums.last() {
                Some(sum) => shell.apply_to(&function, &[element, sum.clone()]).await?,
                None => element,
            };
            sums.push(sum);
        }
        Ok(Term::List(sums).into())
    }
    .boxed()
}

/// `Map.merge(map, other, fn key, one, other -> value end)`.
fn merge(shell: &mut Evaluator, mut args: Vec<Value>) -> BoxFuture<'_, Outcome> {
    async move {
        let (one, other) = (take(&mut args)?.term()?, take(&mut args)?.term()?);
        let (Term::Map(map), Term::Map(other)) = (one, other) else {
            return Err(Raise::argument("wanted two maps"));
        };
        let function = take(&mut args)?;
        let owns: HashMap<Term, Term> = map.iter().cloned().collect();
        let mut merged: Vec<(Term, Term)> = map.iter().cloned().collect();
        for (key, value) in other {
            let value = match owns.get(&key) {
                Some(own) => shell.apply_to(&function, &[key.clone(), own.clone(), value]).await?,
                None => value,
            };
            merged.push((key, value));
        }
        Ok(Term::Map(merged.into_iter().collect()).into())
    }
    .boxed()
}

/// `Keyword.merge(one, other, fn key, one, other -> value end)`: what only one has, then the others.
fn merge_keywords(shell: &mut Evaluator, mut args: Vec<Value>) -> BoxFuture<'_, Outcome> {
    async move {
        let (one, other) = (take(&mut args)?.term()?, take(&mut args)?.term()?);
        let one = super::list_of(&[one], 0)?.iter().map(enumerables::pair).collect::<Result<Vec<_>, _>>()?;
        let other = super::list_of(&[other], 0)?.iter().map(enumerables::pair).collect::<Result<Vec<_>, _>>()?;
        let function = take(&mut args)?;
        let keys: HashSet<&Term> = other.iter().map(|(key, _)| key).collect();
        let owns: HashMap<&Term, &Term> = one.iter().rev().map(|(key, value)| (key, value)).collect();
        let alone = one.iter().filter(|(key, _)| !keys.contains(key));
        let mut merged: Vec<Term> = alone.map(|(key, value)| tuple([key.clone(), value.clone()])).collect();
        for (key, value) in &other {
            let value = match owns.get(key) {
                Some(own) => shell.apply_to(&function, &[key.clone(), (*own).clone(), value.clone()]).await?,
                None => value.clone(),
            };
            merged.push(tuple([key.clone(), value]));
        }
        Ok(Term::List(merged).into())
    }
    .boxed()
}

/// `update_in(value, [key, ...], function)`.
fn update_in(shell: &mut Evaluator, mut args: Vec<Value>) -> BoxFuture<'_, Outcome> {
    async move {
        let (of, path) = (take(&mut args)?.term()?, take(&mut args)?.term()?);
        let old = maps::get_in(&[of.clone(), path.clone()])?;
        let new = shell.apply_to(&take(&mut args)?, &[old]).await?;
        maps::put_in(&of, super::list_of(&[path], 0)?, &new).map(Value::Term)
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
