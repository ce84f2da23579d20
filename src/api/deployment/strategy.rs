//! `Otturnaut.Deployment.Strategy`, its implementations, and `Otturnaut.Deployment.Context`.

use std::sync::Arc;

use super::{execute, progress};
use crate::api::Api;
use crate::api::args::arg;
use crate::deploy::Strategy;
use crate::node::{CallResult, Context, Module};
use crate::term::elixir::structure;
use crate::term::read::{ReadError, Reader};
use crate::term::{Term, atom, binary};

/// A strategy's module, its name for a person, what it is here.
type Entry = (&'static str, &'static str, Strategy);

const STRATEGIES: [Entry; 2] = [
    ("Elixir.Otturnaut.Deployment.Strategy.BlueGreen", "Blue-Green", Strategy::BlueGreen),
    ("Elixir.Otturnaut.Deployment.Strategy.Recreate", "Recreate", Strategy::Recreate),
];

/// The parts of a context and the modules that they are here.
const CONTEXT: [(&str, &str); 3] = [
    ("port_manager", "Elixir.Otturnaut.PortManager"),
    ("app_state", "Elixir.Otturnaut.AppState"),
    ("caddy", "Elixir.Otturnaut.Caddy"),
];

pub(super) fn module() -> Module {
    Module::new("Elixir.Otturnaut.Deployment.Strategy")
        .waiting("notify_progress", 3..=3, |context, args| async move { notify_progress(&context, &args).await })
}

/// The modules of all strategies.
pub(super) fn modules(api: &Arc<Api>) -> impl Iterator<Item = Module> {
    STRATEGIES.into_iter().map(|(module, name, strategy)| {
        let api = api.clone();
        Module::new(module).immediate("name", 0..=0, move |_, _| Ok(binary(name))).waiting(
            "execute",
            3..=3,
            move |context, args| {
                let api = api.clone();
                async move {
                    check_context(&arg(&args, 1, "context"))?;
                    execute::run(api, context, strategy, (arg(&args, 0, "deployment"), arg(&args, 2, "opts"))).await
                }
            },
        )
    })
}

pub(super) fn context_module() -> Module {
    Module::new("Elixir.Otturnaut.Deployment.Context").immediate("new", 0..=1, |_, args| {
        check_context(&arg(args, 0, "overrides"))?;
        Ok(structure("Elixir.Otturnaut.Deployment.Context", CONTEXT.map(|(part, module)| (part, atom(module)))))
    })
}

/// The strategy that a module's name means.
pub(super) fn check(strategy: &Reader<'_>) -> Result<Strategy, ReadError> {
    strategy.choice(&STRATEGIES.map(|(module, _, strategy)| (module, strategy)))
}

/// A context's modules must be those that the node has: it runs no other code.
pub(super) fn check_context(context: &Reader<'_>) -> Result<(), ReadError> {
    let fields = context.fields()?;
    for (part, module) in CONTEXT {
        fields.read(part, |given| given.choice(&[(module, ())]))?;
    }
    Ok(())
}

async fn notify_progress(context: &Context, args: &[Term]) -> CallResult {
    let [step, message] = [arg(args, 1, "step"), arg(args, 2, "message")];
    step.atom()?;
    message.text()?;
    if let Some(subscriber) = progress::subscriber(&arg(args, 0, "opts"))? {
        let message = progress::message("deployment_progress", (step.term().clone(), message.term().clone()), []);
        // Nobody to tell is no error.
        context.node.send(&context.this, &subscriber, message).await.unwrap_or_default();
    }
    Ok(Term::OK)
}
