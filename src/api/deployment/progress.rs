//! Progress of a run, as messages to the subscriber.

use tokio::sync::mpsc;

use crate::deploy::{DeployStep, Progress, UndeployStep};
use crate::node::Context;
use crate::term::read::{ReadError, Reader};
use crate::term::{Pid, Term, atom, binary, map, tuple};

/// A kind of run: the tag of its messages and the names of its steps.
pub(super) trait Steps: Copy {
    /// The tag.
    const TAG: &'static str;
    /// The name.
    fn name(self) -> &'static str;
}

impl Steps for DeployStep {
    const TAG: &'static str = "deployment_progress";

    fn name(self) -> &'static str {
        match self {
            Self::AllocatePort => "allocate_port",
            Self::StartContainer => "start_container",
            Self::HealthCheck => "health_check",
            Self::SwitchRoute => "switch_route",
            Self::StopOld => "stop_old",
            Self::ReleasePort => "release_port",
        }
    }
}

impl Steps for UndeployStep {
    const TAG: &'static str = "undeploy_progress";

    fn name(self) -> &'static str {
        match self {
            Self::RetrieveState => "retrieve_state",
            Self::StopContainer => "stop_container",
            Self::RemoveContainer => "remove_container",
            Self::RemoveRoutes => "remove_routes",
            Self::ReleasePort => "release_port",
            Self::ClearState => "clear_state",
        }
    }
}

/// The subscriber that the options name.
pub(super) fn subscriber(opts: &Reader<'_>) -> Result<Option<Pid>, ReadError> {
    opts.fields()?.read("subscriber", |pid| pid.pid())
}

/// `{tag, %{step: step, message: message, ...}}`.
pub(super) fn message(
    tag: &'static str,
    (step, message): (Term, Term),
    more: impl IntoIterator<Item = (&'static str, Term)>,
) -> Term {
    let fields = [("step", step), ("message", message)];
    tuple([atom(tag), map(fields.into_iter().chain(more))])
}

/// Sends the progress of a run as it comes, until it ends or nobody is left to take it.
pub(super) async fn forward<S: Steps>(context: &Context, subscriber: &Pid, mut run: mpsc::Receiver<Progress<S>>) {
    while let Some(progress) = run.recv().await {
        let what = (atom(progress.step.name()), binary(progress.message));
        let more = [
            ("seq", Term::from(progress.seq)),
            ("app_id", binary(progress.app_id)),
            ("deployment_id", Term::from(progress.deployment_id)),
        ];
        let message = message(S::TAG, what, more);
        if context.node.send(&context.this, subscriber, message).await.is_err() {
            return;
        }
    }
}
