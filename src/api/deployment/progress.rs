//! Progress of a run, as messages to the subscriber.

use tokio::sync::mpsc;

use crate::api::command::Output;
use crate::deploy::{DeployStep, Named, Progress, UndeployStep};
use crate::limits;
use crate::node::Context;
use crate::term::read::{ReadError, Reader};
use crate::term::{Pid, Term, atom, binary, map, tuple};

/// A kind of run: the tag of its messages.
pub(super) trait Steps: Named {
    /// The tag.
    const TAG: &'static str;
}

impl Steps for DeployStep {
    const TAG: &'static str = "deployment_progress";
}

impl Steps for UndeployStep {
    const TAG: &'static str = "undeploy_progress";
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

/// Runs what `begin` begins; its progress goes to the subscriber of the options, if they name one.
pub(super) async fn told<S: Steps, F: Future>(
    context: &Context,
    opts: &Reader<'_>,
    begin: impl FnOnce(Option<mpsc::Sender<Progress<S>>>) -> F,
) -> Result<F::Output, ReadError> {
    let Some(subscriber) = subscriber(opts)? else { return Ok(begin(None).await) };
    let (progress, received) = mpsc::channel(limits::PROGRESS_QUEUE);
    let forward = forward(context, &subscriber, received);
    Ok(tokio::join!(begin(Some(progress)), context.node.while_alive(&context.this, &subscriber, forward)).0)
}

/// Sends the progress of a run as it comes, until it ends or nobody is left to take it.
async fn forward<S: Steps>(context: &Context, subscriber: &Pid, mut run: mpsc::Receiver<Progress<S>>) {
    let output = Output::of(&context.this);
    while let Some(progress) = run.recv().await {
        if !progress.output.is_empty() {
            match output.send(&context.node, subscriber, &progress.output).await {
                Ok(()) => continue,
                Err(_) => return,
            }
        }
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
