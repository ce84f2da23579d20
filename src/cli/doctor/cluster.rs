//! Names, cookie, EPMD, Mission Control.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpStream, UdpSocket, lookup_host};
use tokio::time::timeout;

use super::{Finding, Said};
use crate::config::Config;
use crate::{limits, node};

/// A cookie of fewer characters can be guessed.
const SHORT_COOKIE: usize = 16;

/// The part of a node's name before its `@`, and its host.
fn parts(name: &str) -> (&str, &str) {
    name.split_once('@').unwrap_or((name, "localhost"))
}

pub(super) async fn epmd(config: &Config) -> Finding {
    const ABOUT: &str = "epmd";
    let port = config.epmd_port;
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let (alive, _) = parts(config.node.as_str());
    match node::lookup(address, alive).await {
        Ok(Some(dist)) => Finding::good(ABOUT, format!("knows {alive} on port {dist}")),
        Ok(None) => Finding::good(ABOUT, format!("answers on port {port}; {alive} is not registered there")),
        Err(e) if e.kind() == std::io::ErrorKind::ConnectionRefused => {
            Finding::good(ABOUT, format!("nobody answers on port {port}; the agent serves it itself once it runs"))
        }
        Err(e) if e.kind() == std::io::ErrorKind::TimedOut => Finding::bad(
            ABOUT,
            format!("what listens on port {port} does not answer"),
            format!("ss -ltnp 'sport = {port}' names it: where it is the agent itself, see to that first; else end it"),
        ),
        Err(e) => Finding::bad(
            ABOUT,
            format!("what answers on port {port} is no EPMD: {e}"),
            "end it, or set ERL_EPMD_PORT on all nodes of the cluster",
        ),
    }
}

/// Whether the host of the node's name is this machine.
pub(super) async fn own_name(config: &Config) -> Finding {
    const ABOUT: &str = "name";
    let (_, host) = parts(config.node.as_str());
    let addresses = resolve(host, 0).await;
    let Some(first) = addresses.first() else {
        return Finding::bad(
            ABOUT,
            format!("{host} has no address"),
            "use an address in RELEASE_NODE that Mission Control reaches, or put the host into DNS or /etc/hosts",
        );
    };
    let mut own = false;
    for address in &addresses {
        own = own || UdpSocket::bind((address.ip(), 0)).await.is_ok();
    }
    if own && first.ip().is_loopback() {
        let advice = "use an address that Mission Control reaches, if it is on another machine";
        return Finding::warn(ABOUT, format!("{host} is the loopback"), advice);
    }
    if own {
        return Finding::good(ABOUT, format!("{host} is {}, an address of this machine", first.ip()));
    }
    Finding::warn(
        ABOUT,
        format!("{host} is {}, which is no address of this machine", first.ip()),
        "right behind NAT or in a container with a network of its own; else correct RELEASE_NODE",
    )
}

async fn resolve(host: &str, port: u16) -> Vec<SocketAddr> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return vec![SocketAddr::new(address, port)];
    }
    let found = timeout(limits::EPMD_REQUEST, lookup_host((host.to_owned(), port))).await;
    found.ok().and_then(Result::ok).map(Iterator::collect).unwrap_or_default()
}

pub(super) fn cookie(config: &Config) -> Finding {
    const ABOUT: &str = "cookie";
    let length = config.cookie.expose().chars().count();
    if length >= SHORT_COOKIE {
        return Finding::good(ABOUT, format!("{length} characters"));
    }
    let advice = "whoever guesses it runs commands here: openssl rand -base64 24, the same on all nodes";
    Finding::warn(ABOUT, format!("it has only {length} characters"), advice)
}

pub(super) fn encryption(config: &Config) -> Finding {
    const ABOUT: &str = "encryption";
    if config.tls.is_some() {
        return Finding::good(ABOUT, "the cluster speaks TLS, certificates are checked on both sides");
    }
    let advice = "keep the cluster within a private network or a VPN, or set OTTURNAUT_DIST_TLS_CERT, _KEY and _CA";
    Finding::warn(ABOUT, "the cluster's connections are not encrypted", advice)
}

/// Whether Mission Control can be reached, and whether the agent that runs is connected with it.
pub(super) async fn mission_control(config: &Config, said: &Said) -> Finding {
    const ABOUT: &str = "mission control";
    let Some(name) = &config.mission_control else {
        return Finding::good(ABOUT, "none is set: the agent waits to be called");
    };
    let (alive, host) = parts(name.as_str());
    let Some(address) = resolve(host, config.epmd_port).await.first().copied() else {
        return Finding::bad(ABOUT, format!("{host} has no address"), "correct MISSION_CONTROL_HOST, or the DNS");
    };
    let port = match node::lookup(address, alive).await {
        Ok(Some(port)) => port,
        Ok(None) => {
            let advice = "start Mission Control with that name, or set MISSION_CONTROL_HOST to name@host";
            return Finding::bad(ABOUT, format!("EPMD at {address} knows no node {alive}"), advice);
        }
        Err(e) => {
            let advice = format!("open port {} between both machines; is Mission Control up?", address.port());
            return Finding::bad(ABOUT, format!("EPMD at {address} does not answer: {e}"), advice);
        }
    };
    let address = SocketAddr::new(address.ip(), port);
    match timeout(Duration::from_secs(5), TcpStream::connect(address)).await {
        Ok(Ok(_)) if is_apart(said, name.as_str()) => Finding::bad(
            ABOUT,
            format!("{name} answers at {address}, and the agent is not connected with it"),
            "the agent's log says why, behind `cannot connect`: mostly another cookie, or TLS on one side alone",
        ),
        Ok(Ok(_)) => Finding::good(ABOUT, format!("{name} answers at {address}")),
        _ => Finding::bad(
            ABOUT,
            format!("{name} listens at {address}, which cannot be reached"),
            "open that port between both machines; inet_dist_listen_min and _max fix it on Mission Control's side",
        ),
    }
}

/// Whether a running agent that wants this Mission Control says that it is not connected.
pub(super) fn is_apart(said: &Said, name: &str) -> bool {
    said.is(&["mission_control", "node"], name) && said.is(&["mission_control", "connected"], "false")
}
