//! What happens on an outpost, as it is told.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::host::RuntimeKind;

/// Something happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its number: each is greater than that of the event before.
    pub seq: u64,
    /// When it happened.
    pub at: Timestamp,
    /// The application, where it is of one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub app_id: Option<String>,
    /// The deployment, where it is of one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub deployment_id: Option<String>,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum What {
    /// The agent started, or is connected to Mission Control.
    OutpostUp {
        /// The agent's version.
        version: String,
        /// Mission Control's node, if it is that connection.
        mission_control: Option<String>,
        /// The start of the machine that this was in.
        boot: String,
    },
    /// A run has its turn.
    DeploymentStarted {
        /// `deploy`, `rollback` or `undeploy`.
        kind: String,
        /// The image, where it is a deploy.
        image: Option<String>,
    },
    /// A step of a run begins, or tells how it fares.
    DeploymentStep {
        /// The step, as in the progress of a deploy.
        step: String,
        /// For a person.
        message: String,
    },
    /// A run has done what it was to do.
    DeploymentCompleted {
        /// `deploy`, `rollback` or `undeploy`.
        kind: String,
        /// The port that the new version has.
        port: Option<u16>,
        /// From its turn to its end.
        duration_ms: u64,
        /// How long each of its steps took.
        steps_ms: BTreeMap<String, u64>,
        /// What of the old version could not be removed.
        left: Vec<String>,
    },
    /// A run failed and is undone.
    DeploymentFailed {
        /// `deploy`, `rollback` or `undeploy`.
        kind: String,
        /// The step that failed.
        step: Option<String>,
        /// Which operation failed, and its causes.
        reason: String,
        /// What the step saw: the last answer, the exit, the last lines of the log, how it differs from what runs.
        why: Option<String>,
        /// From its turn to its end.
        duration_ms: u64,
        /// How long each of its steps took.
        steps_ms: BTreeMap<String, u64>,
        /// What could not be undone.
        stuck: Vec<String>,
    },
    /// An application failed its check so often that it counts as not well.
    AppUnhealthy {
        /// What was seen last.
        detail: String,
        /// How many checks failed one after another.
        failures: u32,
    },
    /// It is well again.
    AppRecovered {
        /// What was seen last.
        detail: String,
        /// How long it was not well.
        after_ms: u64,
    },
    /// Its container ended without being asked to.
    AppExited {
        /// Its exit code.
        exit_code: Option<i64>,
        /// Whether the system killed it for want of memory.
        out_of_memory: bool,
        /// The same in words.
        detail: String,
        /// The last lines of its output.
        log: Vec<String>,
    },
    /// Its container ends again and again. Told once, until it is well.
    AppCrashLooping {
        /// How often it ended within the time that counts.
        exits: u32,
        /// Its last exit code.
        exit_code: Option<i64>,
        /// The same in words.
        detail: String,
        /// The last lines of its output.
        log: Vec<String>,
    },
    /// It was not well, and was started anew as it is asked for.
    AppRestarted {
        /// Which restart in a row.
        attempt: u32,
        /// What was seen before, or why it could not be done.
        detail: String,
        /// Whether it was done.
        done: bool,
    },
    /// Routes were missing in the proxy or changed there, and are as they are to be.
    RouteRestored {
        /// Their ids.
        routes: Vec<String>,
    },
    /// A container engine does not answer.
    RuntimeDown {
        /// Which.
        runtime: RuntimeKind,
        /// Why.
        reason: String,
    },
    /// It answers (again).
    RuntimeUp {
        /// Which.
        runtime: RuntimeKind,
        /// Its version.
        version: String,
    },
    /// The proxy's admin API does not answer.
    ProxyDown {
        /// Why.
        reason: String,
    },
    /// It answers again.
    ProxyUp,
    /// Little space is left.
    DiskLow {
        /// Where.
        path: String,
        /// Bytes that are left.
        free: u64,
        /// Bytes in all.
        total: u64,
    },
    /// Events that were not kept long enough for this reader.
    EventsLost {
        /// How many.
        count: u64,
    },
}

/// What an event is about, before it has a number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// The application.
    pub app_id: Option<String>,
    /// The deployment.
    pub deployment_id: Option<String>,
}

impl About {
    /// The whole outpost.
    pub fn outpost() -> Self {
        Self::default()
    }

    /// An application, and its deployment if there is one.
    pub fn app(app_id: &str, deployment_id: Option<&str>) -> Self {
        Self { app_id: Some(app_id.to_owned()), deployment_id: deployment_id.map(str::to_owned) }
    }
}
