//! Undos that failed: kept on record, told, and tried again until they succeed.

use std::sync::Arc;

use futures::FutureExt;

use super::execution::Inner;
use super::journal::{Journal, OpenRun, Record, RunId, Work};
use super::run::Run;
use super::runs::{RunInfo, RunKind, RunState};
use super::saga::{self, Stuck};
use super::steps;
use crate::limits;

/// Puts on record what could not be undone, and tries again in the background.
pub(super) fn keep(engine: &Arc<Inner>, mut run: Run, stuck: &[Stuck]) {
    record(&engine.journal, run.id, stuck);
    // Whoever waited for it has been told.
    run.progress = run.progress.silent();
    let inner = Arc::clone(engine);
    engine.tasks.spawn(
        async move {
            let closing = inner.closing.clone();
            closing.run_until_cancelled(retry(&inner, run)).await;
        }
        .boxed(),
    );
}

/// All that is on record as stuck.
pub(super) fn list(journal: &Journal) -> Vec<RunInfo> {
    let stuck = journal.open_runs().into_iter().filter(|(_, open)| !open.stuck.is_empty());
    stuck.map(|(_, open)| info(&open)).collect()
}

async fn retry(engine: &Arc<Inner>, mut run: Run) {
    let (app_id, deployment_id) = (run.deployment.app_id.clone(), run.deployment.id.clone());
    let (mut pause, longest) = limits::STUCK_PAUSES;
    let mut told = Vec::new();
    loop {
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(longest);
        // In its turn, so that no deploy of the application is under way meanwhile.
        let Ok(ticket) = engine.queue.enter(&app_id) else { continue };
        ticket.turn().await;
        let stuck = saga::undo(steps::of(run.deployment.strategy, true), &mut run).await;
        if stuck.is_empty() {
            engine.journal.settle(&Record::Ended { run: run.id });
            tracing::info!(app_id, deployment_id, "what was stuck is undone");
            return;
        }
        record(&engine.journal, run.id, &stuck);
        if told != stuck {
            // Once for each reason: it is tried again and again.
            let stuck: Vec<String> = stuck.iter().map(ToString::to_string).collect();
            tracing::warn!(app_id, deployment_id, stuck = stuck.join(", "), "still stuck, it is tried again");
        }
        told = stuck;
    }
}

fn record(journal: &Journal, run: RunId, stuck: &[Stuck]) {
    let steps = stuck.iter().map(|stuck| (stuck.step.to_owned(), stuck.reason.clone())).collect();
    journal.settle(&Record::Stuck { run, steps });
}

fn info(open: &OpenRun) -> RunInfo {
    let (deployment_id, kind, since) = match &open.work {
        Work::Deploy { deployment, rollback } => {
            let kind = if *rollback { RunKind::Rollback } else { RunKind::Deploy };
            (Some(deployment.id.clone()), kind, deployment.started_at)
        }
        Work::Undeploy { .. } => (None, RunKind::Undeploy, None),
    };
    RunInfo {
        app_id: open.work.app_id().to_owned(),
        deployment_id,
        kind,
        state: RunState::Stuck,
        step: None,
        since,
        stuck: open.stuck.iter().map(|(step, reason)| format!("{step} could not be undone: {reason}")).collect(),
    }
}
