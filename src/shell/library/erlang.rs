//! What people know of Erlang's own modules: `lists`, `maps`, `erlang`, `timer`; mostly functions of Elixir's under other names.

use std::time::Instant;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::{Entry, arg, enumerables, integer, lists, maps, take, text, to_text};
use crate::node::Raise;
use crate::shell::eval::{Evaluator, Outcome};
use crate::shell::value::Value;
use crate::term::{Atom, Term, atom, binary, order, tuple};

const ERLANG: &str = "erlang";
const LISTS: &str = "lists";
const MAPS: &str = "maps";
const TIMER: &str = "timer";

pub(super) const ENTRIES: &[Entry] = &[
    Entry::pure(ERLANG, "atom_to_binary", 1..=2, |args| arg(args, 0)?.as_atom().map(binary).ok_or_else(badarg)),
    Entry::pure(ERLANG, "atom_to_list", 1..=1, |args| {
        arg(args, 0)?.as_atom().map(crate::term::charlist).ok_or_else(badarg)
    }),
    Entry::pure(ERLANG, "binary_to_integer", 1..=2, super::texts::to_integer),
    Entry::pure(ERLANG, "binary_to_list", 1..=1, |args| match arg(args, 0)? {
        Term::Binary(bytes) => {
            super::check_count(bytes.len())?;
            Ok(Term::List(bytes.iter().map(|byte| Term::Int(i64::from(*byte))).collect()))
        }
        _ => Err(badarg()),
    }),
    Entry::pure(ERLANG, "element", 2..=2, |args| {
        let at = usize::try_from(integer(args, 0)?).ok().and_then(|at| at.checked_sub(1));
        at.and_then(|at| args.get(1)?.as_tuple()?.get(at)).cloned().ok_or_else(badarg)
    }),
    Entry::pure(ERLANG, "integer_to_binary", 1..=2, |args| Ok(binary(integer(args, 0)?.to_string()))),
    Entry::pure(ERLANG, "integer_to_list", 1..=1, |args| Ok(crate::term::charlist(&integer(args, 0)?.to_string()))),
    Entry::pure(ERLANG, "list_to_atom", 1..=1, |args| super::texts::to_atom(&to_text(arg(args, 0)?)?)),
    Entry::pure(ERLANG, "list_to_tuple", 1..=1, |args| Ok(Term::Tuple(super::list_of(args, 0)?.to_vec()))),
    Entry::pure(ERLANG, "tuple_to_list", 1..=1, lists::tuple_to_list),
    Entry::pure(LISTS, "append", 2..=2, |args| enumerables::joined(args).map(Term::List)),
    Entry::shell(LISTS, "filter", 2..=2, |shell, args| turned(shell, args, ("Elixir.Enum", "filter"))),
    Entry::pure(LISTS, "flatten", 1..=1, lists::flatten),
    Entry::shell(LISTS, "foreach", 2..=2, |shell, args| turned(shell, args, ("Elixir.Enum", "each"))),
    Entry::pure(LISTS, "keyfind", 3..=3, |args| {
        let place = Term::Int(integer(args, 1)?.saturating_sub(1));
        lists::keyfind(&[arg(args, 2)?.clone(), arg(args, 0)?.clone(), place, false.into()])
    }),
    Entry::pure(LISTS, "last", 1..=1, |args| super::list_of(args, 0)?.last().cloned().ok_or_else(badarg)),
    Entry::shell(LISTS, "map", 2..=2, |shell, args| turned(shell, args, ("Elixir.Enum", "map"))),
    Entry::pure(LISTS, "max", 1..=1, |args| enumerables::extreme(args, std::cmp::Ordering::Greater)),
    Entry::pure(LISTS, "member", 2..=2, |args| Ok(super::list_of(args, 1)?.contains(arg(args, 0)?).into())),
    Entry::pure(LISTS, "min", 1..=1, |args| enumerables::extreme(args, std::cmp::Ordering::Less)),
    Entry::pure(LISTS, "nth", 2..=2, |args| {
        let at = usize::try_from(integer(args, 0)?).ok().and_then(|at| at.checked_sub(1));
        at.and_then(|at| args.get(1)?.as_list()?.get(at)).cloned().ok_or_else(badarg)
    }),
    Entry::pure(LISTS, "reverse", 1..=1, |args| {
        Ok(Term::List(super::list_of(args, 0)?.iter().rev().cloned().collect()))
    }),
    Entry::pure(LISTS, "seq", 2..=3, |args| {
        let step = if args.len() == 3 { integer(args, 2)? } else { 1 };
        super::range_elements([integer(args, 0)?, integer(args, 1)?, if step == 0 { 1 } else { step }]).map(Term::List)
    }),
    Entry::pure(LISTS, "sort", 1..=1, sort),
    Entry::pure(LISTS, "sum", 1..=1, enumerables::sum),
    Entry::pure(LISTS, "usort", 1..=1, |args| match sort(args)? {
        Term::List(mut all) => {
            all.dedup_by(|a, b| order::compare(a, b).is_eq());
            Ok(Term::List(all))
        }
        other => Ok(other),
    }),
    Entry::pure(MAPS, "from_list", 1..=1, maps::new),
    Entry::pure(MAPS, "get", 2..=3, |args| {
        let found = maps::map(args.get(1..).unwrap_or_default())?.get(arg(args, 0)?).or(args.get(2));
        found.cloned().ok_or_else(|| crate::shell::fault::about("badkey", super::given(args, 0).clone()))
    }),
    Entry::pure(MAPS, "is_key", 2..=2, |args| {
        Ok(maps::map(args.get(1..).unwrap_or_default())?.get(arg(args, 0)?).is_some().into())
    }),
    Entry::pure(MAPS, "keys", 1..=1, |args| maps::sides(args, |(key, _)| key.clone())),
    Entry::pure(MAPS, "merge", 2..=2, maps::merge),
    Entry::pure(MAPS, "size", 1..=1, |args| maps::map(args).map(|map| map.len().into())),
    Entry::pure(MAPS, "to_list", 1..=1, |args| maps::sides(args, |(k, v)| tuple([k.clone(), v.clone()]))),
    Entry::pure(MAPS, "values", 1..=1, |args| maps::sides(args, |(_, value)| value.clone())),
    Entry::pure(TIMER, "hours", 1..=1, |args| milliseconds(args, 3_600_000)),
    Entry::pure(TIMER, "minutes", 1..=1, |args| milliseconds(args, 60_000)),
    Entry::pure(TIMER, "seconds", 1..=1, |args| milliseconds(args, 1_000)),
    Entry::shell(TIMER, "tc", 1..=3, timed),
    Entry::pure("", "binary_part", 3..=3, |args| {
        let (from, count) = (usize::try_from(integer(args, 1)?), usize::try_from(integer(args, 2)?));
        let (Ok(from), Ok(count), Term::Binary(bytes)) = (from, count, arg(args, 0)?) else { return Err(badarg()) };
        let end = from.checked_add(count).filter(|end| *end <= bytes.len()).ok_or_else(badarg)?;
        Ok(Term::Binary(bytes.slice(from..end)))
    }),
    Entry::pure("Elixir.Function", "identity", 1..=1, |args| Ok(arg(args, 0)?.clone())),
    Entry::pure("Elixir.Module", "concat", 1..=2, |args| {
        let parts = if args.len() == 2 { args } else { super::list_of(args, 0)? };
        let parts = parts.iter().map(to_text).collect::<Result<Vec<_>, _>>()?;
        let parts: Vec<&str> = parts.iter().map(|part| part.trim_start_matches("Elixir.")).collect();
        super::texts::to_atom(&format!("Elixir.{}", parts.join(".")))
    }),
    Entry::pure("Elixir.Module", "split", 1..=1, |args| {
        let name = to_text(arg(args, 0)?)?;
        let name = name.strip_prefix("Elixir.").ok_or_else(badarg)?;
        Ok(Term::List(name.split('.').map(binary).collect()))
    }),
    Entry::pure("Elixir.IO", "iodata_to_binary", 1..=1, |args| to_text(arg(args, 0)?).map(binary)),
    Entry::pure("Elixir.IO", "iodata_length", 1..=1, |args| Ok(to_text(arg(args, 0)?)?.len().into())),
    Entry::pure("Elixir.Exception", "message", 1..=1, |args| {
        let message = arg(args, 0)?.as_map().and_then(|map| map.get_atom("message")).cloned();
        message.ok_or_else(|| Raise::argument("wanted an exception with a message"))
    }),
    Entry::pure("Elixir.Atom", "to_charlist", 1..=1, |args| {
        arg(args, 0)?.as_atom().map(crate::term::charlist).ok_or_else(badarg)
    }),
    Entry::pure("Elixir.String", "jaro_distance", 2..=2, |args| {
        let (one, other) = (text(args, 0)?, text(args, 1)?);
        // Each character is looked for among those of the other.
        super::check_count(one.len().saturating_mul(other.len()) / 16)?;
        let likeness = crate::shell::missing::likeness(one, other);
        crate::term::Float::new(likeness).map(Term::Float).map_err(|_| badarg())
    }),
];

