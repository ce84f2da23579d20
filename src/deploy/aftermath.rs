//! What comes after the undo of a torn deploy: the engine goes on with what the dead agent had asked it for.
//!
//! The run stays open until nothing of it can come any more, so that another death does not forget it.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::join_all;
use tokio::time::{sleep, timeout};

use super::execution::Inner;
use super::journal::{OpenRun, Record};
use super::run::{NewContainer, Place, Run};
use super::steps::remove_marked;
use crate::host::RuntimeError;
use crate::limits;

/// Whether a torn run may have left anything under way.
pub(super) fn is_due(open: &OpenRun) -> bool {
    open.undone || open.notes.task || open.notes.container == NewContainer::Asked || !open.notes.stopped.is_empty()
}

/// Waits for it in the background, and ends the run then.
pub(super) fn wait(engine: &Arc<Inner>, run: Run) {
    engine.journal.settle(&Record::Undone { run: run.id, notes: Box::new(run.notes.clone()) });
    let inner = Arc::clone(engine);
    engine.tasks.spawn(
        async move {
            let closing = inner.closing.clone();
            let aftermath = async {
                let restarts = join_all(run.notes.stopped.iter().map(|old| stay_up(&inner, &run, old)));
                tokio::join!(look_again(&run), restarts);
                inner.journal.settle(&Record::Ended { run: run.id });
            };
            closing.run_until_cancelled(aftermath).await;
        }
        .boxed(),
    );
}

/// Removes containers that the engine had not made yet when they were looked for before.
pub(super) async fn look(run: &Run) {
    for name in [run.container(), run.task_container()] {
        match remove_marked(run, &name).await {
            // Whoever looked at the engine meanwhile took it for one in use.
            Ok(port) => port.iter().for_each(|port| run.settings.ports.release(*port)),
            Err(error) => tracing::warn!(container = name, error, "whether a torn deploy made it late is not known"),
        }
    }
}

async fn look_again(run: &Run) {
    for pause in limits::LATE_LOOKS {
        sleep(pause).await;
        look(run).await;
    }
}

/// An old version that ran when it was to be started again, and that the engine was about to stop.
async fn stay_up(engine: &Inner, run: &Run, old: &Place) {
    let app_id = &run.deployment.app_id;
    let runtime = engine.settings.host.runtimes.runtime(&old.runtime);
    if !matches!(timeout(run.deployment.stop_timeout + limits::LATE_STOP, runtime.wait(&old.id)).await, Ok(Ok(_))) {
        // It stays up, or somebody took it away.
        return;
    }
    // In its turn: a later deploy may have stopped it, and removes it then.
    let Ok(ticket) = engine.queue.enter(app_id) else { return };
    ticket.turn().await;
    match runtime.start_again(&old.id).await {
        Ok(()) => tracing::info!(app_id, container = old.name, "a torn deploy had stopped it: it is started again"),
        Err(RuntimeError::NotFound { .. }) => {}
        Err(error) => tracing::warn!(app_id, container = old.name, %error, "it could not be started again"),
    }
}
