//! What this Caddy reads of the files: found out by asking it, since neither its version nor a file's mode tells. It may run as
//! another user, see another part of the disk, or be replaced by another version at any time.

use serde_json::Value;

use super::super::form::{self, Form, PROBE_HEADER};
use super::super::http::Http;
use super::super::ledger::Ledger;
use super::KeptCaddy;
use crate::limits;

/// A route that tells what Caddy reads, of files like those of all routes.
pub(super) struct Probe {
    /// Its id, another for each directory: agents that share a Caddy are not to take the probes of others away.
    id: String,
    secret: String,
    config: Value,
}

impl Probe {
    pub(super) fn new(ledger: &Ledger) -> std::io::Result<Self> {
        ledger.lead_probe()?;
        let seen = ledger.seen_probe();
        let id = format!("otturnaut-probe-{:08x}", crc32fast::hash(seen.as_bytes()));
        // Whoever says another's is not answered by it.
        let secret = format!("{id}-{}", ledger.secret()?);
        let config = form::probe(&id, (&seen, &secret));
        Ok(Self { id, secret, config })
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Its route.
    pub(super) fn config(&self) -> &Value {
        &self.config
    }
}

impl KeptCaddy {
    /// Asks Caddy now. What was known holds on where it does not answer.
    pub(super) async fn look_again(&self) -> Option<Form> {
        let seen = self.ask().await;
        let mut state = self.kept.state();
        let before = state.best;
        state.best = seen.or(before);
        if !state.told || state.best != before {
            state.told = true;
            self.tell(state.best);
        }
        state.best
    }

    async fn ask(&self) -> Option<Form> {
        let admin = reqwest::Url::parse(&self.caddy.settings.base_url).ok()?;
        let base_url = format!("http://{}:{}", admin.host_str()?, self.caddy.settings.http_port);
        let http = Http { client: self.caddy.http.client.clone(), base_url };
        let probe = &self.kept.probe;
        let request = http.client.get(&http.base_url).header(PROBE_HEADER, &probe.secret);
        let answer = http.perform(request.timeout(limits::ROUTES_PROBE)).await.ok()?;
        form::judge(&answer.text(), &self.kept.ledger.probed()?)
    }

    /// Says once what it is, what it costs, and what to do.
    fn tell(&self, best: Option<Form>) {
        const COST: &str = "each switch of a route changes Caddy's configuration, which resets some connections and closes \
                            websockets";
        let (dir, port) = (self.kept.ledger.dir().display(), self.caddy.settings.http_port);
        match best {
            Some(Form::Content) => tracing::info!("Caddy reads where routes lead from {dir}"),
            Some(Form::Name) => tracing::info!(
                "Caddy reads where routes lead from {dir}, by names of files; it is older than 2.8 and closes websockets when \
                 an application is added or removed or its domains change"
            ),
            Some(Form::Plain) => tracing::warn!(
                "Caddy cannot read {dir}, so {COST}: let it read the directory and pass through those above it; if it sees it \
                 under another path (a volume of its container), set OTTURNAUT_CADDY_ROUTES_DIR to that"
            ),
            None => tracing::warn!(
                "Caddy does not tell on port {port} whether it reads {dir}, so for new routes {COST}: set OTTURNAUT_HTTP_PORT \
                 to the port on which it serves plain HTTP"
            ),
        }
    }
}
