//! The reverse proxy: routes from domains to ports of this machine.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A route: requests for `domains` go to `127.0.0.1:upstream_port`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Its id, `"{app_id}-route"` for an application's.
    pub id: String,
    /// Host names.
    pub domains: Vec<String>,
    /// Port of the application on this machine.
    pub upstream_port: u16,
}

impl Route {
    /// Caddy's own form of it.
    pub fn to_config(&self) -> Value {
        let upstreams = [json!({ "dial": format!("127.0.0.1:{}", self.upstream_port) })];
        json!({
            "@id": self.id,
            "match": [{ "host": self.domains }],
            "handle": [{ "handler": "reverse_proxy", "upstreams": upstreams }],
        })
    }

    /// Reads Caddy's own form.
    ///
    /// # Errors
    /// It is not the form of a route of this agent; the text says what is missing.
    pub fn from_config(config: &Value) -> Result<Self, String> {
        let id = config.get("@id").and_then(Value::as_str).ok_or("missing or invalid @id")?;
        let hosts = config.pointer("/match/0/host").and_then(Value::as_array);
        let hosts = hosts.and_then(|hosts| hosts.iter().map(|host| Some(host.as_str()?.to_owned())).collect());
        let dial = config.pointer("/handle/0/upstreams/0/dial").and_then(Value::as_str);
        let dial = dial.ok_or("missing or invalid handle.upstreams.dial")?;
        let port = dial.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        Ok(Self {
            id: id.to_owned(),
            domains: hosts.ok_or("missing or invalid match.host")?,
            upstream_port: port.ok_or_else(|| format!("could not parse port from dial: {dial}"))?,
        })
    }
}

/// Where Caddy is and what its server listens on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ProxySettings {
    /// Address of the admin API, without a trailing slash.
    pub base_url: String,
    /// Port of the agent's server for plain HTTP.
    pub http_port: u16,
    /// Port of the agent's server for HTTPS.
    pub https_port: u16,
    /// No certificates and no redirects to HTTPS.
    pub disable_auto_https: bool,
}

/// Why the proxy did not do what was asked.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ProxyError {
    /// Nothing listens at the admin address.
    #[error("Caddy does not answer at {url}")]
    Unavailable {
        /// The admin address.
        url: String,
    },
    /// It took the request and gave no answer in time.
    #[error("Caddy at {url} did not answer in time")]
    Timeout {
        /// The admin address.
        url: String,
    },
    /// The request broke off.
    #[error("the request to Caddy at {url} failed: {reason}")]
    RequestFailed {
        /// The admin address.
        url: String,
        /// How.
        reason: String,
    },
    /// It answered with an error.
    #[error("Caddy answered {status}: {body}")]
    UnexpectedStatus {
        /// HTTP status.
        status: u16,
        /// Its answer, JSON where it was JSON, a string otherwise.
        body: Value,
    },
    /// The files that say where a route leads could not be written.
    #[error("the files of routes at {path} cannot be written: {reason}")]
    Files {
        /// The directory of routes.
        path: PathBuf,
        /// The system's reason.
        reason: String,
    },
    /// There is no such route.
    #[error("Caddy has no route {id}")]
    NotFound {
        /// The route.
        id: String,
    },
}

/// What a raw configuration call of `Otturnaut.Caddy.Client` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyWriter {
    /// Creates or appends (`POST`).
    Append,
    /// Creates or replaces strictly new (`PUT`).
    Set,
    /// Replaces what is there (`PATCH`).
    Patch,
    /// Deletes (`DELETE`).
    Delete,
}

/// One Caddy.
#[async_trait]
pub trait Proxy: Send + Sync {
    /// Whether the admin API answers.
    async fn health(&self) -> Result<(), ProxyError>;
    /// Adds the route, or replaces the one of the same id in one step. Nothing else in the configuration changes,
    /// whoever writes at the same time.
    async fn put_route(&self, route: &Route) -> Result<(), ProxyError>;
    /// Removes the route; one that is not there is Caddy's own 404.
    async fn remove_route(&self, id: &str) -> Result<(), ProxyError>;
    /// Gives up a route that could not be removed: it leads nowhere and is put back no more, and the first
    /// [`Proxy::reconcile`] that the proxy answers removes it. A proxy that keeps no record of its routes does nothing.
    async fn give_up_route(&self, _id: &str) -> Result<(), ProxyError> {
        Ok(())
    }
    /// All routes of the agent's server; none where there is no such server yet.
    async fn list_routes(&self) -> Result<Vec<Route>, ProxyError>;
    /// The route of that id.
    async fn get_route(&self, id: &str) -> Result<Route, ProxyError>;
    /// Reads at a configuration path (`apps/http`), or by `@id` (`id/my-route`); `Null` where nothing is.
    async fn read(&self, path: &str) -> Result<Value, ProxyError>;
    /// Writes at such a path.
    async fn write(&self, how: ProxyWriter, path: &str, value: Option<&Value>) -> Result<(), ProxyError>;
    /// Puts down what a route is without asking the proxy, which gets it with the next [`Proxy::reconcile`] that it answers. A
    /// proxy that keeps no record of its routes does nothing.
    async fn note_route(&self, _route: &Route) -> Result<(), ProxyError> {
        Ok(())
    }
    /// Looks whether the routes that were put are as they were put, and puts back what is not. Cheap where nothing is
    /// to do. Gives the ids of those that it put back. A proxy that keeps no record of its routes has nothing to put back.
    async fn reconcile(&self) -> Result<Vec<String>, ProxyError> {
        Ok(Vec::new())
    }
}

/// Gives out proxies.
pub trait Proxies: Send + Sync {
    /// The configured settings, over which a call's options are laid.
    fn defaults(&self) -> ProxySettings;
    /// The Caddy at these settings. Calls for the same address share its order of writes.
    fn proxy(&self, settings: &ProxySettings) -> Arc<dyn Proxy>;
}
