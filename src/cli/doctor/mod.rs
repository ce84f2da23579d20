//! `doctor`: looks at all that the agent needs, from this process: it works where the agent does not start.

mod cluster;
mod machine;
mod ports;
mod services;

use std::io;

use serde_json::json;

use super::failure::Failure;
use super::running::Running;
use super::show::{self, Style, paint};
use crate::config::{Config, Environment};
use crate::control::ClientError;
use crate::limits;
use crate::term::Term;

const AGENT: &str = "agent";

/// What to do where no agent runs.
const START: &str = "otturnaut start, docker compose up -d, or systemctl start otturnaut";

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Good,
    /// The agent works; something is not as it should be.
    Warn,
    /// It keeps the agent from its work.
    Bad,
}

/// What was found of one thing, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    about: &'static str,
    verdict: Verdict,
    text: String,
    /// Nothing where all is well.
    advice: Option<String>,
}

impl Finding {
    fn good(about: &'static str, text: impl Into<String>) -> Self {
        Self { about, verdict: Verdict::Good, text: text.into(), advice: None }
    }

    fn warn(about: &'static str, text: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { about, verdict: Verdict::Warn, text: text.into(), advice: Some(advice.into()) }
    }

    fn bad(about: &'static str, text: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { about, verdict: Verdict::Bad, text: text.into(), advice: Some(advice.into()) }
    }
}

pub(super) fn run(as_json: bool) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let findings = runtime.block_on(look());
    let bad = findings.iter().filter(|finding| finding.verdict == Verdict::Bad).count();
    let text = if as_json { as_objects(&findings)? } else { as_text(&findings) };
    let printed = show::print(&text);
    match bad {
        0 => printed,
        1 => Err(Failure::new("one thing keeps the agent from its work")),
        _ => Err(Failure::new(format!("{bad} things keep the agent from its work"))),
    }
}

async fn look() -> Vec<Finding> {
    let environment = Environment::read();
    let (agent, said) = agent();
    let mut findings = vec![agent];
    let config = match Config::read(&|name| environment.get(name)) {
        Ok(config) => {
            findings.push(Finding::good("configuration", format!("{} in {}", config.node, config.data_dir.display())));
            config
        }
        Err(errors) => {
            let advice = "set it in the environment of this command, in .env, or in /etc/otturnaut/otturnaut.env";
            findings.extend(errors.to_string().lines().map(|line| Finding::bad("configuration", line, advice)));
            return findings;
        }
    };
    findings.extend(services::engine(&config, &said).await);
    findings.push(services::caddy(&config).await);
    findings.extend(ports::look(&config));
    findings.push(cluster::epmd(&config).await);
    findings.push(cluster::own_name(&config).await);
    findings.push(cluster::cookie(&config));
    findings.push(cluster::encryption(&config));
    findings.push(cluster::mission_control(&config, &said).await);
    findings.push(machine::clock());
    findings.extend(machine::disk(&config));
    findings.extend(machine::tools(&environment));
    findings
}

/// What the running agent says of itself: it may have other rights than whoever asks the doctor.
struct Said(Option<Term>);

impl Said {
    /// A value in its status.
    fn at(&self, path: &[&str]) -> Option<&Term> {
        path.iter().try_fold(self.0.as_ref()?, |term, key| term.as_map()?.get_atom(key))
    }

    fn is(&self, path: &[&str], atom: &str) -> bool {
        self.at(path).is_some_and(|term| term.is_atom(atom))
    }
}

