//! `Enum` with functions that are called until it is known what they are asked for.

use futures::FutureExt;
use futures::future::BoxFuture;

use super::{Entry, each, take};
use crate::node::Raise;
use crate::shell::eval::{Evaluator, Outcome};
use crate::shell::value::Value;
use crate::term::{Term, tuple};

const ENUM: &str = "Elixir.Enum";

pub(super) const ENTRIES: &[Entry] = &[
    Entry::shell(ENUM, "all?", 2..=2, |shell, args| search(shell, args, (false, |_, found| found.is_none().into()))),
    Entry::shell(ENUM, "any?", 2..=2, |shell, args| search(shell, args, (true, |_, found| found.is_some().into()))),
    Entry::shell(ENUM, "drop_while", 2..=2, |shell, args| search(shell, args, (false, behind))),
    Entry::shell(ENUM, "find", 2..=2, |shell, args| search(shell, args, (true, element))),
    Entry::shell(ENUM, "find", 3..=3, find_or),
    Entry::shell(ENUM, "find_index", 2..=2, |shell, args| {
        search(shell, args, (true, |_, found| found.map(|found| found.at).into()))
    }),
    Entry::shell(ENUM, "find_value", 2..=2, |shell, args| {
        search(shell, args, (true, |_, found| found.map(|found| found.answer).into()))
    }),
    Entry::shell(ENUM, "find_value", 3..=3, find_value_or),
    Entry::shell(ENUM, "reduce_while", 3..=3, reduce_while),
    Entry::shell(ENUM, "split_while", 2..=2, |shell, args| {
        search(
            shell,
            args,
            (false, |mut all, found| {
                let rest = all.split_off(found.map_or(all.len(), |found| found.at));
                tuple([Term::List(all), Term::List(rest)])
            }),
        )
    }),
    Entry::shell(ENUM, "take_while", 2..=2, |shell, args| search(shell, args, (false, before))),
];

/// The first element of which the function said what was looked for.
struct Found {
    at: usize,
    answer: Term,
}

/// The answer that is looked for, true or not, and what comes of the elements and where it was found.
type Search = (bool, fn(Vec<Term>, Option<Found>) -> Term);

fn search(shell: &mut Evaluator, args: Vec<Value>, (wanted, finish): Search) -> BoxFuture<'_, Outcome> {
    async move {
        let (all, function) = each(args)?;
        let found = first(shell, &all, (&function, wanted)).await?;
        Ok(finish(all, found).into())
    }
    .boxed()
}

async fn first(
    shell: &mut Evaluator,
    all: &[Term],
    (function, wanted): (&Value, bool),
) -> Result<Option<Found>, Raise> {
    for (at, element) in all.iter().enumerate() {
        let answer = shell.apply(function, vec![Value::Term(element.clone())]).await?;
        if answer.is_true() == wanted {
            return answer.term().map(|answer| Some(Found { at, answer }));
        }
    }
    Ok(None)
}

fn element(all: Vec<Term>, found: Option<Found>) -> Term {
    found.and_then(|found| all.into_iter().nth(found.at)).unwrap_or(Term::NIL)
}

fn before(mut all: Vec<Term>, found: Option<Found>) -> Term {
    all.truncate(found.map_or(all.len(), |found| found.at));
    Term::List(all)
}

fn behind(mut all: Vec<Term>, found: Option<Found>) -> Term {
    Term::List(all.split_off(found.map_or(all.len(), |found| found.at)))
}

/// `Enum.find(collection, default, function)`.
fn find_or(shell: &mut Evaluator, mut args: Vec<Value>) -> BoxFuture<'_, Outcome> {
    async move {
        let default = if args.len() == 3 { args.remove(1) } else { Value::Term(Term::NIL) };
        let (all, function) = each(args)?;
        let found = first(shell, &all, (&function, true)).await?;
        Ok(if found.is_some() { element(all, found).into() } else { default })
    }
    .boxed()
}

/// `Enum.find_value(collection, default, function)`.
fn find_value_or(shell: &mut Evaluator, mut args: Vec<Value>) -> BoxFuture<'_, Outcome> {
    async move {
        let default = if args.len() == 3 { args.remove(1) } else { Value::Term(Term::NIL) };
        let (all, function) = each(args)?;
        let found = first(shell, &all, (&function, true)).await?;
        Ok(found.map_or(default, |found| found.answer.into()))
    }
    .boxed()
}

/// The function says `{:cont, so_far}` or `{:halt, result}`.
fn reduce_while(shell: &mut Evaluator, mut args: Vec<Value>) -> BoxFuture<'_, Outcome> {
    async move {
        let all = super::elements(&take(&mut args)?.term()?)?;
        let (mut so_far, function) = (take(&mut args)?.term()?, take(&mut args)?);
        for element in all {
            let answer = shell.apply_to(&function, &[element, so_far]).await?;
            match answer.as_tuple() {
                Some([tag, next]) if tag.is_atom("cont") => so_far = next.clone(),
                Some([tag, result]) if tag.is_atom("halt") => return Ok(result.clone().into()),
                _ => return Err(crate::shell::fault::about("case_clause", answer)),
            }
        }
        Ok(so_far.into())
    }
    .boxed()
}
