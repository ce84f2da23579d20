//! `Otturnaut.Runtime.Docker`, `Otturnaut.Runtime.Podman` and `Otturnaut.Runtime.Systemd`: the same functions for all.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::mpsc;

use super::args::{arg, ok_or, ok_value_or, opts};
use super::attributes::{self, Attributes};
use super::command::forward;
use super::{Api, errors};
use crate::apps::Labels;
use crate::host::{
    BuildImage, Container, ContainerSpec, ContainerStatus, Publish, Recipe, Runtime, RuntimeError, RuntimeKind,
    RuntimeTarget,
};
use crate::limits;
use crate::node::{CallResult, Context, Module, Raise};
use crate::secret::Secret;
use crate::term::read::{Fields, ReadError, Reader};
use crate::term::{Term, atom, binary, list, map};

/// How long a container gets between SIGTERM and SIGKILL, as `docker stop` has it.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// The modules of the engines.
pub(super) const MODULES: [(&str, RuntimeKind); 3] = [
    ("Elixir.Otturnaut.Runtime.Docker", RuntimeKind::Docker),
    ("Elixir.Otturnaut.Runtime.Podman", RuntimeKind::Podman),
    ("Elixir.Otturnaut.Runtime.Systemd", RuntimeKind::Systemd),
];

type Body = fn(Arc<dyn Runtime>, Context, Vec<Term>) -> BoxFuture<'static, CallResult>;

/// Name, arguments without and with `opts`, what it does.
const FUNCTIONS: [(&str, usize, Body); 7] = [
    ("list_apps", 0, |runtime, _, _| Box::pin(list_apps(runtime))),
    ("stop", 1, |runtime, _, args| Box::pin(stop(runtime, args))),
    ("remove", 1, |runtime, _, args| Box::pin(remove(runtime, args))),
    ("status", 1, |runtime, _, args| Box::pin(status(runtime, args))),
    ("get_port", 1, |runtime, _, args| Box::pin(get_port(runtime, args))),
    ("load_image", 1, |runtime, _, args| Box::pin(load_image(runtime, args))),
    ("build_image", 2, |runtime, context, args| Box::pin(build_image(runtime, context, args))),
];

pub(super) fn module(api: &Arc<Api>, (name, kind): (&'static str, RuntimeKind)) -> Module {
    let mut module = Module::new(name);
    for (function, arity, body) in FUNCTIONS {
        let api = api.clone();
        module = module.waiting(function, arity..=arity + 1, move |context, args| {
            let runtime = opts(&args, arity).and_then(|opts| runtime(&api, kind, &opts));
            async move { body(runtime?, context, args).await }
        });
    }
    let api = api.clone();
    module.waiting("start", 1..=1, move |_, args| {
        let request = start_request(&api, kind, &arg(&args, 0, "opts"));
        async move {
            let (runtime, spec) = request?;
            ok_value_or(runtime.start(&spec).await, binary, |e| errors::runtime(&e))
        }
    })
}

/// The engine that a module's name and its options mean.
pub(super) fn target(runtime: &Reader<'_>, opts: Option<&Fields<'_>>) -> Result<RuntimeTarget, ReadError> {
    with_socket(runtime.choice(&MODULES)?, opts)
}

/// The module of an engine.
pub(super) fn module_name(kind: RuntimeKind) -> &'static str {
    MODULES.iter().find(|(_, of)| *of == kind).map_or("nil", |(module, _)| module)
}

/// The engine of that kind, at the socket of the options if they name one.
pub(super) fn with_socket(kind: RuntimeKind, opts: Option<&Fields<'_>>) -> Result<RuntimeTarget, ReadError> {
    let socket = opts.and_then(|opts| opts.given("socket"));
    if let Some(socket) = socket.as_ref().filter(|_| kind == RuntimeKind::Systemd) {
        return Err(socket.refuse("none: the system's own manager is the one that is spoken to"));
    }
    let socket = socket.map(|socket| socket.path()).transpose()?;
    Ok(RuntimeTarget { kind, socket })
}

fn runtime(api: &Api, kind: RuntimeKind, opts: &Fields<'_>) -> Result<Arc<dyn Runtime>, ReadError> {
    Ok(api.host.runtimes.runtime(&with_socket(kind, Some(opts))?))
}

fn name(args: &[Term]) -> Result<String, Raise> {
    Ok(arg(args, 0, "name").name()?.to_owned())
}

