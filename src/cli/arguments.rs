//! What can be typed, and the help that teaches it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::{exit_code, start};

/// The agent that deploys web applications on this server, and the commands to talk with it.
#[derive(Debug, Parser)]
#[command(name = "otturnaut", version, after_help = format!("{EXAMPLES}\n\n{}\n\n{COLOURS}", exit_code::TABLE))]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
}

const EXAMPLES: &str = "\
Examples:
  otturnaut doctor                                 is all well here, and what to do if not
  otturnaut apps                                   what runs, and how it is
  otturnaut logs -f shop                           what an application says
  otturnaut deploy shop --repo https://example.com/shop.git --port 4000 --domain shop.example.com
  otturnaut rollback shop                          the release before
  otturnaut rpc 'Otturnaut.Status.status()'        any function of the agent, as Elixir
  otturnaut remote                                 a shell in the running agent

In a container: docker compose exec otturnaut otturnaut apps";

const COLOURS: &str = "Colours are left out where NO_COLOR is set, and where no terminal looks.";

/// A day: nobody waits for longer.
const LONGEST_WAIT: u64 = 86_400;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the agent in the foreground.
    #[command(after_help = start::ENVIRONMENT)]
    Start,
    /// End the running agent; deploys that run may end before.
    #[command(after_help = "\
Under systemd or compose use their own commands (systemctl stop otturnaut, docker compose stop): a supervisor may start
again what ended by itself.")]
    Stop {
        /// Seconds to wait for its end.
        #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(..=LONGEST_WAIT))]
        timeout: u64,
    },
    /// End the running agent and let it begin anew, under the same process id.
    #[command(after_help = "\
