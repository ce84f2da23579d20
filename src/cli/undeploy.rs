//! `undeploy`: takes an application away.

use super::failure::Failure;
use super::running::{Running, expression};
use super::{progress, show};
use crate::term::{Inspect, Term, binary, map};

pub(super) fn run(app: &str) -> Result<(), Failure> {
    let mut running = Running::connect()?;
    let known = running.call("Otturnaut.app", &[binary(app)])?;
    let Some([_, Term::Map(known)]) = known.as_tuple() else {
        return Err(Failure::new(format!("there is no application {app} on this outpost")));
    };
    let runtime = known.get_atom("runtime").cloned().unwrap_or(Term::NIL);
    let deployment = map([("app_id", binary(app)), ("runtime", runtime)]);
    let call = expression("Otturnaut.Deployment.undeploy", &[deployment]);
    let call = format!("{}, %{{}}, [subscriber: self()])", call.trim_end_matches(')'));
    match progress::follow(&mut running, &call, false)?.value {
        done if done.is_atom("ok") => show::print(&format!("{app} is gone\n")),
        other => Err(Failure::new(format!("it failed: {}", Inspect::short(&other, 2_000)))),
    }
}
