//! A linear saga: steps in order, each with its undo beside it, each recorded before it acts.
//!
//! ```text
//! step 1 -> step 2 -> step 3 fails: undo 3, undo 2, undo 1
//!                  -> all done: the point of no return, from which only forward
//! ```
//!
//! After a death the same undo runs from what was recorded.

use std::panic::AssertUnwindSafe;

use async_trait::async_trait;
use futures::FutureExt;

/// What the steps of a run share.
#[async_trait]
pub(super) trait Shared<E>: Send {
    /// Why the run is to end, if it is.
    fn broken_off(&self) -> Option<E>;

    /// Says that these steps are undone now, in this order.
    fn undoing(&mut self, _steps: Vec<&'static str>) {}

    /// Puts on record that the step of that name is about to act.
    async fn record(&mut self, step: &'static str) -> Result<(), E>;
}

/// What a step does and how it is taken back.
#[async_trait]
pub(super) trait Step<C: Send, E>: Send + Sync {
    /// Its name in logs and records.
    fn name(&self) -> &'static str;

    /// Looks at what it will do and notes it; touches nothing that would have to be undone.
    async fn prepare(&self, _run: &mut C) -> Result<(), E> {
        Ok(())
    }

    /// Does it. Where it waits long, it looks at the run's cancellation itself.
    async fn run(&self, run: &mut C) -> Result<(), E>;

    /// Takes back what `run` did. Also called for the step that failed, since an error may come after the effect (an
    /// answer that got lost), after a death with nothing but the notes, and again where it failed: what was not done, or
    /// is undone already, is success.
    async fn undo(&self, run: &mut C) -> Result<(), String>;
}

/// The steps of a saga.
pub(super) type Steps<'a, C, E> = [&'a dyn Step<C, E>];

/// The step panicked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Panicked;

/// A step could not be undone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{step} could not be undone: {reason}")]
pub(super) struct Stuck {
    /// The step.
    pub(super) step: &'static str,
    /// Why.
    pub(super) reason: String,
}

/// A saga that failed.
#[derive(Debug)]
pub(super) struct Failed<E> {
    /// Why.
    pub(super) error: E,
    /// What could not be undone; the undo of the other steps went on.
    pub(super) stuck: Vec<Stuck>,
}

/// Runs `steps` in order. After a failure, or a cancellation between two steps, what was begun is undone in reverse.
pub(super) async fn run<C: Shared<E>, E: From<Panicked> + Send>(
    steps: &Steps<'_, C, E>,
    run: &mut C,
) -> Result<(), Failed<E>> {
    for (at, step) in steps.iter().enumerate() {
        let (begun, outcome) = begin(*step, run).await;
        if let Err(error) = outcome {
            let begun = if begun { at + 1 } else { at };
            let begun = steps.get(..begun).unwrap_or_default();
            run.undoing(begun.iter().rev().map(|step| step.name()).collect());
            let stuck = undo(begun, run).await;
            return Err(Failed { error, stuck });
        }
    }
    Ok(())
}

/// Whether the step may have acted, and how it ended.
async fn begin<C: Shared<E>, E: From<Panicked> + Send>(step: &dyn Step<C, E>, run: &mut C) -> (bool, Result<(), E>) {
    let before = async {
        match run.broken_off() {
            Some(error) => return Err(error),
            None => step.prepare(run).await?,
        }
        run.record(step.name()).await
    };
    if let Err(error) = AssertUnwindSafe(before).catch_unwind().await.unwrap_or_else(|_| Err(E::from(Panicked))) {
        return (false, Err(error));
    }
    let outcome = AssertUnwindSafe(step.run(run)).catch_unwind().await;
    (true, outcome.unwrap_or_else(|_| Err(E::from(Panicked))))
}

/// Undoes `steps` in reverse; one that fails does not stop the others.
pub(super) async fn undo<C: Send, E>(steps: &Steps<'_, C, E>, run: &mut C) -> Vec<Stuck> {
    let mut stuck = Vec::new();
    for step in steps.iter().rev() {
        let undone = AssertUnwindSafe(step.undo(run)).catch_unwind().await;
        if let Err(reason) = undone.unwrap_or_else(|_| Err("its undo panicked".to_owned())) {
            stuck.push(Stuck { step: step.name(), reason });
        }
    }
    stuck
}

/// Those of `steps` up to the one of that name, which was begun last; all of them if none is called so.
pub(super) fn begun<'a, 'b, C: Send, E>(steps: &'a Steps<'b, C, E>, last: &str) -> &'a Steps<'b, C, E> {
    let at = steps.iter().position(|step| step.name() == last);
    steps.get(..at.map_or(steps.len(), |at| at + 1)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio_util::sync::CancellationToken;

    use super::*;

    /// What happened to a step, in order.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Did {
        Record(usize),
        Run(usize),
        Undo(usize),
    }

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Behaviour {
        Succeeds,
        Fails,
        Panics,
        /// Succeeds, and the run is cancelled meanwhile.
        Cancels,
    }

    struct Scripted {
        at: usize,
        name: &'static str,
        behaviour: Behaviour,
        undo_fails: bool,
    }

    #[derive(Default)]
    struct Log {
        did: Vec<Did>,
        cancel: CancellationToken,
        /// The step that cannot be recorded.
        unrecorded: Option<usize>,
    }

    const NAMES: [&str; 8] = ["0", "1", "2", "3", "4", "5", "6", "7"];

    #[async_trait]
    impl Shared<Error> for Log {
        fn broken_off(&self) -> Option<Error> {
            self.cancel.is_cancelled().then_some(Error::Cancelled)
        }

        async fn record(&mut self, step: &'static str) -> Result<(), Error> {
            let at = step.parse().unwrap();
            if self.unrecorded == Some(at) {
                return Err(Error::Unrecorded);
            }
            self.did.push(Did::Record(at));
            Ok(())
        }
    }

    #[derive(Debug, PartialEq, Eq)]
    enum Error {
        Step(usize),
        Panicked,
        Cancelled,
        Unrecorded,
    }

    impl From<Panicked> for Error {
        fn from(_: Panicked) -> Self {
            Self::Panicked
        }
    }

    #[async_trait]
    impl Step<Log, Error> for Scripted {
        fn name(&self) -> &'static str {
            self.name
        }

        async fn run(&self, log: &mut Log) -> Result<(), Error> {
            log.did.push(Did::Run(self.at));
            match self.behaviour {
                Behaviour::Succeeds => Ok(()),
                Behaviour::Fails => Err(Error::Step(self.at)),
                Behaviour::Panics => panic!("step {} panics", self.at),
                Behaviour::Cancels => {
                    log.cancel.cancel();
                    Ok(())
                }
            }
        }

        async fn undo(&self, log: &mut Log) -> Result<(), String> {
            log.did.push(Did::Undo(self.at));
            if self.undo_fails { Err(self.at.to_string()) } else { Ok(()) }
        }
    }

