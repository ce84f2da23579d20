//! `Otturnaut.Caddy.Route`: the struct of a route, and Caddy's own form of it.

use crate::api::args::{arg, ok_value_or};
use crate::api::json;
use crate::host::Route;
use crate::node::{CallResult, Module};
use crate::term::elixir::structure;
use crate::term::read::{ReadError, Reader};
use crate::term::{Term, binary, list};

const STRUCT: &str = "Elixir.Otturnaut.Caddy.Route";

pub(in crate::api) fn module() -> Module {
    Module::new(STRUCT)
        .immediate("new", 3..=3, |_, args| new(args))
        .immediate("to_caddy_config", 1..=1, |_, args| Ok(json::to_term(&read(&arg(args, 0, "route"))?.to_config())))
        .immediate("from_caddy_config", 1..=1, |_, args| {
            let config = json::from_term(&arg(args, 0, "config"))?;
            ok_value_or(Route::from_config(&config), |route| encode(&route), binary)
        })
}

fn new(args: &[Term]) -> CallResult {
    let domains = arg(args, 1, "domains");
    let domains = match domains.term() {
        Term::Binary(_) => vec![domains.name()?.to_owned()],
        _ => domains.texts().map_err(|_| domains.refuse("a domain or a list of domains"))?,
    };
    let [id, port] = [arg(args, 0, "id"), arg(args, 2, "upstream_port")];
    Ok(encode(&Route { id: id.name()?.to_owned(), domains, upstream_port: port.port()? }))
}

/// A route out of its struct.
pub(super) fn read(route: &Reader<'_>) -> Result<Route, ReadError> {
    let fields = route.fields().map_err(|_| route.refuse("a %Otturnaut.Caddy.Route{}"))?;
    Ok(Route {
        id: fields.required("id")?.name()?.to_owned(),
        domains: fields.required("domains")?.texts()?,
        upstream_port: fields.required("upstream_port")?.port()?,
    })
}

/// The struct of a route.
pub(super) fn encode(route: &Route) -> Term {
    structure(
        STRUCT,
        [
            ("id", binary(route.id.as_str())),
            ("domains", list(route.domains.iter().map(|domain| binary(domain.as_str())))),
            ("upstream_port", Term::from(route.upstream_port)),
        ],
    )
}
