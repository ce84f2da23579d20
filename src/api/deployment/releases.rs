//! Releases: `releases`, `rollback`, `prune`.

use std::sync::Arc;
use std::time::Duration;

use super::{execute, progress, structure};
use crate::api::args::{arg, error, opts};
use crate::api::{Api, attributes, errors, runtime};
use crate::deploy::{Content, Deployment, Item, ItemKind, Release, RollbackError, Status};
use crate::host::{Resources, Restart};
use crate::limits;
use crate::node::{CallResult, Context, Module};
use crate::term::elixir::date_time;
use crate::term::read::Reader;
use crate::term::{Term, atom, binary, keyword, list, map, tuple};

/// The functions of this file.
pub(super) fn add_to(module: Module, api: &Arc<Api>) -> Module {
    let (for_releases, for_rollback, for_prune) = (api.clone(), api.clone(), api.clone());
    module
        .immediate("releases", 1..=1, move |_, args| {
            let releases = for_releases.engine.releases(arg(args, 0, "app_id").name()?);
            let last = releases.len();
            let newest_first = releases.iter().enumerate().rev();
            Ok(list(newest_first.map(|(at, one)| release(one, at + 1 == last))))
        })
        .waiting("rollback", 1..=2, move |context, args| {
            let api = for_rollback.clone();
            async move { rollback(api, context, args).await }
        })
        .waiting("prune", 0..=1, move |_, args| {
            let api = for_prune.clone();
            async move {
                let dry_run = opts(&args, 0)?.read("dry_run", |flag| flag.boolean())?.unwrap_or(false);
                Ok(list(api.engine.prune(dry_run).await.iter().map(item)))
            }
        })
}

fn release(release: &Release, current: bool) -> Term {
    let deployment = &release.deployment;
    let status = if deployment.status == Status::RolledBack { "rolled_back" } else { "completed" };
    map([
        ("deployment_id", binary(deployment.id.as_str())),
        ("app_id", binary(deployment.app_id.as_str())),
        ("image", binary(deployment.image.as_str())),
        ("image_id", binary(release.image_id.as_str())),
        ("content", content(deployment.content.as_ref())),
        (
            "configuration",
            Some(&release.configuration).filter(|sum| !sum.is_empty()).map_or(Term::NIL, |sum| binary(sum.as_str())),
        ),
        ("container_port", Term::from(deployment.container_port)),
        ("domains", list(deployment.domains.iter().map(|domain| binary(domain.as_str())))),
        ("deployed_at", deployment.started_at.map_or(Term::NIL, date_time)),
        ("status", atom(status)),
        ("current", atom(if current { "true" } else { "false" })),
    ])
}

/// `{:commit | :digest | :sha256, text}`, or `nil`.
fn content(content: Option<&Content>) -> Term {
    let Some(content) = content else { return Term::NIL };
    let (kind, text) = match content {
        Content::Commit(text) => ("commit", text),
        Content::Digest(text) => ("digest", text),
        Content::Sha256(text) => ("sha256", text),
    };
    tuple([atom(kind), binary(text.as_str())])
}

async fn rollback(api: Arc<Api>, context: Context, args: Vec<Term>) -> CallResult {
    let app_id = arg(&args, 0, "app_id").name()?.to_owned();
    let asked = arg(&args, 1, "opts");
    let to = asked.fields()?.read("to", |id| Ok(id.name()?.to_owned()))?;
    let run = |progress| api.engine.rollback(&app_id, to.as_deref(), progress);
    match progress::told(&context, &asked, run).await? {
        Ok(outcome) => {
            let came = match &outcome {
                Ok(deployed) => whole(&deployed.deployment),
                Err(failure) => whole(&failure.deployment),
            };
            execute::outcome(&Reader::new("deployment", &came), outcome)
        }
        Err(refused) => Ok(error(reason(&refused))),
    }
}

fn reason(refused: &RollbackError) -> Term {
    match refused {
        RollbackError::NoRelease { .. } => atom("no_release"),
        RollbackError::UnknownRelease { .. } => atom("unknown_release"),
        RollbackError::Running { .. } => atom("already_running"),
        RollbackError::ImageGone { image, .. } => tuple([atom("image_gone"), binary(image.as_str())]),
        RollbackError::ConfigurationGone { .. } => atom("configuration_gone"),
        RollbackError::Engine { source, .. } => errors::runtime(source),
    }
}

/// The struct of a deployment that the agent itself began.
fn whole(deployment: &Deployment) -> Term {
    let env = deployment.env.iter().map(|(name, value)| (binary(name.as_str()), binary(value.expose().as_str())));
    let opts = deployment.runtime.socket.iter().map(|socket| ("socket", binary(socket.display().to_string())));
    let known = [
        ("id", binary(deployment.id.as_str())),
        ("app_id", binary(deployment.app_id.as_str())),
        ("image", binary(deployment.image.as_str())),
        ("container_port", Term::from(deployment.container_port)),
        ("env", Term::Map(env.collect())),
        ("domains", list(deployment.domains.iter().map(|domain| binary(domain.as_str())))),
        ("runtime", atom(runtime::module_name(deployment.runtime.kind))),
        ("runtime_opts", keyword(opts)),
    ];
    structure::with(known.into_iter().chain(given(deployment)))
}

/// Of the keys that are there only if they are given, those that are not what they are without: whoever deploys the struct
/// again gets the same version.
fn given(deployment: &Deployment) -> impl Iterator<Item = (&'static str, Term)> {
    let texts = |texts: &[String]| list(texts.iter().map(|text| binary(text.as_str())));
    let time = |time: &Duration| Term::from(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    let Deployment { volumes, release_command, keep_releases, drain_timeout, stop_timeout, .. } = deployment;
    let Deployment { command, networks, labels, restart, resources, .. } = deployment;
    let labelled =
        || Term::Map(labels.iter().map(|(name, value)| (binary(name.as_str()), binary(value.as_str()))).collect());
    let keys = [
        (!command.is_empty()).then(|| ("command", texts(command))),
        (!networks.is_empty()).then(|| ("networks", texts(networks))),
        (!labels.is_empty()).then(|| ("labels", labelled())),
        (*restart != Restart::default()).then(|| ("restart", attributes::restart_term(*restart))),
        (*resources != Resources::default()).then(|| ("resources", attributes::resources_term(*resources))),
        (!volumes.is_empty()).then(|| ("volumes", texts(volumes))),
        (!release_command.is_empty()).then(|| ("release_command", texts(release_command))),
        (*keep_releases != limits::KEPT_RELEASES).then(|| ("keep_releases", Term::from(*keep_releases))),
        (*drain_timeout != limits::DRAIN).then(|| ("drain_timeout", time(drain_timeout))),
        (*stop_timeout != limits::STOP_GRACE).then(|| ("stop_timeout", time(stop_timeout))),
    ];
    keys.into_iter().flatten()
}

pub(in crate::api) fn item(item: &Item) -> Term {
    let kind = match item.kind {
        ItemKind::Image => "image",
        ItemKind::Configuration => "configuration",
    };
    map([
        ("app_id", binary(item.app_id.as_str())),
        ("deployment_id", binary(item.deployment_id.as_str())),
        ("kind", atom(kind)),
        ("name", binary(item.name.as_str())),
        ("action", atom(if item.stays { "keep" } else { "remove" })),
        ("why", binary(item.why.as_str())),
    ])
}