    fn script(length: usize, at: usize, behaviour: Behaviour, stuck: &[usize]) -> Vec<Scripted> {
        let behaviour = |n| if n == at { behaviour } else { Behaviour::Succeeds };
        let step = |n| Scripted { at: n, name: NAMES[n], behaviour: behaviour(n), undo_fails: stuck.contains(&n) };
        (0..length).map(step).collect()
    }

    fn steps(script: &[Scripted]) -> Vec<&dyn Step<Log, Error>> {
        script.iter().map(|step| step as _).collect()
    }

    /// Runs a saga of `length` steps of which number `at` behaves so; the undo of those in `stuck` fails.
    fn play(length: usize, at: usize, behaviour: Behaviour, stuck: &[usize]) -> (Vec<Did>, Result<(), Failed<Error>>) {
        let (script, mut log) = (script(length, at, behaviour, stuck), Log::default());
        let outcome = block_on(run(&steps(&script), &mut log));
        (log.did, outcome)
    }

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    /// What happens up to step `last`, and its undo.
    fn forth_and_back(last: usize) -> Vec<Did> {
        (0..=last).flat_map(|n| [Did::Record(n), Did::Run(n)]).chain((0..=last).rev().map(Did::Undo)).collect()
    }

    proptest! {
        #[test]
        fn a_failure_undoes_all_that_was_begun_in_reverse_and_runs_nothing_after(
            length in 1_usize..8,
            at in 0_usize..8,
            panics: bool,
            stuck in proptest::collection::vec(0_usize..8, 0..8),
        ) {
            let at = at % length;
            let behaviour = if panics { Behaviour::Panics } else { Behaviour::Fails };
            let (log, outcome) = play(length, at, behaviour, &stuck);
            prop_assert_eq!(log, forth_and_back(at));
            let failed = outcome.unwrap_err();
            prop_assert_eq!(failed.error, if panics { Error::Panicked } else { Error::Step(at) });
            let reported: Vec<String> = failed.stuck.into_iter().map(|s| s.reason).collect();
            let expected: Vec<String> = (0..=at).rev().filter(|n| stuck.contains(n)).map(|n| n.to_string()).collect();
            prop_assert_eq!(reported, expected);
        }

        #[test]
        fn a_cancelled_run_undoes_what_was_done_unless_the_last_step_was_done(length in 1_usize..8, at in 0_usize..8) {
            let at = at % length;
            let (log, outcome) = play(length, at, Behaviour::Cancels, &[]);
            if at == length - 1 {
                prop_assert!(outcome.is_ok());
            } else {
                prop_assert_eq!(outcome.unwrap_err().error, Error::Cancelled);
                prop_assert_eq!(log, forth_and_back(at));
            }
        }

        #[test]
        fn a_step_that_cannot_be_recorded_does_not_act(length in 1_usize..8, at in 0_usize..8) {
            let at = at % length;
            let script = script(length, length, Behaviour::Succeeds, &[]);
            let mut log = Log { unrecorded: Some(at), ..Log::default() };
            let outcome = block_on(run(&steps(&script), &mut log));
            prop_assert_eq!(outcome.unwrap_err().error, Error::Unrecorded);
            prop_assert_eq!(log.did, at.checked_sub(1).map_or(vec![], forth_and_back));
        }
    }

    #[test]
    fn what_was_begun_is_known_by_the_name_of_the_last() {
        let script = script(3, 3, Behaviour::Succeeds, &[]);
        let steps = steps(&script);
        for (last, count) in [("0", 1), ("2", 3), ("of another version", 3)] {
            assert_eq!(begun(&steps, last).len(), count, "{last}");
        }
    }
}
