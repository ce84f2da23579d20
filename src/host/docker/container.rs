//! Containers in the engine's JSON.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::host::runtime::{Container, ContainerSpec, ContainerStatus};

/// What an engine is asked to create.
pub(super) fn create_body(spec: &ContainerSpec) -> Value {
    let inside = format!("{}/tcp", spec.container_port);
    let env: Vec<String> = spec.env.iter().map(|(name, value)| format!("{name}={}", value.expose())).collect();
    json!({
        "Image": spec.image,
        "Env": env,
        "Labels": spec.labels,
        "ExposedPorts": { &inside: {} },
        "HostConfig": {
            // On loopback alone: nobody reaches the application past the proxy.
            "PortBindings": { &inside: [{ "HostIp": "127.0.0.1", "HostPort": spec.port.to_string() }] },
            "RestartPolicy": { "Name": "unless-stopped" },
        },
    })
}

/// A container of a list.
pub(super) fn listed(value: &Value) -> Container {
    let name = value.pointer("/Names/0").and_then(Value::as_str).unwrap_or_default();
    let ports = value.get("Ports").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let published = ports.iter().find_map(|port| port.get("PublicPort").and_then(Value::as_u64));
    Container {
        id: text(value, "/Id"),
        name: name.trim_start_matches('/').to_owned(),
        status: status(value.get("State").and_then(Value::as_str).unwrap_or_default()),
        image: text(value, "/Image"),
        port: published.and_then(|port| u16::try_from(port).ok()),
        labels: labels(value.get("Labels")),
        exit_code: None,
        restart_count: 0,
        created: value.get("Created").and_then(Value::as_i64).unwrap_or(0),
    }
}

/// A container that was looked at alone.
pub(super) fn inspected(value: &Value) -> Container {
    let status = status(value.pointer("/State/Status").and_then(Value::as_str).unwrap_or_default());
    let exit_code = value.pointer("/State/ExitCode").and_then(Value::as_i64);
    let created: Option<Timestamp> = value.get("Created").and_then(Value::as_str).and_then(|at| at.parse().ok());
    // A container that does not run has no ports now; what it is to have stands beside.
    let port = [value.pointer("/NetworkSettings/Ports"), value.pointer("/HostConfig/PortBindings")];
    Container {
        id: text(value, "/Id"),
        name: text(value, "/Name").trim_start_matches('/').to_owned(),
        status,
        image: text(value, "/Config/Image"),
        port: port.into_iter().flatten().find_map(first_port),
        labels: labels(value.pointer("/Config/Labels")),
        exit_code: exit_code.filter(|_| status != ContainerStatus::Running),
        restart_count: value.get("RestartCount").and_then(Value::as_i64).unwrap_or(0),
        created: created.map_or(0, Timestamp::as_second),
    }
}

fn first_port(ports: &Value) -> Option<u16> {
    let mut bindings = ports.as_object()?.values().filter_map(Value::as_array).flatten();
    bindings.find_map(|binding| binding.get("HostPort")?.as_str()?.parse().ok())
}

fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn labels(value: Option<&Value>) -> BTreeMap<String, String> {
    let pairs = value.and_then(Value::as_object).into_iter().flatten();
    pairs.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
}

fn status(state: &str) -> ContainerStatus {
    match state {
        "running" => ContainerStatus::Running,
        "created" | "configured" | "exited" | "stopped" | "dead" => ContainerStatus::Stopped,
        _ => ContainerStatus::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    #[test]
    fn ports_are_published_on_loopback_alone() {
        let spec = ContainerSpec {
            name: "a".into(),
            image: "i".into(),
            container_port: 80,
            port: 12_345,
            env: [("K".to_owned(), Secret::new("v".to_owned()))].into(),
            labels: BTreeMap::new(),
        };
        let body = create_body(&spec);
        let binding = body.pointer("/HostConfig/PortBindings/80~1tcp/0").unwrap();
        assert_eq!(*binding, json!({ "HostIp": "127.0.0.1", "HostPort": "12345" }));
        assert_eq!(body["Env"], json!(["K=v"]));
    }

    #[test]
    fn a_container_that_does_not_run_tells_its_exit_code_and_its_port_to_be() {
        let value = json!({
            "Id": "x", "Name": "/n", "State": { "Status": "exited", "ExitCode": 3 }, "NetworkSettings": { "Ports": {} },
            "HostConfig": { "PortBindings": { "80/tcp": [{ "HostIp": "", "HostPort": "77" }] } },
            "Created": "2026-01-15T10:20:30.123456789Z", "RestartCount": 2,
        });
        let container = inspected(&value);
        assert_eq!((container.name.as_str(), container.status), ("n", ContainerStatus::Stopped));
        assert_eq!((container.exit_code, container.port, container.restart_count), (Some(3), Some(77), 2));
        assert_eq!(container.created, 1_768_472_430);
    }
}
