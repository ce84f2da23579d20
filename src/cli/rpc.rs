//! `rpc`: an expression in the running agent.

use super::failure::Failure;
use super::running::{Evaluated, Running, Said};
use super::show;

pub(super) fn run(expression: &str, json: bool) -> Result<(), Failure> {
    let mut running = Running::connect()?;
    let mut printed = false;
    let told = |said: Said<'_>| match said {
        Said::Output(text) => {
            printed = true;
            show::print(text)
        }
        Said::Message(_) => Ok(()),
    };
    match running.eval(expression, told)? {
        Evaluated::Value(value, _) if json => show::print_json(&value),
        // Of `IO.puts(x)` nobody wants the :ok.
        Evaluated::Value(value, _) if printed && value.is_atom("ok") => Ok(()),
        Evaluated::Value(_, shown) => show::print(&(shown + "\n")),
        Evaluated::Nothing => Ok(()),
    }
}
