//! Deployments: putting a version of an application in place, and taking it away.

mod blue_green;
mod deployment;
mod engine;
mod error;
mod progress;
mod queue;
mod recover;
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
