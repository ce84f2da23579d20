//! A runner: the process that runs one command and streams its output.

use std::sync::Arc;

use futures::future::OptionFuture;
use tokio::sync::{mpsc, oneshot};

use super::{Request, result, too_many};
use crate::api::Api;
use crate::host::{Batch, CommandResult, Stream};
use crate::limits;
use crate::node::{Burst, Context, Gone, Node, Raise};
use crate::term::codec::Template;
use crate::term::{Pid, Term, atom, tuple};

/// A runner that was started for a call. Dropped before its result came, it ends the runner.
pub(super) struct Started {
    node: Node,
    runner: Pid,
    result: oneshot::Receiver<CommandResult>,
    attached: bool,
}

impl Started {
    /// The runner alone, which then goes on by itself.
    pub(super) fn detach(mut self) -> Pid {
        self.attached = false;
        self.runner.clone()
    }

    /// Waits for the result.
    pub(super) async fn result(mut self) -> Term {
        let result = (&mut self.result).await;
        self.attached = false;
        result.map_or_else(|_| result::crashed(), |result| result::encode(&result))
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        if self.attached {
            self.node.exit_own(&self.runner, atom("shutdown"));
        }
    }
}

pub(super) fn start(api: &Arc<Api>, context: &Context, request: Request) -> Result<Started, Raise> {
    let seat = api.runners.seat().ok_or_else(too_many)?;
    let (give, result) = oneshot::channel();
    let (node, api, supervisor) = (context.node.clone(), api.clone(), api.runners.name());
    let runner =
        context.node.spawn_child(Some(supervisor), ("Elixir.Otturnaut.Command.Runner", "run", 3), move |this| {
            seat.set(this.clone());
            // Before the caller hears of the runner.
            let watched = request.subscriber.as_ref().filter(|_| request.ends_with_subscriber);
            let ended = watched.map(|subscriber| node.down(&this, subscriber));
            async move {
                let _seat = seat;
                let result = tokio::select! {
                    biased;
                    result = run(&api, &node, &this, request) => result,
                    Some(_) = OptionFuture::from(ended) => return atom("shutdown"),
                };
                // A caller that is gone wants no result.
                give.send(result).unwrap_or_default();
                atom("normal")
            }
        });
    Ok(Started { node: context.node.clone(), runner, result, attached: true })
}

async fn run(api: &Api, node: &Node, this: &Pid, request: Request) -> CommandResult {
    let Request { command, subscriber, .. } = request;
    let Some(subscriber) = subscriber else { return api.host.processes.run(command, None).await };
    let (lines, received) = mpsc::channel(limits::OUTPUT_BATCHES);
    let run = api.host.processes.run(command, Some(lines));
    let forward = node.while_alive(this, &subscriber, forward(node, this, &subscriber, received));
    let (result, _) = tokio::join!(run, forward);
    let done = tuple([atom("command_done"), Term::from(this.clone()), result::encode(&result)]);
    // Nobody left to tell is no failure of the command.
    node.send(this, &subscriber, done).await.unwrap_or_default();
    result
}

/// Sends lines as they come, until there are no more or nobody is left to take them.
pub(in crate::api) async fn forward(node: &Node, this: &Pid, subscriber: &Pid, mut lines: mpsc::Receiver<Batch>) {
    let output = Output::of(this);
    while let Some(batch) = lines.recv().await {
        if output.send(node, subscriber, &batch).await.is_err() {
            return;
        }
    }
}

/// The messages of a process's output: `{:command_output, pid, {:stdout | :stderr, line}}`.
pub(in crate::api) struct Output<'a> {
    this: &'a Pid,
    stdout: Option<Template>,
    stderr: Option<Template>,
}

impl<'a> Output<'a> {
    pub(in crate::api) fn of(this: &'a Pid) -> Self {
        let template = |stream| {
            let message = |text| tuple([atom("command_output"), Term::from(this.clone()), tuple([atom(stream), text])]);
            // Atoms of this program and a pid can always be sent.
            Template::new(message).ok()
        };
        Self { this, stdout: template("stdout"), stderr: template("stderr") }
    }

    pub(in crate::api) async fn send(&self, node: &Node, subscriber: &Pid, batch: &Batch) -> Result<(), Gone> {
        let mut burst = Burst::new(self.this, subscriber);
        for line in batch {
            let template = match line.stream {
                Stream::Stdout => &self.stdout,
                Stream::Stderr => &self.stderr,
            };
            if let Some(template) = template {
                // Lines have a few KiB.
                burst.push_text(template, &line.text).unwrap_or_default();
            }
        }
        node.send_burst(burst).await
    }
}
