//! The agent's server in Caddy's configuration, and the list of its routes.
//!
//! Nothing of the configuration is lost, whoever writes: every change names the state that it was made for (`If-Match`) and is
//! made anew where somebody was faster.

use reqwest::Method;
use serde_json::{Value, json};

use super::http::{Answer, CHANGED, Http, is_broken};
use super::{encoded, slashed};
use crate::host::proxy::{ProxyError, ProxySettings};
use crate::limits;

/// The agent's server; the rest of the configuration is not the agent's.
const SERVER: &str = "config/apps/http/servers/otturnaut";

/// Its routes.
const ROUTES: &str = "config/apps/http/servers/otturnaut/routes";

/// The ports on which Caddy speaks plain HTTP and HTTPS where its configuration says nothing.
const USUAL_PORTS: (u16, u16) = (80, 443);

/// The routes as they were read.
pub(super) struct Listed {
    pub(super) routes: Vec<Value>,
    /// The rest of the server.
    server: Value,
    tag: Option<String>,
}

impl Listed {
    /// Where the route of this id is.
    pub(super) fn find(&self, id: &str) -> Option<(usize, &Value)> {
        let known = |route: &Value| route.get("@id").and_then(Value::as_str) == Some(id);
        self.routes.iter().enumerate().find(|(_, route)| known(route))
    }

    /// Names the state that was read.
    pub(super) fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }
}

/// The agent's server in a Caddy.
pub(super) struct Server<'a> {
    pub(super) http: &'a Http,
    pub(super) settings: &'a ProxySettings,
}

impl Server<'_> {
    /// Its routes; nothing where Caddy has no such server.
    pub(super) async fn list(&self) -> Result<Option<Listed>, ProxyError> {
        let answer = self.http.get(&slashed(SERVER)).await?;
        if answer.is_missing() {
            return Ok(None);
        }
        let mut server = answer.value()?;
        let Some(Value::Array(routes)) = server.get_mut("routes").map(Value::take) else { return Ok(None) };
        Ok(Some(Listed { routes, server, tag: answer.tag().map(str::to_owned) }))
    }

    /// Whether the server is the one that a tag names. It is not even taken apart for that.
    pub(super) async fn is_still(&self, tag: &str) -> Result<bool, ProxyError> {
        let answer = self.http.get(&slashed(SERVER)).await?;
        Ok(answer.status == 200 && answer.tag() == Some(tag))
    }

    /// The route of an id, as Caddy has it.
    pub(super) async fn get(&self, id: &str) -> Result<Option<Value>, ProxyError> {
        let answer = self.http.get(&format!("id/{}", encoded(id))).await?;
        if answer.is_missing() { Ok(None) } else { answer.value().map(Some) }
    }

    /// Deletes the route of an id in one step of Caddy's own: nothing can come between.
    pub(super) async fn delete(&self, id: &str) -> Result<Answer, ProxyError> {
        self.http.delete(&format!("id/{}", encoded(id))).await
    }

    /// Puts a route in the place of the one of its id, or behind the others; 412 where they are not as they were listed.
    pub(super) async fn put(&self, listed: &Listed, config: &Value) -> Result<Answer, ProxyError> {
        let id = config.get("@id").and_then(Value::as_str).unwrap_or_default();
        match listed.find(id) {
            Some((_, same)) if same == config => Ok(Answer::done()),
            Some((at, _)) => self.change(Method::PATCH, &format!("{ROUTES}/{at}"), (config, listed)).await,
            None => self.change(Method::POST, ROUTES, (config, listed)).await,
        }
    }

    /// Puts a route before all others.
    pub(super) async fn put_first(&self, listed: &Listed, config: &Value) -> Result<Answer, ProxyError> {
        self.change(Method::PUT, &format!("{ROUTES}/0"), (config, listed)).await
    }

    /// Puts other routes in the place of all that were listed.
    pub(super) async fn replace(&self, listed: &Listed, routes: Vec<Value>) -> Result<Answer, ProxyError> {
        self.change(Method::PATCH, ROUTES, (&routes.into(), listed)).await
    }

    async fn change(&self, how: Method, path: &str, what: (&Value, &Listed)) -> Result<Answer, ProxyError> {
        let (value, listed) = what;
        self.http.send(how, &slashed(path), (value, listed.tag())).await
    }

    /// Makes the server with its first route, and the parents that are missing, in one change.
    pub(super) async fn create(&self, route: &Value) -> Result<Answer, ProxyError> {
        let whole = self.http.get("config/").await?;
        let config = whole.value()?;
        if let Some(server) = config.pointer("/apps/http/servers/otturnaut") {
            // Somebody made it since it was looked for: it is looked at again.
            if server.get("routes").is_some_and(Value::is_array) {
                return Ok(Answer::changed());
            }
            return self.http.send(Method::POST, &slashed(ROUTES), (&json!([route]), whole.tag())).await;
        }
        let server = self.config(std::slice::from_ref(route));
        let (path, value) = if self.wants_ports(&config) {
            let there = config.pointer("/apps/http").and_then(Value::as_object);
            let mut http = there.cloned().unwrap_or_default();
            http.insert("http_port".to_owned(), self.settings.http_port.into());
            http.insert("https_port".to_owned(), self.settings.https_port.into());
            http.insert("servers".to_owned(), json!({ "otturnaut": server }));
            within(&config, "/apps", http.into())
        } else {
            within(&config, "/apps/http/servers", server)
        };
        self.http.send(Method::POST, &path, (&value, whole.tag())).await
    }

    /// Whether the server lacks HTTPS that it is to have: it was made when that was not wanted.
    pub(super) fn lacks_https(&self, listed: &Listed) -> bool {
        let disabled = listed.server.pointer("/automatic_https/disable").and_then(Value::as_bool) == Some(true);
        let listens = listed.server.get("listen").and_then(Value::as_array).is_some_and(|listen| listen.len() > 1);
        !self.settings.disable_auto_https && (disabled || !listens)
    }

    /// Makes the server anew with all of its routes, where it lacks HTTPS.
    pub(super) async fn add_https(&self, listed: &Listed) -> Result<Answer, ProxyError> {
        self.change(Method::PATCH, SERVER, (&self.config(&listed.routes), listed)).await
    }

    /// What the server is with these routes.
    fn config(&self, routes: &[Value]) -> Value {
        let http = format!(":{}", self.settings.http_port);
        if self.settings.disable_auto_https {
            return json!({ "listen": [http], "routes": routes, "automatic_https": { "disable": true } });
        }
        json!({ "listen": [http, format!(":{}", self.settings.https_port)], "routes": routes })
    }

    /// Whether Caddy is to be told which port is the one for plain HTTP: it speaks TLS on every other. That holds for all of
    /// its servers, so it is told only where there is none yet.
    fn wants_ports(&self, config: &Value) -> bool {
        let port = |key: &str, usual: u16| {
            config.pointer(&format!("/apps/http/{key}")).map_or(u64::from(usual), |port| port.as_u64().unwrap_or(0))
        };
        let there = (port("http_port", USUAL_PORTS.0), port("https_port", USUAL_PORTS.1));
        let wanted = (u64::from(self.settings.http_port), u64::from(self.settings.https_port));
        let servers = config.pointer("/apps/http/servers").and_then(Value::as_object);
        let alone = servers.is_none_or(serde_json::Map::is_empty);
        if !self.settings.disable_auto_https && there != wanted && !alone {
            tracing::warn!(
                "Caddy takes {} for plain HTTP and {} for HTTPS, the agent is told {} and {}: set http_port and https_port \
                 in Caddy's configuration",
                there.0,
                there.1,
                wanted.0,
                wanted.1
            );
        }
        !self.settings.disable_auto_https && there != wanted && alone
    }
}

