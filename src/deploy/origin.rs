//! Where the image of a deployment comes from.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::build::{BuildError, BuildSource, DiskLow};
use crate::host::{DownloadError, RegistryAuth, RuntimeError};
use crate::secret::Secret;

/// Where the image of a deployment comes from.
#[derive(Debug, Clone, Default)]
pub enum Origin {
    /// It is here, or a registry gives it to everybody.
    #[default]
    Image,
    /// It is built from a repository.
    Source(BuildSource),
    /// A registry has it under the deployment's name for it.
    Registry(Option<RegistryAuth>),
    /// An archive of it is fetched.
    Fetch {
        /// Where from; it may hold credentials.
        url: Secret<String>,
        /// What the archive must be: SHA-256 in hexadecimal.
        sha256: String,
    },
    /// An archive of it is on this machine.
    Load {
        /// Where.
        path: PathBuf,
    },
}

impl Origin {
    /// Whether something has to be done before the image is here.
    pub(super) fn is_elsewhere(&self) -> bool {
        !matches!(self, Self::Image)
    }

    /// It for a person, without credentials; nothing where the image's name says it.
    pub(super) fn told(&self) -> Option<String> {
        match self {
            Self::Image | Self::Registry(_) => None,
            Self::Source(source) => Some(source.told()),
            Self::Fetch { sha256, .. } => Some(format!("archive {sha256}")),
            Self::Load { path } => Some(path.display().to_string()),
        }
    }
}

/// What an image is by its content, where that is known beside the engine's own id for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// The commit that it was built from.
    Commit(String),
    /// Its digest at its registry.
    Digest(String),
    /// SHA-256 of its archive, in hexadecimal.
    Sha256(String),
}

/// Why an image was not had.
#[derive(Debug, thiserror::Error)]
pub enum ObtainError {
    /// Its source was not had, or it was not built.
    #[error("it could not be built")]
    Build(#[from] BuildError),
    /// The registry did not give it.
    #[error("it could not be pulled")]
    Pull(#[source] RuntimeError),
    /// There is too little room for it.
    #[error(transparent)]
    DiskLow(#[from] DiskLow),
    /// It did not come in time.
    #[error("it did not come within {} s", .0.as_secs())]
    Timeout(std::time::Duration),
    /// Its archive was not had.
    #[error("its archive could not be fetched")]
    Fetch(#[source] DownloadError),
    /// There is no place for its archive.
    #[error("there is no place for its archive")]
    Place(#[source] std::io::Error),
    /// The engine did not take its archive.
    #[error("its archive could not be loaded")]
    Load(#[source] RuntimeError),
}
