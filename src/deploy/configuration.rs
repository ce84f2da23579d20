//! The sum of a configuration: two versions with the same content and the same sum run alike.

use std::collections::BTreeMap;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::Deployment;
use crate::host::{Resources, Restart, hexadecimal};

/// What a version is given beside its image, in an order of its own.
#[derive(Serialize)]
struct Configuration<'a> {
    command: &'a [String],
    container_port: u16,
    env: BTreeMap<&'a str, &'a str>,
    labels: &'a BTreeMap<String, String>,
    networks: &'a [String],
    release_command: &'a [String],
    resources: Resources,
    restart: Restart,
    stop_timeout: u128,
    volumes: &'a [String],
}

/// SHA-256 of it, in hexadecimal. It tells nothing of values that nobody can guess.
pub(super) fn sum(deployment: &Deployment) -> String {
    let configuration = Configuration {
        command: &deployment.command,
        container_port: deployment.container_port,
        env: deployment.env.iter().map(|(name, value)| (name.as_str(), value.expose().as_str())).collect(),
        labels: &deployment.labels,
        networks: &deployment.networks,
        release_command: &deployment.release_command,
        resources: deployment.resources,
        restart: deployment.restart,
        stop_timeout: deployment.stop_timeout.as_millis(),
        volumes: &deployment.volumes,
    };
    // Strings, numbers and maps with string keys: all of it is JSON.
    let written = serde_json::to_vec(&configuration).unwrap_or_default();
    hexadecimal(&Sha256::digest(written))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{RuntimeKind, RuntimeTarget};
    use crate::secret::Secret;

    fn deployment(id: &str) -> Deployment {
        let runtime = RuntimeTarget { kind: RuntimeKind::Docker, socket: None };
        Deployment::pending(("shop".to_owned(), id.to_owned()), "image".to_owned(), 80, runtime)
    }

    #[test]
    fn it_is_the_same_for_the_same_configuration_and_another_for_each_change() {
        let one = deployment("1");
        assert_eq!(sum(&one), sum(&deployment("2")));
        assert_eq!(sum(&one).len(), 64);
        let changes: [fn(&mut Deployment); 5] = [
            |deployment| drop(deployment.env.insert("A".to_owned(), Secret::new("1".to_owned()))),
            |deployment| drop(deployment.env.insert("A".to_owned(), Secret::new("2".to_owned()))),
            |deployment| deployment.container_port = 81,
            |deployment| deployment.command = vec!["A".to_owned()],
            |deployment| deployment.volumes = vec!["A".to_owned()],
        ];
        let mut sums: Vec<String> = changes
            .iter()
            .map(|change| {
                let mut another = deployment("1");
                change(&mut another);
                sum(&another)
            })
            .collect();
        sums.push(sum(&one));
        sums.sort();
        sums.dedup();
        assert_eq!(sums.len(), 6);
    }
}
