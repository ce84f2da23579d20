//! The configured Caddy. Its routes are recorded, read where they lead from files, and are put back where they are lost.

mod restore;
mod sight;
mod together;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use serde_json::Value;

use self::sight::Probe;
use self::together::Waiting;
use super::form::Form;
use super::http::Answer;
use super::ledger::{Ledger, Loaded};
use super::server::{Listed, Server, insist};
use super::{Caddy, RoutesDir};
use crate::host::files::blocking;
use crate::host::proxy::{Proxy, ProxyError, ProxyWriter, Route};
use crate::limits;

/// What is kept of the configured Caddy.
pub(super) struct Kept {
    ledger: Arc<Ledger>,
    probe: Probe,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What each route is to be.
    routes: BTreeMap<String, Route>,
    /// The best form that Caddy was seen to take.
    best: Option<Form>,
    /// Whether that was told.
    told: bool,
    /// Names Caddy's routes when all was as it is to be.
    settled: Option<String>,
    looks: u32,
    /// Routes that are about to be put, by any number.
    waiting: BTreeMap<u64, Route>,
    /// Routes that Caddy did not take back, as they were.
    refused: BTreeMap<String, Value>,
    /// Routes that are only to be removed.
    given_up: BTreeSet<String>,
    /// Routes that were put back, until it is told.
    restored: BTreeSet<String>,
}

impl Kept {
    /// Reads the directory; what is broken in it is told.
    pub(super) fn open(dir: &RoutesDir) -> io::Result<Self> {
        let seen = dir.seen_by_caddy.as_deref().unwrap_or(&dir.path);
        let ledger = Ledger::open(dir.path.clone(), seen)?;
        let Loaded { routes, given_up, wrong } = ledger.load()?;
        for problem in wrong {
            tracing::warn!("a route is not put back where it is lost: {problem}; deploy its application again");
        }
        let probe = Probe::new(&ledger)?;
        let routes = routes.into_iter().map(|route| (route.id.clone(), route)).collect();
        let given_up = given_up.into_iter().collect();
        let state = State { routes, given_up, ..State::default() };
        Ok(Self { ledger: Arc::new(ledger), probe, state: Mutex::new(state) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The best form that Caddy is known to take.
    fn best(&self) -> Option<Form> {
        self.state().best
    }

    /// Does something with the files.
    async fn files<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Ledger) -> io::Result<T> + Send + 'static,
    ) -> Result<T, ProxyError> {
        let ledger = Arc::clone(&self.ledger);
        let path = self.ledger.dir().to_owned();
        let done = blocking(move || work(&ledger)).await;
        done.map_err(|error| ProxyError::Files { path, reason: error.to_string() })
    }

    /// Leads a route to its port, from this moment on.
    async fn switch(&self, route: &Route) -> Result<(), ProxyError> {
        let (id, port) = (route.id.clone(), route.upstream_port);
        self.files(move |ledger| ledger.switch(&id, port)).await
    }

    /// Puts down what a route is from now on.
    async fn record(&self, route: &Route) -> Result<(), ProxyError> {
        let recorded = route.clone();
        self.files(move |ledger| ledger.record(&recorded)).await?;
        let mut state = self.state();
        state.refused.remove(&route.id);
        state.given_up.remove(&route.id);
        state.routes.insert(route.id.clone(), route.clone());
        Ok(())
    }

    async fn forget(&self, id: &str) -> Result<(), ProxyError> {
        let forgotten = id.to_owned();
        self.files(move |ledger| ledger.forget(&forgotten)).await?;
        let mut state = self.state();
        state.refused.remove(id);
        state.given_up.remove(id);
        state.routes.remove(id);
        Ok(())
    }

    /// Forgets it as a route that is to be served, not as one that is to be removed.
    async fn give_up(&self, id: &str) -> Result<(), ProxyError> {
        let given_up = id.to_owned();
        self.files(move |ledger| ledger.give_up(&given_up)).await?;
        let mut state = self.state();
        state.refused.remove(id);
        state.routes.remove(id);
        state.given_up.insert(id.to_owned());
        Ok(())
    }

    /// A route out of Caddy's configuration; of the ones that are led by files, where these lead.
    async fn read(&self, config: Value) -> Option<Route> {
        let id = config.get("@id")?.as_str()?.to_owned();
        let (form, route) = Form::read(&config, &self.ledger.seen(&id))?;
        if form == Form::Plain {
            return Some(route);
        }
        let live = self.files(move |ledger| Ok(ledger.live(&id))).await.ok()?;
        let recorded = || Some(self.state().routes.get(&route.id)?.upstream_port);
        Some(Route { upstream_port: live.or_else(recorded)?, ..route })
    }
}

/// The configured Caddy.
pub(super) struct KeptCaddy {
    pub(super) caddy: Caddy,
    pub(super) kept: Arc<Kept>,
}

#[async_trait]
impl Proxy for KeptCaddy {
    async fn health(&self) -> Result<(), ProxyError> {
        self.caddy.health().await
    }

    async fn put_route(&self, route: &Route) -> Result<(), ProxyError> {
        let waiting = Waiting::new(&self.kept, route);
        let _turn = self.caddy.turn.lock().await;
        drop(waiting);
        if self.is_full(&route.id) {
            let reason = format!("there are {} routes, and no more are kept", limits::ROUTES);
            return Err(ProxyError::Files { path: self.kept.ledger.dir().to_owned(), reason });
        }
        insist(|| self.try_put(route)).await?.ok()?;
        self.kept.record(route).await
    }

    async fn remove_route(&self, id: &str) -> Result<(), ProxyError> {
        let _turn = self.caddy.turn.lock().await;
        let answer = self.server().delete(id).await?;
        if answer.status == 200 || answer.is_missing() {
            self.kept.forget(id).await?;
        }
        answer.ok()
    }

