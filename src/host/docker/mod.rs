//! Docker and Podman, by the Engine API over a unix socket; Podman speaks the same.
//!
//! ```text
//! mod.rs     containers and images as the domain wants them
//! api.rs     requests, answers, errors
//! exec.rs    commands in containers;  logs.rs  their last output;  events.rs  their exits;  usage.rs  what they use;  space.rs  what is on disk
//! reader.rs  their logs as they are asked for: answer.rs  a slow answer;  frames.rs, entries.rs  what is in it
//! stream.rs  answers that come line by line;  pull.rs  pulls;  archive.rs  what an archive says of itself
//! build.rs   builds: context.rs  a directory as a tar stream;  ignore.rs  what of it stays here;  dockerfile.rs  what its Dockerfile needs
//! buildkit/  builds by BuildKit;  info.rs  what it can bound
//! ```

mod answer;
mod api;
mod archive;
mod build;
mod buildkit;
mod container;
mod context;
mod dockerfile;
mod entries;
mod events;
mod exec;
mod frames;
mod ignore;
mod info;
mod logs;
mod pull;
mod reader;
mod space;
mod stream;
mod usage;

pub(super) use self::api::posix;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use reqwest::{Body, Method};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};
use tokio_util::io::ReaderStream;

use self::api::Api;
use self::info::Info;
use super::command::{Batch, Line};
use super::download::Transfer;
use super::https;
use super::log::{LogQuery, LogReader};
use super::runtime::{
    Container, EngineEvents, EngineSpace, ExecEnd, Image, Runtime, RuntimeError, RuntimeKind, RuntimeTarget, Runtimes,
    Usage,
};
use super::spec::{BuildImage, ContainerSpec, PullImage, Resources};
use crate::limits;

/// Where Podman serves its API for root.
const PODMAN_SOCKET: &str = "/run/podman/podman.sock";

/// The engines of this machine.
pub struct Engines {
    configured: PathBuf,
    apis: Mutex<HashMap<PathBuf, reqwest::Client>>,
}

impl Engines {
    /// Engines whose Docker is at `configured` where a call names no other socket.
    pub fn new(configured: PathBuf) -> Self {
        Self { configured, apis: Mutex::default() }
    }

    fn socket(&self, target: &RuntimeTarget) -> PathBuf {
        match (&target.socket, target.kind) {
            (Some(socket), _) => socket.clone(),
            (None, RuntimeKind::Docker) => self.configured.clone(),
            (None, RuntimeKind::Podman) if self.configured_is_podman() => self.configured.clone(),
            (None, RuntimeKind::Podman | RuntimeKind::Systemd) => PathBuf::from(PODMAN_SOCKET),
        }
    }

    fn configured_is_podman(&self) -> bool {
        self.configured.to_string_lossy().contains("podman")
    }

    fn client(&self, socket: &Path) -> Option<reqwest::Client> {
        let mut apis = self.apis.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = apis.get(socket) {
            return Some(client.clone());
        }
        // Callers may name any number of sockets.
        if apis.len() >= limits::ENGINE_SOCKETS {
            apis.clear();
        }
        let client = https::client().unix_socket(socket).no_proxy().build().ok()?;
        apis.insert(socket.to_owned(), client.clone());
        Some(client)
    }
}

impl Runtimes for Engines {
    fn runtime(&self, target: &RuntimeTarget) -> Arc<dyn Runtime> {
        let socket = self.socket(target);
        let client = self.client(&socket).unwrap_or_default();
        Arc::new(Engine { api: Api { client, socket, engine: target.kind } })
    }

    fn present(&self) -> Vec<(RuntimeTarget, Arc<dyn Runtime>)> {
        let configured = if self.configured_is_podman() { RuntimeKind::Podman } else { RuntimeKind::Docker };
        let all = [(configured, self.configured.clone()), (RuntimeKind::Podman, PathBuf::from(PODMAN_SOCKET))];
        let mut found: Vec<(RuntimeTarget, Arc<dyn Runtime>)> = Vec::new();
        for (kind, socket) in all {
            let target = RuntimeTarget { kind, socket: None };
            if socket.exists() && !found.iter().any(|(known, _)| *known == target) {
                found.push((target.clone(), self.runtime(&target)));
            }
        }
        found
    }
}

