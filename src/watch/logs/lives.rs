//! Whose log it is: containers that are there, and logs of those that are not.

use super::kept::Kept;
use super::stream::{LogError, Logs};
use crate::apps::{AppEntry, Labels};
use crate::host::{Container, ContainerStatus, Document, RuntimeError, RuntimeTarget};

/// As much of a container's id as tells it from all others.
const SHORT_ID: usize = 12;

/// A container of an application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Life {
    /// The application.
    pub app_id: String,
    /// The deployment that started it.
    pub deployment_id: String,
    /// The engine's id.
    pub container_id: String,
    /// Its name.
    pub container_name: String,
    /// Its engine.
    pub runtime: RuntimeTarget,
}

impl Life {
    /// The beginning of its container's id.
    pub(super) fn short_id(&self) -> &str {
        self.container_id.get(..SHORT_ID).unwrap_or(&self.container_id)
    }

    fn of(app_id: &str, deployment_id: String, (runtime, container): (&RuntimeTarget, Container)) -> Self {
        Self {
            app_id: app_id.to_owned(),
            deployment_id,
            container_id: container.id,
            container_name: container.name,
            runtime: runtime.clone(),
        }
    }
}

/// Where a log is.
pub(super) enum Found {
    /// With the engine.
    There(Life),
    /// Among those that were kept.
    Kept(Kept),
}

impl Logs {
    /// The container that is the application now: the one of the state, else the newest that runs, else the newest.
    pub(super) async fn current(&self, app_id: &str) -> Result<Option<Life>, LogError> {
        if let Some(entry) = self.state.get(app_id)
            && let Some(life) = self.of_state(app_id, &entry).await?
        {
            return Ok(Some(life));
        }
        let there = self.there(app_id).await?;
        let apps = there.into_iter().filter(|(_, container, labels)| {
            // One that is not made by a deploy yet is none.
            !labels.task && !container.name.is_empty()
        });
        let newest = apps.max_by_key(|(_, c, _)| (c.status == ContainerStatus::Running, c.created));
        Ok(newest.map(|(target, container, labels)| Life::of(app_id, labels.deployment_id, (&target, container))))
    }

    /// The container that the state names.
    pub(super) async fn of_state(&self, app_id: &str, entry: &AppEntry) -> Result<Option<Life>, LogError> {
        let (Some(name), Some(target)) = (&entry.container_name, &entry.runtime) else { return Ok(None) };
        match self.host.runtimes.runtime(target).inspect(name).await {
            Ok(container) => {
                let labels = Labels::read(&container.labels).map(|labels| labels.deployment_id);
                let deployment_id = labels.or(entry.deployment_id.clone()).unwrap_or_default();
                Ok(Some(Life::of(app_id, deployment_id, (target, container))))
            }
            Err(RuntimeError::NotFound { .. }) => Ok(None),
            Err(error) => Err(LogError::Engine(error)),
        }
    }

    /// The log of a deployment: its container's, else the one that was kept.
    pub(super) async fn of_deployment(&self, app_id: &str, deployment_id: &str) -> Result<Option<Found>, LogError> {
        let there = self.there(app_id).await?;
        let of_it = there.into_iter().filter(|(_, _, labels)| labels.deployment_id == deployment_id);
        if let Some((target, container, labels)) = of_it.min_by_key(|(_, c, labels)| (labels.task, -c.created)) {
            return Ok(Some(Found::There(Life::of(app_id, labels.deployment_id, (&target, container)))));
        }
        Ok(self.kept(app_id, deployment_id).await?.map(Found::Kept))
    }

    /// The log of the container that a cursor names.
    pub(super) async fn of_container(
        &self,
        app_id: &str,
        (deployment_id, id): (&str, &str),
    ) -> Result<Option<Found>, LogError> {
        let there = self.there(app_id).await?;
        if let Some((target, container, labels)) = there.into_iter().find(|(_, c, _)| c.id.starts_with(id)) {
            return Ok(Some(Found::There(Life::of(app_id, labels.deployment_id, (&target, container)))));
        }
        let kept = self.kept(app_id, deployment_id).await?;
        Ok(kept.filter(|kept| kept.life.short_id() == id).map(Found::Kept))
    }

    /// The log that was kept of a deployment.
    pub(super) async fn kept(&self, app_id: &str, deployment_id: &str) -> Result<Option<Kept>, LogError> {
        let document = Document { folder: app_id.to_owned(), name: deployment_id.to_owned() };
        let found = self.host.storage.get_log(&document).await.map_err(LogError::Storage)?;
        Ok(found.and_then(|bytes| Kept::read(&document, &bytes.into())))
    }

    /// The log of the container that served next after one that is gone, if that is gone as well.
    pub(super) async fn next_kept(&self, after: &Life) -> Result<Option<Kept>, LogError> {
        let Some(its) = self.kept(&after.app_id, &after.deployment_id).await? else { return Ok(None) };
        if its.life.container_id != after.container_id {
            return Ok(None);
        }
        let documents = self.host.storage.logs().await.map_err(LogError::Storage)?;
        let mut next: Option<Kept> = None;
        for document in documents.iter().filter(|document| document.folder == after.app_id) {
            let Some(kept) = self.kept(&document.folder, &document.name).await? else { continue };
            let later = !kept.failed && kept.went_at > its.went_at;
            if later && next.as_ref().is_none_or(|next| kept.went_at < next.went_at) {
                next = Some(kept);
            }
        }
        Ok(next)
    }

    /// Whether anything is known of an application.
    pub(super) async fn knows(&self, app_id: &str) -> Result<bool, LogError> {
        if self.state.get(app_id).is_some() || !self.there(app_id).await?.is_empty() {
            return Ok(true);
        }
        let documents = self.host.storage.logs().await.map_err(LogError::Storage)?;
        Ok(documents.iter().any(|document| document.folder == app_id))
    }

    /// Its containers on all engines. One engine that does not answer hides nothing of another.
    async fn there(&self, app_id: &str) -> Result<Vec<(RuntimeTarget, Container, Labels)>, LogError> {
        let named = self.state.get(app_id).and_then(|entry| entry.runtime);
        let present = self.host.runtimes.present().into_iter().map(|(target, _)| target);
        let mut targets: Vec<RuntimeTarget> = named.into_iter().collect();
        targets.extend(present.filter(|target| !targets.contains(target)).collect::<Vec<_>>());
        let (mut found, mut failed): (Vec<(RuntimeTarget, Container, Labels)>, _) = (Vec::new(), None);
        for target in targets {
            match self.host.runtimes.runtime(&target).list(&Labels::of_app(app_id)).await {
                Ok(containers) => {
                    for container in containers {
                        let Some(labels) = Labels::read(&container.labels) else { continue };
                        let known = found.iter().any(|(_, known, _)| known.id == container.id);
                        if labels.outpost == *self.outpost && !known {
                            found.push((target.clone(), container, labels));
                        }
                    }
                }
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            Some(error) if found.is_empty() => Err(LogError::Engine(error)),
            _ => Ok(found),
        }
    }
}
