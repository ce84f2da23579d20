//! Caddy, by its admin API.
//!
//! `http.rs` speaks HTTP and sorts the errors; this file changes the configuration so that nothing of it is lost: every
//! change names the state that it was made for (`If-Match`) and is made anew where somebody was faster.

mod http;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use serde_json::{Value, json};

use self::http::{Answer, CHANGED, Http};
use super::proxy::{Proxies, Proxy, ProxyError, ProxySettings, ProxyWriter, Route};
use crate::limits;

/// The routes of the agent's server; the rest of the configuration is not the agent's.
const ROUTES: &str = "config/apps/http/servers/otturnaut/routes";

/// All Caddys that calls named.
pub struct Caddys {
    defaults: ProxySettings,
    client: reqwest::Client,
    /// One order of writes for each address.
    turns: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl Caddys {
    /// Caddys with these settings where a call names no others.
    ///
    /// # Errors
    /// The HTTP client cannot be made.
    pub fn new(defaults: ProxySettings) -> Result<Self, reqwest::Error> {
        Ok(Self { defaults, client: http::client()?, turns: Mutex::default() })
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
        Arc::new(Caddy {
            http: Http { client: self.client.clone(), base_url: settings.base_url.clone() },
            settings: settings.clone(),
            turn,
        })
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
        let mut broken = 0;
        let mut last = Ok(());
        for _ in 0..limits::CADDY_ATTEMPTS {
            last = match self.try_put_route(route).await {
                Ok(answer) if answer.status == CHANGED => answer.ok(),
                Ok(answer) => return answer.ok(),
                // The change may have been made all the same: the next attempt begins with a look.
                Err(e) => {
                    broken += 1;
                    let again = http::is_broken(&e) || matches!(e, ProxyError::Timeout { .. });
                    if !again || broken > limits::CADDY_BROKEN_ATTEMPTS {
                        return Err(e);
                    }
                    tokio::time::sleep(limits::CADDY_RELOAD).await;
                    Err(e)
                }
            }
        }
        last
    }

    async fn remove_route(&self, id: &str) -> Result<(), ProxyError> {
        let _turn = self.turn.lock().await;
        // By its id, in one step of Caddy's own: nothing can come between.
        self.http.delete(&format!("id/{}", encoded(id))).await?.ok()
    }

    async fn list_routes(&self) -> Result<Vec<Route>, ProxyError> {
        let answer = self.http.get(&slashed(ROUTES)).await?;
        if answer.is_missing() {
            return Ok(Vec::new());
        }
        let routes = answer.value()?;
        let routes = routes.as_array().map(Vec::as_slice).unwrap_or_default();
        Ok(routes.iter().filter_map(|route| Route::from_config(route).ok()).collect())
    }

    async fn get_route(&self, id: &str) -> Result<Route, ProxyError> {
        let missing = || ProxyError::NotFound { id: id.to_owned() };
        let answer = self.http.get(&format!("id/{}", encoded(id))).await?;
        if answer.is_missing() {
            return Err(missing());
        }
        Route::from_config(&answer.value()?).map_err(|_| missing())
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
    /// One attempt; status 412 where the configuration changed meanwhile.
    async fn try_put_route(&self, route: &Route) -> Result<Answer, ProxyError> {
        let routes = self.http.get(&slashed(ROUTES)).await?;
        let listed = if routes.is_missing() { None } else { routes.value()?.as_array().cloned() };
        let Some(listed) = listed else { return self.create(route).await };
        let config = route.to_config();
        let known = |listed: &Value| listed.get("@id") == config.get("@id");
        match listed.iter().enumerate().find(|(_, listed)| known(listed)) {
            Some((_, same)) if *same == config => Ok(Answer::done()),
            Some((at, _)) => {
                let path = format!("{ROUTES}/{at}/");
                self.http.send(reqwest::Method::PATCH, &path, (&config, routes.tag())).await
            }
            None => self.http.send(reqwest::Method::POST, &slashed(ROUTES), (&config, routes.tag())).await,
        }
    }

    /// Makes the agent's server with its first route, and the parents that are missing, in one change.
    async fn create(&self, route: &Route) -> Result<Answer, ProxyError> {
        let whole = self.http.get("config/").await?;
        let config = whole.value()?;
        let mut value = self.server(route);
        if let Some(server) = config.pointer("/apps/http/servers/otturnaut") {
            // Somebody made it since it was looked for: it is looked at again.
            if server.get("routes").is_some_and(Value::is_array) {
                return Ok(Answer::changed());
            }
            let routes = json!([route.to_config()]);
            return self.http.send(reqwest::Method::POST, &slashed(ROUTES), (&routes, whole.tag())).await;
        }
        // From the innermost object outwards, up to one that is there.
        for (path, key) in [
            ("config/apps/http/servers", "otturnaut"),
            ("config/apps/http", "servers"),
            ("config/apps", "http"),
            ("config", "apps"),
        ] {
            let parent = path.strip_prefix("config").unwrap_or_default();
            if config.pointer(parent).is_some_and(Value::is_object) {
                let place = format!("{path}/{key}/");
                return self.http.send(reqwest::Method::POST, &place, (&value, whole.tag())).await;
            }
            value = json!({ key: value });
        }
        self.http.send(reqwest::Method::POST, "config/", (&value, whole.tag())).await
    }

    fn server(&self, route: &Route) -> Value {
        let http = format!(":{}", self.settings.http_port);
        let routes = json!([route.to_config()]);
        if self.settings.disable_auto_https {
            return json!({ "listen": [http], "routes": routes, "automatic_https": { "disable": true } });
        }
        json!({ "listen": [http, format!(":{}", self.settings.https_port)], "routes": routes })
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