struct Engine {
    api: Api,
}

impl Engine {
    /// The code of the first exit, if the engine's events tell it soon.
    async fn first_exit(&self, name: &str) -> Option<i64> {
        timeout(limits::EXIT_WORD, events::first_exit(&self.api, name)).await.ok()?.ok()
    }

    /// Joins a created container to its further networks (with one it was created) and starts it.
    async fn begin(&self, id: &str, spec: &ContainerSpec) -> Result<(), RuntimeError> {
        for network in spec.networks.iter().skip(1) {
            let path = format!("networks/{}/connect", api::part(network));
            self.api.order(&path, &json!({ "Container": id })).await?;
        }
        self.api.order(&format!("containers/{id}/start"), &Value::Null).await
    }

    /// Stops it; whether it ran.
    async fn stop_once(&self, name: &str, grace: Duration) -> Result<bool, RuntimeError> {
        let path = format!("containers/{}/stop", api::part(name));
        let query = [("t", grace.as_secs().to_string())];
        let request = self.api.request(Method::POST, &path, &query).timeout(grace + limits::ENGINE_REQUEST);
        match self.api.value(request).await {
            Ok(_) => Ok(true),
            Err(RuntimeError::Http { status: 304, .. }) => Ok(false),
            Err(e) => Err(not_found(e, name)),
        }
    }

    async fn remove_once(&self, name: &str) -> Result<(), RuntimeError> {
        let path = format!("containers/{}", api::part(name));
        let query = [("force", "1".to_owned()), ("v", "1".to_owned())];
        let request = self.api.request(Method::DELETE, &path, &query).timeout(limits::ENGINE_REQUEST);
        match self.api.value(request).await {
            Ok(_) => Ok(()),
            // Somebody else is at it.
            Err(RuntimeError::Http { status: 409, body, .. })
                if api::message(&body).contains("already in progress") =>
            {
                Ok(())
            }
            Err(e) => Err(not_found(e, name)),
        }
    }

    /// Whether one that ended is started again by the engine: waits for as long as that may take.
    async fn lives_again(&self, name: &str) -> Result<bool, RuntimeError> {
        let ended = self.inspect(name).await?;
        let next_life = async {
            loop {
                let seen = self.inspect(name).await?;
                if seen.runs() || seen.started_at != ended.started_at {
                    return Ok(true);
                }
                sleep(limits::LIFE_LOOK).await;
            }
        };
        timeout(limits::BETWEEN_LIVES, next_life).await.unwrap_or(Ok(false))
    }

    /// Waits until the container is seen to be stopped.
    async fn stopped(&self, name: &str) -> Result<i64, RuntimeError> {
        let path = format!("containers/{}/wait", api::part(name));
        let ended = self.api.value(self.api.request(Method::POST, &path, &[])).await.map_err(|e| not_found(e, name))?;
        ended.get("StatusCode").and_then(Value::as_i64).ok_or_else(|| self.api.unclear("an exit code was wanted"))
    }
}

#[async_trait]
impl Runtime for Engine {
    async fn list(&self, labels: &[String]) -> Result<Vec<Container>, RuntimeError> {
        let filters = if labels.is_empty() { json!({}) } else { json!({ "label": labels }) };
        let query = [("all", "1".to_owned()), ("filters", filters.to_string())];
        let listed = self.api.get("containers/json", &query).await?;
        let listed = listed.as_array().ok_or_else(|| self.api.unclear("a list of containers was wanted"))?;
        Ok(listed.iter().map(|listed| container::listed(self.api.engine, listed)).collect())
    }

