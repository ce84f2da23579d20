//! `Enum` and `List` with functions that carry something along, or walk several collections at once.

use futures::FutureExt;
use futures::future::BoxFuture;

use super::{Entry, each, elements, empty_error, enumerables, list_of, lists, take};
use crate::shell::eval::{Evaluator, Outcome};
use crate::shell::fault::about;
use crate::shell::value::Value;
use crate::term::{Term, tuple};

const ENUM: &str = "Elixir.Enum";

pub(super) const ENTRIES: &[Entry] = &[
    Entry::shell(ENUM, "chunk_by", 2..=2, chunk_by),
    Entry::shell(ENUM, "dedup_by", 2..=2, dedup_by),
    Entry::shell(ENUM, "flat_map_reduce", 3..=3, |shell, args| map_reduce(shell, args, true)),
    Entry::shell(ENUM, "map_reduce", 3..=3, |shell, args| map_reduce(shell, args, false)),
    Entry::shell(ENUM, "max", 2..=2, |shell, args| extreme(shell, args, std::cmp::Ordering::Greater)),
    Entry::shell(ENUM, "min", 2..=2, |shell, args| extreme(shell, args, std::cmp::Ordering::Less)),
    Entry::shell(ENUM, "scan", 3..=3, scan),
    Entry::shell(ENUM, "with_index", 1..=2, with_index),
    Entry::shell(ENUM, "zip_with", 2..=3, zip_with),
    Entry::shell("Elixir.List", "foldl", 3..=3, |shell, args| fold(shell, args, false)),
    Entry::shell("Elixir.List", "foldr", 3..=3, |shell, args| fold(shell, args, true)),
    Entry::shell("Elixir.List", "update_at", 3..=3, update_at),
    Entry::shell("Elixir.Map", "split_with", 2..=2, split_with),
];

/// Elements next to each other of which the function says the same.
fn chunk_by(shell: &mut Evaluator, args: Vec<Value>) -> BoxFuture<'_, Outcome> {
    async move {
        let (all, function) = each(args)?;
        let keys = shell.apply_each(&function, &all).await?;
        let (mut chunks, mut last) = (Vec::<Vec<Term>>::new(), None);
        for (key, element) in keys.into_iter().zip(all) {
            match chunks.last_mut() {
                Some(chunk) if last.as_ref() == Some(&key) => chunk.push(element),
                _ => chunks.push(vec![element]),
            }
            last = Some(key);
        }
        Ok(Term::List(chunks.into_iter().map(Term::List).collect()).into())
    }
    .boxed()
}

fn dedup_by(shell: &mut Evaluator, args: Vec<Value>) -> BoxFuture<'_, Outcome> {
    async move {
        let (all, function) = each(args)?;
        let mut keyed: Vec<_> = shell.apply_each(&function, &all).await?.into_iter().zip(all).collect();
        keyed.dedup_by(|(key, _), (before, _)| key == before);
        Ok(Term::List(keyed.into_iter().map(|(_, element)| element).collect()).into())
    }
    .boxed()
}

/// The function gives `{element, carried}`; `{elements, carried}` of what is to be flat.
fn map_reduce(shell: &mut Evaluator, mut args: Vec<Value>, flat: bool) -> BoxFuture<'_, Outcome> {
    async move {
        let all = elements(&take(&mut args)?.term()?)?;
        let (mut carried, function) = (take(&mut args)?.term()?, take(&mut args)?);
        let (mut mapped, mut share) = (Vec::new(), shell.meter.share());
        for element in all {
            let answer = shell.apply_to(&function, &[element, carried]).await?;
            let Some([value, next]) = answer.as_tuple() else { return Err(about("badmatch", answer)) };
            share.add_term(value)?;
            match value {
                halt if flat && halt.is_atom("halt") => return Ok(tuple([Term::List(mapped), next.clone()]).into()),
                several if flat => mapped.extend(elements(several)?),
                one => mapped.push(one.clone()),
            }
            super::check_count(mapped.len())?;
            carried = next.clone();
        }
        Ok(tuple([Term::List(mapped), carried]).into())
    }
    .boxed()
}

/// `Enum.max(collection, fn -> if_empty end)`, or with an order instead.
fn extreme(shell: &mut Evaluator, args: Vec<Value>, wanted: std::cmp::Ordering) -> BoxFuture<'_, Outcome> {
    async move {
        let (all, function) = each(args)?;
        let falls = match &function {
            Value::Function(function) if function.arity() == 0 => super::order::Direction::default(),
            Value::Term(direction) => super::order::Direction::of(direction)?,
            Value::Function(_) => return Err(crate::shell::fault::unknown("an order by a function in max and min")),
        };
        let better = |best: Term, next: Term| if falls.compare(&next, &best) == wanted { next } else { best };
        match all.into_iter().reduce(better) {
            Some(found) => Ok(found.into()),
            None if matches!(function, Value::Function(_)) => shell.apply(&function, Vec::new()).await,
            None => Err(empty_error()),
        }
    }
    .boxed()
}

