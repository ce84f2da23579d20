//! Logs of containers that are taken away: those of releases that are kept and of the last deployment that failed stay
//! readable.

use std::collections::{BTreeMap, BTreeSet};

use super::engine::EngineSettings;
use super::journal::Journal;
use super::releases;
use crate::apps::Labels;
use crate::host::{Container, Document, RuntimeTarget};
use crate::watch::{Went, keep_log};

/// Before a container of an application goes. Whatever comes of it, the removal goes on, within a bounded time.
pub(super) async fn keep(
    settings: &EngineSettings,
    journal: &Journal,
    (runtime, container): (&RuntimeTarget, &Container),
    undone: bool,
) {
    let Some(Labels { app_id, deployment_id, task, .. }) = Labels::read(&container.labels) else { return };
    // A command that ended well has nothing to tell.
    if task && container.exit_code == Some(0) {
        return;
    }
    let releases = journal.releases(&app_id);
    let is_release = |id: &str| releases.iter().any(|release| release.deployment.id == id);
    let failed = undone || !is_release(&deployment_id);
    let went = Went { app_id: &app_id, deployment_id: &deployment_id, runtime, failed };
    keep_log(&settings.host, went, container).await;
    if !failed {
        return;
    }
    // Of those that failed the last one is kept.
    let storage = &settings.host.storage;
    for log in storage.logs().await.unwrap_or_default() {
        if log.folder == app_id && log.name != deployment_id && !is_release(&log.name) {
            remove(settings, &app_id, &log.name).await;
        }
    }
}

/// With its release.
pub(super) async fn remove(settings: &EngineSettings, app_id: &str, deployment_id: &str) {
    let log = releases::document(app_id, deployment_id);
    if let Err(error) = settings.host.storage.delete_log(&log).await {
        tracing::warn!(app_id, deployment_id, %error, "a log that nobody needs could not be removed");
    }
}

/// After a start: those that a death left of releases that are gone. Of the others the newest of each application is of the
/// deployment that failed last.
pub(super) async fn clear(settings: &EngineSettings, releases: &BTreeSet<Document>) {
    let logs = settings.host.storage.logs().await.unwrap_or_default();
    let mut last: BTreeMap<&str, &Document> = BTreeMap::new();
    for log in logs.iter().filter(|log| !releases.contains(log)) {
        if let Some(older) = last.insert(&log.folder, log) {
            remove(settings, &older.folder, &older.name).await;
        }
    }
}

/// With their application.
pub(super) async fn forget(settings: &EngineSettings, app_id: &str) {
    for log in settings.host.storage.logs().await.unwrap_or_default() {
        if log.folder == app_id {
            remove(settings, app_id, &log.name).await;
        }
    }
}
