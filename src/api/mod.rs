//! The Elixir face: one file per Elixir module that Mission Control calls, each with its table of functions; it decodes,
//! asks the domain, encodes. The union of the tables is what exists on this node.

mod app_state;
mod args;
mod attributes;
mod build;
mod caddy;
mod command;
mod deployment;
mod disk;
mod errors;
mod events;
mod git;
mod health_check;
mod health_monitor;
mod json;
mod logs;
mod port_manager;
mod runtime;
mod status;
mod supervisor;

pub use command::runners;
pub use events::{Receiver, Subscriptions, report};
pub use logs::streams as log_streams;
pub use supervisor::Supervisor;

use std::sync::Arc;

use crate::apps::{AppState, PortManager};
use crate::build::{Build, Git};
use crate::deploy::Engine;
use crate::host::Host;
use crate::node::{GenServer, Module, Modules};
use crate::watch::{Events, Figures, Logs, Monitor};

/// What the functions work with.
pub struct Api {
    /// The machine.
    pub host: Host,
    /// What runs here.
    pub state: AppState,
    /// Host ports for applications.
    pub ports: PortManager,
    /// Source trees.
    pub git: Git,
    /// Images.
    pub build: Build,
    /// Deploys.
    pub engine: Engine,
    /// Who runs commands now.
    pub runners: Supervisor,
    /// Logs.
    pub logs: Logs,
    /// Who streams them now.
    pub log_streams: Supervisor,
    /// What happens.
    pub events: Events,
    /// Who is told of it.
    pub subscriptions: Subscriptions,
    /// How the applications are.
    pub monitor: Monitor,
    /// What was seen of all of it.
    pub figures: Figures,
}

/// What a node is given: its functions and its registered servers.
pub struct Face {
    /// All functions.
    pub modules: Modules,
    /// All registered servers by name.
    pub servers: Vec<(&'static str, Arc<dyn GenServer>)>,
}

/// The Elixir face of `api`.
pub fn face(api: Api) -> Face {
    let api = Arc::new(api);
    let state = Arc::new(app_state::Server { state: api.state.clone() });
    let ports = Arc::new(port_manager::Server { ports: api.ports.clone() });
    let mut modules = Modules::default();
    let all = [
        vec![app_state::module(&state), port_manager::module(&ports)],
        vec![command::module(&api), command::result_module(), git::module(&api), build::module(&api)],
        deployment::modules(&api),
        vec![health_check::module(&api), health_monitor::module(&api), events::module(&api), logs::module(&api)],
        vec![caddy::module(&api), caddy::route_module(), caddy::client_module(&api)],
        status::modules(&api).into(),
        vec![disk::module(&api)],
        runtime::MODULES.map(|engine| runtime::module(&api, engine)).into(),
    ];
    all.into_iter().flatten().for_each(|module: Module| modules.add(module));
    let runners: Arc<dyn GenServer> = Arc::new(api.runners.clone());
    let log_streams: Arc<dyn GenServer> = Arc::new(api.log_streams.clone());
    let servers: Vec<Arc<dyn GenServer>> = vec![state, ports, runners, log_streams];
    Face { modules, servers: servers.into_iter().map(|server| (server.module(), server)).collect() }
}
