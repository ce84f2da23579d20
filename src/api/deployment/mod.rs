//! `Otturnaut.Deployment` and its strategies: putting a version in place, going back to one, taking an application away.

mod execute;
mod origin;
mod progress;
mod releases;
mod runs;
mod strategy;
mod structure;
mod undeploy;

pub(super) use releases::item as kept_item;
pub(super) use runs::run;

use std::sync::Arc;

use super::Api;
use super::args::arg;
use crate::node::{Module, Raise};
use crate::term::Term;
use crate::term::read::Reader;

pub(super) fn modules(api: &Arc<Api>) -> Vec<Module> {
    let (for_execute, for_undeploy) = (api.clone(), api.clone());
    let deployment = Module::new(structure::NAME)
        .waiting("execute", 2..=4, move |context, args| {
            let api = for_execute.clone();
            async move {
                let strategy = strategy::check(&arg(&args, 1, "strategy"))?;
                strategy::check_context(&arg(&args, 2, "context"))?;
                execute::run(api, context, strategy, (arg(&args, 0, "deployment"), arg(&args, 3, "opts"))).await
            }
        })
        .waiting("undeploy", 1..=3, move |context, args| {
            let api = for_undeploy.clone();
            async move {
                strategy::check_context(&arg(&args, 1, "context"))?;
                undeploy::run(api, context, (arg(&args, 0, "deployment"), arg(&args, 2, "opts"))).await
            }
        });
    let deployment = releases::add_to(runs::add_to(structure::add_to(deployment), api), api);
    let others = [strategy::module(), strategy::context_module()];
    [deployment].into_iter().chain(others).chain(strategy::modules(api)).collect()
}

/// A deployment that a call brought and the options of the call.
type Asked<'a> = (Reader<'a>, Reader<'a>);

/// A run that was not even begun, or broke off: an exit of the call.
fn exit(reason: Term) -> Raise {
    Raise::Exit(reason)
}