/// Where a value of the agent's is to be written, given where it belongs in a configuration: within the innermost object that
/// is there, with the parents that are missing around it.
fn within(config: &Value, parent: &str, mut value: Value) -> (String, Value) {
    let mut key = if parent == "/apps" { "http" } else { "otturnaut" };
    let mut parent = parent;
    loop {
        if config.pointer(parent).is_some_and(Value::is_object) {
            return (format!("config{parent}/{key}/"), value);
        }
        value = json!({ key: value });
        let Some((outer, name)) = parent.rsplit_once('/') else { return ("config/".to_owned(), value) };
        (parent, key) = (outer, name);
    }
}

/// Makes a change; again where somebody was faster, and where a reload of Caddy's cut the request.
pub(super) async fn insist<F>(attempt: impl Fn() -> F + Send) -> Result<Answer, ProxyError>
where
    F: Future<Output = Result<Answer, ProxyError>> + Send,
{
    let mut broken = 0;
    let mut last = Ok(Answer::changed());
    for _ in 0..limits::CADDY_ATTEMPTS {
        last = match attempt().await {
            Ok(answer) if answer.status == CHANGED => Ok(answer),
            Ok(answer) => return Ok(answer),
            // The change may have been made all the same: the next attempt begins with a look.
            Err(e) => {
                broken += 1;
                let again = is_broken(&e) || matches!(e, ProxyError::Timeout { .. });
                if !again || broken > limits::CADDY_BROKEN_ATTEMPTS {
                    return Err(e);
                }
                tokio::time::sleep(limits::CADDY_RELOAD).await;
                Err(e)
            }
        };
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_written_into_the_innermost_object_that_is_there() {
        let write = |config: Value| within(&config, "/apps/http/servers", json!(1));
        let full = json!({ "apps": { "http": { "servers": { "theirs": {} } } } });
        assert_eq!(write(full), ("config/apps/http/servers/otturnaut/".to_owned(), json!(1)));
        let apps = json!({ "apps": { "tls": {} } });
        assert_eq!(write(apps), ("config/apps/http/".to_owned(), json!({ "servers": { "otturnaut": 1 } })));
        let apps = json!({ "apps": { "http": { "servers": { "otturnaut": 1 } } } });
        assert_eq!(write(Value::Null), ("config/".to_owned(), apps));
        let empty = json!({ "admin": {} });
        assert_eq!(within(&empty, "/apps", json!(1)), ("config/apps/".to_owned(), json!({ "http": 1 })));
    }
}
