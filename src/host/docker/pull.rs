//! Pulls: from a registry that may want to know who asks, with how far they are.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use futures::StreamExt;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::api::Api;
use super::stream::{End, Parser};
use crate::host::download::Transfer;
use crate::host::runtime::RuntimeError;
use crate::host::spec::PullImage;
use crate::limits;

/// Pulls; an error within the answer of success is the pull's.
pub(super) async fn pull(
    api: &Api,
    image: &PullImage,
    progress: Option<&watch::Sender<Transfer>>,
) -> Result<(), RuntimeError> {
    let mut query = vec![("fromImage", image.reference.clone())];
    // Without a tag the engine would pull all of them.
    let last = image.reference.rsplit('/').next().unwrap_or_default();
    if !last.contains([':', '@']) {
        query.push(("tag", "latest".to_owned()));
    }
    let mut request = api.request(Method::POST, "images/create", &query);
    if let Some(auth) = &image.auth {
        let who = json!({ "username": auth.username, "password": auth.password.expose() });
        request = request.header("x-registry-auth", URL_SAFE.encode(who.to_string()));
    }
    let mut pieces = api.send(request).await?.bytes_stream();
    let (mut parser, mut end, mut layers) = (Parser::default(), End::default(), Layers::default());
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|e| api.failure(&e))?;
        parser.feed_values(&piece, &mut end, |value| layers.see(value));
        if let Some(progress) = progress {
            progress.send_replace(layers.transfer());
        }
        parser.check(api)?;
    }
    parser.finish(&mut end);
    end.error.map_or(Ok(()), |reason| Err(api.refused(&reason)))
}

/// How far the layers of an image are.
#[derive(Default)]
struct Layers(BTreeMap<String, (u64, u64)>);

impl Layers {
    fn see(&mut self, value: &Value) {
        let text = |name: &str| value.get(name).and_then(Value::as_str);
        let number = |pointer: &str| value.pointer(pointer).and_then(Value::as_u64);
        let Some(id) = text("id").filter(|_| text("status") == Some("Downloading")) else { return };
        let (Some(done), Some(total)) = (number("/progressDetail/current"), number("/progressDetail/total")) else {
            return;
        };
        if self.0.len() < limits::IMAGE_LAYERS || self.0.contains_key(id) {
            self.0.insert(id.to_owned(), (done, total));
        }
    }

    fn transfer(&self) -> Transfer {
        let done = self.0.values().map(|(done, _)| done).sum();
        let total: u64 = self.0.values().map(|(_, total)| total).sum();
        Transfer { done, total: Some(total).filter(|total| *total > 0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pull_is_as_far_as_its_layers_together() {
        let mut layers = Layers::default();
        assert_eq!(layers.transfer(), Transfer { done: 0, total: None });
        for (id, current) in [("a", 10), ("b", 5), ("a", 20)] {
            let detail = json!({ "current": current, "total": 100 });
            layers.see(&json!({ "id": id, "status": "Downloading", "progressDetail": detail }));
        }
        layers.see(&json!({ "id": "c", "status": "Waiting" }));
        assert_eq!(layers.transfer(), Transfer { done: 25, total: Some(200) });
    }
}
