//! The composition root.
use crate::config::Config;
use crate::shutdown::Shutdown;
/// Runs the agent until it is asked to end.
///
/// # Errors
/// It could not start.
pub async fn run(config: Config, shutdown: Shutdown) -> anyhow::Result<()> {
    let _ = config;
    shutdown.requested.cancelled().await;
    Ok(())
}
