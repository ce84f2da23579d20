//! `Enum` that orders.

use std::cmp::Ordering;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::{Entry, date, each, elements, empty_error, take};
use crate::node::Raise;
use crate::shell::eval::{Evaluator, Outcome};
use crate::shell::value::Value;
use crate::term::{Term, order};

const ENUM: &str = "Elixir.Enum";

pub(super) const ENTRIES: &[Entry] = &[
    Entry::shell(ENUM, "max_by", 2..=3, |shell, args| extreme_by(shell, args, Ordering::Greater)),
    Entry::shell(ENUM, "min_by", 2..=3, |shell, args| extreme_by(shell, args, Ordering::Less)),
    Entry::shell(ENUM, "sort", 1..=2, sort),
    Entry::shell(ENUM, "sort_by", 2..=3, sort_by),
];

/// How keys are compared: `:asc`, `:desc`, `DateTime`, `{:desc, DateTime}`.
#[derive(Clone, Copy, Default)]
pub(super) struct Direction {
    falls: bool,
    of_time: bool,
}

/// Modules whose `compare` there is.
fn is_calendar(module: &Term) -> bool {
    ["Elixir.DateTime", "Elixir.Date", "Elixir.Time", "Elixir.NaiveDateTime"].iter().any(|name| module.is_atom(name))
}

impl Direction {
    pub(super) fn of(term: &Term) -> Result<Self, Raise> {
        let (way, module) = match term {
            Term::Tuple(parts) => match parts.as_slice() {
                [way, module] => (way, Some(module)),
                _ => (term, None),
            },
            module if is_calendar(module) => (&Term::NIL, Some(module)),
            way => (way, None),
        };
        let falls = way.is_atom("desc");
        let known = falls || way.is_atom("asc") || (way.is_atom("nil") && module.is_some());
        if !known || module.is_some_and(|module| !is_calendar(module)) {
            return Err(Raise::argument(format!("{term:?} is no order: :asc, :desc, DateTime or {{:desc, DateTime}}")));
        }
        Ok(Self { falls, of_time: module.is_some() })
    }

    pub(super) fn compare(self, a: &Term, b: &Term) -> Ordering {
        let order = match (self.of_time, date::moment(a), date::moment(b)) {
            (true, Ok(a), Ok(b)) => a.cmp(&b),
            _ => order::compare(a, b),
        };
        if self.falls { order.reverse() } else { order }
    }
}

/// Elements with their keys, in the order of the keys.
fn sorted(mut keyed: Vec<(Term, Term)>, direction: Direction) -> Term {
    keyed.sort_by(|(a, _), (b, _)| direction.compare(a, b));
    Term::List(keyed.into_iter().map(|(_, element)| element).collect())
}

fn sort(shell: &mut Evaluator, mut args: Vec<Value>) -> BoxFuture<'_, Outcome> {
    async move {
        let all = elements(&take(&mut args)?.term()?)?;
        let direction = match args.pop() {
            None => Direction::default(),
            Some(Value::Term(direction)) => Direction::of(&direction)?,
            Some(function) => {
                let keyed = all.into_iter().map(|element| (element.clone(), element)).collect();
                return sorted_by(shell, keyed, &function).await;
            }
        };
        Ok(sorted(all.into_iter().map(|element| (element.clone(), element)).collect(), direction).into())
    }
    .boxed()
}

/// The places of keys, sorted by a function that says whether its first argument may stand before the second.
async fn merged(
    shell: &mut Evaluator,
    places: Vec<usize>,
    (keys, function): (&[Term], &Value),
) -> Result<Vec<usize>, Raise> {
    let mut runs: Vec<Vec<usize>> = places.into_iter().map(|place| vec![place]).collect();
    while runs.len() > 1 {
        let mut longer = Vec::with_capacity(runs.len().div_ceil(2));
        let mut rest = runs.into_iter();
        while let Some(left) = rest.next() {
            longer.push(match rest.next() {
                Some(right) => merge(shell, (left, right), (keys, function)).await?,
                None => left,
            });
        }
        runs = longer;
    }
    Ok(runs.pop().unwrap_or_default())
}

async fn merge(
    shell: &mut Evaluator,
    (left, right): (Vec<usize>, Vec<usize>),
    (keys, function): (&[Term], &Value),
) -> Result<Vec<usize>, Raise> {
    let mut out = Vec::with_capacity(left.len() + right.len());
    let (mut left, mut right) = (left.into_iter().peekable(), right.into_iter().peekable());
    while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
        let key = |at: &usize| Value::Term(keys.get(*at).cloned().unwrap_or(Term::NIL));
        let stays = shell.apply(function, vec![key(a), key(b)]).await?.is_true();
        out.extend(if stays { left.next() } else { right.next() });
    }
    out.extend(left);
    out.extend(right);
    Ok(out)
}

/// The elements with what the function says of each.
async fn keyed(shell: &mut Evaluator, args: Vec<Value>) -> Result<Vec<(Term, Term)>, Raise> {
    let (all, function) = each(args)?;
    Ok(shell.apply_each(&function, &all).await?.into_iter().zip(all).collect())
}

fn sort_by(shell: &mut Evaluator, mut args: Vec<Value>) -> BoxFuture<'_, Outcome> {
    async move {
        let direction = if args.len() == 3 { args.pop() } else { None };
        let keyed = keyed(shell, args).await?;
        match direction {
            None => Ok(sorted(keyed, Direction::default()).into()),
            Some(Value::Term(direction)) => Ok(sorted(keyed, Direction::of(&direction)?).into()),
            Some(function) => sorted_by(shell, keyed, &function).await,
        }
    }
    .boxed()
}

/// Sorted by a function of two keys.
async fn sorted_by(shell: &mut Evaluator, keyed: Vec<(Term, Term)>, function: &Value) -> Outcome {
    let (keys, all): (Vec<Term>, Vec<Term>) = keyed.into_iter().unzip();
    let places = (0..keys.len()).collect();
    let order = merged(shell, places, (&keys, function)).await?;
    Ok(Term::List(order.into_iter().filter_map(|at| all.get(at).cloned()).collect()).into())
}

fn extreme_by(shell: &mut Evaluator, mut args: Vec<Value>, wanted: Ordering) -> BoxFuture<'_, Outcome> {
    async move {
        let last = if args.len() == 3 { args.pop() } else { None };
        let (direction, if_empty) = match last {
            Some(Value::Term(direction)) => (Direction::of(&direction)?, None),
            if_empty => (Direction::default(), if_empty),
        };
        let keyed = keyed(shell, args).await?;
        // Of equal ones the first.
        let better = |best: (Term, Term), next: (Term, Term)| {
            if direction.compare(&next.0, &best.0) == wanted { next } else { best }
        };
        match (keyed.into_iter().reduce(better), if_empty) {
            (Some((_, element)), _) => Ok(element.into()),
            (None, Some(if_empty)) => shell.apply(&if_empty, Vec::new()).await,
            (None, None) => Err(empty_error()),
        }
    }
    .boxed()
}
