//! `Otturnaut.AppState`: what runs here, as a registered server and as functions.
//!
//! An entry's known fields are the domain's; whatever else the Elixir side put beside them is kept encoded and comes back.

use std::sync::Arc;

use bytes::Bytes;

use super::args::{arg, check_server, error, ok};
use super::runtime;
use crate::apps::{AppEntry, AppState, AppStatus, Shown};
use crate::node::{CallResult, Context, GenServer, Module, Raise};
use crate::term::codec::Encoded;
use crate::term::read::{ReadError, Reader};
use crate::term::{Atom, Map, Term, atom, binary, codec, list, tuple};

const NAME: &str = "Elixir.Otturnaut.AppState";

const STATUSES: [(&str, AppStatus); 3] =
    [("running", AppStatus::Running), ("stopped", AppStatus::Stopped), ("deploying", AppStatus::Deploying)];

/// The functions; each takes a server as a further last argument, of which there is one here.
pub(super) fn module(server: &Arc<Server>) -> Module {
    let mut module = Module::new(NAME);
    for (name, arity, verb) in FUNCTIONS {
        let server = server.clone();
        module = module.immediate(name, arity..=arity + 1, move |_, args| {
            let (args, named) = args.split_at(arity.min(args.len()));
            if let Some(named) = named.first() {
                check_server(named, NAME, (name, args))?;
            }
            verb(&server.state, args)
        });
    }
    module
}

type Verb = fn(&AppState, &[Term]) -> CallResult;

/// Name, arity without a server, what it does.
const FUNCTIONS: [(&str, usize, Verb); 7] = [
    ("put", 2, put),
    ("get", 1, get),
    ("delete", 1, delete),
    ("list", 0, all),
    ("update", 3, update),
    ("update_status", 2, update_status),
    ("clear", 0, clear),
];

/// The registered server.
pub(super) struct Server {
    /// What runs here.
    pub(super) state: AppState,
}

impl GenServer for Server {
    fn call(&self, _: &Context, request: &Term) -> Result<Option<Term>, Raise> {
        if request.is_atom("list") {
            return all(&self.state, &[]).map(Some);
        }
        if request.is_atom("clear") {
            return clear(&self.state, &[]).map(Some);
        }
        let Some([Term::Atom(verb), args @ ..]) = request.as_tuple() else { return Ok(None) };
        match (verb.as_str(), args.len()) {
            ("put", 2) => put(&self.state, args),
            ("get", 1) => get(&self.state, args),
            ("delete", 1) => delete(&self.state, args),
            ("update", 3) => update(&self.state, args),
            _ => return Ok(None),
        }
        .map(Some)
    }

    fn state(&self) -> Term {
        let pair = |(id, entry): (String, Arc<AppEntry>)| (binary(id), shown(&entry));
        Term::Map(self.state.list().into_iter().map(pair).collect::<Map>())
    }

    fn module(&self) -> &'static str {
        NAME
    }
}

fn app_id(args: &[Term]) -> Result<&str, ReadError> {
    arg(args, 0, "app_id").text()
}

fn put(state: &AppState, args: &[Term]) -> CallResult {
    let id = app_id(args)?;
    let entry = decode(&arg(args, 1, "app"))?;
    match state.put(id, entry) {
        Ok(()) => Ok(Term::OK),
        Err(full) => Err(Raise::argument(full.to_string())),
    }
}

fn get(state: &AppState, args: &[Term]) -> CallResult {
    Ok(state.get(app_id(args)?).map_or_else(not_found, |entry| ok(encode(&entry))))
}

fn delete(state: &AppState, args: &[Term]) -> CallResult {
    state.delete(app_id(args)?);
    Ok(Term::OK)
}

fn all(state: &AppState, _: &[Term]) -> CallResult {
    Ok(list(state.list().into_iter().map(|(id, entry)| tuple([binary(id), shown(&entry)]))))
}

fn update(state: &AppState, args: &[Term]) -> CallResult {
    let id = app_id(args)?;
    let field = arg(args, 1, "field");
    field.atom()?;
    let Some(entry) = state.get(id) else { return Ok(not_found()) };
    let Term::Map(mut fields) = encode(&entry) else { return Ok(not_found()) };
    fields.insert(field.term().clone(), arg(args, 2, "value").term().clone());
    let whole = Term::Map(fields);
    put(state, &[binary(id), whole])
}

fn update_status(state: &AppState, args: &[Term]) -> CallResult {
    let status = arg(args, 1, "status");
    status.choice(&STATUSES)?;
    update(state, &[arg(args, 0, "app_id").term().clone(), atom("status"), status.term().clone()])
}

fn clear(state: &AppState, _: &[Term]) -> CallResult {
    state.clear();
    Ok(Term::OK)
}

fn not_found() -> Term {
    error(atom("not_found"))
}

/// Fields that the domain knows; `nil` counts as unknown and stays as it was put.
const KNOWN: [&str; 6] = ["deployment_id", "container_name", "port", "domains", "status", "runtime"];

