//! The end of the program: asked for by a signal or by a call, obeyed once.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// When to end.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    /// Cancelled when the program is asked to end; running work may finish.
    pub requested: CancellationToken,
    /// Cancelled when the program is asked to begin anew after its end.
    pub again: CancellationToken,
    /// Cancelled when it is asked again: nothing is waited for any more.
    pub forced: CancellationToken,
}

impl Shutdown {
    /// Waits for SIGTERM or SIGINT and asks for the end; a second one forces it. Never ends by itself.
    ///
    /// # Errors
    /// The system does not let this process take signals.
    pub async fn on_signals(&self) -> std::io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        for token in [&self.requested, &self.forced] {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            tracing::info!(signal = name, "asked to end");
            token.cancel();
        }
        std::future::pending().await
    }
}
