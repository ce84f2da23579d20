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

// The program: command line, environment, composition root, its end and its log.
pub mod agent;
pub mod cli;
pub mod config;
pub mod shutdown;
pub mod telemetry;

// What bounds everything, what is never shown, how long things took.
pub mod limits;
pub mod secret;

pub mod elapsed;

// A message's way in: bytes, a node, the Elixir face,
pub mod term;

pub mod node;

pub mod api;

// a person at a terminal,
pub mod shell;

pub mod control;

// or to those who collect figures,
pub mod metrics;

// the domain from its top down,
pub mod deploy;

pub mod watch;

pub mod build;

pub mod apps;

// the machine.
pub mod host;
