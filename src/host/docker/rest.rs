//! Rests that are shorter than the timers of the runtime, which are a millisecond each.

use std::sync::LazyLock;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use tokio::sync::oneshot;

use crate::limits;

type Waiter = oneshot::Sender<()>;

/// A thread of its own that sleeps while somebody rests, and is parked otherwise.
static CLOCK: LazyLock<Option<SyncSender<Waiter>>> = LazyLock::new(|| {
    let (rest, waiters) = sync_channel(limits::LOG_STREAMS);
    let thread = std::thread::Builder::new().name("rests".to_owned()).stack_size(limits::REST_STACK_BYTES);
    thread.spawn(move || tick(&waiters)).ok().map(|_| rest)
});

fn tick(waiters: &Receiver<Waiter>) {
    while let Ok(first) = waiters.recv() {
        #[expect(clippy::disallowed_methods, reason = "it is a thread of its own")]
        std::thread::sleep(limits::LOG_REST);
        // Who has gone meanwhile is not missed.
        for waiter in std::iter::once(first).chain(waiters.try_iter()) {
            waiter.send(()).unwrap_or_default();
        }
    }
}

/// Rests for [`limits::LOG_REST`] at most; not at all where too many do.
pub(super) async fn rest() {
    let (tell, told) = oneshot::channel();
    if let Some(clock) = CLOCK.as_ref()
        && clock.try_send(tell).is_ok()
    {
        told.await.unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn many_rest_together() {
        futures::future::join_all((0..limits::LOG_STREAMS * 2).map(|_| rest())).await;
    }
}
