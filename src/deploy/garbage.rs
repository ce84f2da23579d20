//! What is kept of releases and what goes, with the reason for each. Only what the journal knows as this agent's goes.

use std::collections::BTreeSet;

use super::engine::EngineSettings;
use super::journal::{Journal, Record};
use super::kept_logs;
use super::releases::{self, Release};
use crate::host::RuntimeError;

/// One thing that belongs to a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The application.
    pub app_id: String,
    /// The release.
    pub deployment_id: String,
    /// What it is.
    pub kind: ItemKind,
    /// Its name.
    pub name: String,
    /// Whether it stays.
    pub stays: bool,
    /// Why, for a person.
    pub why: String,
}

/// What a release consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ItemKind {
    /// A name of an image; the image goes with its last one.
    Image,
    /// The document of its configuration.
    Configuration,
}

/// What there is of these applications' releases, and whether it stays.
pub(super) fn survey(journal: &Journal, apps: &[String]) -> Vec<Item> {
    let mut in_use = BTreeSet::new();
    for app_id in journal.apps() {
        in_use.extend(kept(&journal.releases(&app_id)).iter().map(|release| release.deployment.image.clone()));
    }
    let mut items = Vec::new();
    for app_id in apps {
        let releases = journal.releases(app_id);
        let first_kept = releases.len() - kept(&releases).len();
        for (at, release) in releases.iter().enumerate() {
            let stays = at >= first_kept;
            let why = match at {
                _ if at + 1 == releases.len() => "it runs now".to_owned(),
                _ if stays => format!("it is one of the {} releases that are kept", keep_count(&releases)),
                _ => format!("{} later releases are kept", keep_count(&releases)),
            };
            items.extend(parts(release, (stays, why), &in_use));
        }
    }
    items
}

/// Removes what does not stay; gives what there was. A release of which something could not be removed is looked at again
/// with the next.
pub(super) async fn collect(settings: &EngineSettings, journal: &Journal, apps: &[String]) -> Vec<Item> {
    let mut items = survey(journal, apps);
    let mut dropped: BTreeSet<(String, String)> = BTreeSet::new();
    let mut failed = BTreeSet::new();
    for item in items.iter_mut().filter(|item| !item.stays) {
        let release = (item.app_id.clone(), item.deployment_id.clone());
        if let Err(why) = remove(settings, journal, item).await {
            let (app_id, deployment_id) = (&item.app_id, &item.deployment_id);
            tracing::warn!(app_id, deployment_id, name = item.name, error = why, "part of an old release stays");
            item.stays = true;
            item.why = why;
            failed.insert(release.clone());
        }
        dropped.insert(release);
    }
    for (app_id, deployment_id) in dropped.difference(&failed) {
        tracing::info!(app_id, deployment_id, "an old release was pruned");
    }
    for (app_id, deployment_id) in dropped.difference(&failed).cloned() {
        journal.note(&Record::Dropped { app_id, deployment_id });
    }
    items
}

/// Removes all that is kept of an application.
pub(super) async fn forget(settings: &EngineSettings, journal: &Journal, app_id: &str) -> Vec<String> {
    let mut failed = Vec::new();
    kept_logs::forget(settings, app_id).await;
    let mut others = BTreeSet::new();
    for other in journal.apps().into_iter().filter(|other| other != app_id) {
        others.extend(journal.releases(&other).into_iter().map(|release| release.deployment.image));
    }
    for release in journal.releases(app_id) {
        let deployment = &release.deployment;
        let mut in_use = others.clone();
        // What somebody else built or brought here may be deployed again.
        in_use.extend((!deployment.brought).then(|| deployment.image.clone()));
        for item in parts(&release, (false, String::new()), &in_use) {
            if item.stays {
                continue;
            }
            if let Err(why) = remove(settings, journal, &item).await {
                failed.push(format!("{}: {why}", item.name));
            }
        }
    }
    failed
}

fn kept(releases: &[Release]) -> &[Release] {
    releases.get(releases.len().saturating_sub(keep_count(releases))..).unwrap_or_default()
}

/// As many as the one that runs says.
fn keep_count(releases: &[Release]) -> usize {
    releases.last().map_or(0, |running| running.deployment.keep_releases.max(1))
}

fn parts(release: &Release, (stays, why): (bool, String), in_use: &BTreeSet<String>) -> Vec<Item> {
    let deployment = &release.deployment;
    let item = |kind, name: String, (stays, why): (bool, String)| Item {
        app_id: deployment.app_id.clone(),
        deployment_id: deployment.id.clone(),
        kind,
        name,
        stays,
        why,
    };
    let mut parts = vec![
        item(ItemKind::Configuration, deployment.id.clone(), (stays, why.clone())),
        item(ItemKind::Image, release.kept_image(), (stays, why.clone())),
    ];
    let image = deployment.image.clone();
    let of_image = match () {
        () if stays => (true, why),
        () if !is_built_for(&deployment.app_id, &image) && !deployment.brought => {
            (true, "it was not made by this agent".to_owned())
        }
        () if in_use.contains(&image) => (true, "a release that is kept needs it".to_owned()),
        () => (false, why),
    };
    parts.push(item(ItemKind::Image, image, of_image));
    parts
}

/// Whether the image is one that the agent's own build named.
fn is_built_for(app_id: &str, image: &str) -> bool {
    image
        .strip_prefix("otturnaut-")
        .and_then(|rest| rest.strip_prefix(app_id))
        .is_some_and(|rest| rest.starts_with(':'))
}

async fn remove(settings: &EngineSettings, journal: &Journal, item: &Item) -> Result<(), String> {
    if item.kind == ItemKind::Configuration {
        kept_logs::remove(settings, &item.app_id, &item.deployment_id).await;
        let document = releases::document(&item.app_id, &item.deployment_id);
        return settings.host.storage.delete(&document).await.map_err(|error| error.to_string());
    }
    let release = journal.releases(&item.app_id).into_iter().find(|r| r.deployment.id == item.deployment_id);
    let Some(release) = release else { return Ok(()) };
    let runtime = settings.host.runtimes.runtime(&release.deployment.runtime);
    match runtime.remove_image(&item.name).await {
        Ok(()) | Err(RuntimeError::NotFound { .. }) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}
