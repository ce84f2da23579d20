//! A linear saga: steps in order, each with its undo beside it.
//!
//! ```text
//! step 1 -> step 2 -> step 3 fails: undo 3, undo 2, undo 1
//!                  -> all done: the point of no return, from which only forward
//! ```

use std::panic::AssertUnwindSafe;

use async_trait::async_trait;
use futures::FutureExt;
use tokio_util::sync::CancellationToken;

/// What a step does and how it is taken back. `C` is what the steps of a run share.
#[async_trait]
pub(super) trait Step<C: Send, E>: Send + Sync {
    /// Its name in logs.
    fn name(&self) -> &'static str;

    /// Does it. Where it waits long, it looks at the run's cancellation itself.
    async fn run(&self, run: &mut C) -> Result<(), E>;

    /// Takes back what `run` did. Also called for the step that failed, since an error may come after the effect (an
    /// answer that got lost): what was not done is success.
    async fn undo(&self, run: &mut C) -> Result<(), String>;
}

/// Why a step ended other than by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Broken {
    /// The run was cancelled.
    Cancelled,
    /// The step panicked.
    Panicked,
}

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

/// Runs `steps` in order. After a failure, or a cancellation between two steps, what was done is undone in reverse.
pub(super) async fn run<C: Send, E: From<Broken>>(
    steps: &[&dyn Step<C, E>],
    run: &mut C,
    cancel: &CancellationToken,
) -> Result<(), Failed<E>> {
    for (at, step) in steps.iter().enumerate() {
        let (begun, outcome) = if cancel.is_cancelled() {
            (at, Err(E::from(Broken::Cancelled)))
        } else {
            let outcome = AssertUnwindSafe(step.run(run)).catch_unwind().await;
            (at + 1, outcome.unwrap_or_else(|_| Err(E::from(Broken::Panicked))))
        };
        if let Err(error) = outcome {
            let stuck = undo(steps.get(..begun).unwrap_or_default(), run).await;
            return Err(Failed { error, stuck });
        }
    }
    Ok(())
}

async fn undo<C: Send, E>(steps: &[&dyn Step<C, E>], run: &mut C) -> Vec<Stuck> {
    let mut stuck = Vec::new();
    for step in steps.iter().rev() {
        let undone = AssertUnwindSafe(step.undo(run)).catch_unwind().await;
        if let Err(reason) = undone.unwrap_or_else(|_| Err("its undo panicked".to_owned())) {
            stuck.push(Stuck { step: step.name(), reason });
        }
    }
    stuck
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What happened to a step, in order.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Did {
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
        behaviour: Behaviour,
        undo_fails: bool,
        cancel: CancellationToken,
    }

    #[derive(Debug, PartialEq, Eq)]
    enum Error {
        Step(usize),
        Broken(Broken),
    }

    impl From<Broken> for Error {
        fn from(broken: Broken) -> Self {
            Self::Broken(broken)
        }
    }

    #[async_trait]
    impl Step<Vec<Did>, Error> for Scripted {
        fn name(&self) -> &'static str {
            "scripted"
        }

        async fn run(&self, log: &mut Vec<Did>) -> Result<(), Error> {
            log.push(Did::Run(self.at));
            match self.behaviour {
                Behaviour::Succeeds => Ok(()),
                Behaviour::Fails => Err(Error::Step(self.at)),
                Behaviour::Panics => panic!("step {} panics", self.at),
                Behaviour::Cancels => {
                    self.cancel.cancel();
                    Ok(())
                }
            }
        }

        async fn undo(&self, log: &mut Vec<Did>) -> Result<(), String> {
            log.push(Did::Undo(self.at));
            if self.undo_fails { Err(self.at.to_string()) } else { Ok(()) }
        }
    }

    /// Runs a saga of `length` steps of which number `at` behaves so; the undo of those in `stuck` fails.
    async fn play(
        length: usize,
        at: usize,
        behaviour: Behaviour,
        stuck: &[usize],
    ) -> (Vec<Did>, Result<(), Failed<Error>>) {
        let cancel = CancellationToken::new();
        let behaviour = |n| if n == at { behaviour } else { Behaviour::Succeeds };
        let script =
            |n| Scripted { at: n, behaviour: behaviour(n), undo_fails: stuck.contains(&n), cancel: cancel.clone() };
        let steps: Vec<Scripted> = (0..length).map(script).collect();
        let steps: Vec<&dyn Step<_, _>> = steps.iter().map(|s| s as _).collect();
        let mut log = Vec::new();
        let outcome = run(&steps, &mut log, &cancel).await;
        (log, outcome)
    }

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
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
            let (log, outcome) = block_on(play(length, at, behaviour, &stuck));
            let expected: Vec<Did> = (0..=at).map(Did::Run).chain((0..=at).rev().map(Did::Undo)).collect();
            prop_assert_eq!(log, expected);
            let failed = outcome.unwrap_err();
            prop_assert_eq!(failed.error, if panics { Error::Broken(Broken::Panicked) } else { Error::Step(at) });
            let reported: Vec<String> = failed.stuck.into_iter().map(|s| s.reason).collect();
            let expected: Vec<String> = (0..=at).rev().filter(|n| stuck.contains(n)).map(|n| n.to_string()).collect();
            prop_assert_eq!(reported, expected);
        }

        #[test]
        fn a_cancelled_run_undoes_what_was_done_unless_the_last_step_was_done(length in 1_usize..8, at in 0_usize..8) {
            let at = at % length;
            let (log, outcome) = block_on(play(length, at, Behaviour::Cancels, &[]));
            if at == length - 1 {
                prop_assert!(outcome.is_ok());
                prop_assert_eq!(log, (0..length).map(Did::Run).collect::<Vec<_>>());
            } else {
                prop_assert_eq!(outcome.unwrap_err().error, Error::Broken(Broken::Cancelled));
                let expected: Vec<Did> = (0..=at).map(Did::Run).chain((0..=at).rev().map(Did::Undo)).collect();
                prop_assert_eq!(log, expected);
            }
        }
    }
}
