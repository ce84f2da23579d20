//! The steps of a deploy up to its switch, each with its undo.

mod allocate;
mod fetch;
mod health;
mod mark;
mod obtain;
mod release_command;
mod start;
mod stop_old;
mod switch;

pub(super) use start::remove_marked;
pub(super) use switch::{find as find_route, is_gone};

use self::allocate::AllocatePort;
use self::fetch::Fetch;
use self::health::HealthCheck;
use self::mark::MarkDeploying;
use self::obtain::ObtainImage;
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
const BLUE_GREEN: &[DeployStepOf] = &[
    &MarkDeploying,
    &Fetch,
    &ObtainImage,
    &AllocatePort,
    &ReleaseCommand,
    &StartContainer,
    &HealthCheck,
    &SwitchRoute,
];

/// The same with an image that is here.
const BLUE_GREEN_OF_IMAGE: &[DeployStepOf] =
    &[&MarkDeploying, &AllocatePort, &ReleaseCommand, &StartContainer, &HealthCheck, &SwitchRoute];

/// The old version stops before the new one starts: nobody answers in between.
const RECREATE: &[DeployStepOf] = &[
    &MarkDeploying,
    &Fetch,
    &ObtainImage,
    &AllocatePort,
    &ReleaseCommand,
    &StopOld,
    &StartContainer,
    &HealthCheck,
    &SwitchRoute,
];

/// The same with an image that is here.
const RECREATE_OF_IMAGE: &[DeployStepOf] =
    &[&MarkDeploying, &AllocatePort, &ReleaseCommand, &StopOld, &StartContainer, &HealthCheck, &SwitchRoute];

/// The steps of a strategy; `elsewhere` is whether the image has to be had first. Each step costs a record on disk, so that
/// those without anything to do are left out.
pub(super) fn of(strategy: Strategy, elsewhere: bool) -> &'static [DeployStepOf] {
    match (strategy, elsewhere) {
        (Strategy::BlueGreen, true) => BLUE_GREEN,
        (Strategy::BlueGreen, false) => BLUE_GREEN_OF_IMAGE,
        (Strategy::Recreate, true) => RECREATE,
        (Strategy::Recreate, false) => RECREATE_OF_IMAGE,
    }
}
