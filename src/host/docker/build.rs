//! Builds of images from a Dockerfile.

use std::path::{Path, PathBuf};

use reqwest::{Body, Method};
use tokio::sync::mpsc;

use super::api::{self, Api};
use super::{context, stream};
use crate::host::command::Batch;
use crate::host::runtime::RuntimeError;
use crate::host::spec::{BuildImage, Recipe};
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
    within(build.context.clone(), PathBuf::from(dockerfile)).await.map_err(failed)?;
    let body = Body::wrap_stream(context::stream(&build.context, dockerfile));
    let request = api.request(Method::POST, "build", &query(build, dockerfile));
    let answer = match api.send(request.header("content-type", "application/x-tar").body(body)).await {
        Ok(answer) => answer,
        // What is wrong with the Dockerfile comes as an error status: it is the build that failed.
        Err(RuntimeError::Http { body, .. }) => return Err(failed(api::message(&body).to_owned())),
        Err(e) => return Err(e),
    };
    let end = stream::follow(answer, api, lines).await?;
    match &end.error {
        Some(reason) => Err(failed(end.told(reason))),
        None => Ok(()),
    }
}

fn query(build: &BuildImage, dockerfile: &str) -> Vec<(&'static str, String)> {
    let args = serde_json::to_string(&build.build_args).unwrap_or_default();
    let mut query = vec![
        ("t", build.tag.clone()),
        ("dockerfile", dockerfile.to_owned()),
        ("buildargs", args),
        ("rm", "1".to_owned()),
        ("forcerm", "1".to_owned()),
        // What runs comes first: a build gets what applications leave.
        ("cpushares", limits::BUILD_CPU_SHARES.to_string()),
    ];
    if let Some(memory) = build.resources.memory {
        query.extend([("memory", memory.to_string()), ("memswap", memory.to_string())]);
    }
    if let Some(millis) = build.resources.cpu_millis {
        query.extend([("cpuperiod", CPU_PERIOD.to_string()), ("cpuquota", (millis * CPU_PERIOD / 1000).to_string())]);
    }
    query
}

/// Whether the Dockerfile lies in the context, links followed: what is elsewhere on this machine is nobody's to show.
async fn within(context: PathBuf, dockerfile: PathBuf) -> Result<(), String> {
    let named = dockerfile.display().to_string();
    let inside = tokio::task::spawn_blocking(move || is_within(&context, &dockerfile)).await.unwrap_or(false);
    if inside { Ok(()) } else { Err(format!("the Dockerfile {named:?} does not lie in the source tree")) }
}

fn is_within(context: &Path, dockerfile: &Path) -> bool {
    if dockerfile.is_absolute() || dockerfile.components().any(|part| part == std::path::Component::ParentDir) {
        return false;
    }
    let real = context.canonicalize().and_then(|context| Ok((context.join(dockerfile).canonicalize()?, context)));
    // One that is not there is the engine's to complain of.
    real.map_or(true, |(dockerfile, context)| dockerfile.starts_with(context))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_dockerfile_lies_in_its_tree_links_followed() {
        let dir = tempfile::tempdir().unwrap();
        let context = dir.path().join("tree");
        std::fs::create_dir_all(context.join("deploy")).unwrap();
        std::fs::File::create(context.join("deploy/Dockerfile")).unwrap();
        std::fs::File::create(dir.path().join("outside")).unwrap();
        symlink("deploy/Dockerfile", context.join("within")).unwrap();
        symlink("../outside", context.join("leads-out")).unwrap();
        symlink("/etc", context.join("etc")).unwrap();
        let within = |dockerfile: &str| is_within(&context, Path::new(dockerfile));
        assert_eq!(["deploy/Dockerfile", "within", "missing"].map(within), [true; 3]);
        assert_eq!(
            ["leads-out", "etc/passwd", "../outside", "deploy/../../outside", "/etc/passwd"].map(within),
            [false; 5]
        );
    }
}
