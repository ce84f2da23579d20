//! Deployments: putting a version of an application in place, and taking it away.
//!
//! ```text
//! engine --> queue                           whose turn it is, one run an application
//!        --> blue_green --> saga             allocate_port, start_container, health_check, switch_route: with undo
//!                       --> retire           stop_old, release_port: only forward
//!        --> undeploy
//!        --> recover                         after a start
//! ```
//!
//! A run is a task of its own on the engine's tracker. Its caller's future only waits for it, and cancels it when dropped.

mod blue_green;
mod deployment;
mod engine;
mod error;
mod progress;
mod queue;
mod recover;
mod retire;
mod run;
mod saga;
mod start;
mod switch;
mod undeploy;

pub use deployment::{Deployment, HealthPolicy, HealthProbe, Status, container_name, generate_id, route_id};
pub use engine::{DeployFailure, Deployed, Engine, EngineSettings, ExecuteOptions, UndeployRequest};
pub use error::{DeployError, UndeployError};
pub use progress::{DeployStep, Progress, UndeployStep};

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
