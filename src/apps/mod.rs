//! What runs here: the state of the applications, their ports, the labels of their containers.

mod labels;
mod name;
mod ports;
mod state;

pub use labels::{LABELS, Labels, MANAGED};
pub use name::{InvalidName, check_app_id, check_deployment_id};
pub use ports::{Exhausted, PortManager};
pub use state::{AppEntry, AppState, AppStatus, Shown, StateFull, UnknownApp, UpdateError};