    async fn give_up_route(&self, id: &str) -> Result<(), ProxyError> {
        let _turn = self.caddy.turn.lock().await;
        // Of others nothing is put back; where there is no Caddy at all they would only be noted, ever more of them.
        if !self.kept.state().routes.contains_key(id) {
            return Ok(());
        }
        self.kept.give_up(id).await
    }

    async fn list_routes(&self) -> Result<Vec<Route>, ProxyError> {
        let listed = self.server().list().await?;
        let mut routes = Vec::new();
        for config in listed.map(|listed| listed.routes).unwrap_or_default() {
            routes.extend(self.kept.read(config).await);
        }
        Ok(routes)
    }

    async fn get_route(&self, id: &str) -> Result<Route, ProxyError> {
        let found = match self.server().get(id).await? {
            Some(config) => self.kept.read(config).await,
            None => None,
        };
        found.ok_or_else(|| ProxyError::NotFound { id: id.to_owned() })
    }

    async fn read(&self, path: &str) -> Result<Value, ProxyError> {
        self.caddy.read(path).await
    }

    async fn write(&self, how: ProxyWriter, path: &str, value: Option<&Value>) -> Result<(), ProxyError> {
        self.caddy.write(how, path, value).await
    }

    async fn note_route(&self, route: &Route) -> Result<(), ProxyError> {
        let _turn = self.caddy.turn.lock().await;
        if self.kept.state().routes.get(&route.id) == Some(route) || self.is_full(&route.id) {
            return Ok(());
        }
        self.kept.switch(route).await?;
        self.kept.record(route).await?;
        self.kept.state().settled = None;
        Ok(())
    }

    async fn reconcile(&self) -> Result<Vec<String>, ProxyError> {
        self.look().await?;
        Ok(std::mem::take(&mut self.kept.state().restored).into_iter().collect())
    }
}

impl KeptCaddy {
    fn server(&self) -> Server<'_> {
        self.caddy.server()
    }

    fn is_full(&self, id: &str) -> bool {
        let state = self.kept.state();
        state.routes.len() >= limits::ROUTES && !state.routes.contains_key(id)
    }

    /// A route in a form.
    fn config(&self, form: Form, route: &Route) -> Value {
        let https = !self.caddy.settings.disable_auto_https;
        form.config(route, (&self.kept.ledger.seen(&route.id), https))
    }

    /// One attempt at a route; status 412 where the configuration changed meanwhile.
    async fn try_put(&self, route: &Route) -> Result<Answer, ProxyError> {
        if self.is_led(route).await? {
            self.kept.switch(route).await?;
            return Ok(Answer::done());
        }
        let listed = match self.list().await? {
            Ok(listed) => listed,
            Err(answer) => return Ok(answer),
        };
        let there = self.form_of(&listed, &route.id);
        let form = self.look_again().await.or(there).unwrap_or(Form::Plain);
        self.change(&listed, (form, route)).await
    }

    /// Whether Caddy reads from files where this route leads, and all else of it is as it is to be.
    async fn is_led(&self, route: &Route) -> Result<bool, ProxyError> {
        let Some(best) = self.kept.best() else { return Ok(false) };
        let there = self.server().get(&route.id).await?;
        let is = |form: Form| form <= best && there.as_ref() == Some(&self.config(form, route));
        Ok(is(Form::Content) || is(Form::Name))
    }

    /// Changes a route in the configuration. Its files are put in place before where Caddy is to read them from then on, and after
    /// where it reads them already: whichever it is, requests go to the new port at once.
    async fn change(&self, listed: &Listed, (form, route): (Form, &Route)) -> Result<Answer, ProxyError> {
        let there = self.form_of(listed, &route.id).unwrap_or(Form::Plain);
        let first = form > Form::Plain && there == Form::Plain;
        if first {
            self.kept.switch(route).await?;
        }
        let answer = self.put_together(listed, form, self.config(form, route)).await?;
        match answer.status {
            200 if !first => self.kept.switch(route).await?,
            200 | super::http::CHANGED => {}
            _ if first => self.unlead(&route.id).await?,
            _ => {}
        }
        Ok(answer)
    }

    /// The form that a route has in Caddy's configuration.
    fn form_of(&self, listed: &Listed, id: &str) -> Option<Form> {
        let (_, config) = listed.find(id)?;
        Form::read(config, &self.kept.ledger.seen(id)).map(|(form, _)| form)
    }

    /// Caddy refused the route whose files were put in place already: they are as they were.
    async fn unlead(&self, id: &str) -> Result<(), ProxyError> {
        let before = self.kept.state().routes.get(id).cloned();
        match before {
            Some(before) => self.kept.switch(&before).await,
            None => self.kept.forget(id).await,
        }
    }

    /// The routes, with the probe among them, of a server that is as it is to be. Where something has to be changed for that first,
    /// the answer to the change: if Caddy takes it, it is to be looked again.
    async fn list(&self) -> Result<Result<Listed, Answer>, ProxyError> {
        let probe = self.kept.probe.config();
        let answer = match self.server().list().await? {
            None => self.server().create(probe).await?,
            Some(listed) if self.server().lacks_https(&listed) => self.server().add_https(&listed).await?,
            Some(listed) => match listed.find(self.kept.probe.id()) {
                Some((_, same)) if same == probe => return Ok(Ok(listed)),
                Some(_) => self.server().put(&listed, probe).await?,
                None => self.server().put_first(&listed, probe).await?,
            },
        };
        Ok(Err(if answer.status == 200 { Answer::changed() } else { answer }))
    }
}
