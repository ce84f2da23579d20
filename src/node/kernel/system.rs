//! `application`, `init`, `net_kernel`, `sys` and Elixir's `System`.

use super::{answer, badarg};
use crate::node::processes::ServerProcess;
use crate::node::{CallResult, Context, Module, Raise, call, pair};
use crate::term::{Inspect, Pid, Term, atom, binary, charlist, list, tuple};

/// What the application of this node does.
pub(super) const DESCRIPTION: &str = "deploys applications";

pub(super) fn application() -> Module {
    Module::new("application")
        .immediate("which_applications", 0..=1, |context, _| {
            let (name, version) = context.node.0.settings.application;
            Ok(list([tuple([atom(name), charlist(DESCRIPTION), charlist(version)])]))
        })
        // No application of this node has settings in Erlang's sense.
        .immediate("get_env", 2..=3, |_, args| Ok(args.get(2).cloned().unwrap_or(atom("undefined"))))
}

pub(super) fn init() -> Module {
    let stop = |context: &Context, _: &[Term]| {
        context.node.0.settings.stop.cancel();
        Ok(Term::OK)
    };
    let restart = move |context: &Context, args: &[Term]| {
        context.node.0.settings.again.cancel();
        stop(context, args)
    };
    Module::new("init").immediate("stop", 0..=1, stop).immediate("restart", 0..=1, restart)
}

pub(super) fn net_kernel() -> Module {
    Module::new("net_kernel")
        .immediate("get_net_ticktime", 0..=0, |context, _| answer(context.node.0.settings.tick_time.as_secs()))
}

pub(super) fn sys() -> Module {
    Module::new("sys")
        .immediate("get_state", 1..=2, |context, args| Ok(server(context, "get_state", args)?.1.server.state()))
        .immediate("get_status", 1..=2, |context, args| {
            let (pid, process) = server(context, "get_status", args)?;
            Ok(crate::node::sys::status(&context.node, &pid, &process))
        })
}

type Found = (Pid, std::sync::Arc<ServerProcess>);

fn server(context: &Context, function: &'static str, args: &[Term]) -> Result<Found, Raise> {
    let named = args.first().ok_or_else(badarg)?;
    let missing = || {
        let call = tuple([atom("sys"), atom(function), Term::List(args.to_vec())]);
        Raise::Exit(pair(atom("noproc"), call))
    };
    call::server_of(&context.node, named).ok_or_else(missing)
}

pub(super) fn elixir() -> Module {
    let version = |context: &Context, _: &[Term]| answer(binary(context.node.0.settings.application.1));
    Module::new("Elixir.System")
        .immediate("version", 0..=0, version)
        .immediate("otp_release", 0..=0, |_, _| answer(binary("27")))
        .immediate("system_time", 0..=1, |context, args| delegate(context, "system_time", args))
        .immediate("monotonic_time", 0..=1, |context, args| delegate(context, "monotonic_time", args))
        .immediate("stop", 0..=1, |context, args| {
            if let Some(status) = args.first() {
                // Any status ends the program; the exit code is that of an orderly end.
                tracing::info!("asked to end with {}", Inspect::short(status, 200));
            }
            context.node.0.settings.stop.cancel();
            Ok(Term::OK)
        })
        .immediate("get_env", 1..=2, |_, args| {
            // The environment holds the cookie and is not shown.
            args.first().and_then(Term::as_text).ok_or_else(badarg)?;
            Ok(args.get(1).cloned().unwrap_or(Term::NIL))
        })
        .immediate("os_time", 0..=1, |context, args| delegate(context, "system_time", args))
        .immediate("pid", 0..=0, |_, _| answer(binary(std::process::id().to_string())))
        .immediate("schedulers_online", 0..=0, |context, _| {
            let info = context.node.0.modules.lookup("erlang", "system_info", 1).ok_or_else(badarg)?;
            run(info, context, &[atom("schedulers_online")])
        })
}

/// The function of that name in `erlang`.
fn delegate(context: &Context, function: &'static str, args: &[Term]) -> CallResult {
    args.iter().try_for_each(|unit| match unit {
        Term::Int(_) | Term::Atom(_) => Ok(()),
        _ => Err(badarg()),
    })?;
    let body = context.node.0.modules.lookup("erlang", function, args.len()).ok_or_else(badarg)?;
    run(body, context, args)
}

fn run(body: &crate::node::Body, context: &Context, args: &[Term]) -> CallResult {
    match body {
        crate::node::Body::Immediate(body) => body(context, args),
        crate::node::Body::Waiting(_) => Err(badarg()),
    }
}
