//! Exits and starts of units: the manager says that something changed, a look tells what.

use std::collections::HashMap;

use futures::StreamExt;
use futures::stream::{Stream, unfold};
use zbus::MessageStream;

use super::Systemd;
use super::bus::is_ours;
use crate::host::runtime::{Container, EngineAction, EngineEvent, Runtime, RuntimeError};
use crate::limits;

/// What is known of units, by name.
type Known = HashMap<String, Container>;

/// Watches the units with some labels.
pub(super) struct Watcher {
    systemd: Systemd,
    labels: Vec<String>,
    known: Known,
}

impl Watcher {
    pub(super) fn new(systemd: Systemd, labels: Vec<String>, known: Vec<Container>) -> Self {
        Self { systemd, labels, known: by_name(known) }
    }

    /// What happens, from now on.
    pub(super) fn events(self, changes: MessageStream) -> impl Stream<Item = Result<EngineEvent, RuntimeError>> {
        let state = (self, changes, Vec::new());
        unfold(state, |(mut watcher, mut changes, mut left)| async move {
            loop {
                if let Some(event) = left.pop() {
                    return Some((Ok(event), (watcher, changes, left)));
                }
                tokio::select! {
                    change = changes.next() => if !is_ours(&change?.ok()?) {
                        continue;
                    },
                    () = tokio::time::sleep(limits::UNIT_LOOK) => {}
                }
                match watcher.look().await {
                    Ok(events) => left = events,
                    Err(error) => return Some((Err(error), (watcher, changes, left))),
                }
            }
        })
    }

    /// What became of the units since the last look, the newest first.
    async fn look(&mut self) -> Result<Vec<EngineEvent>, RuntimeError> {
        let now = by_name(self.systemd.list(&self.labels).await?);
        let mut events = Vec::new();
        for (name, before) in &self.known {
            match now.get(name) {
                None => events.push(event(before, EngineAction::Removed)),
                Some(seen) => events.extend(changed(before, seen)),
            }
        }
        let new = now.values().filter(|seen| !self.known.contains_key(&seen.name));
        events.extend(new.map(|seen| event(seen, EngineAction::Started)));
        events.reverse();
        self.known = now;
        Ok(events)
    }
}

fn by_name(units: Vec<Container>) -> Known {
    units.into_iter().map(|unit| (unit.name.clone(), unit)).collect()
}

fn event(unit: &Container, action: EngineAction) -> EngineEvent {
    EngineEvent { id: unit.id.clone(), name: unit.name.clone(), action }
}

/// What happened between two looks.
fn changed(before: &Container, seen: &Container) -> Vec<EngineEvent> {
    let mut events = Vec::new();
    let ended = seen.finished_at.is_some() && seen.finished_at != before.finished_at;
    let restarted = seen.restart_count > before.restart_count;
    if ended || restarted && before.runs() {
        events.push(event(seen, EngineAction::Exited(seen.exit_code)));
    }
    if seen.runs() && (!before.runs() || restarted || seen.started_at != before.started_at) {
        events.push(event(seen, EngineAction::Started));
    }
    events
}
