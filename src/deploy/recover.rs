//! After a start: what a death tore is ended or undone, the state is rebuilt from journal, containers and routes, and what
//! nobody needs is removed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures::StreamExt;
use futures::future::join_all;
use futures::stream;

use super::execution::{Inner, chain};
use super::journal::{OpenRun, RunId};
use super::{found, settle};
use crate::apps::Labels;
use crate::host::{Container, Route, Runtime, RuntimeTarget};
use crate::limits;

/// One of the agent's containers.
pub(super) struct Ours {
    pub(super) target: RuntimeTarget,
    pub(super) runtime: Arc<dyn Runtime>,
    pub(super) container: Container,
    pub(super) labels: Labels,
}

/// What the machine shows.
#[derive(Default)]
pub(super) struct Survey {
    /// The agent's containers by application.
    pub(super) apps: BTreeMap<String, Vec<Ours>>,
    /// Whether all engines answered.
    pub(super) complete: bool,
    /// The routes by id, unless Caddy does not tell.
    pub(super) routes: Option<BTreeMap<String, Route>>,
}

/// Rebuilds from the engines that answer; whether all did, and nothing torn is left.
pub(super) async fn recover(engine: &Arc<Inner>) -> bool {
    let (torn, is_known) = match engine.journal.open().await {
        Ok(torn) => (torn, true),
        Err(error) => {
            tracing::error!(error = chain(&error), "the journal cannot be read: deploys fail until it can");
            (Vec::new(), false)
        }
    };
    engine.torn(torn);
    let settled = settle_torn(engine).await;
    engine.note_taken_away(true);
    let survey = survey(engine, &Labels::all()).await;
    // No engine at all is one that has not started yet.
    let complete = survey.complete && settled;
    let apps: BTreeSet<String> = survey.apps.keys().cloned().chain(engine.journal.apps()).collect();
    let survey = &survey;
    stream::iter(apps)
        .for_each_concurrent(limits::RECOVERIES, |app_id| async move {
            // In its turn, so that no deploy of the application is under way meanwhile.
            let Ok(ticket) = engine.queue.enter(&app_id) else { return };
            ticket.turn().await;
            if !engine.was_taken_away(&app_id) {
                found::recover_app(engine, &app_id, survey).await;
            }
        })
        .await;
    engine.note_taken_away(false);
    // What is needed stands in the journal: without it every release looks like nobody's.
    if complete && is_known {
        found::clear_documents(engine).await;
    }
    complete
}

/// Ends or undoes the runs that were torn; whether none is left.
async fn settle_torn(engine: &Arc<Inner>) -> bool {
    let mut by_app: BTreeMap<String, Vec<(RunId, OpenRun)>> = BTreeMap::new();
    for (run, open) in engine.take_torn() {
        by_app.entry(open.work.app_id().to_owned()).or_default().push((run, open));
    }
    let left: Vec<Vec<(RunId, OpenRun)>> = stream::iter(by_app)
        .map(|(app_id, torn)| async move {
            let Ok(ticket) = engine.queue.enter(&app_id) else { return torn };
            ticket.turn().await;
            let mut left = Vec::new();
            for (run, open) in torn {
                left.extend(settle::settle(engine, run, open).await);
            }
            left
        })
        .buffer_unordered(limits::RECOVERIES)
        .collect()
        .await;
    let left = left.concat();
    let none_left = left.is_empty();
    engine.torn(left);
    none_left
}

/// Asks all engines that are there and Caddy, each once and all at once.
pub(super) async fn survey(engine: &Inner, labels: &[String]) -> Survey {
    // Once: it is looked again and again until all answer.
    let said = engine.surveyed.swap(true, Ordering::Relaxed);
    let present = engine.settings.host.runtimes.present();
    let asked = present.into_iter().map(|(target, runtime)| async move {
        let listed = runtime.list(labels).await;
        (target, runtime, listed)
    });
    let (listed, routes) = tokio::join!(join_all(asked), routes(engine, said));
    let mut survey = Survey { complete: !listed.is_empty(), routes, ..Survey::default() };
    let mut others = 0;
    for (target, runtime, listed) in listed {
        match listed {
            Ok(listed) => others += survey.add(&engine.settings.outpost, (&target, &runtime), listed),
            Err(error) => {
                if !said {
                    tracing::warn!(engine = %target.kind, %error, "the engine does not answer yet");
                }
                survey.complete = false;
            }
        }
    }
    if others > 0 && !said {
        tracing::info!(count = others, "containers of other agents are left alone");
    }
    survey
}

impl Survey {
    /// Adds what an engine shows of this outpost; how many containers are other agents'. Several may share an engine, each
    /// with a name and a Caddy of its own.
    fn add(
        &mut self,
        outpost: &str,
        (target, runtime): (&RuntimeTarget, &Arc<dyn Runtime>),
        listed: Vec<Container>,
    ) -> usize {
        let mut others = 0;
        for container in listed {
            let Some(labels) = Labels::read(&container.labels) else { continue };
            if labels.outpost != outpost {
                others += 1;
                continue;
            }
            let of_app = self.apps.entry(labels.app_id.clone()).or_default();
            // Two names of one engine show the same container.
            if of_app.iter().all(|known| known.container.id != container.id) {
                of_app.push(Ours { target: target.clone(), runtime: Arc::clone(runtime), container, labels });
            }
        }
        others
    }
}

/// The routes by id, if Caddy tells.
async fn routes(engine: &Inner, said: bool) -> Option<BTreeMap<String, Route>> {
    let proxies = &engine.settings.host.proxies;
    match proxies.proxy(&proxies.defaults()).list_routes().await {
        Ok(routes) => Some(routes.into_iter().map(|route| (route.id.clone(), route)).collect()),
        Err(error) => {
            if !said {
                tracing::warn!(%error, "which routes there are is not known");
            }
            None
        }
    }
}
