//! `List` and `Tuple`.

use super::{Entry, arg, check_copies, check_count, elements, integer, list_of, position, to_text};
use crate::node::Raise;
use crate::term::{Term, atom, binary};

const LIST: &str = "Elixir.List";

/// Deepest nesting of a list that is made flat.
const DEPTH: usize = 500;

pub(super) const ENTRIES: &[Entry] = &[
    Entry::pure(LIST, "delete", 2..=2, delete),
    Entry::pure(LIST, "delete_at", 2..=2, |args| {
        at_place(args, false, |all, at| {
            all.remove(at);
        })
    }),
    Entry::pure(LIST, "duplicate", 2..=2, duplicate),
    Entry::pure(LIST, "first", 1..=2, |args| {
        Ok(list_of(args, 0)?.first().or(args.get(1)).cloned().unwrap_or(Term::NIL))
    }),
    Entry::pure(LIST, "flatten", 1..=1, flatten),
    Entry::pure(LIST, "insert_at", 3..=3, |args| {
        let element = arg(args, 2)?.clone();
        at_place(args, true, |all, at| all.insert(at, element))
    }),
    Entry::pure(LIST, "keyfind", 3..=4, keyfind),
    Entry::pure(LIST, "last", 1..=2, |args| Ok(list_of(args, 0)?.last().or(args.get(1)).cloned().unwrap_or(Term::NIL))),
    Entry::pure(LIST, "replace_at", 3..=3, |args| {
        let element = arg(args, 2)?.clone();
        at_place(args, false, |all, at| {
            if let Some(place) = all.get_mut(at) {
                *place = element;
            }
        })
    }),
    Entry::pure(LIST, "starts_with?", 2..=2, |args| Ok(list_of(args, 0)?.starts_with(list_of(args, 1)?).into())),
    Entry::pure(LIST, "to_string", 1..=1, |args| to_text(arg(args, 0)?).map(binary)),
    Entry::pure(LIST, "to_tuple", 1..=1, |args| Ok(Term::Tuple(list_of(args, 0)?.to_vec()))),
    Entry::pure(LIST, "wrap", 1..=1, wrap),
    Entry::pure(LIST, "zip", 1..=1, zip),
    Entry::pure("Elixir.Tuple", "to_list", 1..=1, tuple_to_list),
];

fn delete(args: &[Term]) -> Result<Term, Raise> {
    let mut all = list_of(args, 0)?.to_vec();
    if let Some(at) = all.iter().position(|own| Some(own) == args.get(1)) {
        all.remove(at);
    }
    Ok(Term::List(all))
}

/// Changes a list at a place, which counts from the end if it is negative; nothing where there is none. A place behind the
/// last element is one for what is inserted.
fn at_place(args: &[Term], behind: bool, change: impl FnOnce(&mut Vec<Term>, usize)) -> Result<Term, Raise> {
    let mut all = list_of(args, 0)?.to_vec();
    let places = all.len() + usize::from(behind);
    let at = integer(args, 1)?;
    let place = position(at, places).or(if at >= 0 { Some(all.len()) } else { Some(0) }.filter(|_| behind));
    if let Some(at) = place {
        change(&mut all, at);
    }
    Ok(Term::List(all))
}

fn duplicate(args: &[Term]) -> Result<Term, Raise> {
    let count = usize::try_from(integer(args, 1)?).map_err(|_| Raise::error(atom("badarg")))?;
    check_count(count)?;
    check_copies(arg(args, 0)?, count)?;
    Ok(Term::List(vec![arg(args, 0)?.clone(); count]))
}

fn flatten(args: &[Term]) -> Result<Term, Raise> {
    fn onto(out: &mut Vec<Term>, list: &[Term], depth: usize) -> Result<(), Raise> {
        if depth > DEPTH {
            return Err(Raise::error(atom("system_limit")));
        }
        for element in list {
            match element {
                Term::List(inner) => onto(out, inner, depth + 1)?,
                other => out.push(other.clone()),
            }
        }
        Ok(())
    }
    let mut out = Vec::new();
    onto(&mut out, list_of(args, 0)?, 0)?;
    Ok(Term::List(out))
}

fn keyfind(args: &[Term]) -> Result<Term, Raise> {
    let at = usize::try_from(integer(args, 2)?).map_err(|_| Raise::error(atom("badarg")))?;
    let fits = |element: &&Term| element.as_tuple().and_then(|parts| parts.get(at)) == args.get(1);
    Ok(list_of(args, 0)?.iter().find(fits).or(args.get(3)).cloned().unwrap_or(Term::NIL))
}

fn wrap(args: &[Term]) -> Result<Term, Raise> {
    Ok(match arg(args, 0)? {
        Term::List(list) => Term::List(list.clone()),
        nil if nil.is_atom("nil") => Term::List(Vec::new()),
        other => Term::List(vec![other.clone()]),
    })
}

fn zip(args: &[Term]) -> Result<Term, Raise> {
    let lists = list_of(args, 0)?.iter().map(elements).collect::<Result<Vec<_>, _>>()?;
    let length = lists.iter().map(Vec::len).min().unwrap_or(0);
    let row = |at| Term::Tuple(lists.iter().filter_map(|list| list.get(at)).cloned().collect());
    Ok(Term::List((0..length).map(row).collect()))
}

fn tuple_to_list(args: &[Term]) -> Result<Term, Raise> {
    let parts = arg(args, 0)?.as_tuple().ok_or_else(|| Raise::argument("wanted a tuple"))?;
    Ok(Term::List(parts.to_vec()))
}
