//! `apps`: what runs here, as a table.

use super::failure::Failure;
use super::running::Running;
use super::show::{self, Style};
use crate::term::{Map, Term};

pub(super) fn run(json: bool) -> Result<(), Failure> {
    let apps = Running::connect()?.call("Otturnaut.apps", &[])?;
    if json {
        return show::print_json(&apps);
    }
    let rows: Vec<_> = apps.as_list().unwrap_or_default().iter().filter_map(Term::as_map).map(row).collect();
    if rows.is_empty() {
        return show::print("There are no applications on this outpost.\n");
    }
    show::print(&show::table(&["APP", "STATUS", "HEALTH", "DEPLOYMENT", "MEMORY", "RESTARTS", "DOMAINS"], &rows))
}

fn row(app: &Map) -> Vec<(String, Option<Style>)> {
    let text = |key: &str| app.get_atom(key).map(plain).unwrap_or_default();
    let memory = app.get_atom("usage").and_then(Term::as_map).and_then(|usage| usage.get_atom("memory"));
    let memory = match memory {
        Some(Term::Int(bytes)) => show::bytes(*bytes),
        _ => "-".to_owned(),
    };
    let domains: Vec<String> =
        app.get_atom("domains").and_then(Term::as_list).unwrap_or_default().iter().map(plain).collect();
    let (status, health) = (text("status"), text("health"));
    let (of_status, of_health) = (status_style(&status), health_style(&health));
    vec![
        (text("app_id"), Some(Style::Bold)),
        (status, of_status),
        (health, of_health),
        (text("deployment_id"), None),
        (memory, None),
        (text("restarts"), None),
        (domains.join(" "), None),
    ]
}

/// A value in a cell.
pub(super) fn plain(term: &Term) -> String {
    match term {
        Term::Atom(atom) if atom.as_str() == "nil" => "-".to_owned(),
        Term::Atom(atom) => atom.as_str().to_owned(),
        other => other.as_text().map_or_else(|| format!("{other:?}"), str::to_owned),
    }
}

fn status_style(status: &str) -> Option<Style> {
    match status {
        "running" => Some(Style::Good),
        "deploying" => Some(Style::Warn),
        _ => Some(Style::Bad),
    }
}

fn health_style(health: &str) -> Option<Style> {
    match health {
        "healthy" => Some(Style::Good),
        "unknown" => None,
        _ => Some(Style::Bad),
    }
}
