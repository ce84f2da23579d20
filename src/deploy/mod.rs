//! Deployments: putting a version of an application in place, and taking it away.
//!
//! ```text
//! engine --> attributes                  whether it can be meant
//!        --> queue, runs                     whose turn it is, one run an application; who runs, how far, cancel
//!        --> execution                       a run from its turn to its end
//!              --> origin                    where the image comes from
//!              --> saga, steps/              up to the switch: each step recorded before it acts, with undo
//!              --> forward --> retire, drain after the switch: the old version goes
//!                          --> releases, garbage   what is kept of it, what goes;  kept_logs  what it said
//!              --> stuck                     undos that failed, tried again
//!        --> journal/                        what is recorded
//!        --> undeploy
//!        --> recover --> settle              after a start: torn runs are ended or undone
//!                          --> aftermath     what the container engine still does for the agent that died
//!                    --> found               the state is rebuilt
//!        --> plan                            what a deploy would do
//! ```
//!
//! A run is a task of its own on the engine's tracker. Its caller's future only waits for it, and cancels it when dropped.

mod aftermath;
mod attributes;
mod cancel;
mod configuration;
mod deployment;
mod difference;
mod drain;
mod engine;
mod error;
mod execution;
mod forward;
mod found;
mod garbage;
mod health;
mod journal;
mod kept_logs;
mod origin;
mod plan;
mod progress;
mod queue;
mod recover;
mod releases;
mod retire;
mod run;
mod runs;
mod saga;
mod settle;
mod steps;
mod story;
mod stuck;
mod undeploy;

pub use attributes::InvalidDeployment;
pub use deployment::{Deployment, Status, Strategy, container_name, generate_id, route_id};
pub use engine::{DeployFailure, DeployProgress, Deployed, Engine, EngineSettings, ExecuteOptions, UndeployRequest};
pub use error::{DeployError, UndeployError};
pub use execution::chain;
pub use garbage::{Item, ItemKind};
pub use health::{HealthPolicy, HealthProbe};
pub use journal::JournalError;
pub use origin::{Content, ObtainError, Origin};
pub use plan::{Plan, PlannedStep};
pub use progress::{DeployStep, Named, Progress, UndeployStep};
pub use releases::{Release, RollbackError};
pub use runs::{CancelError, RunInfo, RunKind, RunState};

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
