//! `otturnaut start`: the agent in the foreground.

use std::fs::{File, TryLockError};
use std::os::unix::process::CommandExt;
use std::path::Path;

use super::ExitCode;
use crate::config::{self, Config};
use crate::shutdown::Shutdown;
use crate::{agent, telemetry};

/// The environment, as `help start` shows it.
pub(super) const ENVIRONMENT: &str = "\
Environment:
  RELEASE_NODE           required: name@host of this outpost
  RELEASE_COOKIE         required: the cluster's cookie (or RELEASE_COOKIE_FILE, a file that holds it)
  RELEASE_DISTRIBUTION   name or sname, if the host does not tell
  MISSION_CONTROL_HOST   host, or name@host, of Mission Control; the agent connects and stays connected
  MISSION_CONTROL_PROCESS
                         the name there to which events go [otturnaut_events]
  CONTAINER_SOCKET       the container engine's API socket [/var/run/docker.sock]
  CADDY_ADMIN_URL        Caddy's admin API [http://127.0.0.1:2019]
  OTTURNAUT_CADDY_ROUTES_DIR
                         routes/ of OTTURNAUT_DATA_DIR as Caddy sees it, if it runs in a container of its own [the same path]
  OTTURNAUT_HTTP_PORT    what Caddy listens on for the applications [80]
  OTTURNAUT_HTTPS_PORT   [443]
  OTTURNAUT_AUTO_HTTPS   false for development [true]
  OTTURNAUT_PORT_RANGE   host ports for applications [10000-20000]
  OTTURNAUT_DATA_DIR     [/data if it exists, else $XDG_STATE_HOME/otturnaut]
  OTTURNAUT_DIST_PORT    fixed port for connections of the cluster [any]
  OTTURNAUT_DIST_BIND    address to listen on for them [all, of IPv4 and IPv6]
  OTTURNAUT_DIST_TLS_CERT, OTTURNAUT_DIST_TLS_KEY, OTTURNAUT_DIST_TLS_CA
                         PEM files: connections of the cluster go over TLS, with certificates on both sides [none]
  OTTURNAUT_NET_TICKTIME seconds; net_ticktime of the cluster's nodes, if it is not the usual one [60]
  ERL_EPMD_PORT          [4369]
  OTTURNAUT_METRICS_ADDR address:port to serve /metrics on for Prometheus [none]
  OTTURNAUT_LOG          a level, or target=level,... [info]
  OTTURNAUT_LOG_FORMAT   text or json [text]";

/// Worker threads: calls are short and what is long waits for others; more threads only cost memory on small servers.
const WORKERS: usize = 2;

pub(super) fn run() -> ExitCode {
    let config = match Config::from_env() {
        Ok(config) => config,
        Err(e) => return complain(&format!("{e}"), ExitCode::Usage),
    };
    if !telemetry::is_heard(&config.log) {
        let given = config::own_variable("OTTURNAUT_LOG").unwrap_or_default();
        let text = format!("OTTURNAUT_LOG is {given:?}, which is no level: use error, warn, info, debug or trace");
        return complain(&text, ExitCode::Usage);
    }
    if let Err(e) = telemetry::start(config.log.clone(), config.log_format) {
        return complain(&format!("cannot start logging: {e}"), ExitCode::Failure);
    }
    if is_taken(&config.data_dir) {
        let dir = config.data_dir.display();
        tracing::error!("another agent uses this data directory, {dir}: end it, or set OTTURNAUT_DATA_DIR to another");
        return ExitCode::Failure;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build();
    match runtime.map_err(anyhow::Error::from).and_then(|runtime| runtime.block_on(serve(config))) {
        Ok(again) if again => begin_anew(),
        Ok(_) => ExitCode::Ok,
        Err(e) => {
            tracing::error!("{e:#}");
            ExitCode::Failure
        }
    }
}

/// Whether another agent has the journal of this directory, be it only as it ends. Beside it this one would know nothing of what
/// is deployed, and take away what looks as if nobody needed it.
fn is_taken(data_dir: &Path) -> bool {
    let lock = File::open(data_dir.join("lock"));
    lock.is_ok_and(|lock| matches!(lock.try_lock(), Err(TryLockError::WouldBlock)))
}

/// Runs the agent to its end; whether it is to begin anew.
async fn serve(config: Config) -> anyhow::Result<bool> {
    let shutdown = Shutdown::default();
    tokio::select! {
        result = agent::run(config, shutdown.clone()) => result?,
        signals = shutdown.on_signals() => signals?,
    }
    Ok(shutdown.again.is_cancelled())
}

#[expect(clippy::disallowed_methods, reason = "this process becomes it; there is nobody to wait for it")]
/// Starts the program from its file again, in this process: to whoever supervises it, it is the same one.
fn begin_anew() -> ExitCode {
    let mut args = std::env::args_os();
    let program = args.next().unwrap_or_else(|| "otturnaut".into());
    tracing::info!("begins anew");
    let failed = std::process::Command::new(program).args(args).exec();
    tracing::error!("cannot begin anew: {failed}");
    ExitCode::Failure
}

#[expect(clippy::print_stderr, reason = "what is said to whoever typed the command")]
pub(super) fn complain(text: &str, code: ExitCode) -> ExitCode {
    for line in text.lines() {
        eprintln!("otturnaut: {line}");
    }
    code
}
