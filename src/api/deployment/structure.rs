//! `%Otturnaut.Deployment{}`: its keys, its defaults, building it as `struct!/2` does.

use jiff::Timestamp;

use super::origin;
use crate::api::args::arg;
use crate::deploy::{self, generate_id};
use crate::node::{CallResult, Module, Raise};
use crate::term::elixir::{self, STRUCT, date_time};
use crate::term::read::Reader;
use crate::term::{Inspect, Map, Term, atom, binary};

/// The struct's name.
pub(in crate::api) const NAME: &str = "Elixir.Otturnaut.Deployment";

/// Keys that must be given, in the order in which Elixir lists those that are missing.
const REQUIRED: [&str; 4] = ["id", "app_id", "image", "container_port"];

/// Keys that are `nil` unless given.
const EMPTY: [&str; 11] = [
    "id",
    "app_id",
    "image",
    "container_port",
    "port",
    "container_name",
    "container_id",
    "previous_container_name",
    "previous_port",
    "error",
    "started_at",
];

/// Keys that are there only if they are given: a struct of Mission Control's own need not know them.
const OPTIONAL: [&str; 13] = [
    "source",
    "artifact",
    "command",
    "volumes",
    "networks",
    "labels",
    "restart",
    "resources",
    "release_command",
    "keep_releases",
    "drain_timeout",
    "stop_timeout",
    "health_check",
];

/// The functions that only build and change the struct.
pub(super) fn add_to(module: Module) -> Module {
    module
        .immediate("new", 1..=1, |_, args| new(&arg(args, 0, "attrs")))
        .immediate("__struct__", 0..=0, |_, _| Ok(Term::Map(defaults())))
        .immediate("container_name", 1..=1, |_, args| container_name(&arg(args, 0, "deployment")))
        .immediate("mark_completed", 1..=1, |_, args| mark(&arg(args, 0, "deployment"), "completed", None))
        .immediate("mark_failed", 2..=2, |_, args| mark(&arg(args, 0, "deployment"), "failed", args.get(1)))
        .immediate("mark_rolled_back", 1..=1, |_, args| mark(&arg(args, 0, "deployment"), "rolled_back", None))
}

fn defaults() -> Map {
    let empty = EMPTY.into_iter().chain(["completed_at"]).map(|key| (key, Term::NIL));
    let set = [
        (STRUCT, atom(NAME)),
        ("env", Term::Map(Map::new())),
        ("domains", Term::List(Vec::new())),
        ("runtime", atom("Elixir.Otturnaut.Runtime.Docker")),
        ("runtime_opts", Term::List(Vec::new())),
        ("status", atom("pending")),
    ];
    empty.chain(set).map(|(key, value)| (atom(key), value)).collect()
}

