//! Records of the journal.

use serde::{Deserialize, Serialize};

use crate::deploy::Deployment;
use crate::deploy::releases::Release;
use crate::deploy::run::Notes;
use crate::host::RuntimeTarget;

/// Number of a run, unique in a journal.
pub(in crate::deploy) type RunId = u64;

/// What a run is to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::deploy) enum Work {
    /// Put a version in place.
    Deploy {
        /// It, without its environment: the journal holds no secret.
        deployment: Box<Deployment>,
        /// Whether it is an earlier release.
        rollback: bool,
    },
    /// Take an application away.
    Undeploy {
        /// The application.
        app_id: String,
        /// The engine that the caller believes it on.
        runtime: RuntimeTarget,
    },
}

impl Work {
    /// The application.
    pub(in crate::deploy) fn app_id(&self) -> &str {
        match self {
            Self::Deploy { deployment, .. } => &deployment.app_id,
            Self::Undeploy { app_id, .. } => app_id,
        }
    }
}

/// What happened, or is about to.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::deploy) enum Record {
    /// A run begins.
    Begun {
        /// The run.
        run: RunId,
        /// What it is to do.
        work: Work,
    },
    /// A step of it is about to act.
    Step {
        /// The run.
        run: RunId,
        /// The step's name.
        step: String,
        /// What it will touch, and what the steps before did.
        notes: Box<Notes>,
    },
    /// Requests go to its version: from here only forward.
    Switched {
        /// The run.
        run: RunId,
        /// As they are now.
        notes: Box<Notes>,
    },
    /// Some of its steps could not be undone yet.
    Stuck {
        /// The run.
        run: RunId,
        /// Step and reason of each, the last step first.
        steps: Vec<(String, String)>,
    },
    /// It is undone after a death; the engine may still do what the dead agent asked it for.
    Undone {
        /// The run.
        run: RunId,
        /// What the undo left of them.
        notes: Box<Notes>,
    },
    /// It is over, and nothing of it is left to do.
    Ended {
        /// The run.
        run: RunId,
    },
    /// A release is the one that runs now.
    Released(Box<Release>),
    /// A release is no longer kept.
    Dropped {
        /// The application.
        app_id: String,
        /// The release.
        deployment_id: String,
    },
    /// An application is gone with all its releases.
    Forgotten {
        /// The application.
        app_id: String,
    },
}
