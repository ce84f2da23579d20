//! The environment -> [`Config`]. Every variable's name is here; nobody else reads the environment.
//!
//! All of it is checked before any port is opened, and everything that is wrong is said at once: the variable, its value
//! (never the cookie) and what is right.

mod file;

pub use file::{Environment, own_variable};

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use tracing_subscriber::filter::Targets;

use crate::limits;
use crate::node::{Tls, TlsError, TlsFiles};
use crate::secret::Secret;
use crate::term::Atom;

/// Where events go on Mission Control if nobody says.
const EVENTS: Atom = Atom::from_static("otturnaut_events");

/// Everything that can be set.
#[derive(Debug, Clone)]
pub struct Config {
    /// `RELEASE_NODE`: the node's full name.
    pub node: Atom,
    /// `RELEASE_COOKIE` or the content of `RELEASE_COOKIE_FILE`.
    pub cookie: Secret<String>,
    /// `MISSION_CONTROL_HOST`: the node to stay connected with.
    pub mission_control: Option<Atom>,
    /// `MISSION_CONTROL_PROCESS`: the name there to which events go.
    pub mission_control_process: Atom,
    /// `CONTAINER_SOCKET`: the engine's socket when a call names no other.
    pub container_socket: PathBuf,
    /// `CADDY_ADMIN_URL`, without a trailing slash.
    pub caddy_admin_url: String,
    /// `OTTURNAUT_CADDY_ROUTES_DIR`: `routes` of the data directory, as Caddy sees it; the same if none.
    pub caddy_routes_dir: Option<PathBuf>,
    /// `OTTURNAUT_HTTP_PORT`.
    pub http_port: u16,
    /// `OTTURNAUT_HTTPS_PORT`.
    pub https_port: u16,
    /// `OTTURNAUT_AUTO_HTTPS`.
    pub auto_https: bool,
    /// `OTTURNAUT_PORT_RANGE`: host ports for applications.
    pub port_range: RangeInclusive<u16>,
    /// `OTTURNAUT_DATA_DIR`.
    pub data_dir: PathBuf,
    /// `XDG_RUNTIME_DIR`: where sockets of the agent's user are.
    pub runtime_dir: Option<PathBuf>,
    /// `XDG_CONFIG_HOME`, or `.config` in `HOME`: settings of the agent's user.
    pub config_dir: PathBuf,
    /// Directories of this machine whose repositories may be taken.
    pub local_sources: Vec<PathBuf>,
    /// `OTTURNAUT_DIST_PORT`; any if none.
    pub dist_port: Option<u16>,
    /// `OTTURNAUT_DIST_BIND`; all addresses, of IPv4 and IPv6, if none.
    pub dist_bind: Option<IpAddr>,
    /// `OTTURNAUT_DIST_TLS_CERT`, `_KEY` and `_CA`: connections of the cluster go over TLS.
    pub tls: Option<Tls>,
    /// `OTTURNAUT_NET_TICKTIME`: what `net_ticktime` is on the BEAM nodes.
    pub tick_time: Duration,
    /// `ERL_EPMD_PORT`.
    pub epmd_port: u16,
    /// `OTTURNAUT_METRICS_ADDR`: where metrics are served; nowhere if none.
    pub metrics: Option<SocketAddr>,
    /// `OTTURNAUT_LOG`.
    pub log: Targets,
    /// `OTTURNAUT_LOG_FORMAT`.
    pub log_format: LogFormat,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The data directory alone, which the commands beside the agent need.
pub fn data_dir(environment: &Environment) -> PathBuf {
    Env { lookup: &|name| environment.get(name), errors: Vec::new() }.data_dir()
}

/// A variable that is missing or wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    variable: &'static str,
    /// Nothing where the value is a secret or missing.
    value: Option<String>,
    wanted: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{} is {value:?}: {}", self.variable, self.wanted),
            None => write!(f, "{}: {}", self.variable, self.wanted),
        }
    }
}

/// Everything that is wrong with the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for ConfigErrors {}

impl Config {
    /// Reads the process's environment.
    ///
    /// # Errors
    /// Every variable that is missing or wrong.
    pub fn from_env() -> Result<Self, ConfigErrors> {
        Self::read(&own_variable)
    }

