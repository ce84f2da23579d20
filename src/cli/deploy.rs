//! `deploy`: as Mission Control would, from the command line.

use std::collections::BTreeMap;
use std::time::Instant;

use super::apps::plain;
use super::arguments::{Deploy, Engine};
use super::failure::Failure;
use super::running::{Running, expression};
use super::{progress, show};
use crate::config;
use crate::term::{Atom, Inspect, Map, Term, atom, binary, keyword, list, map};

pub(super) fn run(asked: &Deploy) -> Result<(), Failure> {
    let deployment = expression("Otturnaut.Deployment.new", &[attributes(asked)?]);
    let strategy = if asked.recreate { "Recreate" } else { "BlueGreen" };
    let strategy = format!("Otturnaut.Deployment.Strategy.{strategy}");
    let health = health(asked)
        .map_or_else(String::new, |health| format!(", health_check: {}", Inspect::short(&health, usize::MAX)));
    let mut running = Running::connect()?;
    if asked.plan {
        let plan = running.call_text(&format!("Otturnaut.Deployment.plan({deployment}, {strategy}, [])"))?;
        return if asked.json { show::print_json(&plan) } else { print_plan(&plan) };
    }
    let begun = Instant::now();
    let call = format!("Otturnaut.Deployment.execute({deployment}, {strategy}, %{{}}, [subscriber: self(){health}])");
    let ended = progress::follow(&mut running, &call, asked.json)?;
    let deployed = progress::outcome(&ended, asked.json)?;
    if asked.json {
        return Ok(());
    }
    let id = deployed.and_then(|d| d.get_atom("id")).map(plain).unwrap_or_default();
    let seconds = begun.elapsed().as_secs_f64();
    show::print(&format!("{} is deployed ({id}) in {seconds:.1} s\n", asked.app))
}

fn attributes(asked: &Deploy) -> Result<Term, Failure> {
    let text = |value: &Option<String>| value.as_deref().map(binary);
    let mut attributes = Map::new();
    let mut put = |key, value: Option<Term>| value.map(|value| attributes.insert(atom(key), value));
    put("app_id", Some(binary(asked.app.as_str())));
    put("image", text(&asked.image));
    put("container_port", Some(asked.port.into()));
    put("domains", Some(list(asked.domains.iter().map(|domain| binary(domain.as_str())))));
    put("env", Some(Term::Map(environment(asked)?.into_iter().map(|(k, v)| (binary(k), binary(v))).collect())));
    put("runtime", Some(runtime(asked.runtime)));
    if let Some(repo) = &asked.repo {
        let more = [("ref", text(&asked.reference)), ("dockerfile", text(&asked.dockerfile))];
        let given = more.into_iter().filter_map(|(key, value)| Some((key, value?)));
        put("source", Some(map([("repo_url", binary(repo.as_str()))].into_iter().chain(given))));
    }
    Ok(Term::Map(attributes))
}

fn runtime(engine: Engine) -> Term {
    Term::Atom(Atom::from_static(match engine {
        Engine::Docker => "Elixir.Otturnaut.Runtime.Docker",
        Engine::Podman => "Elixir.Otturnaut.Runtime.Podman",
        Engine::Systemd => "Elixir.Otturnaut.Runtime.Systemd",
    }))
}

fn health(asked: &Deploy) -> Option<Term> {
    let path = asked.health.as_deref()?;
    Some(keyword([("type", atom("http")), ("path", binary(path)), ("expected_status", Term::Int(200))]))
}

/// The variables of the file, then those of the arguments.
fn environment(asked: &Deploy) -> Result<BTreeMap<String, String>, Failure> {
    let mut variables = BTreeMap::new();
    if let Some(path) = &asked.env_file {
        let text = std::fs::read_to_string(path)
            .map_err(|e| Failure::usage(format!("{} cannot be read: {e}", path.display())))?;
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            // The line itself may be a secret.
            let (name, value) = line
                .split_once('=')
                .ok_or_else(|| Failure::usage(format!("{} has a line without =", path.display())))?;
            variables.insert(name.trim().to_owned(), value.to_owned());
        }
    }
    for variable in &asked.env {
        let (name, value) = match variable.split_once('=') {
            Some((name, value)) => (name, value.to_owned()),
            None => match config::own_variable(variable) {
                Some(value) => (variable.as_str(), value),
                None => return Err(Failure::usage(format!("{variable} is not in this command's environment"))),
            },
        };
        variables.insert(name.to_owned(), value);
    }
    Ok(variables)
}

/// The plan as lines: what would be done, and what it would mean.
fn print_plan(plan: &Term) -> Result<(), Failure> {
    let shown = match plan.as_tuple() {
        Some([verdict, Term::Map(plan)]) if verdict.is_atom("ok") => plan,
        _ => return Err(Failure::new(format!("it cannot be planned: {}", Inspect::short(plan, 2_000)))),
    };
    let all = |key: &str| shown.get_atom(key).and_then(Term::as_list).unwrap_or_default();
    let step = |step: &Term| {
        let text = |key: &str| step.as_map().and_then(|step| step.get_atom(key)).map(plain).unwrap_or_default();
        progress::step_line(&text("step"), &text("message"))
    };
    let texts = |what: &'static str, of: &str| -> String {
        all(of).iter().map(|text| progress::step_line(what, &plain(text))).collect()
    };
    let mut lines: String = all("steps").iter().map(step).collect();
    lines.push_str(&texts("changes", "differences"));
    if shown.get_atom("downtime").is_some_and(|downtime| downtime.is_atom("true")) {
        lines.push_str(&progress::step_line("downtime", "nothing answers while the versions change"));
    }
    lines.push_str(&texts("warning", "warnings"));
    show::print(&lines)
}
