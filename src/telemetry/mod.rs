//! Logging: to standard error, a line an event, for people or as JSON.

mod lines;

use std::ffi::OsStr;
use std::io::IsTerminal;
use std::panic;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Layer, fmt};

use self::lines::Lines;
use crate::config::LogFormat;

/// Starts logging for the whole process; faults of this program are told there too.
///
/// # Errors
/// Logging was started before.
pub fn start(filter: Targets, format: LogFormat) -> Result<(), TryInitError> {
    let lines = match format {
        LogFormat::Text => {
            let color = is_colored(std::io::stderr().is_terminal(), std::env::var_os("NO_COLOR").as_deref());
            Lines::Text { color }
        }
        LogFormat::Json => Lines::Json,
    };
    let layer = fmt::layer().with_writer(std::io::stderr).event_format(lines).with_filter(filter);
    tracing_subscriber::registry().with(layer).try_init()?;
    panic::set_hook(Box::new(|fault| {
        let place = fault.location().map(ToString::to_string);
        tracing::error!(
            place,
            "this program has a fault: {}",
            fault.payload_as_str().unwrap_or("it does not say which")
        );
    }));
    Ok(())
}

/// Whether a filter lets through anything of this program. A word that is no level counts as the name of somebody's target,
/// and then nothing at all would be said.
#[must_use]
pub fn is_heard(filter: &Targets) -> bool {
    const OWN: &str = env!("CARGO_PKG_NAME");
    filter.default_level().is_some() || filter.iter().any(|(target, _)| target.split("::").next() == Some(OWN))
}

/// Only for a terminal, and not where `NO_COLOR` says otherwise.
fn is_colored(terminal: bool, no_color: Option<&OsStr>) -> bool {
    terminal && no_color.is_none_or(OsStr::is_empty)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_of_others_alone_is_not_heard() {
        let heard = |filter: &str| is_heard(&filter.parse().unwrap());
        let good = ["info", "WARN", "off", "otturnaut=debug", "otturnaut::node=trace", "info,hyper=off"];
        assert_eq!(good.map(heard), [true; 6]);
        assert_eq!(["warning", "inof", "hyper=debug", "otturnauts=info"].map(heard), [false; 4]);
    }

    #[test]
    fn only_a_terminal_that_wants_colours_has_them() {
        assert!(is_colored(true, None) && is_colored(true, Some(OsStr::new(""))));
        assert!(!is_colored(true, Some(OsStr::new("1"))) && !is_colored(false, None));
    }
}
