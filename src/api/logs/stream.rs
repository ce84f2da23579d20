//! The process that streams one log.

use tokio::time::timeout;

use super::messages::{Form, Messages};
use super::reason;
use crate::api::args::error;
use crate::api::supervisor::Seat;
use crate::limits;
use crate::node::{Context, Node};
use crate::term::{Pid, atom};
use crate::watch::{LogError, LogStream};

/// How a stream ended.
enum End {
    /// There is no more.
    Over,
    Stopped,
    Failed(LogError),
    /// The agent ends.
    ShuttingDown,
    /// Nobody is left to tell.
    Gone,
}

/// Starts it. It ends with its log, when it is stopped, or with its subscriber.
pub(super) fn start(
    context: &Context,
    (seat, supervisor): (Seat, &'static str),
    (log, form, subscriber): (LogStream, Form, Pid),
) -> Pid {
    let node = context.node.clone();
    context.node.spawn_child(Some(supervisor), ("Elixir.Otturnaut.Logs.Stream", "run", 3), move |this| {
        seat.set(this.clone());
        // Before the caller hears of the stream.
        let ended = node.down(&this, &subscriber);
        async move {
            tokio::select! {
                biased;
                () = run(&node, &seat, (log, form), (this, subscriber)) => atom("normal"),
                _ = ended => atom("shutdown"),
            }
        }
    })
}

async fn run(node: &Node, seat: &Seat, (mut log, form): (LogStream, Form), (this, subscriber): (Pid, Pid)) {
    let messages = Messages::new(this.clone(), subscriber.clone(), form);
    let stop = seat.stop();
    let end = tokio::select! {
        biased;
        () = stop.cancelled() => End::Stopped,
        () = node.closing() => End::ShuttingDown,
        end = forward(node, &mut log, &messages) => end,
    };
    // The engine hears of it before anybody.
    drop(log);
    let done = match &end {
        End::Over => messages.done(atom("eof")),
        End::Stopped => messages.done(atom("stopped")),
        End::Failed(failed) => messages.done(error(reason(failed))),
        End::ShuttingDown => messages.done(error(atom("shutting_down"))),
        End::Gone => return,
    };
    let told = node.send(&this, &subscriber, done);
    if matches!(end, End::Stopped | End::ShuttingDown) {
        // Who reads slowly keeps nobody waiting.
        drop(timeout(limits::LOG_FAREWELL, told).await);
    } else {
        tokio::select! {
            _ = told => {}
            () = stop.cancelled() => {}
        }
    }
}

/// Sends lines as fast as they are taken.
async fn forward(node: &Node, log: &mut LogStream, messages: &Messages) -> End {
    loop {
        match log.next().await {
            Ok(Some(items)) => {
                let burst = messages.burst(&items);
                drop(items);
                if node.send_burst(burst).await.is_err() {
                    return End::Gone;
                }
            }
            Ok(None) => return End::Over,
            Err(failed) => return End::Failed(failed),
        }
    }
}