    async fn check(&self, resources: Resources) -> Result<(), RuntimeError> {
        if resources == Resources::default() {
            return Ok(());
        }
        match Info::ask(&self.api).await?.unbounded(resources) {
            Some(bound) => Err(RuntimeError::unbounded(self.api.engine, bound)),
            None => Ok(()),
        }
    }

    async fn start(&self, spec: &ContainerSpec) -> Result<String, RuntimeError> {
        self.check(spec.resources).await?;
        let query = [("name", spec.name.clone())];
        let created = self.api.post("containers/create", &query, &container::create_body(spec)).await?;
        let id = created.get("Id").and_then(Value::as_str).ok_or_else(|| self.api.unclear("an id was wanted"))?;
        match self.begin(id, spec).await {
            Ok(()) => Ok(id.to_owned()),
            Err(e) => {
                if let Err(left) = self.remove(id).await {
                    tracing::warn!(container = spec.name, "a container that did not start is left: {left}");
                }
                Err(e)
            }
        }
    }

    async fn stop(&self, name: &str, grace: Duration) -> Result<(), RuntimeError> {
        for _ in 0..limits::STOP_ATTEMPTS {
            // Podman does not note of one that does not run that it is to stay so.
            if self.stop_once(name, grace).await? || self.api.engine == RuntimeKind::Docker {
                return Ok(());
            }
            if !self.lives_again(name).await? {
                return Ok(());
            }
        }
        Err(self.api.unclear("it starts again each time that it is stopped"))
    }

    async fn remove(&self, name: &str) -> Result<(), RuntimeError> {
        match self.remove_once(name).await {
            // Podman stops what it removes, and fails where that ends by itself meanwhile: then it has ended.
            Err(RuntimeError::Http { status: 500, body, .. }) if has_cause(&body, "container state improper") => {
                self.remove_once(name).await
            }
            removed => removed,
        }
    }

    async fn inspect(&self, name: &str) -> Result<Container, RuntimeError> {
        let found = self.api.get(&format!("containers/{}/json", api::part(name)), &[]).await;
        found.map(|found| container::inspected(self.api.engine, &found)).map_err(|e| not_found(e, name))
    }

    async fn start_again(&self, name: &str) -> Result<(), RuntimeError> {
        let path = format!("containers/{}/start", api::part(name));
        match self.api.post(&path, &[], &Value::Null).await {
            // 304: it runs.
            Ok(_) | Err(RuntimeError::Http { status: 304, .. }) => Ok(()),
            Err(e) => Err(not_found(e, name)),
        }
    }

    async fn events(&self, labels: &[String]) -> Result<EngineEvents, RuntimeError> {
        events::follow(&self.api, labels).await
    }

    async fn wait(&self, name: &str) -> Result<i64, RuntimeError> {
        if self.api.engine == RuntimeKind::Docker {
            let code = self.stopped(name).await?;
            // Of a container that it starts again Docker may tell the code of the new life, which is 0. Its events are right.
            return match code {
                0 => Ok(self.first_exit(name).await.unwrap_or(0)),
                code => Ok(code),
            };
        }
        tokio::select! {
            biased;
            code = events::first_exit(&self.api, name) => code.map_err(|e| not_found(e, name)),
            code = self.stopped(name) => code,
        }
    }

    async fn tail(&self, name: &str, count: usize) -> Result<Vec<Line>, RuntimeError> {
        logs::tail(&self.api, name, count).await.map_err(|e| not_found(e, name))
    }

    async fn logs(&self, name: &str, query: &LogQuery) -> Result<LogReader, RuntimeError> {
        reader::open(&self.api, name, query).await
    }

    async fn exec(&self, name: &str, command: &[String], limit: Duration) -> Result<ExecEnd, RuntimeError> {
        exec::run(&self.api, (name, command), limit).await.map_err(|e| not_found(e, name))
    }

    async fn usage(&self, name: &str) -> Result<Option<Usage>, RuntimeError> {
        usage::ask(&self.api, name).await.map_err(|e| not_found(e, name))
    }

    async fn space(&self) -> Result<EngineSpace, RuntimeError> {
        space::ask(&self.api).await
    }

