//! `Otturnaut.Build`: images from repositories.

use std::path::{Component, Path};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::args::{arg, error, ok, opts};
use super::command::Output;
use super::{Api, attributes, disk, errors, git, health_check, runtime};
use crate::build::{self, BuildError, BuildOptions, BuildProgress, BuildSource, BuildStep, GitError};
use crate::deploy;
use crate::elapsed;
use crate::host::{Recipe, RuntimeKind};
use crate::limits;
use crate::node::{CallResult, Context, Module, Raise};
use crate::secret::Secret;
use crate::term::read::{Fields, ReadError, Reader};
use crate::term::{Pid, Term, atom, binary, tuple};

/// How long a build may take if `timeout` does not say.
const TIMEOUT: Duration = Duration::from_secs(600);

const STEPS: [(BuildStep, &str); 4] = [
    (BuildStep::Cloning, "cloning"),
    (BuildStep::Building, "building"),
    (BuildStep::Complete, "complete"),
    (BuildStep::Cleanup, "cleanup"),
];

pub(super) fn module(api: &Arc<Api>) -> Module {
    let api = api.clone();
    Module::new("Elixir.Otturnaut.Build")
        .waiting("run", 2..=3, move |context, args| run(api.clone(), context, args))
        .immediate("image_tag", 2..=2, |_, args| {
            let [app_id, commit] = [arg(args, 0, "app_id").name()?, arg(args, 1, "commit").name()?];
            Ok(binary(build::image_tag(app_id, commit)))
        })
}

async fn run(api: Arc<Api>, context: Context, args: Vec<Term>) -> CallResult {
    let app_id = arg(&args, 0, "app_id").name()?;
    let source = source(&arg(&args, 1, "config"))?;
    let opts = opts(&args, 2)?;
    let options = options(&opts)?;
    tracing::info!(app_id, source = source.told(), "build began");
    let began = Instant::now();
    let built = match opts.read("subscriber", |pid| pid.pid())? {
        None => api.build.run(app_id, &source, &options, None).await,
        Some(subscriber) => {
            let (progress, received) = mpsc::channel(limits::PROGRESS_QUEUE);
            let run = api.build.run(app_id, &source, &options, Some(progress));
            let forward = forward(&context, &subscriber, received);
            tokio::join!(run, context.node.while_alive(&context.this, &subscriber, forward)).0
        }
    };
    let duration_ms = elapsed::millis(began.elapsed());
    match built {
        Ok(tag) => {
            tracing::info!(app_id, image = tag, duration_ms, "build completed");
            Ok(ok(binary(tag)))
        }
        Err(e) => {
            tracing::warn!(app_id, error = deploy::chain(&e), duration_ms, "build failed");
            failure(&e).map(error)
        }
    }
}

pub(super) fn source(config: &Reader<'_>) -> Result<BuildSource, ReadError> {
    let fields = config.fields()?;
    let text = |value: Reader<'_>| Ok(value.name()?.to_owned());
    Ok(BuildSource {
        repo_url: Secret::new(fields.required("repo_url")?.secret().name()?.to_owned()),
        git_ref: fields.read("ref", text)?.unwrap_or_else(|| "main".to_owned()),
        recipe: recipe(&fields)?,
        build_args: fields.read("build_args", |args| args.variables())?.unwrap_or_default(),
        build_secrets: fields.read("build_secrets", |secrets| attributes::build_secrets(&secrets))?.unwrap_or_default(),
        ssh_key: git::ssh_key(&fields)?,
        submodules: git::submodules(&fields)?,
        resources: fields.read("resources", |resources| attributes::resources(&resources))?.unwrap_or_default(),
    })
}

/// `dockerfile`, or `build_command` and `output`.
fn recipe(fields: &Fields<'_>) -> Result<Recipe, ReadError> {
    let path = |value: Reader<'_>| Ok(value.name()?.to_owned());
    let Some(command) = fields.given("build_command") else {
        if let Some(output) = fields.given("output") {
            return Err(output.refuse("nothing, or a build_command that leaves it"));
        }
        let path = fields.read("dockerfile", path)?;
        return Ok(Recipe::Dockerfile { path: path.unwrap_or_else(|| "Dockerfile".to_owned()) });
    };
    if let Some(dockerfile) = fields.given("dockerfile") {
        return Err(dockerfile.refuse("nothing beside a build_command"));
    }
    let words = health_check::command(&command)?;
    if words.iter().any(|word| word.contains('\0')) || words.first().is_none_or(String::is_empty) {
        return Err(command.secret().refuse("a list of strings, or a string for the shell"));
    }
    let output = fields.required("output")?;
    let within = |path: &Path| path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    match output.path() {
        Ok(path) if within(&path) => Ok(Recipe::Native { command: words, output: path }),
        _ => Err(output.refuse("a path within the repository")),
    }
}

fn options(opts: &Fields<'_>) -> Result<BuildOptions, ReadError> {
    let timeout = match opts.read("timeout", |timeout| timeout.timeout())? {
        Some(timeout) => timeout,
        None => Some(TIMEOUT),
    };
    let runtime_opts = opts.read("runtime_opts", |opts| opts.fields())?;
    let runtime = match opts.given("runtime") {
        Some(module) => runtime::target(&module, runtime_opts.as_ref())?,
        None => runtime::with_socket(RuntimeKind::Docker, runtime_opts.as_ref())?,
    };
    Ok(BuildOptions { timeout, runtime })
}

async fn forward(context: &Context, subscriber: &Pid, mut progress: mpsc::Receiver<BuildProgress>) {
    let (node, output) = (&context.node, Output::of(&context.this));
    while let Some(progress) = progress.recv().await {
        let sent = match progress {
            BuildProgress::Output(batch) => output.send(node, subscriber, &batch).await,
            BuildProgress::Step { step, message } => {
                let name = STEPS.iter().find(|(s, _)| *s == step).map_or("building", |(_, name)| name);
                let message = tuple([atom("build_progress"), atom(name), binary(message)]);
                node.send(&context.this, subscriber, message).await
            }
        };
        if sent.is_err() {
            return;
        }
    }
}

pub(super) fn failure(error: &BuildError) -> Result<Term, Raise> {
    Ok(match error {
        BuildError::AppId(invalid) => return Err(Raise::argument(invalid.to_string())),
        BuildError::Clone { source: GitError::Refused { what, value, why }, .. } => {
            return Err(git::refused(what, value, why));
        }
        BuildError::DiskLow(low) => disk::low(low),
        BuildError::Clone { source, .. } => tuple([atom("clone_failed"), git::reason(source)]),
        BuildError::Build { source, .. } => tuple([atom("build_failed"), errors::runtime(source)]),
        BuildError::Timeout { .. } => tuple([atom("build_failed"), atom("timeout")]),
    })
}
