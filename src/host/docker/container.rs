//! Containers in the engine's JSON.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::host::runtime::{Container, ContainerStatus, HealthState, Image, RuntimeKind};
use crate::host::spec::{ContainerSpec, Resources, Restart};
use crate::limits;

/// What an engine is asked to create.
pub(super) fn create_body(spec: &ContainerSpec) -> Value {
    let env: Vec<String> = spec.env.iter().map(|(name, value)| format!("{name}={}", value.expose())).collect();
    let mut body = json!({
        "Image": spec.image,
        "Env": env,
        "Labels": spec.labels,
        "HostConfig": { "RestartPolicy": restart_policy(spec.restart), "Binds": spec.volumes },
    });
    bound(&mut body, spec.resources);
    if let Some(network) = spec.networks.first() {
        set(&mut body, "/HostConfig", "NetworkMode", json!(network));
    }
    if let Some(time) = spec.stop_timeout {
        set(&mut body, "", "StopTimeout", json!(time.as_millis().div_ceil(1000)));
    }
    if let Some(publish) = spec.publish {
        let inside = format!("{}/tcp", publish.container_port);
        // On loopback alone: nobody reaches the application past the proxy.
        let binding = json!({ &inside: [{ "HostIp": "127.0.0.1", "HostPort": publish.port.to_string() }] });
        set(&mut body, "/HostConfig", "PortBindings", binding);
        set(&mut body, "", "ExposedPorts", json!({ inside: {} }));
    }
    if !spec.command.is_empty() {
        set(&mut body, "", "Cmd", json!(spec.command));
    }
    body
}

fn restart_policy(restart: Restart) -> Value {
    match restart {
        Restart::UnlessStopped => json!({ "Name": "unless-stopped" }),
        Restart::Always => json!({ "Name": "always" }),
        Restart::OnFailure => json!({ "Name": "on-failure", "MaximumRetryCount": limits::RESTARTS }),
        Restart::No => json!({ "Name": "no" }),
    }
}

fn bound(body: &mut Value, resources: Resources) {
    if let Some(memory) = resources.memory {
        set(body, "/HostConfig", "Memory", json!(memory));
        // As much with swap as without: what is over the bound ends, and is not slow for ever.
        set(body, "/HostConfig", "MemorySwap", json!(memory));
    }
    if let Some(millis) = resources.cpu_millis {
        set(body, "/HostConfig", "NanoCpus", json!(millis * 1_000_000));
    }
    if let Some(pids) = resources.pids {
        set(body, "/HostConfig", "PidsLimit", json!(pids));
    }
}

fn set(body: &mut Value, parent: &str, key: &str, value: Value) {
    if let Some(parent) = body.pointer_mut(parent).and_then(Value::as_object_mut) {
        parent.insert(key.to_owned(), value);
    }
}

/// A container of a list.
pub(super) fn listed(engine: RuntimeKind, value: &Value) -> Container {
    let name = value.pointer("/Names/0").and_then(Value::as_str).unwrap_or_default();
    let ports = value.get("Ports").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let published = ports.iter().find_map(|port| port.get("PublicPort").and_then(Value::as_u64));
    Container {
        id: text(value, "/Id"),
        name: name.trim_start_matches('/').to_owned(),
        status: status(value.get("State").and_then(Value::as_str).unwrap_or_default()),
        image: plain(engine, &text(value, "/Image")),
        image_id: text(value, "/ImageID"),
        port: published.and_then(|port| u16::try_from(port).ok()),
        labels: labels(value.get("Labels")),
        exit_code: None,
        restart_count: 0,
        created: value.get("Created").and_then(Value::as_i64).unwrap_or(0),
        started_at: None,
        finished_at: None,
        oom_killed: false,
        error: String::new(),
        health: None,
    }
}

/// A container that was looked at alone.
pub(super) fn inspected(engine: RuntimeKind, value: &Value) -> Container {
    let status = status(value.pointer("/State/Status").and_then(Value::as_str).unwrap_or_default());
    let exit_code = value.pointer("/State/ExitCode").and_then(Value::as_i64);
    let created: Option<Timestamp> = value.get("Created").and_then(Value::as_str).and_then(|at| at.parse().ok());
    // A container that does not run has no ports now; what it is to have stands beside.
    let port = [value.pointer("/NetworkSettings/Ports"), value.pointer("/HostConfig/PortBindings")];
    Container {
        id: text(value, "/Id"),
        name: text(value, "/Name").trim_start_matches('/').to_owned(),
        status,
        image: plain(engine, &text(value, "/Config/Image")),
        image_id: text(value, "/Image"),
        port: port.into_iter().flatten().find_map(first_port),
        labels: labels(value.pointer("/Config/Labels")),
        exit_code: exit_code.filter(|_| status != ContainerStatus::Running),
        restart_count: value.get("RestartCount").and_then(Value::as_i64).unwrap_or(0),
        created: created.map_or(0, Timestamp::as_second),
        started_at: state_time(value, "/State/StartedAt"),
        finished_at: state_time(value, "/State/FinishedAt"),
        oom_killed: value.pointer("/State/OOMKilled").and_then(Value::as_bool).unwrap_or(false),
        error: text(value, "/State/Error"),
        health: health(value),
    }
}

