//! The container engine and Caddy.

use std::error::Error;
use std::io;

use super::{Finding, Said};
use crate::agent;
use crate::config::Config;
use crate::host::{self, Host, RuntimeKind, RuntimeTarget};
use crate::term::Term;

/// The machine, as the agent would see it.
fn machine(config: &Config) -> Option<Host> {
    host::install_crypto();
    Host::real(agent::host_settings(config, None)).ok()
}

pub(super) async fn engine(config: &Config, said: &Said) -> Option<Finding> {
    const ABOUT: &str = "engine";
    let path = config.container_socket.display();
    if !config.container_socket.exists() {
        let advice =
            "start Docker or Podman, or set CONTAINER_SOCKET to its socket; without one only systemd runs applications";
        return Some(Finding::bad(ABOUT, format!("there is no socket at {path}"), advice));
    }
    if let Err(e) = std::os::unix::net::UnixStream::connect(&config.container_socket) {
        return Some(match e.kind() {
            io::ErrorKind::PermissionDenied => Finding::bad(
                ABOUT,
                format!("this user may not open {path}"),
                "add the agent's user to the socket's group (ls -l shows it), or run the agent as root",
            ),
            _ => Finding::bad(
                ABOUT,
                format!("nobody answers at {path}: {e}"),
                "start the engine: systemctl start docker, or podman.socket",
            ),
        });
    }
    let runtime = machine(config)?.runtimes.runtime(&RuntimeTarget { kind: RuntimeKind::Docker, socket: None });
    Some(match (runtime.version().await, lacks_engine(said)) {
        (Ok(_), Some(reason)) => Finding::bad(
            ABOUT,
            format!("it answers here, and not the agent: {reason}"),
            "add the agent's user to the socket's group (ls -l shows it) and start it again, or run the agent as root",
        ),
        (Ok(version), None) => Finding::good(ABOUT, format!("version {version} at {path}")),
        (Err(e), _) => Finding::bad(ABOUT, whole(&e), "look at the engine's own log: journalctl -u docker, or podman"),
    })
}

/// Why the running agent has no engine, if it says so.
pub(super) fn lacks_engine(said: &Said) -> Option<&str> {
    const DOCKER: &str = "docker";
    let away = said.is(&["runtimes", DOCKER, "available"], "false");
    said.at(&["runtimes", DOCKER, "reason"]).and_then(Term::as_text).filter(|_| away)
}

pub(super) async fn caddy(config: &Config) -> Finding {
    const ABOUT: &str = "caddy";
    let url = &config.caddy_admin_url;
    let Some(host) = machine(config) else {
        return Finding::bad(ABOUT, "the client of Caddy cannot be made", "this is a fault of the program: report it");
    };
    let proxy = host.proxies.proxy(&host.proxies.defaults());
    match proxy.health().await {
        Ok(()) => match proxy.list_routes().await {
            Ok(routes) => Finding::good(ABOUT, format!("answers at {url}, {} routes", routes.len())),
            Err(e) => Finding::warn(ABOUT, whole(&e), format!("look at its configuration: curl -s {url}/config/")),
        },
        Err(e) => {
            Finding::bad(ABOUT, whole(&e), format!("start Caddy with its admin API at {url}, or set CADDY_ADMIN_URL"))
        }
    }
}

/// An error with its causes.
fn whole(error: &(dyn Error + 'static)) -> String {
    let (mut text, mut cause) = (error.to_string(), error.source());
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}
