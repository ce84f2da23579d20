//! A run from its turn to its end.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use jiff::Timestamp;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::cancel::Cancel;
use super::engine::{Deployed, EngineSettings};
use super::journal::{Journal, OpenRun, Record, RunId, Work};
use super::queue::{Queue, Ticket};
use super::recover::recover;
use super::run::Run;
use super::runs::{RunState, Runs};
use super::saga::{self, Failed, Stuck};
use super::undeploy::Undeploy;
use super::{DeployError, DeployStep, Status, UndeployError, UndeployStep, forward, steps};
use crate::limits;

/// What all runs share.
pub(super) struct Inner {
    pub(super) settings: EngineSettings,
    pub(super) journal: Journal,
    pub(super) queue: Queue,
    pub(super) runs: Runs,
    /// Runs.
    pub(super) tasks: TaskTracker,
    /// What goes on beside them until the end.
    background: TaskTracker,
    /// Nothing new is begun.
    pub(super) closing: CancellationToken,
    /// What runs is cancelled.
    pub(super) cancelled: CancellationToken,
    /// All runs have ended.
    ended: CancellationToken,
    /// What is missing at the start was told.
    pub(super) surveyed: AtomicBool,
    /// Runs of the journal that a death tore.
    torn: Mutex<Vec<(RunId, OpenRun)>>,
    /// Applications that were taken away while a recovery is under way: what it saw of them is old.
    taken_away: Mutex<Option<BTreeSet<String>>>,
}

/// What becomes of a deploy: its reason if it failed, and what could not be undone.
pub(super) type Outcome = Result<Deployed, (DeployError, Vec<String>)>;

/// Why a run did not begin.
enum NoTurn {
    Cancelled,
    ShuttingDown,
}

impl Inner {
    /// One that has nothing under way, and writes its journal in the background.
    pub(super) fn new(settings: EngineSettings) -> Arc<Self> {
        let inner = Arc::new(Self {
            journal: Journal::new(settings.host.storage.clone()),
            settings,
            queue: Queue::default(),
            runs: Runs::default(),
            tasks: TaskTracker::new(),
            background: TaskTracker::new(),
            closing: CancellationToken::new(),
            cancelled: CancellationToken::new(),
            ended: CancellationToken::new(),
            surveyed: AtomicBool::default(),
            torn: Mutex::default(),
            taken_away: Mutex::default(),
        });
        let (journal, ended) = (inner.journal.clone(), inner.ended.clone());
        inner.background.spawn(async move { ended.run_until_cancelled(journal.write()).await }.boxed());
        inner
    }

    /// Starts nothing new, gives runs `grace` to end, then a bounded time for their undo; the journal is written then.
    pub(super) async fn shutdown(&self, grace: Duration) {
        self.closing.cancel();
        self.tasks.close();
        if timeout(grace, self.tasks.wait()).await.is_err() {
            self.cancelled.cancel();
            if timeout(limits::UNDO, self.tasks.wait()).await.is_err() {
                tracing::error!(runs = self.tasks.len(), "runs did not end in time: recovery finds what they leave");
            }
        }
        self.ended.cancel();
        self.background.close();
        self.background.wait().await;
        self.journal.flush().await;
    }

    async fn turn(&self, ticket: &Ticket, cancel: &Cancel) -> Result<(), NoTurn> {
        tokio::select! {
            biased;
            () = cancel.cancelled() => Err(NoTurn::Cancelled),
            () = self.closing.cancelled() => Err(NoTurn::ShuttingDown),
            () = ticket.turn() => Ok(()),
        }
    }

    /// Runs a deploy.
    pub(super) async fn deploy(self: &Arc<Self>, mut run: Run, ticket: Ticket, deadline: Duration) -> Outcome {
        let cancel = run.cancel.clone();
        let switched = cancel.within(deadline, self.until_switched(&mut run, &ticket)).await;
        if let Err((error, stuck)) = switched {
            let left: Vec<String> = stuck.iter().map(ToString::to_string).collect();
            run.progress.story.failed(chain(&error), &left);
            self.give_up(run, &stuck);
            return Err((error, left));
        }
        forward::go_on(&mut run).await;
        let Run { mut deployment, leftovers, mut progress, .. } = run;
        progress.story.completed(deployment.port, &leftovers);
        deployment.status = Status::Completed;
        deployment.completed_at = Some(Timestamp::now());
        Ok(Deployed { deployment, leftovers })
    }

