//! The labels that say what a container is, so that nothing is ever guessed from its name.

use std::collections::BTreeMap;

/// On every container of the agent, with the value `true`.
pub const MANAGED: &str = "otturnaut.managed";

/// What the names of the agent's labels begin with.
pub const LABELS: &str = "otturnaut.";

const APP_ID: &str = "otturnaut.app_id";
const DEPLOYMENT_ID: &str = "otturnaut.deployment_id";
const DOMAINS: &str = "otturnaut.domains";
const CONTAINER_PORT: &str = "otturnaut.container_port";
const OUTPOST: &str = "otturnaut.outpost";
const RUN: &str = "otturnaut.run";
const TASK: &str = "otturnaut.task";

/// What the labels of one of the agent's containers say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels {
    /// The agent that started it, by its name: several may share an engine.
    pub outpost: String,
    /// The application.
    pub app_id: String,
    /// The deployment that started it.
    pub deployment_id: String,
    /// The host names that lead to the application.
    pub domains: Vec<String>,
    /// The port that the application listens on inside.
    pub container_port: u16,
    /// A mark of the run that started it.
    pub run: Option<String>,
    /// Whether it runs a command once, and is not the application.
    pub task: bool,
}

impl Labels {
    /// As an engine takes them.
    pub fn write(&self) -> BTreeMap<String, String> {
        let pairs = [
            (MANAGED, "true".to_owned()),
            (OUTPOST, self.outpost.clone()),
            (APP_ID, self.app_id.clone()),
            (DEPLOYMENT_ID, self.deployment_id.clone()),
            (DOMAINS, self.domains.join(",")),
            (CONTAINER_PORT, self.container_port.to_string()),
        ];
        let run = self.run.iter().map(|run| (RUN, run.clone()));
        let task = self.task.then(|| (TASK, "true".to_owned()));
        pairs.into_iter().chain(run).chain(task).map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// What a container's labels say; `None` if it is not one of the agent's.
    pub fn read(labels: &BTreeMap<String, String>) -> Option<Self> {
        let text = |name| labels.get(name).cloned();
        if labels.get(MANAGED).is_none_or(|value| value != "true") {
            return None;
        }
        Some(Self {
            outpost: text(OUTPOST)?,
            app_id: text(APP_ID).filter(|id| !id.is_empty())?,
            deployment_id: text(DEPLOYMENT_ID)?,
            domains: text(DOMAINS)?.split(',').filter(|d| !d.is_empty()).map(str::to_owned).collect(),
            container_port: labels.get(CONTAINER_PORT)?.parse().ok()?,
            run: text(RUN),
            task: labels.contains_key(TASK),
        })
    }

    /// What an engine is asked for to find all containers of the agent.
    pub fn all() -> Vec<String> {
        vec![format!("{MANAGED}=true")]
    }

    /// What an engine is asked for to find the containers of one application.
    pub fn of_app(app_id: &str) -> Vec<String> {
        vec![format!("{MANAGED}=true"), format!("{APP_ID}={app_id}")]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            outpost in "[a-z]{1,5}@[0-9.]{1,9}",
            app_id in "[a-zA-Z0-9][a-zA-Z0-9_.-]{0,20}",
            deployment_id in "[a-zA-Z0-9_-]{1,10}",
            domains in proptest::collection::vec("[a-z*.-]{1,12}", 0..4),
            container_port: u16,
            run in proptest::option::of("[a-z]{1,8}"),
            task: bool,
        ) {
            let labels = Labels { outpost, app_id, deployment_id, domains, container_port, run, task };
            prop_assert_eq!(Labels::read(&labels.write()), Some(labels));
        }

        #[test]
        fn whatever_others_write_is_read_or_left(labels in proptest::collection::btree_map("otturnaut.(outpost|app_id|domains|container_port|managed|deployment_id)", ".{0,6}", 0..6)) {
            if let Some(read) = Labels::read(&labels) {
                prop_assert!(!read.app_id.is_empty() && labels[MANAGED] == "true");
            }
        }
    }

    #[test]
    fn a_container_of_somebody_else_is_not_ours() {
        let (outpost, app_id, deployment_id) = ("o@h".into(), "a".into(), "1".into());
        let ours =
            Labels { outpost, app_id, deployment_id, domains: vec![], container_port: 80, run: None, task: false };
        let mut foreign = ours.write();
        foreign.remove(MANAGED);
        assert_eq!(Labels::read(&foreign), None);
    }
}
