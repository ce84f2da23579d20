//! Builds by Docker's `BuildKit`, for what the classic builder cannot: secrets, mounts, here-documents.
//!
//! ```text
//! POST /session           a connection on which the engine asks for secrets: session.rs
//! POST /build?version=2   the context goes up, the steps' output comes down: trace.rs
//! ```

mod session;
mod trace;

use std::collections::BTreeMap;

use reqwest::RequestBuilder;
use tokio::sync::mpsc;

use self::session::Session;
use self::trace::Trace;
use super::api::Api;
use super::stream;
use crate::host::command::Batch;
use crate::host::runtime::RuntimeError;
use crate::secret::Secret;

/// The engine's builder under this number is `BuildKit`.
pub(super) const VERSION: &str = "2";

/// An id for a session.
pub(super) fn session_id() -> String {
    format!("otturnaut-{:032x}", rand::random::<u128>())
}

/// Sends the request of a build, whose session has that id and gives those secrets, and follows it to its end.
pub(super) async fn build(
    api: &Api,
    (session_id, secrets): (&str, &BTreeMap<String, Secret<String>>),
    request: RequestBuilder,
    lines: Option<mpsc::Sender<Batch>>,
) -> Result<stream::End, RuntimeError> {
    let session = Session::open(api, session_id).await?;
    let follow = async {
        let answer = api.send(request).await?;
        let mut trace = Trace::default();
        let mut end = stream::follow_values(answer, api, (lines.clone(), |value| trace.see(value))).await?;
        stream::send(lines.as_ref(), trace.finish()).await;
        if let Some((step, last)) = trace.failed() {
            end.failed_in(step, last);
        }
        Ok(end)
    };
    tokio::pin!(follow);
    tokio::select! {
        end = &mut follow => end,
        () = session.serve(secrets) => follow.await,
    }
}
