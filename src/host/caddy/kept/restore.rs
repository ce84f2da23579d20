//! Putting back: Caddy may come back empty or as another version, and somebody may change its routes by hand.

use serde_json::Value;

use super::super::form::Form;
use super::super::http::{Answer, CHANGED};
use super::super::server::{Listed, insist};
use super::KeptCaddy;
use crate::host::proxy::{Proxy, ProxyError, Route};
use crate::limits;

/// A route that is to be put back.
struct Lost {
    id: String,
    config: Value,
}

impl KeptCaddy {
    /// Looks, and puts back what is not as it is to be. Where Caddy's routes are those of the last look that is one request.
    pub(super) async fn look(&self) -> Result<(), ProxyError> {
        let (settled, whole) = {
            let mut state = self.kept.state();
            state.looks = state.looks.wrapping_add(1);
            let whole = state.looks.is_multiple_of(limits::ROUTES_WHOLE_LOOK) || !state.given_up.is_empty();
            (state.settled.clone(), whole)
        };
        if let Some(tag) = settled.filter(|_| !whole)
            && self.server().is_still(&tag).await?
        {
            return Ok(());
        }
        let _turn = self.caddy.turn.lock().await;
        self.remove_given_up().await?;
        if self.kept.state().routes.is_empty() {
            // Not for the server, which may not be there: Caddy would log an error for each look.
            return self.health().await;
        }
        self.mend_files().await?;
        insist(|| self.try_restore()).await?.ok()
    }

    async fn remove_given_up(&self) -> Result<(), ProxyError> {
        let given_up = self.kept.state().given_up.clone();
        for id in given_up {
            let answer = self.server().delete(&id).await?;
            if !answer.is_missing() {
                answer.ok()?;
                tracing::info!(route = id, "the route is removed, as was asked for while Caddy was away");
            }
            self.kept.forget(&id).await?;
        }
        Ok(())
    }

    /// One attempt; status 412 where the configuration changed meanwhile.
    async fn try_restore(&self) -> Result<Answer, ProxyError> {
        let listed = match self.list().await? {
            Ok(listed) => listed,
            Err(answer) => return Ok(answer),
        };
        let best = self.look_again().await;
        let lost = self.lost(&listed, best);
        if lost.is_empty() {
            self.kept.state().settled = listed.tag().map(str::to_owned);
            return Ok(Answer::done());
        }
        let mut routes = listed.routes.clone();
        for Lost { id, config } in &lost {
            match listed.find(id).and_then(|(at, _)| routes.get_mut(at)) {
                Some(there) => there.clone_from(config),
                None => routes.push(config.clone()),
            }
        }
        let answer = self.server().replace(&listed, routes).await?;
        match answer.status {
            200 => lost.iter().for_each(|lost| self.restored(&lost.id)),
            CHANGED => {}
            // One that it does not take is not to keep the others away.
            _ => return self.restore_each(lost).await,
        }
        Ok(answer)
    }

    fn restored(&self, id: &str) {
        tracing::info!(route = id, "the route is put back");
        self.kept.state().restored.insert(id.to_owned());
    }

    /// The routes that are not in Caddy as they are to be. Where it is not known what Caddy reads, those in any form are right.
    fn lost(&self, listed: &Listed, best: Option<Form>) -> Vec<Lost> {
        let state = self.kept.state();
        let lost = |route: &Route| {
            let there = listed.find(&route.id).map(|(_, config)| config);
            let is = |form: Form| there == Some(&self.config(form, route));
            let right = match best {
                Some(best) => is(best),
                None => [Form::Plain, Form::Name, Form::Content].into_iter().any(is),
            };
            let config = self.config(best.unwrap_or(Form::Plain), route);
            let refused = state.refused.get(&route.id) == Some(&config);
            (!right && !refused).then(|| Lost { id: route.id.clone(), config })
        };
        state.routes.values().filter_map(lost).collect()
    }

    async fn restore_each(&self, lost: Vec<Lost>) -> Result<Answer, ProxyError> {
        for Lost { id, config } in lost {
            let Some(listed) = self.server().list().await? else { return Ok(Answer::changed()) };
            let answer = self.server().put(&listed, &config).await?;
            match answer.status {
                200 => self.restored(&id),
                CHANGED => return Ok(answer),
                status => {
                    let body = answer.text();
                    tracing::warn!(route = id, status, "Caddy does not take the route back: {body}; deploy again");
                    self.kept.state().refused.insert(id, config);
                }
            }
        }
        Ok(Answer::done())
    }

    /// Leads each route to where it is to lead, if somebody removed or changed its files.
    async fn mend_files(&self) -> Result<(), ProxyError> {
        let routes: Vec<Route> = self.kept.state().routes.values().cloned().collect();
        self.kept
            .files(move |ledger| {
                for route in routes.iter().filter(|route| !ledger.leads_to(&route.id, route.upstream_port)) {
                    ledger.switch(&route.id, route.upstream_port)?;
                    tracing::info!(
                        route = route.id,
                        port = route.upstream_port,
                        "where the route leads is written anew"
                    );
                }
                if ledger.probed().is_none() { ledger.lead_probe() } else { Ok(()) }
            })
            .await
    }
}
