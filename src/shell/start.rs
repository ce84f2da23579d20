//! How a shell begins: what the clients of a remote shell call, and its conversation.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::complete::complete;
use super::group_leader::GroupLeader;
use super::session::{Outcome, Session};
use super::terminal::{Closed, Line, Terminal};
use crate::limits;
use crate::node::{CallResult, Context, Inbox, Module, Raise};
use crate::term::{Pid, Term, atom, charlist, list, tuple};

/// The modules by which `iex --remsh` and `erl -remsh` find a shell here (kernel, `user_drv`; Elixir, `IEx.CLI`).
pub fn modules() -> Vec<Module> {
    let shells = Shells::default();
    let start = |name: &'static str| {
        let shells = shells.clone();
        Module::new(name).immediate("start", 0..=2, move |context, args| start(name, (context, args), &shells))
    };
    let expand = Module::new("edlin_expand").immediate("expand", 1..=2, |context, args| Ok(expand(context, args)));
    vec![start("iex"), start("Elixir.IEx"), start("shell"), expand]
}

/// How many shells there are.
#[derive(Clone, Default)]
struct Shells(Arc<AtomicUsize>);

/// One of them, until it is dropped.
struct Place(Arc<AtomicUsize>);

impl Shells {
    fn take(&self) -> Option<Place> {
        let taken = self
            .0
            .try_update(Ordering::Relaxed, Ordering::Relaxed, |count| (count < limits::SHELLS).then_some(count + 1));
        taken.ok().map(|_| Place(self.0.clone()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// `iex:start(options, {module, function, [parent, reference]})`: gives the process that is the shell, at once.
fn start(name: &'static str, (context, args): (&Context, &[Term]), shells: &Shells) -> CallResult {
    let Some(leader) = context.group_leader.as_pid().cloned() else {
        return Err(Raise::argument("a shell wants the process of a terminal as its group leader"));
    };
    let (parent, place, context) = (args.get(1).and_then(parent), shells.take(), context.clone());
    let shell = context.node.clone().spawn((name, "start", 2), |this| async move {
        let context = Context { this, ..context };
        // A terminal that goes is an end like any other.
        serve(context, (leader, parent), place).await.unwrap_or_default();
        atom("normal")
    });
    Ok(shell.into())
}

/// A shell on the terminal of a client, if there is a place for one.
async fn serve(
    context: Context,
    (leader, parent): (Pid, Option<(Pid, Term)>),
    place: Option<Place>,
) -> Result<(), Closed> {
    let inbox = context.node.open_inbox(&context.this);
    if let Some((parent, reference)) = parent {
        take_terminal(&context, &inbox, (&parent, reference)).await?;
    }
    let (node, this) = (context.node.clone(), context.this.clone());
    let terminal = Arc::new(GroupLeader { node, this, leader, inbox: inbox.clone() });
    terminal.prepare().await?;
    if place.is_none() {
        return terminal.print(format!("there are {} shells on this node already\n", limits::SHELLS)).await;
    }
    converse(context, terminal, inbox).await
}

/// `{module, function, [parent, reference]}`: who gives the terminal away.
fn parent(callback: &Term) -> Option<(Pid, Term)> {
    match callback.as_tuple()?.get(2)?.as_list()? {
        [Term::Pid(parent), reference] => Some(((**parent).clone(), reference.clone())),
        _ => None,
    }
}

/// Tells the client that the shell is there, and waits until the terminal is the shell's.
async fn take_terminal(context: &Context, inbox: &Inbox, (parent, reference): (&Pid, Term)) -> Result<(), Closed> {
    let begin = tuple([atom("begin"), reference.clone(), context.this.clone().into()]);
    context.node.send(&context.this, parent, begin).await.map_err(|_| Closed)?;
    let done = tuple([atom("done"), reference]);
    let given = async { while inbox.next().await != done {} };
    context.node.while_alive(&context.this, parent, given).await.ok_or(Closed)
}

/// Reads lines and prints what comes of them, until the terminal has no more.
///
/// # Errors
/// The terminal is gone.
pub async fn converse(context: Context, terminal: Arc<dyn Terminal>, inbox: Inbox) -> Result<(), Closed> {
    let node = context.node.clone();
    terminal.print(format!("A shell of {}. h() helps, Tab completes.\n", node.name().as_str())).await?;
    let mut session = Session::new(context, terminal.clone(), inbox);
    loop {
        let line = tokio::select! {
            line = terminal.read(session.prompt()) => line?,
            () = node.closing() => return farewell(&*terminal).await,
        };
        let text = match line {
            Line::End => return Ok(()),
            Line::Interrupted => {
                session.forget();
                continue;
            }
            Line::Text(text) => text,
        };
        if !session.is_open() && leaves(&text) {
            match terminal.way_out() {
                None => return Ok(()),
                Some(way) => terminal.print(way.to_owned()).await?,
            }
            continue;
        }
        let outcome = tokio::select! {
            outcome = session.line(&text) => outcome,
            () = node.closing() => return farewell(&*terminal).await,
        };
        match outcome {
            Outcome::More | Outcome::Nothing => {}
            Outcome::Value(_, shown) => terminal.print(shown + "\n").await?,
            Outcome::Error(text) => terminal.print(text + "\n").await?,
        }
    }
}

async fn farewell(terminal: &dyn Terminal) -> Result<(), Closed> {
    terminal.print("\nthe agent ends\n".to_owned()).await
}

/// Whether a line is what people type who want to leave; within an expression it is a part of it.
pub fn leaves(line: &str) -> bool {
    matches!(line.trim(), "exit" | "exit()" | "quit" | "quit()" | "q()" | ":q")
}

/// `edlin_expand:expand(reversed line, options)`: what Tab asks for (stdlib, `edlin_expand`).
fn expand(context: &Context, args: &[Term]) -> Term {
    let reversed = args.first().and_then(Term::as_list).unwrap_or_default();
    let character = |code: &Term| match code {
        Term::Int(code) => u32::try_from(*code).ok().and_then(char::from_u32),
        _ => None,
    };
    let line: String = reversed.iter().rev().filter_map(character).collect();
    let completion = complete(&context.node, &line);
    let found = atom(if completion.insert.is_empty() && completion.candidates.len() != 1 { "no" } else { "yes" });
    let candidates = if completion.insert.is_empty() { completion.candidates } else { Vec::new() };
    tuple([found, charlist(&completion.insert), list(candidates.iter().map(|name| charlist(name)))])
}
