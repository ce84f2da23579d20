//! The command line: one file a subcommand.
//!
//! `start` is the agent. Every other command is a guest of the agent that runs: it evaluates an expression in it, over the
//! agent's own socket, and shows what comes of it. `doctor` alone looks around by itself.

mod apps;
mod arguments;
mod deploy;
mod doctor;
mod exit_code;
mod failure;
mod lifecycle;
mod logs;
mod manual;
mod progress;
mod remote;
mod rollback;
mod rpc;
mod running;
mod show;
mod start;
mod undeploy;

pub use exit_code::ExitCode;

use self::arguments::{Cli, Command};
use self::failure::Failure;

/// Runs what the arguments say; gives the exit code.
pub fn run() -> ExitCode {
    let cli = match arguments::parse() {
        Ok(cli) => cli,
        Err(e) => {
            // Standard output or error may be closed; there is nobody left to tell.
            drop(e.print());
            return if e.use_stderr() { ExitCode::Usage } else { ExitCode::Ok };
        }
    };
    if matches!(cli.command, Command::Start) {
        return start::run();
    }
    match execute(cli) {
        Ok(()) => ExitCode::Ok,
        Err(Failure { text, code }) => start::complain(&text, code),
    }
}

fn execute(cli: Cli) -> Result<(), Failure> {
    match cli.command {
        // It is the agent itself.
        Command::Start => Ok(()),
        Command::Stop { timeout } => lifecycle::stop(timeout),
        Command::Restart { timeout } => lifecycle::restart(timeout),
        Command::Pid => lifecycle::pid(),
        Command::Ping => lifecycle::ping(),
        Command::Version => show::print(&format!("otturnaut {}\n", env!("CARGO_PKG_VERSION"))),
        Command::Rpc { expression, json } => rpc::run(&expression, json),
        Command::Remote => remote::run(),
        Command::Doctor { json } => doctor::run(json),
        Command::Apps { json } => apps::run(json),
        Command::Deploy(asked) => deploy::run(&asked),
        Command::Logs(asked) => logs::run(&asked),
        Command::Rollback { app, to, json } => rollback::run(&app, to.as_deref(), json),
        Command::Undeploy { app } => undeploy::run(&app),
        Command::Completions { shell } => manual::completions(shell),
        Command::Man => manual::page(),
    }
}
