//! New routes that come at the same time are added in one change of the configuration: each makes Caddy open its listeners anew,
//! and some connections are reset.

use serde_json::Value;

use super::super::form::Form;
use super::super::http::{Answer, CHANGED};
use super::super::server::Listed;
use super::{Kept, KeptCaddy};
use crate::host::proxy::{ProxyError, Route};

/// A route whose turn has not come yet; it waits until this is dropped.
pub(super) struct Waiting<'a> {
    kept: &'a Kept,
    number: u64,
}

impl<'a> Waiting<'a> {
    pub(super) fn new(kept: &'a Kept, route: &Route) -> Self {
        let number = rand::random();
        kept.state().waiting.insert(number, route.clone());
        Self { kept, number }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.kept.state().waiting.remove(&self.number);
    }
}

impl KeptCaddy {
    /// Puts a route into the configuration, and with it the new ones that wait. Those find themselves there when their turn comes,
    /// or put themselves there if Caddy did not take them all.
    pub(super) async fn put_together(&self, listed: &Listed, form: Form, config: Value) -> Result<Answer, ProxyError> {
        let id = config.get("@id").and_then(Value::as_str).unwrap_or_default();
        let new = |route: &&Route| route.id != id && listed.find(&route.id).is_none();
        let others: Vec<Route> = self.kept.state().waiting.values().filter(new).cloned().collect();
        if form == Form::Plain || others.is_empty() {
            return self.server().put(listed, &config).await;
        }
        let mut routes = listed.routes.clone();
        match listed.find(id).and_then(|(at, _)| routes.get_mut(at)) {
            Some(there) => there.clone_from(&config),
            None => routes.push(config.clone()),
        }
        for other in &others {
            self.kept.switch(other).await?;
            routes.push(self.config(form, other));
        }
        let answer = self.server().replace(listed, routes).await?;
        if matches!(answer.status, 200 | CHANGED) { Ok(answer) } else { self.server().put(listed, &config).await }
    }
}