/// The struct with these fields, and the defaults of the others.
pub(super) fn with(fields: impl IntoIterator<Item = (&'static str, Term)>) -> Term {
    let mut deployment = defaults();
    fields.into_iter().for_each(|(key, value)| put(&mut deployment, key, value));
    Term::Map(deployment)
}

fn new(attrs: &Reader<'_>) -> CallResult {
    let fields = attrs.fields()?;
    let mut deployment = defaults();
    if !fields.keys().any(|key| key == "id") {
        put(&mut deployment, "id", binary(generate_id()));
    }
    for key in fields.keys() {
        let value = fields.get(key).map_or(Term::NIL, |value| value.term().clone());
        let key = crate::term::Atom::new(key).map_err(|e| Raise::argument(e.to_string()))?;
        if deployment.get_atom(key.as_str()).is_none() && !OPTIONAL.contains(&key.as_str()) {
            return Err(unknown(&key, deployment));
        }
        deployment.insert(Term::Atom(key), value);
    }
    put(&mut deployment, "status", atom("pending"));
    let elsewhere = origin::is_given(&fields);
    let needless = |key: &str| key == "id" || key == "image" && elsewhere;
    let missing = |key: &&&str| !needless(key) && !fields.keys().any(|given| given == **key);
    let missing: Vec<_> = REQUIRED.iter().filter(missing).map(|key| Inspect::atom(key)).collect();
    if !missing.is_empty() {
        let text = "the following keys must also be given when building struct Otturnaut.Deployment";
        return Err(Raise::argument(format!("{text}: [{}]", missing.join(", "))));
    }
    Ok(Term::Map(deployment))
}

fn put(deployment: &mut Map, key: &'static str, value: Term) {
    deployment.insert(atom(key), value);
}

/// Elixir's error for a key that a struct does not have.
fn unknown(key: &crate::term::Atom, deployment: Map) -> Raise {
    Raise::error(elixir::key_error(Term::Atom(key.clone()), Term::Map(deployment), None))
}

fn container_name(deployment: &Reader<'_>) -> CallResult {
    let fields = deployment.fields()?;
    let [app_id, id] = [fields.required("app_id")?.name()?, fields.required("id")?.name()?];
    Ok(binary(deploy::container_name(app_id, id)))
}

fn mark(deployment: &Reader<'_>, status: &'static str, error: Option<&Term>) -> CallResult {
    let mut changes = vec![("status", atom(status)), ("completed_at", date_time(Timestamp::now()))];
    changes.extend(error.map(|error| ("error", error.clone())));
    Ok(changed(deployment, changes)?)
}

/// The deployment as it came, with other values under keys that it has: a struct is answered with the keys it came with.
pub(super) fn changed(
    deployment: &Reader<'_>,
    changes: impl IntoIterator<Item = (&'static str, Term)>,
) -> Result<Term, crate::term::read::ReadError> {
    let Term::Map(fields) = deployment.term() else {
        return Err(deployment.refuse("a %Otturnaut.Deployment{}"));
    };
    let mut fields = fields.clone();
    for (key, value) in changes {
        if fields.get_atom(key).is_some() {
            put(&mut fields, key, value);
        }
    }
    Ok(Term::Map(fields))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::term::map;

    fn build(attrs: &Term) -> CallResult {
        new(&Reader::new("attrs", attrs))
    }

    fn required() -> Vec<(&'static str, Term)> {
        vec![("app_id", binary("a")), ("image", binary("i")), ("container_port", Term::Int(80))]
    }

    #[test]
    fn a_new_deployment_has_the_defaults_and_an_id_of_eight_characters() {
        let built = build(&map(required())).unwrap();
        let fields = built.as_map().unwrap();
        assert_eq!(fields.get_atom("id").unwrap().as_text().unwrap().len(), 8);
        assert_eq!(fields.get_atom("status"), Some(&atom("pending")));
        assert_eq!(fields.get_atom("env"), Some(&map([])));
        assert_eq!(fields.len(), 18);
    }

    #[test]
    fn missing_keys_are_named_with_elixirs_own_text() {
        let raised = build(&map([("app_id", binary("a"))])).unwrap_err();
        let text = "the following keys must also be given when building struct Otturnaut.Deployment: \
                    [:image, :container_port]";
        assert_eq!(raised, Raise::argument(text));
    }

    #[test]
    fn an_unknown_key_is_a_key_error() {
        let mut attrs = required();
        attrs.push(("colour", atom("blue")));
        let Err(Raise::Error(error, _)) = build(&map(attrs)) else { panic!("it must be refused") };
        let error = error.as_map().unwrap();
        assert_eq!(error.get_atom(STRUCT), Some(&atom("Elixir.KeyError")));
        assert_eq!(error.get_atom("key"), Some(&atom("colour")));
    }

    #[test]
    fn a_struct_is_answered_with_the_keys_it_came_with() {
        let came = map([("status", atom("pending")), ("mine", Term::Int(1))]);
        let marked = mark(&Reader::new("deployment", &came), "failed", Some(&atom("why"))).unwrap();
        assert_eq!(marked, map([("status", atom("failed")), ("mine", Term::Int(1))]));
    }
}
