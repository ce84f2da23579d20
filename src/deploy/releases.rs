//! Releases: versions of an application that are kept, the running one among them.
//!
//! The journal knows them without their environment. What is needed to start one again lies in a document of its own that
//! only the agent's user can read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::journal::Journal;
use super::{Deployment, HealthPolicy};
use crate::host::{Document, Host, RuntimeError};
use crate::secret::Secret;

/// The repository of the names that keep the images of releases: no other agent and no registry has it.
pub(super) const REPOSITORY: &str = "otturnaut-release";

/// A version that is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Release {
    /// How it was put in place, without its environment.
    pub deployment: Deployment,
    /// Its image by content, as the engine named it when it ran.
    pub image_id: String,
    /// SHA-256 of what it was given beside its image, in hexadecimal; empty where that is not known.
    #[serde(default)]
    pub configuration: String,
    /// In a record: whether it was put in place of a later one.
    #[serde(default)]
    pub(super) rolled_back: bool,
}

impl Release {
    /// One that was found running.
    pub(super) fn found(deployment: Deployment, image_id: String) -> Self {
        Self { deployment, image_id, configuration: String::new(), rolled_back: false }
    }

    /// The name that keeps its image from being cleared away: a tag has at most 128 bytes.
    pub(super) fn tag(app_id: &str, deployment_id: &str) -> String {
        let plain = format!("{app_id}-{deployment_id}");
        if plain.len() <= 128 {
            return plain;
        }
        let sum = crc32fast::hash(plain.as_bytes());
        format!("{}-{sum:08x}", plain.get(..100).unwrap_or(&plain))
    }

    /// The name of its kept image.
    pub(super) fn kept_image(&self) -> String {
        let Deployment { app_id, id, .. } = &self.deployment;
        format!("{REPOSITORY}:{}", Self::tag(app_id, id))
    }
}

/// Everything that is needed to start a release again.
#[derive(Serialize, Deserialize)]
pub(super) struct Manifest {
    deployment: Deployment,
    env: BTreeMap<String, String>,
    release_command: Vec<String>,
    #[serde(default)]
    command: Vec<String>,
    health: HealthPolicy,
}

impl Manifest {
    /// The document of a deployment.
    pub(super) fn write(deployment: &Deployment, health: &HealthPolicy) -> Vec<u8> {
        let reveal = |(name, value): (&String, &Secret<String>)| (name.clone(), value.expose().clone());
        let manifest = Self {
            deployment: deployment.clone(),
            env: deployment.env.iter().map(reveal).collect(),
            release_command: deployment.release_command.clone(),
            command: deployment.command.clone(),
            health: health.clone(),
        };
        // Strings, numbers and maps with string keys: all of it is JSON.
        serde_json::to_vec(&manifest).unwrap_or_default()
    }

    /// What a document says.
    fn read(document: &[u8]) -> Option<(Deployment, HealthPolicy)> {
        let Self { mut deployment, env, release_command, command, health } = serde_json::from_slice(document).ok()?;
        deployment.env = env.into_iter().map(|(name, value)| (name, Secret::new(value))).collect();
        deployment.release_command = release_command;
        deployment.command = command;
        Some((deployment, health))
    }
}

/// Where a release's document lies.
pub(super) fn document(app_id: &str, deployment_id: &str) -> Document {
    Document { folder: app_id.to_owned(), name: deployment_id.to_owned() }
}

/// Why an application cannot go back.
#[derive(Debug, thiserror::Error)]
pub enum RollbackError {
    /// No release before the running one is kept.
    #[error("no release of {app_id} before the running one is kept")]
    NoRelease {
        /// The application.
        app_id: String,
    },
    /// No release of that id is kept.
    #[error("no release {deployment_id} of {app_id} is kept")]
    UnknownRelease {
        /// The application.
        app_id: String,
        /// What was asked for.
        deployment_id: String,
    },
    /// It is the one that runs.
    #[error("release {deployment_id} of {app_id} is the one that runs")]
    Running {
        /// The application.
        app_id: String,
        /// What was asked for.
        deployment_id: String,
    },
    /// Its image is not on this machine any more.
    #[error("the image {image} of release {deployment_id} is not here any more")]
    ImageGone {
        /// The release.
        deployment_id: String,
        /// Its image.
        image: String,
    },
    /// Its environment is not known any more.
    #[error("the configuration of release {deployment_id} is not here any more")]
    ConfigurationGone {
        /// The release.
        deployment_id: String,
    },
    /// The engine did not tell whether its image is there.
    #[error("whether the image of release {deployment_id} is here is not known")]
    Engine {
        /// The release.
        deployment_id: String,
        /// Why.
        source: RuntimeError,
    },
}

/// The release to go back to: the one that is named, or the one before the running one.
pub(super) fn choose(journal: &Journal, app_id: &str, to: Option<&str>) -> Result<Release, RollbackError> {
    let app = || app_id.to_owned();
    let mut releases = journal.releases(app_id);
    let running = releases.pop();
    match to {
        None => releases.pop().ok_or_else(|| RollbackError::NoRelease { app_id: app() }),
        Some(id) if running.is_some_and(|running| running.deployment.id == id) => {
            Err(RollbackError::Running { app_id: app(), deployment_id: id.to_owned() })
        }
        Some(id) => releases
            .into_iter()
            .find(|release| release.deployment.id == id)
            .ok_or_else(|| RollbackError::UnknownRelease { app_id: app(), deployment_id: id.to_owned() }),
    }
}

/// The name or the id under which a release's image is here.
pub(super) async fn image(host: &Host, release: &Release) -> Result<String, RollbackError> {
    let deployment = &release.deployment;
    let deployment_id = || deployment.id.clone();
    let runtime = host.runtimes.runtime(&deployment.runtime);
    for name in [release.kept_image(), release.image_id.clone()] {
        match runtime.image(&name).await {
            // A name that leads elsewhere now is not this release's.
            Ok(image) if release.image_id.is_empty() || image.id == release.image_id => return Ok(name),
            Ok(_) | Err(RuntimeError::NotFound { .. }) => {}
            Err(source) => return Err(RollbackError::Engine { deployment_id: deployment_id(), source }),
        }
    }
    Err(RollbackError::ImageGone { deployment_id: deployment_id(), image: deployment.image.clone() })
}

/// A release's deployment with all that it needs to run.
pub(super) async fn load(host: &Host, release: &Release) -> Option<(Deployment, HealthPolicy)> {
    load_of(host, &release.deployment.app_id, &release.deployment.id).await
}

/// The same for a deployment by its name.
pub(super) async fn load_of(host: &Host, app_id: &str, id: &str) -> Option<(Deployment, HealthPolicy)> {
    match host.storage.get(&document(app_id, id)).await {
        Ok(found) => found.and_then(|found| Manifest::read(&found)),
        Err(error) => {
            tracing::warn!(app_id, deployment_id = id, %error, "the configuration of a release cannot be read");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_one_that_engines_take_however_long_the_names_are() {
        assert_eq!(Release::tag("shop", "1"), "shop-1");
        let [one, other] = ["1", "2"].map(|id| Release::tag(&"a".repeat(100), &id.repeat(100)));
        assert!(one.len() <= 128 && one != other, "{one}");
    }
}
