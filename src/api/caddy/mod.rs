//! `Otturnaut.Caddy`: routes of the reverse proxy.

mod client;
mod route;

pub(super) use client::module as client_module;
pub(super) use route::module as route_module;

use std::sync::Arc;

use super::args::{arg, ok_or, ok_value_or, opts};
use super::{Api, errors};
use crate::host::{Proxy, ProxySettings};
use crate::node::{CallResult, Module};
use crate::term::read::{Fields, ReadError};
use crate::term::{Term, list};

pub(super) fn module(api: &Arc<Api>) -> Module {
    let proxy = |api: &Arc<Api>| {
        let api = api.clone();
        move |args: &[Term], at: usize| opts(args, at).and_then(|opts| from_opts(&api, &opts))
    };
    let [health, add, remove, all, one] = [proxy(api), proxy(api), proxy(api), proxy(api), proxy(api)];
    Module::new("Elixir.Otturnaut.Caddy")
        .waiting("health_check", 0..=1, move |_, args| {
            let proxy = health(&args, 0);
            async move { ok_or(proxy?.health().await, |e| errors::proxy(&e)) }
        })
        .waiting("add_route", 1..=2, move |_, args| {
            let request = add(&args, 1).and_then(|proxy| Ok((proxy, route::read(&arg(&args, 0, "route"))?)));
            async move {
                let (proxy, route) = request?;
                ok_or(proxy.put_route(&route).await, |e| errors::proxy(&e))
            }
        })
        .waiting("remove_route", 1..=2, move |_, args| {
            let request = remove(&args, 1).and_then(|proxy| Ok((proxy, arg(&args, 0, "route_id").name()?.to_owned())));
            async move {
                let (proxy, id) = request?;
                ok_or(proxy.remove_route(&id).await, |e| errors::proxy(&e))
            }
        })
        .waiting("list_routes", 0..=1, move |_, args| {
            let proxy = all(&args, 0);
            async move { list_routes(&*proxy?).await }
        })
        .waiting("get_route", 1..=2, move |_, args| {
            let request = one(&args, 1).and_then(|proxy| Ok((proxy, arg(&args, 0, "route_id").name()?.to_owned())));
            async move {
                let (proxy, id) = request?;
                ok_value_or(proxy.get_route(&id).await, |found| route::encode(&found), |e| errors::proxy(&e))
            }
        })
}

async fn list_routes(proxy: &dyn Proxy) -> CallResult {
    let encode = |routes: Vec<_>| list(routes.iter().map(route::encode));
    ok_value_or(proxy.list_routes().await, encode, |e| errors::proxy(&e))
}

/// The Caddy that the options name, over the configuration.
fn from_opts(api: &Api, opts: &Fields<'_>) -> Result<Arc<dyn Proxy>, ReadError> {
    Ok(api.host.proxies.proxy(&settings(api, opts)?))
}

/// The settings that the options name, over the configuration.
pub(super) fn settings(api: &Api, opts: &Fields<'_>) -> Result<ProxySettings, ReadError> {
    let defaults = api.host.proxies.defaults();
    let base_url = opts.read("base_url", |url| Ok(url.name()?.trim_end_matches('/').to_owned()))?;
    Ok(ProxySettings {
        base_url: base_url.unwrap_or(defaults.base_url),
        http_port: opts.read("http_port", |port| port.port())?.unwrap_or(defaults.http_port),
        https_port: opts.read("https_port", |port| port.port())?.unwrap_or(defaults.https_port),
        disable_auto_https: opts
            .read("disable_auto_https", |flag| flag.boolean())?
            .unwrap_or(defaults.disable_auto_https),
    })
}
