//! `rollback`: the release before.

use super::failure::Failure;
use super::running::Running;
use super::{progress, show};
use crate::term::{Inspect, binary};

pub(super) fn run(app: &str, to: Option<&str>, json: bool) -> Result<(), Failure> {
    let quoted = |text: &str| Inspect::short(&binary(text), usize::MAX);
    let to = to.map(|to| format!(", to: {}", quoted(to))).unwrap_or_default();
    let call = format!("Otturnaut.Deployment.rollback({}, [subscriber: self(){to}])", quoted(app));
    let value = progress::follow(&mut Running::connect()?, &call, json)?;
    let deployed = progress::outcome(&value, json)?;
    if json {
        return Ok(());
    }
    let id = deployed.and_then(|d| d.get_atom("id")).map(super::apps::plain).unwrap_or_default();
    show::print(&format!("{app} runs {id} again\n"))
}
