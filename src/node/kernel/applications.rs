//! `appmon_info`: the tree of processes in observer's tab "Applications" (`runtime_tools`, `appmon_info`).
//!
//! A process here serves one observer. It is told by casts, `{From, app_ctrl | app, Aux, OnOff, Opts}`, what to look at,
//! and says `{delivery, Self, Task, Aux, Result}` when that changes. It ends with the observer, or when that leaves the tab.

use super::observer::{pid, tell};
use crate::limits;
use crate::node::processes::Seen;
use crate::node::{CallResult, Context, Inbox, Module, Raise, pair};
use crate::term::{Pid, Term, atom, charlist, list, tuple};

const MODULE: &str = "appmon_info";

pub(super) fn module() -> Module {
    Module::new(MODULE).immediate("start_link2", 3..=3, |context, args| {
        let starter = pid(args, 0)?;
        let others = context.node.0.processes.look_at_all();
        if others.iter().filter(|seen| seen.initial_call.0 == MODULE).count() >= limits::OBSERVERS {
            return Ok(pair(atom("error"), atom("system_limit")));
        }
        let (node, leader, caller) = (context.node.clone(), context.group_leader.clone(), context.caller.clone());
        let server = context.node.spawn((MODULE, "init", 1), move |this| {
            // What the observer sends as soon as it knows the pid is not lost.
            let inbox = node.open_inbox(&this);
            let gone = node.down(&this, &starter);
            let context = Context { node, this, caller, group_leader: leader };
            async move {
                tokio::select! {
                    () = serve(&context, &inbox) => {}
                    _ = gone => {}
                    () = context.node.closing() => {}
                }
                atom("normal")
            }
        });
        Ok(pair(Term::OK, Term::from(server)))
    })
}

/// What an observer looks at, and what it was told last.
struct Task {
    from: Pid,
    what: Term,
    of: Term,
    told: Option<Term>,
}

async fn serve(context: &Context, inbox: &Inbox) {
    let mut tasks: Vec<Task> = Vec::new();
    loop {
        tokio::select! {
            message = inbox.next() => {
                if let Some(asked) = cast(&message) && !take(&mut tasks, asked) {
                    return;
                }
            }
            () = tokio::time::sleep(limits::OBSERVER_TREE) => {}
        }
        for task in &mut tasks {
            deliver(context, task).await;
        }
    }
}

/// `{From, Task, Aux, OnOff, Opts}`.
fn cast(message: &Term) -> Option<(Task, bool)> {
    let [tag, request] = message.as_tuple()? else { return None };
    let [Term::Pid(from), what, of, on, _] = request.as_tuple()? else { return None };
    let task = Task { from: (**from).clone(), what: what.clone(), of: of.clone(), told: None };
    tag.is_atom("$gen_cast").then(|| (task, on.is_atom("true")))
}

/// Begins or ends a task; `false` when the list of applications is wanted no longer.
fn take(tasks: &mut Vec<Task>, (asked, on): (Task, bool)) -> bool {
    tasks.retain(|task| task.what != asked.what || task.of != asked.of || task.from != asked.from);
    let goes_on = on || !asked.what.is_atom("app_ctrl");
    if on && tasks.len() < limits::OBSERVER_TASKS {
        tasks.push(asked);
    }
    goes_on
}

async fn deliver(context: &Context, task: &mut Task) {
    let result = match task.what.as_atom() {
        Some("app_ctrl") => applications(context),
        Some("app") => tree(context, &task.of),
        _ => return,
    };
    let Ok(result) = result else { return };
    if task.told.as_ref() == Some(&result) {
        return;
    }
    let this = Term::from(context.this.clone());
    let message = tuple([atom("delivery"), this, task.what.clone(), task.of.clone(), result.clone()]);
    // What is sent to another node is never refused.
    tell(context, &task.from, message).await.unwrap_or(Term::NIL);
    task.told = Some(result);
}

/// `[{Master, Name, {Name, Description, Version}}]`; the master is the process that starts the servers.
fn applications(context: &Context) -> CallResult {
    let (name, version) = context.node.0.settings.application;
    let Some(master) = context.node.whereis(context.node.0.settings.supervisor) else { return Ok(list([])) };
    let described = tuple([atom(name), charlist(super::system::DESCRIPTION), charlist(version)]);
    Ok(list([tuple([Term::from(master), atom(name), described])]))
}

/// `{Root, [{Pid, Name}], [{Parent, Child}], []}`: the names of processes and who started whom.
fn tree(context: &Context, application: &Term) -> Result<Term, Raise> {
    let nothing = || tuple([list([]), list([]), list([]), list([])]);
    let root = context.node.0.settings.supervisor;
    if !application.is_atom(context.node.0.settings.application.0) {
        return Ok(nothing());
    }
    let is_root = |seen: &Seen| seen.name.as_ref().is_some_and(|name| name == root);
    let all = context.node.0.processes.look_at_all();
    let members: Vec<&Seen> = all.iter().filter(|seen| is_root(seen) || seen.supervisor.is_some()).collect();
    let processes = members.iter().map(|seen| pair(Term::from(seen.pid.clone()), label(seen)));
    let child = |seen: &&Seen| Some(pair(charlist(seen.supervisor?), label(seen)));
    let links = list(members.iter().filter_map(child));
    Ok(tuple([charlist(root), list(processes), links, list([])]))
}

/// The name of a process, or its pid as its own node writes it.
fn label(seen: &Seen) -> Term {
    match &seen.name {
        Some(name) => charlist(name.as_str()),
        None => charlist(&format!("<0.{}.{}>", seen.pid.id, seen.pid.serial)),
    }
}
