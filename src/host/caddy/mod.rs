//! Caddy, by its admin API.
//!
//! `http.rs` speaks HTTP and sorts the errors; `server.rs` changes the configuration so that nothing of it is lost; this file is
//! any Caddy that a call names. The configured one is `kept.rs`: its routes say in files where they lead (`form.rs`,
//! `ledger.rs`), and are put back.

mod form;
mod http;
mod kept;
mod ledger;
mod server;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use serde_json::Value;

use self::http::{Answer, Http};
use self::kept::{Kept, KeptCaddy};
use self::server::{Server, insist};
use super::proxy::{Proxies, Proxy, ProxyError, ProxySettings, ProxyWriter, Route};

/// The directory of files that say where routes lead.
#[derive(Debug, Clone)]
pub struct RoutesDir {
    /// Where the agent has it.
    pub path: PathBuf,
    /// Where Caddy sees it, if that is elsewhere.
    pub seen_by_caddy: Option<PathBuf>,
}

/// All Caddys that calls named.
pub struct Caddys {
    defaults: ProxySettings,
    client: reqwest::Client,
    /// One order of writes for each address.
    turns: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    /// The routes of the configured one; nothing where they have no directory.
    kept: Option<Arc<Kept>>,
}

impl Caddys {
    /// Caddys with these settings where a call names no others, and the directory for the routes of that one.
    ///
    /// # Errors
    /// The HTTP client cannot be made.
    pub fn new(defaults: ProxySettings, dir: &RoutesDir) -> Result<Self, reqwest::Error> {
        let client = http::client()?;
        let kept = Kept::open(dir).inspect_err(|error| {
            let dir = dir.path.display();
            tracing::warn!(
                "the directory of routes {dir} cannot be used: {error}; routes are not put back, and each switch changes \
                 Caddy's configuration"
            );
        });
        Ok(Self { defaults, client, turns: Mutex::default(), kept: kept.ok().map(Arc::new) })
    }
}

impl Proxies for Caddys {
    fn defaults(&self) -> ProxySettings {
        self.defaults.clone()
    }

    fn proxy(&self, settings: &ProxySettings) -> Arc<dyn Proxy> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        // Addresses that nobody uses now are forgotten: callers may name any number of them.
        turns.retain(|url, turn| *url == settings.base_url || Arc::strong_count(turn) > 1);
        let turn = turns.entry(settings.base_url.clone()).or_default().clone();
        let http = Http { client: self.client.clone(), base_url: settings.base_url.clone() };
        let mut caddy = Caddy { http, settings: settings.clone(), turn };
        match &self.kept {
            Some(kept) if settings.base_url == self.defaults.base_url => {
                // Or each look would undo what a call did.
                caddy.settings.disable_auto_https = self.defaults.disable_auto_https;
                Arc::new(KeptCaddy { caddy, kept: Arc::clone(kept) })
            }
            _ => Arc::new(caddy),
        }
    }
}

struct Caddy {
    http: Http,
    settings: ProxySettings,
    turn: Arc<tokio::sync::Mutex<()>>,
}

#[async_trait]
impl Proxy for Caddy {
    async fn health(&self) -> Result<(), ProxyError> {
        self.http.get("config/").await?.ok()
    }

    async fn put_route(&self, route: &Route) -> Result<(), ProxyError> {
        let _turn = self.turn.lock().await;
        let config = route.to_config();
        insist(|| self.try_put(&config)).await?.ok()
    }

    async fn remove_route(&self, id: &str) -> Result<(), ProxyError> {
        let _turn = self.turn.lock().await;
        self.server().delete(id).await?.ok()
    }

    async fn list_routes(&self) -> Result<Vec<Route>, ProxyError> {
        let listed = self.server().list().await?;
        let routes = listed.map(|listed| listed.routes).unwrap_or_default();
        Ok(routes.iter().filter_map(|route| Route::from_config(route).ok()).collect())
    }

    async fn get_route(&self, id: &str) -> Result<Route, ProxyError> {
        let found = self.server().get(id).await?.and_then(|config| Route::from_config(&config).ok());
        found.ok_or_else(|| ProxyError::NotFound { id: id.to_owned() })
    }

    async fn read(&self, path: &str) -> Result<Value, ProxyError> {
        self.http.get(&slashed(path)).await?.value()
    }

    async fn write(&self, how: ProxyWriter, path: &str, value: Option<&Value>) -> Result<(), ProxyError> {
        let _turn = self.turn.lock().await;
        let path = slashed(path);
        let value = value.unwrap_or(&Value::Null);
        let answer = match how {
            ProxyWriter::Set | ProxyWriter::Append => self.http.send(reqwest::Method::POST, &path, (value, None)).await,
            ProxyWriter::Patch => self.http.send(reqwest::Method::PATCH, &path, (value, None)).await,
            ProxyWriter::Delete => self.http.delete(&path).await,
        };
        answer?.ok()
    }
}

impl Caddy {
    fn server(&self) -> Server<'_> {
        Server { http: &self.http, settings: &self.settings }
    }

    /// One attempt; status 412 where the configuration changed meanwhile.
    async fn try_put(&self, config: &Value) -> Result<Answer, ProxyError> {
        match self.server().list().await? {
            Some(listed) => self.server().put(&listed, config).await,
            None => self.server().create(config).await,
        }
    }
}

/// Configuration paths want a slash at their end: without it Caddy redirects, and the body is lost. Paths by id want none.
fn slashed(path: &str) -> String {
    if path.starts_with("id/") || path.ends_with('/') { path.to_owned() } else { format!("{path}/") }
}

/// An id as one part of a path.
fn encoded(id: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    id.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn config_paths_end_in_a_slash_and_ids_do_not() {
        assert_eq!(slashed("config/apps"), "config/apps/");
        assert_eq!(slashed("config/"), "config/");
        assert_eq!(slashed("id/a-route"), "id/a-route");
        assert_eq!(encoded("a b/../ж"), "a%20b%2F..%2F%D0%B6");
    }
}
