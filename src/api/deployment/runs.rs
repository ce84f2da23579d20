//! What is under way: `list`, `cancel`; and what a deploy would do: `plan`.

use std::sync::Arc;

use super::{Asked, execute, strategy};
use crate::api::Api;
use crate::api::args::{arg, ok, ok_or};
use crate::deploy::{CancelError, ExecuteOptions, Named, Plan, RunInfo, RunState};
use crate::node::{CallResult, Module, Raise};
use crate::term::elixir::date_time;
use crate::term::{Term, atom, binary, list, map};

/// The functions of this file.
pub(super) fn add_to(module: Module, api: &Arc<Api>) -> Module {
    let (for_list, for_cancel, for_plan) = (api.clone(), api.clone(), api.clone());
    module
        .immediate("list", 0..=0, move |_, _| Ok(list(for_list.engine.list().iter().map(run))))
        .waiting("cancel", 1..=1, move |_, args| {
            let api = for_cancel.clone();
            async move {
                let id = arg(&args, 0, "deployment_id").name()?.to_owned();
                ok_or(api.engine.cancel(&id).await, |error| match error {
                    CancelError::NotFound => atom("not_found"),
                    CancelError::TooLate => atom("too_late"),
                })
            }
        })
        .waiting("plan", 1..=3, move |_, args| {
            let api = for_plan.clone();
            async move {
                let strategy = args.get(1).map(|_| strategy::check(&arg(&args, 1, "strategy"))).transpose()?;
                plan(&api, (arg(&args, 0, "deployment"), arg(&args, 2, "opts")), strategy).await
            }
        })
}

/// A run as `list` shows it.
pub(in crate::api) fn run(run: &RunInfo) -> Term {
    let status = match run.state {
        RunState::Queued => "queued",
        RunState::Running => "running",
        RunState::Finishing => "finishing",
        RunState::Undoing => "undoing",
        RunState::Stuck => "stuck",
    };
    map([
        ("app_id", binary(run.app_id.as_str())),
        ("deployment_id", Term::from(run.deployment_id.as_deref())),
        ("kind", atom(run.kind.name())),
        ("status", atom(status)),
        ("step", run.step.map_or(Term::NIL, atom)),
        ("since", run.since.map_or(Term::NIL, date_time)),
        ("stuck", list(run.stuck.iter().map(|stuck| binary(stuck.as_str())))),
    ])
}

async fn plan(api: &Api, (came, opts): Asked<'_>, strategy: Option<crate::deploy::Strategy>) -> CallResult {
    let mut deployment = execute::read(&came)?;
    deployment.strategy = strategy.unwrap_or(deployment.strategy);
    let options: ExecuteOptions = execute::options(&came, &opts.fields()?)?;
    let plan = api.engine.plan(&deployment, &options).await.map_err(|e| Raise::argument(e.to_string()))?;
    Ok(ok(encode(&plan)))
}

fn encode(plan: &Plan) -> Term {
    let texts = |texts: &[String]| list(texts.iter().map(|text| binary(text.as_str())));
    let step = |step: &crate::deploy::PlannedStep| {
        map([("step", atom(step.step.name())), ("message", binary(step.what.as_str()))])
    };
    map([
        ("steps", list(plan.steps.iter().map(step))),
        ("downtime", atom(if plan.downtime { "true" } else { "false" })),
        ("warnings", texts(&plan.warnings)),
        ("differences", texts(&plan.differences)),
    ])
}