    /// Reads variables by `lookup`; an empty one counts as not set, as `docker compose` passes those on.
    ///
    /// # Errors
    /// As [`Config::from_env`].
    pub fn read(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigErrors> {
        let mut env = Env { lookup, errors: Vec::new() };
        let node = env.node();
        let cookie = env.cookie();
        let config = Self {
            node: node.unwrap_or(Atom::from_static("")),
            cookie: cookie.unwrap_or_default(),
            mission_control: env.mission_control(),
            mission_control_process: env.mission_control_process(),
            container_socket: env.text("CONTAINER_SOCKET").unwrap_or_else(|| "/var/run/docker.sock".into()).into(),
            caddy_admin_url: env.url("CADDY_ADMIN_URL", "http://127.0.0.1:2019"),
            caddy_routes_dir: env.absolute("OTTURNAUT_CADDY_ROUTES_DIR"),
            http_port: env.parsed("OTTURNAUT_HTTP_PORT", PORT).unwrap_or(Port(80)).0,
            https_port: env.parsed("OTTURNAUT_HTTPS_PORT", PORT).unwrap_or(Port(443)).0,
            auto_https: env.parsed("OTTURNAUT_AUTO_HTTPS", "use true or false").unwrap_or(true),
            port_range: env.port_range(),
            data_dir: env.data_dir(),
            runtime_dir: env.text("XDG_RUNTIME_DIR").map(PathBuf::from),
            config_dir: env.config_dir(),
            local_sources: env.local_sources(),
            dist_port: env.parsed("OTTURNAUT_DIST_PORT", PORT).map(|port: Port| port.0),
            dist_bind: env.parsed("OTTURNAUT_DIST_BIND", "use an IP address of this machine"),
            tls: env.tls(),
            tick_time: env.tick_time(),
            epmd_port: env.parsed("ERL_EPMD_PORT", PORT).unwrap_or(Port(4369)).0,
            metrics: env.parsed("OTTURNAUT_METRICS_ADDR", "use an address and a port such as 127.0.0.1:9464"),
            log: env.parsed("OTTURNAUT_LOG", LOG).unwrap_or_else(default_log),
            log_format: env.log_format(),
        };
        if env.errors.is_empty() { Ok(config) } else { Err(ConfigErrors(env.errors)) }
    }
}

const PORT: &str = "use a port from 1 to 65535";
const LOG: &str = "use a level (error, warn, info, debug, trace) or a list such as info,otturnaut::node=debug";
const NODE: &str = "use name@host, for example outpost1@10.0.0.5";

/// A TCP port, never 0.
struct Port(u16);

impl FromStr for Port {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        text.parse().ok().filter(|port| *port != 0).map(Self).ok_or(())
    }
}

fn default_log() -> Targets {
    Targets::new().with_default(tracing::Level::INFO)
}

struct Env<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    errors: Vec<ConfigError>,
}

