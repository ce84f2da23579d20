//! `List` and `Tuple`.

use super::{Entry, arg, check_copies, check_count, elements, integer, list_of, position, to_text};
use crate::node::Raise;
use crate::term::{Term, atom, binary, charlist, order, tuple};

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
    Entry::pure(LIST, "flatten", 1..=2, flatten),
    Entry::pure(LIST, "insert_at", 3..=3, |args| {
        let element = arg(args, 2)?.clone();
        at_place(args, true, |all, at| all.insert(at, element))
    }),
    Entry::pure(LIST, "keyfind", 3..=4, keyfind),
    Entry::pure(LIST, "keydelete", 3..=3, |args| {
        let mut all = list_of(args, 0)?.to_vec();
        if let Some(at) = key_place(args)? {
            all.remove(at);
        }
        Ok(Term::List(all))
    }),
    Entry::pure(LIST, "keymember?", 3..=3, |args| Ok(key_place(args)?.is_some().into())),
    Entry::pure(LIST, "keyreplace", 4..=4, |args| keystore(args, false)),
    Entry::pure(LIST, "keysort", 2..=2, keysort),
    Entry::pure(LIST, "keystore", 4..=4, |args| keystore(args, true)),
    Entry::pure(LIST, "keytake", 3..=3, |args| {
        let mut all = list_of(args, 0)?.to_vec();
        Ok(key_place(args)?.map_or(Term::NIL, |at| tuple([all.remove(at), Term::List(all)])))
    }),
    Entry::pure(LIST, "last", 1..=2, |args| Ok(list_of(args, 0)?.last().or(args.get(1)).cloned().unwrap_or(Term::NIL))),
    Entry::pure(LIST, "pop_at", 2..=3, |args| {
        let mut all = list_of(args, 0)?.to_vec();
        let default = || args.get(2).cloned().unwrap_or(Term::NIL);
        let found = position(integer(args, 1)?, all.len()).map_or_else(default, |at| all.remove(at));
        Ok(tuple([found, Term::List(all)]))
    }),
    Entry::pure(LIST, "replace_at", 3..=3, |args| {
        let element = arg(args, 2)?.clone();
        at_place(args, false, |all, at| {
            if let Some(place) = all.get_mut(at) {
                *place = element;
            }
        })
    }),
    Entry::pure(LIST, "starts_with?", 2..=2, |args| Ok(list_of(args, 0)?.starts_with(list_of(args, 1)?).into())),
    Entry::pure(LIST, "to_atom", 1..=1, |args| super::texts::to_atom(&to_text(arg(args, 0)?)?)),
    Entry::pure(LIST, "to_charlist", 1..=1, |args| Ok(charlist(&to_text(arg(args, 0)?)?))),
    Entry::pure(LIST, "to_integer", 1..=2, |args| {
        let digits = binary(to_text(arg(args, 0)?)?);
        super::texts::to_integer(&std::iter::once(digits).chain(args.get(1).cloned()).collect::<Vec<_>>())
    }),
    Entry::pure(LIST, "to_string", 1..=1, |args| to_text(arg(args, 0)?).map(binary)),
    Entry::pure(LIST, "to_tuple", 1..=1, |args| Ok(Term::Tuple(list_of(args, 0)?.to_vec()))),
    Entry::pure(LIST, "wrap", 1..=1, wrap),
    Entry::pure(LIST, "zip", 1..=1, zip),
    Entry::pure(TUPLE, "append", 2..=2, |args| {
        tuple_with(args, |parts| {
            parts.push(super::given(args, 1).clone());
            Ok(())
        })
    }),
    Entry::pure(TUPLE, "delete_at", 2..=2, |args| {
        tuple_with(args, |parts| {
            parts.remove(place_in(args, parts.len())?);
            Ok(())
        })
    }),
    Entry::pure(TUPLE, "duplicate", 2..=2, |args| match duplicate(args)? {
        Term::List(parts) => Ok(Term::Tuple(parts)),
        other => Ok(other),
    }),
    Entry::pure(TUPLE, "insert_at", 3..=3, |args| {
        tuple_with(args, |parts| {
            parts.insert(place_in(args, parts.len() + 1)?, super::given(args, 2).clone());
            Ok(())
        })
    }),
    Entry::pure("Elixir.Tuple", "to_list", 1..=1, tuple_to_list),
];

const TUPLE: &str = "Elixir.Tuple";

fn tuple_with(args: &[Term], change: impl FnOnce(&mut Vec<Term>) -> Result<(), Raise>) -> Result<Term, Raise> {
    let mut parts = arg(args, 0)?.as_tuple().ok_or_else(|| Raise::error(atom("badarg")))?.to_vec();
    change(&mut parts)?;
    Ok(Term::Tuple(parts))
}

/// A place below `places`, not counted from the end.
fn place_in(args: &[Term], places: usize) -> Result<usize, Raise> {
    let at = usize::try_from(integer(args, 1)?).ok().filter(|at| *at < places);
    at.ok_or_else(|| Raise::error(atom("badarg")))
}

/// Where the tuple stands that has the key at its place.
fn key_place(args: &[Term]) -> Result<Option<usize>, Raise> {
    let at = usize::try_from(integer(args, 2)?).map_err(|_| Raise::error(atom("badarg")))?;
    let fits = |element: &Term| element.as_tuple().and_then(|parts| parts.get(at)) == args.get(1);
    Ok(list_of(args, 0)?.iter().position(fits))
}

fn keystore(args: &[Term], append: bool) -> Result<Term, Raise> {
    let (mut all, new) = (list_of(args, 0)?.to_vec(), arg(args, 3)?.clone());
    match key_place(args)?.and_then(|at| all.get_mut(at)) {
        Some(place) => *place = new,
        None if append => all.push(new),
        None => {}
    }
    Ok(Term::List(all))
}

fn keysort(args: &[Term]) -> Result<Term, Raise> {
    let mut all = list_of(args, 0)?.to_vec();
    let at = usize::try_from(integer(args, 1)?).map_err(|_| Raise::error(atom("badarg")))?;
    if !all.iter().all(|element| element.as_tuple().is_some_and(|parts| at < parts.len())) {
        return Err(Raise::error(atom("badarg")));
    }
    let key = |element: &Term| element.as_tuple().and_then(|parts| parts.get(at)).cloned().unwrap_or(Term::NIL);
    all.sort_by(|a, b| order::compare(&key(a), &key(b)));
    Ok(Term::List(all))
}

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

pub(super) fn flatten(args: &[Term]) -> Result<Term, Raise> {
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
    out.extend(if args.len() == 2 { list_of(args, 1)? } else { &[] }.iter().cloned());
    Ok(Term::List(out))
}

pub(super) fn keyfind(args: &[Term]) -> Result<Term, Raise> {
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

pub(super) fn zip(args: &[Term]) -> Result<Term, Raise> {
    let (mut lists, mut total) = (Vec::new(), 0);
    for list in elements(arg(args, 0)?)? {
        lists.push(elements(&list)?);
        total += lists.last().map_or(0, Vec::len);
        // Ranges are short to write.
        check_count(total / 2)?;
    }
    let length = lists.iter().map(Vec::len).min().unwrap_or(0);
    let row = |at| Term::Tuple(lists.iter().filter_map(|list| list.get(at)).cloned().collect());
    Ok(Term::List((0..length).map(row).collect()))
}

pub(super) fn tuple_to_list(args: &[Term]) -> Result<Term, Raise> {
    let parts = arg(args, 0)?.as_tuple().ok_or_else(|| Raise::argument("wanted a tuple"))?;
    Ok(Term::List(parts.to_vec()))
}