    async fn image(&self, name: &str) -> Result<Image, RuntimeError> {
        let found = self.api.get(&format!("images/{}/json", api::part(name)), &[]).await;
        found.map(|found| container::image(self.api.engine, &found)).map_err(|e| not_found(e, name))
    }

    async fn tag_image(&self, image: &str, repository: &str, tag: &str) -> Result<(), RuntimeError> {
        let query = [("repo", repository.to_owned()), ("tag", tag.to_owned())];
        let tagged = self.api.post(&format!("images/{}/tag", api::part(image)), &query, &Value::Null).await;
        tagged.map(drop).map_err(|e| not_found(e, image))
    }

    async fn remove_image(&self, name: &str) -> Result<(), RuntimeError> {
        let path = format!("images/{}", api::part(name));
        let request = self.api.request(Method::DELETE, &path, &[]).timeout(limits::ENGINE_REQUEST);
        self.api.value(request).await.map(drop).map_err(|e| not_found(e, name))
    }

    async fn load_image(&self, archive: &Path) -> Result<String, RuntimeError> {
        let unreadable = |e: std::io::Error| RuntimeError::File { path: archive.to_owned(), reason: posix(&e) };
        let file = tokio::fs::File::open(archive).await.map_err(unreadable)?;
        let request = self.api.request(Method::POST, "images/load", &[("quiet", "1".to_owned())]);
        let body = Body::wrap_stream(ReaderStream::with_capacity(file, limits::CONTEXT_PIECE_BYTES));
        let answer = self.api.send(request.header("content-type", "application/x-tar").body(body)).await?;
        let end = stream::follow(answer, &self.api, None).await?;
        match end.error {
            Some(reason) => Err(self.api.refused(&reason)),
            None => end.loaded.ok_or_else(|| self.api.unclear("the name of an image was wanted")),
        }
    }

    async fn build_image(&self, build: &BuildImage, lines: Option<mpsc::Sender<Batch>>) -> Result<(), RuntimeError> {
        build::build(&self.api, build, lines).await
    }

    async fn archive_names(&self, archive: &Path) -> Result<Vec<String>, RuntimeError> {
        let path = archive.to_owned();
        let read = tokio::task::spawn_blocking(move || archive::names(&path)).await;
        read.unwrap_or_else(|e| Err(self.api.unclear(&e.to_string())))
    }

    async fn pull_image(
        &self,
        image: &PullImage,
        progress: Option<watch::Sender<Transfer>>,
    ) -> Result<(), RuntimeError> {
        pull::pull(&self.api, image, progress.as_ref()).await
    }

    async fn version(&self) -> Result<String, RuntimeError> {
        let version = self.api.get("version", &[]).await?;
        let text = version.get("Version").and_then(Value::as_str);
        text.map(str::to_owned).ok_or_else(|| self.api.unclear("a version was wanted"))
    }
}

/// A 404 is the container's absence; Podman says otherwise where it goes while it is looked at.
fn not_found(error: RuntimeError, name: &str) -> RuntimeError {
    match error {
        RuntimeError::Http { status: 404, .. } => RuntimeError::NotFound { name: name.to_owned() },
        RuntimeError::Http { status: 500, body, .. } if has_cause(&body, "no such container") => {
            RuntimeError::NotFound { name: name.to_owned() }
        }
        other => other,
    }
}

/// Podman names the cause of an error apart.
fn has_cause(body: &Value, cause: &str) -> bool {
    body.get("cause").and_then(Value::as_str) == Some(cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_that_goes_while_podman_looks_at_it_is_not_there() {
        let told = |cause: &str| RuntimeError::Http {
            engine: RuntimeKind::Podman,
            status: 500,
            body: json!({ "cause": cause, "message": "it does not exist in database", "response": 500 }),
        };
        assert!(matches!(not_found(told("no such container"), "a"), RuntimeError::NotFound { .. }));
        assert!(matches!(not_found(told("no space left on device"), "a"), RuntimeError::Http { .. }));
    }
}