impl Env<'_> {
    fn text(&self, variable: &str) -> Option<String> {
        (self.lookup)(variable).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    fn refuse(&mut self, variable: &'static str, value: Option<String>, wanted: impl Into<String>) {
        self.errors.push(ConfigError { variable, value, wanted: wanted.into() });
    }

    fn parsed<T: FromStr>(&mut self, variable: &'static str, wanted: &str) -> Option<T> {
        let value = self.text(variable)?;
        let parsed = value.parse().ok();
        if parsed.is_none() {
            self.refuse(variable, Some(value), wanted);
        }
        parsed
    }

    fn node(&mut self) -> Option<Atom> {
        let Some(value) = self.text("RELEASE_NODE") else {
            self.refuse("RELEASE_NODE", None, format!("required; {NODE}"));
            return None;
        };
        let distribution = self.text("RELEASE_DISTRIBUTION");
        let long = match distribution.as_deref() {
            None => None,
            Some("name") => Some(true),
            Some("sname") => Some(false),
            Some(_) => {
                self.refuse("RELEASE_DISTRIBUTION", distribution, "use name (long names) or sname (short names)");
                return None;
            }
        };
        let own = gethostname::gethostname().to_string_lossy().into_owned();
        let full = match value.split_once('@') {
            Some(_) => value.clone(),
            None if long == Some(true) => format!("{value}@{own}"),
            None => format!("{value}@{}", own.split('.').next().unwrap_or("localhost")),
        };
        // As BEAM nodes see it: an address of IPv6 is a long name too.
        let is_long = full.split_once('@').is_some_and(|(_, host)| host.contains(['.', ':']));
        let problem = match (name_problem(&full), long, is_long) {
            (Some(problem), ..) => Some(format!("{problem}; {NODE}")),
            (None, Some(true), false) => {
                Some("long names (RELEASE_DISTRIBUTION=name) need an address or a host with a dot".into())
            }
            (None, Some(false), true) => {
                Some("short names (RELEASE_DISTRIBUTION=sname) need a host without a dot, and no address".into())
            }
            _ => None,
        };
        match (problem, Atom::new(&full)) {
            (None, Ok(name)) => Some(name),
            (problem, _) => {
                self.refuse("RELEASE_NODE", Some(value), problem.unwrap_or_else(|| NODE.into()));
                None
            }
        }
    }

    fn cookie(&mut self) -> Option<Secret<String>> {
        if let Some(cookie) = self.text("RELEASE_COOKIE") {
            return self.checked_cookie("RELEASE_COOKIE", cookie);
        }
        let Some(path) = self.text("RELEASE_COOKIE_FILE") else {
            let wanted = "required, the cookie of the cluster; or RELEASE_COOKIE_FILE, a file that holds it";
            self.refuse("RELEASE_COOKIE", None, wanted);
            return None;
        };
        match std::fs::read_to_string(&path) {
            Ok(text) => self.checked_cookie("RELEASE_COOKIE_FILE", text.trim().to_owned()),
            Err(e) => {
                self.refuse("RELEASE_COOKIE_FILE", Some(path), format!("cannot be read: {e}"));
                None
            }
        }
    }

    fn checked_cookie(&mut self, variable: &'static str, cookie: String) -> Option<Secret<String>> {
        if cookie.is_empty() || Atom::new(&cookie).is_err() || cookie.chars().any(char::is_control) {
            self.refuse(variable, None, "the cookie must have 1 to 255 characters, none of them a control character");
            return None;
        }
        Some(Secret::new(cookie))
    }

    fn mission_control(&mut self) -> Option<Atom> {
        let value = self.text("MISSION_CONTROL_HOST")?;
        let full = if value.contains('@') { value.clone() } else { format!("mission_control@{value}") };
        match (name_problem(&full), Atom::new(&full)) {
            (None, Ok(name)) => Some(name),
            (problem, _) => {
                let problem = problem.unwrap_or("it is too long");
                self.refuse("MISSION_CONTROL_HOST", Some(value), format!("{problem}; use a host, or name@host"));
                None
            }
        }
    }

    /// An atom as it is, or a module as Elixir writes it.
    fn mission_control_process(&mut self) -> Atom {
        let Some(value) = self.text("MISSION_CONTROL_PROCESS") else { return EVENTS };
        let is_module = value.starts_with(|first: char| first.is_ascii_uppercase()) && !value.starts_with("Elixir.");
        let name = if is_module { format!("Elixir.{value}") } else { value.clone() };
        Atom::new(&name).unwrap_or_else(|_| {
            let wanted = "use the name of a process, at most 255 characters";
            self.refuse("MISSION_CONTROL_PROCESS", Some(value), wanted.to_owned());
            EVENTS
        })
    }

    /// Certificate, key and authority: all of them, or none.
    fn tls(&mut self) -> Option<Tls> {
        const VARIABLES: [&str; 3] = ["OTTURNAUT_DIST_TLS_CERT", "OTTURNAUT_DIST_TLS_KEY", "OTTURNAUT_DIST_TLS_CA"];
        let paths = VARIABLES.map(|variable| self.text(variable).map(PathBuf::from));
        if paths.iter().all(Option::is_none) {
            return None;
        }
        for (variable, _) in VARIABLES.iter().zip(&paths).filter(|(_, path)| path.is_none()) {
            self.refuse(
                variable,
                None,
                "required where another OTTURNAUT_DIST_TLS_ variable is set: the path of a PEM file",
            );
        }
        let [Some(certificate), Some(key), Some(authority)] = paths else { return None };
        let [of_certificate, of_key, of_authority] = VARIABLES;
        match Tls::load(&TlsFiles { certificate, key, authority }) {
            Ok(tls) => Some(tls),
            Err(e) => {
                let (variable, path, why) = match e {
                    TlsError::Certificate { path, why } => (of_certificate, path, why),
                    TlsError::Key { path, why } => (of_key, path, why),
                    TlsError::Authority { path, why } => (of_authority, path, why),
                };
                self.refuse(variable, Some(path.display().to_string()), why);
                None
            }
        }
    }

    fn tick_time(&mut self) -> Duration {
        const WANTED: &str = "use the seconds of net_ticktime, 4 to 3600, as on the nodes of the cluster";
        let seconds: u64 = self.parsed("OTTURNAUT_NET_TICKTIME", WANTED).unwrap_or(limits::TICK_TIME.as_secs());
        if !(4..=3600).contains(&seconds) {
            self.refuse("OTTURNAUT_NET_TICKTIME", Some(seconds.to_string()), WANTED);
        }
        Duration::from_secs(seconds)
    }

    fn url(&mut self, variable: &'static str, default: &str) -> String {
        let value = self.text(variable).unwrap_or_else(|| default.to_owned());
        let url = reqwest::Url::parse(&value).ok();
        if !url.is_some_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host()) {
            self.refuse(variable, Some(value.clone()), format!("use an http address such as {default}"));
        }
        value.trim_end_matches('/').to_owned()
    }

    fn port_range(&mut self) -> RangeInclusive<u16> {
        const DEFAULT: RangeInclusive<u16> = 10_000..=20_000;
        let Some(value) = self.text("OTTURNAUT_PORT_RANGE") else { return DEFAULT };
        let ends = value.split_once('-').map(|(low, high)| (low.trim().parse::<u16>(), high.trim().parse::<u16>()));
        match ends {
            Some((Ok(low @ 1..), Ok(high))) if low <= high => low..=high,
            _ => {
                self.refuse("OTTURNAUT_PORT_RANGE", Some(value), "use LOW-HIGH, two ports such as 10000-20000");
                DEFAULT
            }
        }
    }

    fn absolute(&mut self, variable: &'static str) -> Option<PathBuf> {
        let value = self.text(variable)?;
        if !value.starts_with('/') {
            self.refuse(variable, Some(value.clone()), "use an absolute path");
        }
        Some(value.into())
    }

    fn data_dir(&mut self) -> PathBuf {
        if let Some(dir) = self.absolute("OTTURNAUT_DATA_DIR") {
            return dir;
        }
        if Path::new("/data").is_dir() {
            return "/data".into();
        }
        let state = self.text("XDG_STATE_HOME").map(PathBuf::from);
        let home = self.text("HOME").map(|home| Path::new(&home).join(".local/state"));
        state.or(home).unwrap_or_else(|| "/var/lib".into()).join("otturnaut")
    }

    fn config_dir(&self) -> PathBuf {
        let home = || PathBuf::from(self.text("HOME").unwrap_or_else(|| "/".to_owned())).join(".config");
        self.text("XDG_CONFIG_HOME").map_or_else(home, PathBuf::from)
    }

    fn local_sources(&mut self) -> Vec<PathBuf> {
        let Some(value) = self.text("OTTURNAUT_LOCAL_SOURCES") else { return Vec::new() };
        if value.split(':').any(|dir| !dir.starts_with('/')) {
            self.refuse("OTTURNAUT_LOCAL_SOURCES", Some(value.clone()), "use absolute paths with `:` between them");
        }
        value.split(':').map(PathBuf::from).collect()
    }

    fn log_format(&mut self) -> LogFormat {
        match self.text("OTTURNAUT_LOG_FORMAT").as_deref() {
            None | Some("text") => LogFormat::Text,
            Some("json") => LogFormat::Json,
            Some(other) => {
                self.refuse("OTTURNAUT_LOG_FORMAT", Some(other.to_owned()), "use text or json");
                LogFormat::Text
            }
        }
    }
}

