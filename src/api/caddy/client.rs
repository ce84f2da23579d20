//! `Otturnaut.Caddy.Client`: Caddy's admin API as it is.

use std::sync::Arc;

use serde_json::Value;

use crate::api::args::{arg, ok_or, ok_value_or, opts};
use crate::api::{Api, errors, json};
use crate::host::{Proxy, ProxyWriter};
use crate::node::{CallResult, Module};
use crate::term::Term;
use crate::term::read::{ReadError, Reader};

/// Functions that write: name, how, and what they are given besides the path.
const WRITERS: [(&str, ProxyWriter, Place, Given); 6] = [
    ("set_config", ProxyWriter::Set, Place::Config, Given::Value),
    ("append_config", ProxyWriter::Append, Place::Config, Given::Value),
    ("patch_config", ProxyWriter::Patch, Place::Config, Given::Value),
    ("delete_config", ProxyWriter::Delete, Place::Config, Given::Nothing),
    ("put_by_id", ProxyWriter::Patch, Place::Id, Given::Value),
    ("delete_by_id", ProxyWriter::Delete, Place::Id, Given::Nothing),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Config,
    Id,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Given {
    Value,
    Nothing,
}

pub(in crate::api) fn module(api: &Arc<Api>) -> Module {
    let mut module = Module::new("Elixir.Otturnaut.Caddy.Client");
    let health = api.clone();
    module = module.waiting("health_check", 0..=1, move |_, args| {
        let proxy = proxy(&health, &args, 0);
        async move { ok_or(proxy?.health().await, |e| errors::proxy(&e)) }
    });
    for (name, place) in [("get_config", Place::Config), ("get_by_id", Place::Id)] {
        let api = api.clone();
        module = module.waiting(name, 1..=2, move |_, args| {
            let request = proxy(&api, &args, 1).and_then(|proxy| Ok((proxy, path(&arg(&args, 0, "path"), place)?)));
            async move {
                let (proxy, path) = request?;
                ok_value_or(proxy.read(&path).await, |value| json::to_term(&value), |e| errors::proxy(&e))
            }
        });
    }
    for (name, how, place, given) in WRITERS {
        let api = api.clone();
        let after = if given == Given::Value { 2 } else { 1 };
        module = module.waiting(name, after..=after + 1, move |_, args| {
            let request = write_request(&api, &args, (place, given));
            async move { write(request?, how).await }
        });
    }
    module
}

struct Write {
    proxy: Arc<dyn Proxy>,
    path: String,
    value: Option<Value>,
}

fn write_request(api: &Api, args: &[Term], (place, given): (Place, Given)) -> Result<Write, ReadError> {
    let path = path(&arg(args, 0, "path"), place)?;
    match given {
        Given::Value => {
            let value = json::from_term(&arg(args, 1, "config"))?;
            Ok(Write { proxy: proxy(api, args, 2)?, path, value: Some(value) })
        }
        Given::Nothing => Ok(Write { proxy: proxy(api, args, 1)?, path, value: None }),
    }
}

async fn write(request: Write, how: ProxyWriter) -> CallResult {
    let Write { proxy, path, value } = request;
    ok_or(proxy.write(how, &path, value.as_ref()).await, |e| errors::proxy(&e))
}

fn proxy(api: &Api, args: &[Term], at: usize) -> Result<Arc<dyn Proxy>, ReadError> {
    super::from_opts(api, &opts(args, at)?)
}

/// A path of the admin API: `config/apps/http` or `id/my-route`.
fn path(argument: &Reader<'_>, place: Place) -> Result<String, ReadError> {
    let text = argument.text()?.trim_matches('/');
    let plain = |c: char| !c.is_control() && !c.is_whitespace() && !matches!(c, '?' | '#');
    if !text.chars().all(plain) || text.split('/').any(|part| part == "..") {
        return Err(argument.refuse("a path of Caddy's configuration"));
    }
    Ok(match place {
        Place::Config => format!("config/{text}"),
        Place::Id => format!("id/{text}"),
    })
}