fn scan(shell: &mut Evaluator, mut args: Vec<Value>) -> BoxFuture<'_, Outcome> {
    async move {
        let all = elements(&take(&mut args)?.term()?)?;
        let (mut carried, function) = (take(&mut args)?.term()?, take(&mut args)?);
        let (mut sums, mut share) = (Vec::with_capacity(all.len()), shell.meter.share());
        for element in all {
            carried = shell.apply_to(&function, &[element, carried]).await?;
            share.add_term(&carried)?;
            sums.push(carried.clone());
        }
        Ok(Term::List(sums).into())
    }
    .boxed()
}

/// With a number to begin with, or with a function of element and place.
fn with_index(shell: &mut Evaluator, mut args: Vec<Value>) -> BoxFuture<'_, Outcome> {
    async move {
        let all = elements(&take(&mut args)?.term()?)?;
        let function = match args.pop() {
            Some(function @ Value::Function(_)) => Some(function),
            from => {
                let from = from.map_or(Ok(0), |from| super::integer(&[from.term()?], 0))?;
                let pairs = all.into_iter().zip(from..).map(|(element, at)| tuple([element, at.into()]));
                return Ok(Term::List(pairs.collect()).into());
            }
        };
        let (mut results, mut share) = (Vec::with_capacity(all.len()), shell.meter.share());
        for (at, element) in all.into_iter().enumerate() {
            let Some(function) = &function else { break };
            let result = shell.apply_to(function, &[element, at.into()]).await?;
            share.add_term(&result)?;
            results.push(result);
        }
        Ok(Term::List(results).into())
    }
    .boxed()
}

/// `zip_with(one, other, fn a, b -> ... end)`, `zip_with([one, other], fn [a, b] -> ... end)`.
fn zip_with(shell: &mut Evaluator, mut args: Vec<Value>) -> BoxFuture<'_, Outcome> {
    async move {
        let function = args.pop().ok_or_else(|| about("badarg", Term::NIL))?;
        let several = args.len() == 1;
        let all = if several { take(&mut args)?.term()? } else { Term::List(super::terms_of(args)?) };
        let Term::List(rows) = lists::zip(&[all])? else { return Ok(Term::List(Vec::new()).into()) };
        let (mut results, mut share) = (Vec::with_capacity(rows.len()), shell.meter.share());
        for row in rows {
            let Term::Tuple(row) = row else { continue };
            let given = if several { vec![Term::List(row)] } else { row };
            let result = shell.apply_to(&function, &given).await?;
            share.add_term(&result)?;
            results.push(result);
        }
        Ok(Term::List(results).into())
    }
    .boxed()
}

fn fold(shell: &mut Evaluator, mut args: Vec<Value>, from_right: bool) -> BoxFuture<'_, Outcome> {
    async move {
        let mut all = list_of(&[take(&mut args)?.term()?], 0)?.to_vec();
        let (mut carried, function) = (take(&mut args)?.term()?, take(&mut args)?);
        if from_right {
            all.reverse();
        }
        for element in all {
            carried = shell.apply_to(&function, &[element, carried]).await?;
        }
        Ok(carried.into())
    }
    .boxed()
}

fn update_at(shell: &mut Evaluator, mut args: Vec<Value>) -> BoxFuture<'_, Outcome> {
    async move {
        let mut all = list_of(&[take(&mut args)?.term()?], 0)?.to_vec();
        let at = super::integer(&[take(&mut args)?.term()?], 0)?;
        let function = take(&mut args)?;
        if let Some(place) = super::position(at, all.len()).and_then(|at| all.get_mut(at)) {
            *place = shell.apply_to(&function, std::slice::from_ref(place)).await?;
        }
        Ok(Term::List(all).into())
    }
    .boxed()
}

fn split_with(shell: &mut Evaluator, args: Vec<Value>) -> BoxFuture<'_, Outcome> {
    async move {
        let (all, function) = each(args)?;
        let answers = shell.apply_each(&function, &all).await?;
        let pairs = all.iter().map(enumerables::pair).collect::<Result<Vec<_>, _>>()?.into_iter();
        let truths = answers.into_iter().map(|answer| Value::Term(answer).is_true());
        let (one, other): (Vec<_>, Vec<_>) = pairs.zip(truths).partition(|(_, truth)| *truth);
        let map = |pairs: Vec<((Term, Term), bool)>| Term::Map(pairs.into_iter().map(|(pair, _)| pair).collect());
        Ok(tuple([map(one), map(other)]).into())
    }
    .boxed()
}