/// What is wrong with a full node name, if anything.
fn name_problem(full: &str) -> Option<&'static str> {
    match full.split_once('@') {
        None => Some("it has no host"),
        Some((_, host)) if host.contains('@') => Some("it has more than one @"),
        Some(("", _) | (_, "")) => Some("its name or its host is empty"),
        Some((_, host)) if host.contains(['[', ']']) => Some("an address of IPv6 stands without brackets, as n@::1"),
        _ if full.len() > 255 => Some("it is too long"),
        _ if full.chars().any(|c| c.is_control() || c.is_whitespace()) => {
            Some("it holds a blank or a control character")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Config, String> {
        let mut all = vec![("RELEASE_NODE", "outpost@127.0.0.1"), ("RELEASE_COOKIE", "monster")];
        all.extend(variables);
        let lookup = |name: &str| all.iter().rev().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
        Config::read(&lookup).map_err(|e| e.to_string())
    }

    #[test]
    fn the_defaults_are_those_of_the_documentation() {
        let config = read(&[]).unwrap();
        assert_eq!(config.node, "outpost@127.0.0.1");
        assert_eq!(config.container_socket, Path::new("/var/run/docker.sock"));
        assert_eq!(config.caddy_admin_url, "http://127.0.0.1:2019");
        assert_eq!((config.http_port, config.https_port, config.auto_https), (80, 443, true));
        assert_eq!(config.port_range, 10_000..=20_000);
        assert_eq!((config.dist_port, config.dist_bind, config.epmd_port), (None, None, 4369));
        assert_eq!(config.metrics, None);
    }

    #[test]
    fn a_bare_mission_control_host_is_its_usual_name_there() {
        let config = read(&[("MISSION_CONTROL_HOST", "10.0.0.1")]).unwrap();
        assert_eq!(config.mission_control.unwrap(), "mission_control@10.0.0.1");
        let config = read(&[("MISSION_CONTROL_HOST", "mc@10.0.0.1")]).unwrap();
        assert_eq!(config.mission_control.unwrap(), "mc@10.0.0.1");
    }

    #[test]
    fn the_process_that_takes_events_is_an_atom_or_a_module() {
        let process = |value| read(&[("MISSION_CONTROL_PROCESS", value)]).unwrap().mission_control_process;
        assert_eq!(process("fleet_events"), "fleet_events");
        assert_eq!(process("Fleet.Events"), "Elixir.Fleet.Events");
        assert_eq!(read(&[]).unwrap().mission_control_process, "otturnaut_events");
        assert!(read(&[("MISSION_CONTROL_PROCESS", &"x".repeat(256))]).is_err());
    }

    #[test]
    fn an_address_of_ipv6_is_a_host_and_makes_a_long_name() {
        for distribution in ["", "name"] {
            let variables = [("RELEASE_NODE", "n@::1"), ("RELEASE_DISTRIBUTION", distribution)];
            assert_eq!(read(&variables).unwrap().node, "n@::1");
        }
        assert!(read(&[("RELEASE_NODE", "n@::1"), ("RELEASE_DISTRIBUTION", "sname")]).is_err());
        assert!(read(&[("RELEASE_NODE", "n@[::1]")]).unwrap_err().contains("without brackets"));
        for (value, full) in [("::1", "mission_control@::1"), ("mc@2001:db8::1", "mc@2001:db8::1")] {
            assert_eq!(read(&[("MISSION_CONTROL_HOST", value)]).unwrap().mission_control.unwrap(), full);
        }
        let bind = read(&[("OTTURNAUT_DIST_BIND", "::1")]).unwrap().dist_bind;
        assert_eq!(bind, Some(std::net::Ipv6Addr::LOCALHOST.into()));
    }

    #[test]
    fn a_dot_before_the_at_makes_no_long_name() {
        assert!(read(&[("RELEASE_NODE", "a.b@host"), ("RELEASE_DISTRIBUTION", "sname")]).is_ok());
        assert!(read(&[("RELEASE_NODE", "a.b@host"), ("RELEASE_DISTRIBUTION", "name")]).is_err());
    }

    #[test]
    fn everything_wrong_is_said_at_once_with_its_value_and_what_is_right() {
        let error =
            read(&[("RELEASE_NODE", "a@b@c"), ("OTTURNAUT_PORT_RANGE", "9-1"), ("OTTURNAUT_LOG_FORMAT", "xml")]);
        let error = error.unwrap_err();
        assert_eq!(error.lines().count(), 3, "{error}");
        assert!(error.contains("RELEASE_NODE is \"a@b@c\": it has more than one @; use name@host"), "{error}");
        assert!(error.contains("OTTURNAUT_PORT_RANGE is \"9-1\": use LOW-HIGH"), "{error}");
    }

    #[test]
    fn tls_needs_all_three_files_and_each_that_is_wrong_is_named() {
        let one = read(&[("OTTURNAUT_DIST_TLS_KEY", "/nowhere/key.pem")]).unwrap_err();
        assert!(one.contains("OTTURNAUT_DIST_TLS_CERT: required") && one.contains("OTTURNAUT_DIST_TLS_CA: required"));
        let dir = tempfile::tempdir().unwrap();
        let no_pem = dir.path().join("no.pem");
        std::fs::File::create(&no_pem).unwrap();
        let no_pem = no_pem.to_str().unwrap();
        let files = |certificate| {
            read(&[
                ("OTTURNAUT_DIST_TLS_CERT", certificate),
                ("OTTURNAUT_DIST_TLS_KEY", "/nowhere/key.pem"),
                ("OTTURNAUT_DIST_TLS_CA", no_pem),
            ])
        };
        let missing = files("/nowhere/cert.pem").unwrap_err();
        assert!(missing.contains("OTTURNAUT_DIST_TLS_CERT is \"/nowhere/cert.pem\": it cannot be read"), "{missing}");
        let empty = files(no_pem).unwrap_err();
        assert!(empty.contains("it holds no certificate in PEM"), "{empty}");
    }

    #[test]
    fn each_variable_is_checked() {
        let bad = [
            ("RELEASE_NODE", ""),
            ("RELEASE_NODE", "@host"),
            ("RELEASE_NODE", "a b@host"),
            ("RELEASE_DISTRIBUTION", "none"),
            ("RELEASE_DISTRIBUTION", "sname"),
            ("MISSION_CONTROL_HOST", "a@"),
            ("CADDY_ADMIN_URL", "localhost:2019"),
            ("OTTURNAUT_HTTP_PORT", "0"),
            ("OTTURNAUT_HTTPS_PORT", "65536"),
            ("OTTURNAUT_AUTO_HTTPS", "yes"),
            ("OTTURNAUT_PORT_RANGE", "10000"),
            ("OTTURNAUT_DATA_DIR", "relative"),
            ("OTTURNAUT_CADDY_ROUTES_DIR", "routes"),
            ("OTTURNAUT_LOCAL_SOURCES", "/srv:git"),
            ("OTTURNAUT_DIST_PORT", "x"),
            ("OTTURNAUT_DIST_BIND", "localhost"),
            ("OTTURNAUT_NET_TICKTIME", "3"),
            ("ERL_EPMD_PORT", "-1"),
            ("OTTURNAUT_METRICS_ADDR", "9464"),
            ("OTTURNAUT_LOG", "otturnaut=loud"),
            ("OTTURNAUT_LOG_FORMAT", "xml"),
        ];
        for (variable, value) in bad {
            let error = read(&[(variable, value)]).expect_err(variable);
            let named = error.contains(variable) || variable == "RELEASE_DISTRIBUTION";
            assert!(named && error.contains(value), "{variable}={value}: {error}");
        }
    }

    #[test]
    fn a_bad_cookie_is_never_shown() {
        let error = read(&[("RELEASE_COOKIE", "mon\u{7}ster")]).unwrap_err();
        assert!(error.starts_with("RELEASE_COOKIE: the cookie must have") && !error.contains("mon\u{7}"), "{error}");
        assert!(!format!("{:?}", read(&[]).unwrap()).contains("monster"));
    }

    #[test]
    fn the_cookie_may_stand_in_a_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file.as_file(), b"from_file\n").unwrap();
        let path = file.path().to_str().unwrap();
        let config = read(&[("RELEASE_COOKIE", ""), ("RELEASE_COOKIE_FILE", path)]).unwrap();
        assert_eq!(config.cookie.expose(), "from_file");
        let error = read(&[("RELEASE_COOKIE", ""), ("RELEASE_COOKIE_FILE", "/nowhere")]).unwrap_err();
        assert!(error.contains("RELEASE_COOKIE_FILE is \"/nowhere\": cannot be read"), "{error}");
    }

    #[test]
    fn names_without_a_host_get_this_hosts_name() {
        let config = read(&[("RELEASE_NODE", "outpost"), ("RELEASE_DISTRIBUTION", "sname")]).unwrap();
        assert!(config.node.as_str().starts_with("outpost@") && !config.node.as_str().contains('.'));
    }
}