fn start_request(
    api: &Api,
    kind: RuntimeKind,
    request: &Reader<'_>,
) -> Result<(Arc<dyn Runtime>, ContainerSpec), ReadError> {
    let fields = request.fields()?;
    let env = fields.read("env", |env| env.variables())?.unwrap_or_default();
    let Attributes { command, volumes, networks, labels, restart, resources } = attributes::read(&fields)?;
    let spec = ContainerSpec {
        name: fields.required("name")?.name()?.to_owned(),
        image: fields.required("image")?.name()?.to_owned(),
        publish: Some(Publish {
            container_port: fields.required("container_port")?.port()?,
            port: fields.required("port")?.port()?,
        }),
        command,
        volumes,
        networks,
        labels,
        restart,
        resources,
        stop_timeout: fields.read("stop_timeout", |time| time.milliseconds())?,
        env: env.into_iter().map(|(key, value)| (key, Secret::new(value))).collect(),
    };
    Ok((runtime(api, kind, &fields)?, spec))
}

/// The containers of applications: those with the agent's label, and those that its forerunner named.
async fn list_apps(runtime: Arc<dyn Runtime>) -> CallResult {
    let encode = |containers: Vec<Container>| list(containers.iter().filter_map(app));
    ok_value_or(runtime.list(&[]).await, encode, |e| errors::runtime(&e))
}

fn app(container: &Container) -> Option<Term> {
    // Those of the agent's forerunner carry no labels; of its name only the first part is sure.
    let labelled = Labels::read(&container.labels).map(|labels| labels.app_id);
    let named = || Some(container.name.strip_prefix("otturnaut-")?.rsplit_once('-')?.0.to_owned());
    let id = labelled.or_else(named)?;
    Some(map([
        ("id", binary(id)),
        ("container_id", binary(container.id.as_str())),
        ("container_name", binary(container.name.as_str())),
        ("status", status_term(container.status)),
        ("image", binary(container.image.as_str())),
        ("port", Term::from(container.port)),
    ]))
}

fn status_term(status: ContainerStatus) -> Term {
    atom(match status {
        ContainerStatus::Running => "running",
        ContainerStatus::Stopped => "stopped",
        ContainerStatus::Unknown => "unknown",
    })
}

async fn stop(runtime: Arc<dyn Runtime>, args: Vec<Term>) -> CallResult {
    ok_or(runtime.stop(&name(&args)?, STOP_GRACE).await, |e| errors::runtime(&e))
}

async fn remove(runtime: Arc<dyn Runtime>, args: Vec<Term>) -> CallResult {
    ok_or(runtime.remove(&name(&args)?).await, |e| errors::runtime(&e))
}

async fn status(runtime: Arc<dyn Runtime>, args: Vec<Term>) -> CallResult {
    let status = match runtime.inspect(&name(&args)?).await {
        Err(RuntimeError::NotFound { .. }) => Ok(atom("not_found")),
        found => found.map(|container| status_term(container.status)),
    };
    ok_value_or(status, |status| status, |e| errors::runtime(&e))
}

async fn get_port(runtime: Arc<dyn Runtime>, args: Vec<Term>) -> CallResult {
    let name = name(&args)?;
    let container = runtime.inspect(&name).await;
    let port = container.and_then(|container| container.port.ok_or(RuntimeError::NoPort { name }));
    ok_value_or(port, Term::from, |e| errors::runtime(&e))
}

async fn load_image(runtime: Arc<dyn Runtime>, args: Vec<Term>) -> CallResult {
    let archive = arg(&args, 0, "tar_path").path()?;
    ok_value_or(runtime.load_image(&archive).await, binary, |e| errors::runtime(&e))
}

async fn build_image(runtime: Arc<dyn Runtime>, context: Context, args: Vec<Term>) -> CallResult {
    let opts = opts(&args, 2)?;
    let dockerfile = opts.read("dockerfile", |file| Ok(file.name()?.to_owned()))?;
    let build = BuildImage {
        context: arg(&args, 0, "dir").path()?,
        recipe: Recipe::Dockerfile { path: dockerfile.unwrap_or_else(|| "Dockerfile".to_owned()) },
        tag: arg(&args, 1, "tag").name()?.to_owned(),
        build_args: opts.read("build_args", |args| args.variables())?.unwrap_or_default(),
        secrets: opts.read("build_secrets", |secrets| attributes::build_secrets(&secrets))?.unwrap_or_default(),
        resources: opts.read("resources", |resources| attributes::resources(&resources))?.unwrap_or_default(),
    };
    let result = match opts.read("subscriber", |pid| pid.pid())? {
        None => runtime.build_image(&build, None).await,
        Some(subscriber) => {
            let (lines, received) = mpsc::channel(limits::OUTPUT_BATCHES);
            let build = runtime.build_image(&build, Some(lines));
            let forward = forward(&context.node, &context.this, &subscriber, received);
            tokio::join!(build, context.node.while_alive(&context.this, &subscriber, forward)).0
        }
    };
    ok_value_or(result, |()| binary(build.tag.as_str()), |e| errors::runtime(&e))
}
