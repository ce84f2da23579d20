//! The figures of one page, taken at one moment.

use std::time::Duration;

use super::Sources;
use crate::host::{RuntimeKind, Usage};
use crate::watch::{AppNow, Counts, EngineSeen, MachineSeen};

/// All that a page tells.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) version: &'static str,
    pub(super) uptime: Duration,
    pub(super) machine: Option<MachineSeen>,
    pub(super) proxy: Option<bool>,
    pub(super) engines: Vec<(RuntimeKind, Option<String>)>,
    pub(super) mission_control: Option<bool>,
    pub(super) apps: Vec<App>,
    pub(super) runs: usize,
    pub(super) counts: Counts,
}

/// An application.
#[derive(Debug)]
pub(super) struct App {
    pub(super) id: String,
    pub(super) up: Option<bool>,
    pub(super) restarts: Option<u64>,
    pub(super) usage: Option<Usage>,
}

impl Sources {
    /// What is known now.
    pub(super) fn page(&self) -> Page {
        let version = |engine: EngineSeen| (engine.target.kind, engine.version.ok());
        Page {
            version: self.version,
            uptime: self.started.elapsed(),
            machine: self.figures.machine().map(|seen| seen.value),
            proxy: self.figures.proxy().map(|seen| seen.value.is_ok()),
            engines: self.figures.engines().into_iter().map(version).collect(),
            mission_control: (self.mission_control)(),
            apps: self.figures.apps().into_iter().map(app).collect(),
            runs: self.engine.list().len(),
            counts: self.tally.counts(),
        }
    }
}

fn app(app: AppNow) -> App {
    let restarts = app.container.as_ref().map(|seen| u64::try_from(seen.container.restart_count).unwrap_or(0));
    App { up: app.runs(), restarts, usage: app.usage.map(|seen| seen.value.usage), id: app.app_id }
}
