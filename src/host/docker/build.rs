//! Builds of images from a Dockerfile.

use std::path::PathBuf;

use futures::Stream;
use reqwest::{Body, Method, RequestBuilder};
use tokio::sync::mpsc;

use super::api::{self, Api};
use super::buildkit;
use super::context::{self, Extra, Piece};
use super::dockerfile::needs_buildkit;
use super::info::Info;
use super::stream::{self, End};
use crate::host::command::Batch;
use crate::host::runtime::{RuntimeError, RuntimeKind};
use crate::host::spec::{BuildImage, Recipe, Resources};
use crate::limits;

/// Period in which the processor time of a build is counted, in microseconds, as engines have it.
const CPU_PERIOD: u64 = 100_000;

/// Builds; the engine's output goes to `lines`. Dropping the future closes the connection, which ends the build.
pub(super) async fn build(
    api: &Api,
    build: &BuildImage,
    lines: Option<mpsc::Sender<Batch>>,
) -> Result<(), RuntimeError> {
    let failed = |reason| RuntimeError::Build { tag: build.tag.clone(), reason };
    let Recipe::Dockerfile { path: dockerfile } = &build.recipe else {
        let engine = api.engine;
        return Err(failed(format!("{engine} builds from a Dockerfile, not by a command of its own")));
    };
    let beyond = needs_buildkit(build.context.clone(), PathBuf::from(dockerfile)).await.map_err(failed)?;
    let ended = if api.engine == RuntimeKind::Docker && (beyond || !build.secrets.is_empty()) {
        if build.resources != Resources::default() {
            return Err(failed("BuildKit, which this Dockerfile or its secrets need, takes no bounds".to_owned()));
        }
        with_buildkit(api, (build, dockerfile), lines).await
    } else {
        classic(api, (build, dockerfile), lines).await
    };
    match ended {
        Ok(end) => end.error.as_ref().map_or(Ok(()), |reason| Err(failed(end.told(reason)))),
        // What is wrong with the Dockerfile comes as an error status: it is the build that failed.
        Err(RuntimeError::Http { body, .. }) => Err(failed(api::message(&body).to_owned())),
        Err(error) => Err(error),
    }
}

async fn classic(
    api: &Api,
    (build, dockerfile): (&BuildImage, &str),
    lines: Option<mpsc::Sender<Batch>>,
) -> Result<End, RuntimeError> {
    let (secrets, files) = secret_files(build);
    let mut query = [query(build, dockerfile), secrets].concat();
    let info = Info::ask(api).await?;
    if let Some(bound) = info.unbounded(build.resources) {
        return Err(RuntimeError::unbounded(api.engine, bound));
    }
    // Without control groups asking for a weight would fail the build.
    if !info.is_without_groups() {
        // What runs comes first: a build gets what applications leave.
        query.push(("cpushares", limits::BUILD_CPU_SHARES.to_string()));
    }
    let request = request(api, &query, context::stream(&build.context, dockerfile, files));
    stream::follow(api.send(request).await?, api, lines).await
}

async fn with_buildkit(
    api: &Api,
    (build, dockerfile): (&BuildImage, &str),
    lines: Option<mpsc::Sender<Batch>>,
) -> Result<End, RuntimeError> {
    let session = buildkit::session_id();
    let mut query = query(build, dockerfile);
    query.extend([("version", buildkit::VERSION.to_owned()), ("session", session.clone())]);
    let request = request(api, &query, context::stream(&build.context, dockerfile, Vec::new()));
    buildkit::build(api, (&session, &build.secrets), request, lines).await
}

fn request(
    api: &Api,
    query: &[(&'static str, String)],
    context: impl Stream<Item = Piece> + Send + 'static,
) -> RequestBuilder {
    let request = api.request(Method::POST, "build", query).header("content-type", "application/x-tar");
    request.body(Body::wrap_stream(context))
}

fn query(build: &BuildImage, dockerfile: &str) -> Vec<(&'static str, String)> {
    let args = serde_json::to_string(&build.build_args).unwrap_or_default();
    let mut query = vec![
        ("t", build.tag.clone()),
        ("dockerfile", dockerfile.to_owned()),
        ("buildargs", args),
        ("rm", "1".to_owned()),
        ("forcerm", "1".to_owned()),
    ];
    if let Some(memory) = build.resources.memory {
        query.extend([("memory", memory.to_string()), ("memswap", memory.to_string())]);
    }
    if let Some(millis) = build.resources.cpu_millis {
        query.extend([("cpuperiod", CPU_PERIOD.to_string()), ("cpuquota", (millis * CPU_PERIOD / 1000).to_string())]);
    }
    query
}

/// Podman's way with secrets: files of the context, which it moves out of it before it builds.
fn secret_files(build: &BuildImage) -> (Vec<(&'static str, String)>, Vec<Extra>) {
    if build.secrets.is_empty() {
        return (Vec::new(), Vec::new());
    }
    let mark = rand::random::<u64>();
    let name = |at: usize| format!("otturnaut-secret-{mark:016x}-{at}");
    let sources = build.secrets.keys().enumerate().map(|(at, id)| format!("id={id},src={}", name(at)));
    let sources = serde_json::to_string(&sources.collect::<Vec<_>>()).unwrap_or_default();
    let secrets = build.secrets.values().enumerate();
    let files = secrets.map(|(at, secret)| Extra { name: name(at), content: secret.clone() });
    (vec![("secrets", sources)], files.collect())
}