The program is started again from its file: after an upgrade of that file it is the new version. Applications go on meanwhile.")]
    Restart {
        /// Seconds to wait until it answers again.
        #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(..=LONGEST_WAIT))]
        timeout: u64,
    },
    /// Print the process id of the running agent.
    Pid,
    /// Say whether the agent answers: exit code 0 or 69.
    Ping,
    /// Print the version.
    Version,
    /// Evaluate an expression of Elixir in the running agent and print its value.
    #[command(visible_alias = "eval", after_help = RPC)]
    Rpc {
        /// The expression, in quotes.
        #[arg(value_name = "EXPR", allow_hyphen_values = true)]
        expression: String,
        /// Print the value as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Open a shell in the running agent: Elixir, with Tab, history and help
    #[command(
        after_help = "Leave it with exit, or Ctrl-D. From another machine: iex --name me@HOST --cookie COOKIE --remsh NODE"
    )]
    Remote,
    /// Look at all that the agent needs, and say what to do where something is wrong.
    #[command(after_help = "It does not need a running agent. Exit code 1 if something keeps the agent from its work.")]
    Doctor {
        /// Print the findings as JSON.
        #[arg(long)]
        json: bool,
    },
    /// List the applications of this outpost.
    #[command(
        after_help = "Examples:\n  otturnaut apps\n  otturnaut apps --json | jq -r '.[] | select(.health == \"unhealthy\").app_id'"
    )]
    Apps {
        /// Print all that is known of them as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Deploy an application without Mission Control.
    Deploy(Deploy),
    /// Print what an application says.
    Logs(Logs),
    /// Go back to the release before, or to one that is named.
    #[command(after_help = "\
Examples:
  otturnaut rollback shop
  otturnaut rpc 'Otturnaut.Deployment.releases(\"shop\")'     the releases that are kept
  otturnaut rollback shop --to 4d7c2a")]
    Rollback {
        /// The application.
        app: String,
        /// The deployment id of the release; the one before the running one if not given.
        #[arg(long)]
        to: Option<String>,
        /// Print the outcome as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Take an application away: its route, its container, its releases.
    Undeploy {
        /// The application.
        app: String,
    },
    /// Print completions for a shell.
    #[command(after_help = "\
Examples:
  otturnaut completions bash > /etc/bash_completion.d/otturnaut
  otturnaut completions zsh > /usr/local/share/zsh/site-functions/_otturnaut
  otturnaut completions fish > ~/.config/fish/completions/otturnaut.fish")]
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Print the manual page.
    #[command(after_help = "Example: otturnaut man > /usr/local/share/man/man1/otturnaut.1")]
    Man,
}

const RPC: &str = "\
The agent's functions are called as in Elixir, and the basics of Elixir work on what they give. The value is printed; of an
expression that prints something itself and gives :ok, only that.

Examples:
  otturnaut rpc 'Otturnaut.Status.status()'
  otturnaut rpc 'Otturnaut.apps() |> Enum.map(& &1.app_id)'
  otturnaut rpc --json 'Otturnaut.Deployment.list()'
  otturnaut rpc 'IO.puts(Otturnaut.version())'";

/// A shell that completes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// What is deployed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  otturnaut deploy shop --image registry.example.com/shop:42 --port 4000 --domain shop.example.com
  otturnaut deploy shop --repo https://example.com/shop.git --ref main --port 4000 --env-file shop.env
  SECRET=... otturnaut deploy shop --image shop:42 --port 4000 --env SECRET

What is told is what Mission Control would tell: the new version is built, started, waited for, gets the requests; then the old
one goes. What fails is undone, and so is what Ctrl-C cuts off before the requests go over. A value on the command line can be
read by all users of this machine: give secrets by --env-file, or by --env NAME from the environment.")]
pub(super) struct Deploy {
    /// The application's name.
    pub(super) app: String,
    /// The image to run.
    #[arg(long, conflicts_with = "repo", required_unless_present = "repo")]
    pub(super) image: Option<String>,
    /// The git repository to build from.
    #[arg(long)]
    pub(super) repo: Option<String>,
    /// Its branch, tag or commit.
    #[arg(long = "ref", requires = "repo", conflicts_with = "image", value_name = "REF")]
    pub(super) reference: Option<String>,
    /// The Dockerfile in it.
    #[arg(long, requires = "repo", conflicts_with = "image")]
    pub(super) dockerfile: Option<String>,
    /// The port that the application listens on.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) port: u16,
    /// A domain that leads to it; may be given several times.
    #[arg(long = "domain", value_name = "DOMAIN")]
    pub(super) domains: Vec<String>,
    /// A variable of its environment: NAME=VALUE, or NAME with the value of this command's environment.
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub(super) env: Vec<String>,
    /// A file of NAME=VALUE lines.
    #[arg(long, value_name = "FILE")]
    pub(super) env_file: Option<PathBuf>,
    /// The runtime.
    #[arg(long, value_enum, default_value_t = Engine::Docker)]
    pub(super) runtime: Engine,
    /// Stop the old version before the new one starts.
    #[arg(long)]
    pub(super) recreate: bool,
    /// A path that must answer 200 before the new version gets requests.
    #[arg(long, value_name = "PATH")]
    pub(super) health: Option<String>,
    /// Say what would be done, and do nothing.
    #[arg(long)]
    pub(super) plan: bool,
    /// Print the outcome as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

/// What runs the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Engine {
    Docker,
    Podman,
    Systemd,
}

/// Which log.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  otturnaut logs shop -n 20
  otturnaut logs -f shop                    goes on over new versions, until Ctrl-C
  otturnaut logs shop --since 10m
  otturnaut logs shop --json | jq -r .line")]
pub(super) struct Logs {
    /// The application.
    pub(super) app: String,
    /// Go on with what it will say, also after its next deploy.
    #[arg(short, long)]
    pub(super) follow: bool,
    /// Lines from the end.
    #[arg(short = 'n', long, default_value_t = 100, value_name = "N")]
    pub(super) lines: u32,
    /// Only what is younger: 30s, 10m, 2h, 1d.
    #[arg(long, value_name = "AGE")]
    pub(super) since: Option<String>,
    /// Print the time of each line.
    #[arg(short, long)]
    pub(super) timestamps: bool,
    /// Print a JSON object a line.
    #[arg(long)]
    pub(super) json: bool,
}

/// The arguments of this process.
pub(super) fn parse() -> Result<Cli, clap::Error> {
    Cli::try_parse()
}

/// The command line as a whole: what the manual and the completions are made of.
#[cfg(test)]
pub(super) fn whole() -> clap::Command {
    <Cli as clap::CommandFactory>::command().after_long_help(exit_code::TABLE)
}
