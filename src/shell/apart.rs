//! Evaluation on a thread of its own.
//!
//! An expression is evaluated by futures that hold futures, as deep as it nests, and each of them takes stack: more than the
//! runtime's threads have. And what computes for long keeps none of those from their work.

use std::thread;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::limits;

/// Runs `work` to its end, or until whoever waits for it goes. Nothing if there is no thread to be had, or if it panicked.
pub(super) async fn apart<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Option<T> {
    let (mut tell, told) = oneshot::channel();
    let runtime = Handle::current();
    let run = async move {
        let value = tokio::select! {
            biased;
            () = tell.closed() => return,
            value = work => value,
        };
        // Whoever waited may have gone in this moment.
        drop(tell.send(value));
    };
    let thread = thread::Builder::new()
        .name("shell".to_owned())
        .stack_size(limits::SHELL_STACK)
        .spawn(move || runtime.block_on(run));
    thread.ok()?;
    told.await.ok()
}