fn decode(app: &Reader<'_>) -> Result<AppEntry, ReadError> {
    let Term::Map(whole) = app.term() else { return Err(app.refuse("a map")) };
    let text = |field: Reader<'_>| Ok(field.text()?.to_owned());
    // A map with other keys than atoms is kept whole: it has none of the known fields.
    let Ok(fields) = app.fields() else {
        return Ok(AppEntry { rest: encoded(app, whole.clone())?, ..AppEntry::default() });
    };
    let entry = AppEntry {
        deployment_id: fields.read("deployment_id", text)?,
        container_name: fields.read("container_name", text)?,
        port: fields.read("port", |port| port.port())?,
        domains: fields.read("domains", |domains| domains.texts())?,
        status: fields.read("status", |status| status.choice(&STATUSES))?,
        runtime: fields.read("runtime", |module| runtime::target(&module, None)).unwrap_or_default(),
        rest: Bytes::new(),
        shown: Shown::default(),
    };
    let known = |key: &Term, value: &Term| {
        let read =
            key.as_atom().is_some_and(|key| KNOWN.contains(&key) && (key != "runtime" || entry.runtime.is_some()));
        read && !value.is_atom("nil")
    };
    let rest: Map = whole.iter().filter(|(key, value)| !known(key, value)).cloned().collect();
    Ok(AppEntry { rest: encoded(app, rest)?, ..entry })
}

fn encoded(app: &Reader<'_>, rest: Map) -> Result<Bytes, ReadError> {
    if rest.is_empty() {
        return Ok(Bytes::new());
    }
    let mut bytes = Vec::new();
    codec::encode(&Term::Map(rest), &mut bytes).map_err(|e| app.refuse(format!("a map that can be kept ({e})")))?;
    Ok(bytes.into())
}

/// The same as [`encode`], made once for each state of an entry.
fn shown(entry: &AppEntry) -> Term {
    // What was decoded and texts can be sent; should that fail, nothing is shown.
    Term::Encoded(entry.shown.get_or_make(|| Encoded::new(&encode(entry)).unwrap_or_default()))
}

/// The map of an entry: what was put beside the known fields, and these.
pub(super) fn encode(entry: &AppEntry) -> Term {
    let mut fields = match codec::decode(&entry.rest) {
        Ok(Term::Map(rest)) => rest,
        // Nothing was put beside them.
        _ => Map::new(),
    };
    let texts = |texts: &Vec<String>| list(texts.iter().map(|text| binary(text.as_str())));
    let status =
        |status: AppStatus| STATUSES.iter().find(|(_, s)| *s == status).map_or(Term::NIL, |(name, _)| atom(name));
    let module = |kind| runtime::MODULES.iter().find(|(_, k)| *k == kind).map_or(Term::NIL, |(name, _)| atom(name));
    let known = [
        ("deployment_id", entry.deployment_id.as_deref().map(Term::from)),
        ("container_name", entry.container_name.as_deref().map(Term::from)),
        ("port", entry.port.map(Term::from)),
        ("domains", entry.domains.as_ref().map(texts)),
        ("status", entry.status.map(status)),
        ("runtime", entry.runtime.as_ref().map(|target| module(target.kind))),
    ];
    for (key, value) in known {
        if let Some(value) = value {
            fields.insert(Term::Atom(Atom::from_static(key)), value);
        }
    }
    Term::Map(fields)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::term::map;

    /// A term as a caller gets it.
    fn sent(term: &Term) -> Term {
        let mut bytes = Vec::new();
        codec::encode(term, &mut bytes).unwrap();
        codec::decode(&bytes.into()).unwrap()
    }

    fn call(state: &AppState, verb: Verb, args: &[Term]) -> Term {
        verb(state, args).expect("the call is answered")
    }

    #[test]
    fn a_map_comes_back_whole_with_what_the_agent_does_not_know() {
        let state = AppState::default();
        let app = map([
            ("port", Term::Int(10_042)),
            ("status", atom("running")),
            ("domains", list([binary("a.b")])),
            ("container_name", Term::NIL),
            ("color", tuple([atom("blue"), Term::Int(1)])),
        ]);
        assert_eq!(call(&state, put, &[binary("my-app"), app.clone()]), Term::OK);
        assert_eq!(call(&state, get, &[binary("my-app")]), ok(app.clone()));
        for _ in 0..2 {
            assert_eq!(sent(&call(&state, all, &[])), list([tuple([binary("my-app"), app.clone()])]));
        }
        let changed = map([("port", Term::Int(2))]);
        assert_eq!(call(&state, put, &[binary("my-app"), changed.clone()]), Term::OK);
        assert_eq!(sent(&call(&state, all, &[])), list([tuple([binary("my-app"), changed])]));
    }

    #[test]
    fn a_field_can_be_updated_known_or_not() {
        let state = AppState::default();
        call(&state, put, &[binary("a"), map([("port", Term::Int(1))])]);
        assert_eq!(call(&state, update, &[binary("a"), atom("port"), Term::Int(2)]), Term::OK);
        assert_eq!(call(&state, update, &[binary("a"), atom("mood"), atom("good")]), Term::OK);
        assert_eq!(call(&state, update_status, &[binary("a"), atom("stopped")]), Term::OK);
        let expected = map([("port", Term::Int(2)), ("mood", atom("good")), ("status", atom("stopped"))]);
        assert_eq!(call(&state, get, &[binary("a")]), ok(expected));
        assert_eq!(call(&state, update, &[binary("b"), atom("port"), Term::Int(2)]), not_found());
    }

    #[test]
    fn a_wrong_type_is_refused_by_name() {
        let state = AppState::default();
        let raised = put(&state, &[binary("a"), map([("port", binary("x"))])]).unwrap_err();
        assert_eq!(raised, Raise::argument("app.port: wanted a port from 1 to 65535, got \"x\""));
        assert!(put(&state, &[atom("a"), map([])]).is_err());
    }
}
