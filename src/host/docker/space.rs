//! What an engine keeps on its disk.

use serde_json::Value;

use super::api::Api;
use crate::host::runtime::{EngineSpace, KeptContainer, KeptImage, KeptVolume, RuntimeError, RuntimeKind};
use crate::limits;

/// Asks; engines add up all sizes for it, which takes them a while.
pub(super) async fn ask(api: &Api) -> Result<EngineSpace, RuntimeError> {
    let told = api.get("system/df", &[]).await?;
    let list = |key: &str| told.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let images = match api.engine {
        // It tells half of an image's name there (seen in 4.3).
        RuntimeKind::Podman => listed_by_podman(api).await?.as_array().cloned().unwrap_or_default(),
        RuntimeKind::Docker | RuntimeKind::Systemd => list("Images"),
    };
    Ok(EngineSpace {
        images: images.iter().map(|image| kept_image(api.engine, image)).collect(),
        containers: list("Containers").iter().map(kept_container).collect(),
        volumes: list("Volumes").iter().map(kept_volume).collect(),
        build_cache: list("BuildCache").iter().map(|cache| number(cache, "/Size")).sum(),
    })
}

/// The list fails where an image goes while it is made.
async fn listed_by_podman(api: &Api) -> Result<Value, RuntimeError> {
    for _ in 1..limits::LISTINGS {
        match api.get("images/json", &[]).await {
            Err(RuntimeError::Http { status: 500, .. }) => {}
            listed => return listed,
        }
    }
    api.get("images/json", &[]).await
}

fn kept_image(engine: RuntimeKind, image: &Value) -> KeptImage {
    let seen = super::container::image(engine, image);
    // Podman names an image without a name so.
    let names = seen.tags.into_iter().filter(|name| !name.contains("<none>")).collect();
    let shared = number(image, "/SharedSize");
    KeptImage { id: seen.id, names, size: number(image, "/Size"), shared }
}

fn kept_container(container: &Value) -> KeptContainer {
    let name = container.pointer("/Names/0").and_then(Value::as_str).unwrap_or_default();
    KeptContainer {
        name: name.trim_start_matches('/').to_owned(),
        labels: super::container::labels(container.get("Labels")),
        size: number(container, "/SizeRw"),
    }
}

fn kept_volume(volume: &Value) -> KeptVolume {
    let name = volume.get("Name").and_then(Value::as_str).unwrap_or_default().to_owned();
    KeptVolume { name, size: number(volume, "/UsageData/Size") }
}

/// A size; what is not known is -1 or not there.
fn number(value: &Value, pointer: &str) -> u64 {
    value.pointer(pointer).and_then(Value::as_u64).unwrap_or(0)
}
