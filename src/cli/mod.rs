//! The command line: one file a subcommand.

mod exit_code;
mod start;

pub use exit_code::ExitCode;

use clap::{Parser, Subcommand};

/// The agent that deploys web applications on this server. It is configured by its environment (see `otturnaut help start`).
#[derive(Debug, Parser)]
#[command(name = "otturnaut", version, disable_version_flag = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the agent in the foreground.
    #[command(after_help = start::ENVIRONMENT)]
    Start,
    /// Prints the version.
    Version,
}

/// Runs what the arguments say; gives the exit code.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            // Standard output or error may be closed; there is nobody left to tell.
            drop(e.print());
            return if e.use_stderr() { ExitCode::Usage } else { ExitCode::Ok };
        }
    };
    match cli.command {
        Command::Start => start::run(),
        Command::Version => version(),
    }
}

#[expect(clippy::print_stdout, reason = "what was asked for")]
fn version() -> ExitCode {
    println!("otturnaut {}", env!("CARGO_PKG_VERSION"));
    ExitCode::Ok
}