    /// Waits for the turn and runs the steps; what of them could not be undone is told with the reason.
    async fn until_switched(&self, run: &mut Run, ticket: &Ticket) -> Result<(), (DeployError, Vec<Stuck>)> {
        let ahead = ticket.ahead();
        if ahead > 0 {
            run.progress.tell(DeployStep::Queued, waiting(ahead)).await;
        }
        match self.turn(ticket, &run.cancel).await {
            Ok(()) => {}
            Err(NoTurn::Cancelled) => return Err((run.cancel.error(), Vec::new())),
            Err(NoTurn::ShuttingDown) => return Err((DeployError::ShuttingDown, Vec::new())),
        }
        run.progress.state(RunState::Running);
        run.progress.story.started(Some(&run.deployment.image), run.deployment.origin.told().as_deref());
        let work = Work::Deploy { deployment: Box::new(run.deployment.clone()), rollback: run.rollback };
        run.journal.note(&Record::Begun { run: run.id, work });
        let steps = steps::of(run.deployment.strategy, run.deployment.origin.is_elsewhere());
        if let Err(Failed { error, stuck }) = saga::run(steps, run).await {
            return Err((error, stuck));
        }
        run.progress.state(RunState::Finishing);
        Ok(())
    }

    /// Ends a run that failed, unless something of it has still to be undone.
    pub(super) fn give_up(self: &Arc<Self>, run: Run, stuck: &[Stuck]) {
        if stuck.is_empty() {
            self.journal.settle(&Record::Ended { run: run.id });
        } else {
            super::stuck::keep(self, run, stuck);
        }
    }

    /// Keeps runs that a death tore until they are settled.
    pub(super) fn torn(&self, runs: Vec<(RunId, OpenRun)>) {
        self.torn.lock().unwrap_or_else(PoisonError::into_inner).extend(runs);
    }

    /// Takes all of them.
    pub(super) fn take_torn(&self) -> Vec<(RunId, OpenRun)> {
        std::mem::take(&mut *self.torn.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Notes, from now on or no more, what is taken away.
    pub(super) fn note_taken_away(&self, note: bool) {
        *self.taken_away.lock().unwrap_or_else(PoisonError::into_inner) = note.then(BTreeSet::new);
    }

    /// Whether the application was taken away meanwhile.
    pub(super) fn was_taken_away(&self, app_id: &str) -> bool {
        let noted = self.taken_away.lock().unwrap_or_else(PoisonError::into_inner);
        noted.as_ref().is_some_and(|noted| noted.contains(app_id))
    }

    /// Runs an undeploy.
    pub(super) async fn undeploy(
        self: &Arc<Self>,
        mut run: Undeploy,
        ticket: Ticket,
        cancel: Cancel,
    ) -> Result<(), UndeployError> {
        let ahead = ticket.ahead();
        if ahead > 0 {
            run.progress.tell(UndeployStep::Queued, waiting(ahead)).await;
        }
        match self.turn(&ticket, &cancel).await {
            Ok(()) => {
                let app_id = run.app_id().to_owned();
                run.run().await;
                // In its turn still.
                if let Some(noted) = self.taken_away.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
                    noted.insert(app_id);
                }
                Ok(())
            }
            Err(no_turn) => {
                let error = match no_turn {
                    NoTurn::Cancelled => UndeployError::Cancelled,
                    NoTurn::ShuttingDown => UndeployError::ShuttingDown,
                };
                run.progress.story.failed(chain(&error), &[]);
                Err(error)
            }
        }
    }

    /// Recovers until all engines have answered and nothing torn is left.
    pub(super) async fn recover_patiently(self: &Arc<Self>) {
        let (mut pause, longest) = limits::RECOVERY_PAUSES;
        loop {
            tokio::time::sleep(pause).await;
            if recover(self).await {
                break;
            }
            pause = (pause * 2).min(longest);
        }
    }
}

fn waiting(ahead: usize) -> String {
    match ahead {
        1 => "Waiting for the run before it".to_owned(),
        _ => format!("Waiting for {ahead} runs before it"),
    }
}

/// An error and its causes in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