/// Whether an agent runs here already, and what it says.
fn agent() -> (Finding, Said) {
    let mut running = match Running::reach() {
        Ok(running) => running,
        Err(error) => return (unreached(error), Said(None)),
    };
    let asked = running.client.within(Some(limits::CONTROL_PING)).map_err(Failure::from);
    let said = match asked.and_then(|()| running.call("Otturnaut.Status.status", &[])) {
        Ok(status) => Said(Some(status)),
        Err(failure) => return (Finding::warn(AGENT, failure.text, START), Said(None)),
    };
    let own = env!("CARGO_PKG_VERSION");
    let finding = match said.at(&["version"]).and_then(Term::as_text).unwrap_or_default() {
        version if version == own => Finding::good(AGENT, format!("runs, version {version}")),
        version => Finding::warn(
            AGENT,
            format!("runs version {version}, this command is {own}"),
            "otturnaut restart, if that version is to run",
        ),
    };
    (finding, said)
}

fn unreached(error: ClientError) -> Finding {
    let advice = match &error {
        ClientError::NotRunning { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
            "ask as root, or as the agent's user: what follows is as this user sees it"
        }
        ClientError::NotRunning { .. } => START,
        ClientError::Silent { .. } => {
            "kill -CONT, if somebody stopped it; else kill -9 and start it again: applications go on, deploys under way are made good"
        }
        _ => "wait for its end, or end other commands such as `otturnaut logs -f`",
    };
    match &error {
        ClientError::Silent { .. } => Finding::bad(AGENT, error.to_string(), advice),
        _ => Finding::warn(AGENT, Failure::from(error).text, advice),
    }
}

fn as_text(findings: &[Finding]) -> String {
    let line = |finding: &Finding| {
        let (sign, style) = match finding.verdict {
            Verdict::Good => ("ok  ", Style::Good),
            Verdict::Warn => ("warn", Style::Warn),
            Verdict::Bad => ("FAIL", Style::Bad),
        };
        let mut text = format!("{} {:<16} {}\n", paint(style, sign), finding.about, finding.text);
        if let Some(advice) = &finding.advice {
            let advice = paint(Style::Faint, &format!("-> {advice}"));
            text = format!("{text}{:22}{advice}\n", "");
        }
        text
    };
    findings.iter().map(line).collect()
}

fn as_objects(findings: &[Finding]) -> Result<String, Failure> {
    let one = |finding: &Finding| {
        let verdict = match finding.verdict {
            Verdict::Good => "ok",
            Verdict::Warn => "warn",
            Verdict::Bad => "fail",
        };
        json!({"check": finding.about, "verdict": verdict, "text": finding.text, "advice": finding.advice})
    };
    let all: Vec<_> = findings.iter().map(one).collect();
    Ok(serde_json::to_string_pretty(&all).map_err(|e| Failure::new(e.to_string()))? + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::term::{atom, binary, map};

    #[test]
    fn only_an_agent_that_says_so_lacks_something() {
        let engine = map([("available", Term::from(false)), ("reason", binary("eacces"))]);
        let link = map([("node", atom("mc@a")), ("connected", Term::from(false))]);
        let said = Said(Some(map([("runtimes", map([("docker", engine)])), ("mission_control", link)])));
        assert_eq!(services::lacks_engine(&said), Some("eacces"));
        assert!(cluster::is_apart(&said, "mc@a") && !cluster::is_apart(&said, "mc@b"));
        let link = map([("node", atom("mc@a")), ("connected", Term::from(true))]);
        for said in [Said(None), Said(Some(Term::NIL)), Said(Some(map([("mission_control", link)])))] {
            assert!(services::lacks_engine(&said).is_none() && !cluster::is_apart(&said, "mc@a"));
        }
    }

    #[test]
    fn a_finding_says_what_to_do() {
        let findings = [Finding::good("caddy", "answers"), Finding::bad("clock", "it is 1970", "set it")];
        let text = as_text(&findings);
        assert_eq!(
            text,
            "ok   caddy            answers\nFAIL clock            it is 1970\n                      -> set it\n"
        );
        let value: serde_json::Value = serde_json::from_str(&as_objects(&findings).unwrap()).unwrap();
        assert_eq!(value[1]["verdict"], "fail");
        assert_eq!(value[0]["advice"], serde_json::Value::Null);
    }
}
