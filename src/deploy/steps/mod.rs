//! The steps of a deploy up to its switch, each with its undo.

mod allocate;
mod health;
mod mark;
mod release_command;
mod start;
mod stop_old;
mod switch;

pub(super) use start::remove_marked;
pub(super) use switch::{find as find_route, is_gone};

use self::allocate::AllocatePort;
use self::health::HealthCheck;
use self::mark::MarkDeploying;
use self::release_command::ReleaseCommand;
use self::start::StartContainer;
use self::stop_old::StopOld;
use self::switch::SwitchRoute;
use super::run::Run;
use super::saga::Step;
use super::{DeployError, Strategy};

/// A step of a deploy.
pub(super) type DeployStepOf = &'static dyn Step<Run, DeployError>;

/// The new version starts beside the old one, is asked until it answers, then gets the requests.
const BLUE_GREEN: &[DeployStepOf] =
    &[&MarkDeploying, &AllocatePort, &ReleaseCommand, &StartContainer, &HealthCheck, &SwitchRoute];

/// The old version stops before the new one starts: nobody answers in between.
const RECREATE: &[DeployStepOf] =
    &[&MarkDeploying, &AllocatePort, &ReleaseCommand, &StopOld, &StartContainer, &HealthCheck, &SwitchRoute];

/// The steps of a strategy.
pub(super) fn of(strategy: Strategy) -> &'static [DeployStepOf] {
    match strategy {
        Strategy::BlueGreen => BLUE_GREEN,
        Strategy::Recreate => RECREATE,
    }
}