fn badarg() -> Raise {
    Raise::error(atom("badarg"))
}

fn milliseconds(args: &[Term], each: i64) -> Result<Term, Raise> {
    integer(args, 0)?.checked_mul(each).map(Term::Int).ok_or_else(badarg)
}

fn sort(args: &[Term]) -> Result<Term, Raise> {
    let mut all = super::list_of(args, 0)?.to_vec();
    all.sort_by(order::compare);
    Ok(Term::List(all))
}

/// A function of Elixir that takes the collection first.
fn turned<'a>(
    shell: &'a mut Evaluator,
    mut args: Vec<Value>,
    (module, name): (&'static str, &'static str),
) -> BoxFuture<'a, Outcome> {
    args.reverse();
    async move { shell.remote(&Atom::from_static(module), name, args).await }.boxed()
}

/// `tc(function)`, `tc(function, args)`, `tc(module, name, args)`: microseconds and the result.
fn timed(shell: &mut Evaluator, mut args: Vec<Value>) -> BoxFuture<'_, Outcome> {
    async move {
        let began = Instant::now();
        let result = if args.len() == 1 {
            shell.apply(&take(&mut args)?, Vec::new()).await?
        } else {
            shell.local("apply", args).await?
        };
        let micros = i64::try_from(began.elapsed().as_micros()).unwrap_or(i64::MAX);
        Ok(tuple([Term::Int(micros), result.term()?]).into())
    }
    .boxed()
}
