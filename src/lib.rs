//! The agent of Otternauts: deploys web applications on a server, as a hidden Erlang node.
//!
//! ```text
//! socket -> node::reader -> (frame, budget, term) -> node::rpc or a named process
//!        -> api -> deploy / build / watch / apps -> host -> machine
//! domain -> progress (bounded, typed) -> api -> term -> node::writer -> socket
//! ```
//!
//! Two legs, joined in [`api`] alone: [`node`] on [`term`] speaks Erlang and knows no deployments; `deploy`, `watch`,
//! `build` and `apps` on [`host`] know deployments and speak no Erlang. `tests/layering.rs` holds who may import whom.

pub mod cli;
pub mod config;
pub mod limits;
pub mod secret;
pub mod shutdown;
pub mod telemetry;

pub mod agent;
pub mod api;

pub mod term;

pub mod node;

pub mod host;

pub mod apps;

pub mod build;

pub mod watch;

pub mod deploy;