/// What never happened was in the year 1.
fn state_time(value: &Value, pointer: &str) -> Option<Timestamp> {
    let at: Timestamp = value.pointer(pointer)?.as_str()?.parse().ok()?;
    (at > Timestamp::UNIX_EPOCH).then_some(at)
}

fn health(value: &Value) -> Option<HealthState> {
    // Podman has it under another name in some versions.
    let health = [value.pointer("/State/Health"), value.pointer("/State/Healthcheck")].into_iter().flatten().next()?;
    let last = health.get("Log").and_then(Value::as_array).and_then(|log| log.last());
    match health.get("Status").and_then(Value::as_str)? {
        "starting" => Some(HealthState::Starting),
        "healthy" => Some(HealthState::Healthy),
        "unhealthy" => Some(HealthState::Unhealthy(last.map(|last| text(last, "/Output")).unwrap_or_default())),
        _ => None,
    }
}

/// An image that was looked at alone.
pub(super) fn image(engine: RuntimeKind, value: &Value) -> Image {
    let names = |key| {
        let names = value.get(key).and_then(Value::as_array).into_iter().flatten();
        names.filter_map(Value::as_str).map(|name| plain(engine, name)).collect()
    };
    Image { id: text(value, "/Id"), tags: names("RepoTags"), digests: names("RepoDigests") }
}

/// The name of an image as one asks for it: Podman puts before it where it would be, were it asked for in full.
fn plain(engine: RuntimeKind, name: &str) -> String {
    let places: &[&str] = match engine {
        RuntimeKind::Docker | RuntimeKind::Systemd => &[],
        RuntimeKind::Podman => &["localhost/", "docker.io/library/", "docker.io/"],
    };
    places.iter().find_map(|place| name.strip_prefix(place)).unwrap_or(name).to_owned()
}

fn first_port(ports: &Value) -> Option<u16> {
    let mut bindings = ports.as_object()?.values().filter_map(Value::as_array).flatten();
    bindings.find_map(|binding| binding.get("HostPort")?.as_str()?.parse().ok())
}

fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

pub(super) fn labels(value: Option<&Value>) -> BTreeMap<String, String> {
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
    use crate::host::spec::Publish;
    use crate::secret::Secret;

    #[test]
    fn ports_are_published_on_loopback_alone() {
        let spec = ContainerSpec {
            name: "a".into(),
            image: "i".into(),
            publish: Some(Publish { container_port: 80, port: 12_345 }),
            env: [("K".to_owned(), Secret::new("v".to_owned()))].into(),
            ..ContainerSpec::default()
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
        let container = inspected(RuntimeKind::Docker, &value);
        assert_eq!((container.name.as_str(), container.status), ("n", ContainerStatus::Stopped));
        assert_eq!((container.exit_code, container.port, container.restart_count), (Some(3), Some(77), 2));
        assert_eq!(container.created, 1_768_472_430);
    }

    #[test]
    fn names_of_images_are_given_as_they_are_asked_for() {
        let podman = |name| plain(RuntimeKind::Podman, name);
        assert_eq!(podman("localhost/otturnaut-shop:1"), "otturnaut-shop:1");
        assert_eq!(podman("docker.io/library/caddy:2"), "caddy:2");
        assert_eq!(podman("docker.io/someone/shop:1"), "someone/shop:1");
        assert_eq!(podman("quay.io/someone/shop:1"), "quay.io/someone/shop:1");
        assert_eq!(plain(RuntimeKind::Docker, "localhost/shop:1"), "localhost/shop:1");
    }

    #[test]
    fn what_ended_a_container_and_what_its_health_check_says_is_read() {
        let value = json!({
            "State": {
                "Status": "exited", "ExitCode": 137, "OOMKilled": true, "Error": "no room",
                "Health": { "Status": "unhealthy", "Log": [{ "Output": "old" }, { "Output": "not yet" }] },
            },
        });
        let container = inspected(RuntimeKind::Docker, &value);
        assert_eq!((container.oom_killed, container.error.as_str()), (true, "no room"));
        assert_eq!(container.health, Some(HealthState::Unhealthy("not yet".to_owned())));
        // Podman has an empty state for an image without a check.
        let none = json!({ "State": { "Status": "running", "Health": { "Status": "", "Log": null } } });
        assert_eq!(inspected(RuntimeKind::Podman, &none).health, None);
    }
}
