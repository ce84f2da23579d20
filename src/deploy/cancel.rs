//! What breaks a run off before its switch, and why.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio_util::sync::{CancellationToken, DropGuard};

use super::DeployError;

/// Why a run is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// Somebody asked for it, or the caller is gone.
    Asked,
    /// Its time is up.
    Deadline(Duration),
}

/// Ends a run. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Cancel {
    token: CancellationToken,
    cause: Arc<OnceLock<Cause>>,
}

impl Cancel {
    /// One that ends with `all`.
    pub(super) fn child_of(all: &CancellationToken) -> Self {
        Self { token: all.child_token(), cause: Arc::default() }
    }

    /// Ends the run; the first cause counts.
    pub(super) fn cancel(&self, cause: Cause) {
        self.cause.get_or_init(|| cause);
        self.token.cancel();
    }

    /// Ends the run when the guard is dropped.
    pub(super) fn guard(&self) -> DropGuard {
        self.token.clone().drop_guard()
    }

    /// Whether it is to end.
    pub(super) fn is_cancelled(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Waits until it is to end.
    pub(super) async fn cancelled(&self) {
        self.token.cancelled().await;
    }

    /// What the run says of it.
    pub(super) fn error(&self) -> DeployError {
        match self.cause.get() {
            Some(Cause::Deadline(within)) => DeployError::DeadlineExceeded { within: *within },
            Some(Cause::Asked) | None => DeployError::Cancelled,
        }
    }

    /// Runs to the end of `work`; when `within` is up, the run is to end.
    pub(super) async fn within<T>(&self, within: Duration, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        if let Ok(done) = tokio::time::timeout(within, &mut work).await {
            return done;
        }
        self.cancel(Cause::Deadline(within));
        work.await
    }
}
