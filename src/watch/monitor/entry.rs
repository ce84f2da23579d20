//! What is watched of one application, and what is known of it.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::wellness::{Condition, Wellness};
use crate::host::{Container, RuntimeTarget};
use crate::limits;
use crate::watch::health::{self, Check, Verdict};

/// What to watch of an application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// Its deployment, if it is one of the agent's.
    pub deployment_id: Option<String>,
    /// Its container, if it has one: its exits count.
    pub container: Option<ContainerPlace>,
    /// What is asked; all of it must be good.
    pub checks: Vec<Check>,
    /// Time between two checks while all is well.
    pub interval: Duration,
    /// What is done when it is not well.
    pub on_unhealthy: OnUnhealthy,
}

/// A container of an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerPlace {
    /// The engine.
    pub runtime: RuntimeTarget,
    /// The container.
    pub name: String,
}

/// What is done with an application that is not well.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnUnhealthy {
    /// It is told.
    #[default]
    Report,
    /// It is told, and its container is started anew, with longer and longer pauses.
    Restart,
}

/// How an application is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppHealth {
    /// Its deployment, if it is one of the agent's.
    pub deployment_id: Option<String>,
    /// How it is.
    pub condition: Condition,
    /// Since when.
    pub since: Timestamp,
    /// What the last check saw, for a person.
    pub detail: Option<String>,
    /// When that was.
    pub checked_at: Option<Timestamp>,
    /// Checks that failed, one after another.
    pub failures: u32,
    /// How often its container ended since it is watched.
    pub exits: u64,
    /// How often the agent started it anew since it was well last.
    pub restarts: u32,
}

/// What is known of an application.
pub(super) struct Entry {
    pub(super) watched: Arc<Watched>,
    pub(super) wellness: Wellness,
    since: Timestamp,
    last: Option<(Verdict, Timestamp)>,
    /// When it is looked at next.
    pub(super) due: Instant,
    /// It is looked at now.
    pub(super) busy: bool,
    /// Exits that were not taken up yet: the code of each.
    pub(super) exits: Vec<Option<i64>>,
    exits_in_all: u64,
    /// The engine's count of restarts when it was looked at first.
    first_count: Option<i64>,
    /// Exits since then.
    counted: i64,
    /// Restarts by the agent, one after another, and when the next one may be.
    pub(super) restarts: u32,
    pub(super) restart_from: Instant,
    /// Whether its container runs, while its engine tells of every change.
    seen: Option<Verdict>,
    /// The agent stops and starts it: its exit is none.
    pub(super) restarting: bool,
}

impl Entry {
    pub(super) fn new(watched: Watched) -> Self {
        let now = Instant::now();
        Self {
            watched: Arc::new(watched),
            wellness: Wellness::default(),
            since: Timestamp::now(),
            last: None,
            due: now,
            busy: false,
            exits: Vec::new(),
            exits_in_all: 0,
            first_count: None,
            counted: 0,
            restarts: 0,
            restart_from: now,
            seen: None,
            restarting: false,
        }
    }

    pub(super) fn is_in(&self, container: &str) -> bool {
        self.watched.container.as_ref().is_some_and(|place| place.name == container)
    }

    /// Its container ended.
    pub(super) fn exited(&mut self, code: Option<i64>) {
        self.counted += 1;
        self.unseen();
        if self.restarting {
            return;
        }
        self.exits_in_all += 1;
        if self.exits.len() < limits::EXITS_WAITING {
            self.exits.push(code);
        }
        self.hurry();
    }

    /// Its container changed: it is looked at as soon as possible.
    pub(super) fn changed(&mut self) {
        self.unseen();
        self.hurry();
    }

    /// It is looked at as soon as possible.
    fn hurry(&mut self) {
        self.due = Instant::now();
    }

    /// What its container does is not known any more.
    pub(super) fn unseen(&mut self) {
        self.seen = None;
    }

    /// Whether its container runs, if that is all that is asked and its engine has told.
    pub(super) fn answer(&self, check: &Check) -> Option<Verdict> {
        let is_own = matches!(check, Check::Running { name, .. } if self.is_in(name));
        self.seen.clone().filter(|_| is_own)
    }

    /// What its container does is known, and shows restarts that the engine counts and did not tell.
    pub(super) fn looked_at(&mut self, container: &Container) {
        self.seen = Some(health::runs(container));
        let first = *self.first_count.get_or_insert(container.restart_count);
        let missed = (container.restart_count - first).saturating_sub(self.counted);
        for _ in 0..missed.clamp(0, i64::from(limits::CRASHES_TO_TELL)) {
            self.exited(container.exit_code);
        }
        self.counted = self.counted.max(container.restart_count - first);
    }

    /// A check came to this.
    pub(super) fn checked(&mut self, verdict: Verdict) {
        self.last = Some((verdict, Timestamp::now()));
    }

    /// Notes since when it is as it is.
    pub(super) fn turned(&mut self, before: Condition) {
        if self.wellness.condition != before {
            self.since = Timestamp::now();
        }
        if self.wellness.condition == Condition::Healthy {
            self.restarts = 0;
            self.restart_from = Instant::now();
        }
    }

    pub(super) fn shown(&self) -> AppHealth {
        AppHealth {
            deployment_id: self.watched.deployment_id.clone(),
            condition: self.wellness.condition,
            since: self.since,
            detail: self.last.as_ref().map(|(verdict, _)| verdict.detail.clone()),
            checked_at: self.last.as_ref().map(|(_, at)| *at),
            failures: self.wellness.failures,
            exits: self.exits_in_all,
            restarts: self.restarts,
        }
    }
}
