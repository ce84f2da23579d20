//! `Otturnaut.Events`: what happens on this outpost, for those who ask and for Mission Control.

mod message;
mod report;
mod subscriptions;

pub use report::{Receiver, report};
pub use subscriptions::Subscriptions;

use std::collections::BTreeSet;
use std::sync::Arc;

use self::message::KINDS;
use super::Api;
use super::args::{arg, error, ok, opts};
use crate::node::{CallResult, Context, Module};
use crate::term::read::{ReadError, Reader};
use crate::term::{Term, atom, list};
use crate::watch::Event;

pub(super) fn module(api: &Arc<Api>) -> Module {
    let (for_subscribe, for_unsubscribe, for_since) = (api.clone(), api.clone(), api.clone());
    Module::new("Elixir.Otturnaut.Events")
        .waiting("subscribe", 1..=2, move |context, args| subscribe(for_subscribe.clone(), context, args))
        .immediate("unsubscribe", 1..=1, move |context, args| {
            for_unsubscribe.subscriptions.end(&context.node, &arg(args, 0, "pid").pid()?);
            Ok(Term::OK)
        })
        .waiting("since", 1..=1, move |_, args| since(for_since.clone(), args))
}

/// Which events a subscriber wants.
#[derive(Clone, Default)]
struct Wanted {
    app_id: Option<String>,
    /// All types if none.
    kinds: Option<BTreeSet<&'static str>>,
}

impl Wanted {
    fn is(&self, event: &Event) -> bool {
        let of_app = self.app_id.is_none() || self.app_id == event.app_id;
        of_app && self.kinds.as_ref().is_none_or(|kinds| kinds.contains(message::kind(&event.what)))
    }
}

async fn subscribe(api: Arc<Api>, context: Context, args: Vec<Term>) -> CallResult {
    let subscriber = arg(&args, 0, "pid").pid()?;
    let opts = opts(&args, 1)?;
    let since = opts.read("since", |since| number(&since))?;
    let app_id = opts.read("app_id", |id| Ok(id.name()?.to_owned()))?;
    let kinds = opts.read("types", |types| types.list()?.iter().map(kind).collect())?;
    if let Some(since) = since
        && api.events.since(since).await.is_err()
    {
        return Ok(error(atom("gone")));
    }
    match api.subscriptions.begin((&context.node, &api.events), subscriber, (since, Wanted { app_id, kinds })).await {
        Some(seq) => Ok(ok(Term::from(seq))),
        None => Ok(error(atom("too_many_subscribers"))),
    }
}

async fn since(api: Arc<Api>, args: Vec<Term>) -> CallResult {
    let seq = number(&arg(&args, 0, "seq"))?;
    Ok(match api.events.since(seq).await {
        Ok(events) => ok(list(events.iter().map(|event| message::encode(event)))),
        Err(_) => error(atom("gone")),
    })
}

/// The number of an event, or 0.
fn number(value: &Reader<'_>) -> Result<u64, ReadError> {
    Ok(u64::try_from(value.integer(0..=i64::MAX)?).unwrap_or(0))
}

fn kind(value: &Reader<'_>) -> Result<&'static str, ReadError> {
    value.choice(&KINDS.map(|kind| (kind, kind)))
}
