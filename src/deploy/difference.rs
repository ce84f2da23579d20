//! How a version differs from the release that runs: what a person looks for first when it fails.

use std::collections::BTreeSet;

use super::Deployment;
use super::journal::Journal;
use super::releases;
use crate::host::{Host, Resources};

/// Each difference in a few words, without values of the environment. Empty for a first version.
pub(super) async fn differences((host, journal): (&Host, &Journal), new: &Deployment) -> Vec<String> {
    let Some(running) = journal.releases(&new.app_id).pop() else { return Vec::new() };
    let known = releases::load(host, &running).await;
    let environment_known = known.is_some();
    let old = known.map_or(running.deployment, |(deployment, _)| deployment);
    let mut found = Vec::new();
    let mut differs = |what: &str, old: String, new: String| {
        if old != new {
            let said = |text: String| if text.is_empty() { "none".to_owned() } else { text };
            found.push(format!("{what}: {} instead of {}", said(new), said(old)));
        }
    };
    let to_be_built = new.image.is_empty();
    differs("image", old.image.clone(), if to_be_built { "one to be built".to_owned() } else { new.image.clone() });
    differs("container port", old.container_port.to_string(), new.container_port.to_string());
    differs("domains", old.domains.join(", "), new.domains.join(", "));
    differs("volumes", old.volumes.join(", "), new.volumes.join(", "));
    differs("networks", old.networks.join(", "), new.networks.join(", "));
    differs("restart", format!("{:?}", old.restart), format!("{:?}", new.restart));
    differs("resources", resources(&old), resources(new));
    differs("runtime", old.runtime.kind.to_string(), new.runtime.kind.to_string());
    // Of what may hold a secret only that it differs.
    if environment_known && old.command != new.command {
        found.push("command: another one".to_owned());
    }
    if environment_known {
        found.extend(environment(&old, new));
    }
    found
}

fn resources(deployment: &Deployment) -> String {
    let Resources { memory, cpu_millis, pids } = deployment.resources;
    let known = [("memory", memory), ("thousandths of a processor", cpu_millis), ("processes", pids)];
    let told = known.into_iter().filter_map(|(what, bound)| Some(format!("{} {what}", bound?)));
    let told: Vec<_> = told.collect();
    if told.is_empty() { "no bounds".to_owned() } else { told.join(", ") }
}

fn environment(old: &Deployment, new: &Deployment) -> Option<String> {
    let names = |d: &Deployment| d.env.keys().cloned().collect::<BTreeSet<_>>();
    let (before, now) = (names(old), names(new));
    let signed = |sign: &str, name: &String| format!("{sign}{name}");
    let mut changes: Vec<String> = now.difference(&before).map(|name| signed("+", name)).collect();
    changes.extend(before.difference(&now).map(|name| signed("-", name)));
    let value = |d: &Deployment, name: &String| d.env.get(name).map(|value| value.expose().clone());
    changes.extend(
        now.intersection(&before).filter(|name| value(old, name) != value(new, name)).map(|name| signed("~", name)),
    );
    (!changes.is_empty()).then(|| format!("environment: {}", changes.join(" ")))
}
