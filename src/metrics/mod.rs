//! What Prometheus and its kin ask for: the figures of `status` as `OpenMetrics` text, over HTTP.
//!
//! ```text
//! GET /metrics --> server --> Sources::page (what is known, nobody is asked) --> text
//! ```

mod page;
mod server;
mod text;

pub use server::{MetricsError, Server};

use std::sync::Arc;
use std::time::Instant;

use crate::deploy::Engine;
use crate::watch::{Figures, Tally};

/// Where the figures come from.
#[derive(Clone)]
pub struct Sources {
    /// The agent's version.
    pub version: &'static str,
    /// When it began to serve.
    pub started: Instant,
    /// The machine, the proxy, the engines, the applications.
    pub figures: Figures,
    /// What became of runs.
    pub tally: Tally,
    /// What runs now.
    pub engine: Engine,
    /// Whether Mission Control is connected; none where there is none to stay connected with.
    pub mission_control: Arc<dyn Fn() -> Option<bool> + Send + Sync>,
}
