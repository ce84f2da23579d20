//! `rollback`: the release before.

use super::failure::Failure;
use super::running::Running;
use super::{progress, show};
use crate::term::{Inspect, Term, binary};

pub(super) fn run(app: &str, to: Option<&str>, json: bool) -> Result<(), Failure> {
    let quoted = |text: &str| Inspect::short(&binary(text), usize::MAX);
    let wanted = to.map(|to| format!(", to: {}", quoted(to))).unwrap_or_default();
    let call = format!("Otturnaut.Deployment.rollback({}, [subscriber: self(){wanted}])", quoted(app));
    let ended = progress::follow(&mut Running::connect()?, &call, json)?;
    let deployed = progress::outcome(&ended, json).map_err(|failure| {
        let missing = nothing_there(&ended.value, (app, to.unwrap_or_default()));
        missing.map_or(failure, Failure::new)
    })?;
    if json {
        return Ok(());
    }
    let id = deployed.and_then(|d| d.get_atom("id")).map(super::apps::plain).unwrap_or_default();
    show::print(&format!("{app} runs {id} again\n"))
}

/// What is not there to go back to, if that is why it failed.
fn nothing_there(value: &Term, (app, to): (&str, &str)) -> Option<String> {
    let [_, reason] = value.as_tuple()? else { return None };
    match reason.as_atom()? {
        "no_release" => {
            Some(format!("there is no release of {app} to go back to: `otturnaut apps` lists what is here"))
        }
        "unknown_release" => Some(format!(
            "{app} has no release {to}: `otturnaut rpc 'Otturnaut.Deployment.releases(\"{app}\")'` lists those that it has"
        )),
        _ => None,
    }
}
