//! `Otturnaut.Disk`: what takes room on this machine, whose it is, and what can go.

use std::collections::HashMap;
use std::sync::Arc;

use super::args::opts;
use super::{Api, deployment, errors, status};
use crate::apps::Labels;
use crate::deploy::Release;
use crate::host::{EngineSpace, KeptContainer, KeptImage, RuntimeKind};
use crate::node::{CallResult, Module};
use crate::term::{Term, atom, binary, list, map, tuple};

pub(super) fn module(api: &Arc<Api>) -> Module {
    let (for_usage, for_prune) = (api.clone(), api.clone());
    Module::new("Elixir.Otturnaut.Disk")
        .waiting("usage", 0..=0, move |_, _| {
            let api = for_usage.clone();
            async move { usage(&api).await }
        })
        .waiting("prune", 0..=1, move |_, args| {
            let api = for_prune.clone();
            async move {
                let dry_run = opts(&args, 0)?.read("dry_run", |flag| flag.boolean())?.unwrap_or(false);
                Ok(list(api.engine.prune(dry_run).await.iter().map(deployment::kept_item)))
            }
        })
}

async fn usage(api: &Api) -> CallResult {
    let own = api.host.files.own_sizes().await.unwrap_or_default();
    let own = own.into_iter().map(|(name, bytes)| (binary(name), Term::from(bytes)));
    let disks = api.host.machine.look().await.map(|look| look.disks).unwrap_or_default();
    let owners = Owners::of(api);
    let mut runtimes = Vec::new();
    for (target, runtime) in api.host.runtimes.present() {
        let told = match runtime.space().await {
            Ok(space) => engine(&space, (&owners, target.kind)),
            Err(error) => map([("error", errors::runtime(&error))]),
        };
        runtimes.push((atom(status::engine_name(target.kind)), told));
    }
    Ok(map([
        ("disks", Term::Map(disks.iter().map(status::disk).map(|(of, disk)| (atom(of), disk)).collect())),
        ("agent", Term::Map(own.collect())),
        ("runtimes", Term::Map(runtimes.into_iter().collect())),
    ]))
}

/// Which image is there for which application's releases.
struct Owners(HashMap<(RuntimeKind, String), String>);

impl Owners {
    fn of(api: &Api) -> Self {
        let apps = api.engine.apps();
        let releases = apps.iter().flat_map(|app| api.engine.releases(app));
        Self(releases.flat_map(|release| Self::names(&release)).collect())
    }

    fn names(release: &Release) -> Vec<((RuntimeKind, String), String)> {
        let deployment = &release.deployment;
        let name = |name: &str| ((deployment.runtime.kind, name.to_owned()), deployment.app_id.clone());
        vec![name(&deployment.image), name(&release.image_id)]
    }

    fn app(&self, (kind, image): (RuntimeKind, &KeptImage)) -> Option<&str> {
        let mut names = image.names.iter().chain([&image.id]);
        names.find_map(|name| self.0.get(&(kind, name.clone()))).map(String::as_str)
    }
}

fn engine(space: &EngineSpace, (owners, kind): (&Owners, RuntimeKind)) -> Term {
    let image = |one: &KeptImage| {
        let whose =
            whose(owners.app((kind, one)), "a release that is kept needs it", "no release of this outpost needs it");
        sized(
            [("id", binary(one.id.as_str())), ("names", texts(&one.names)), ("shared", Term::from(one.shared))],
            one.size,
            whose,
        )
    };
    let container = |one: &KeptContainer| {
        let app = Labels::read(&one.labels).map(|labels| labels.app_id);
        let whose = whose(app.as_deref(), "its labels say so", "it carries no labels of an outpost");
        sized([("name", binary(one.name.as_str()))], one.size, whose)
    };
    let volumes = space.volumes.iter().map(|volume| {
        let why = [("app_id", Term::NIL), ("why", binary("volumes are never removed by the agent"))];
        sized([("name", binary(volume.name.as_str()))], volume.size, why)
    });
    let sum = |sizes: &mut dyn Iterator<Item = u64>| Term::from(sizes.sum::<u64>());
    let images_total = sum(&mut space.images.iter().map(|image| image.size.saturating_sub(image.shared)));
    let totals = map([
        ("images", images_total),
        ("containers", sum(&mut space.containers.iter().map(|one| one.size))),
        ("volumes", sum(&mut space.volumes.iter().map(|one| one.size))),
        ("build_cache", Term::from(space.build_cache)),
    ]);
    map([
        ("images", list(space.images.iter().map(image))),
        ("containers", list(space.containers.iter().map(container))),
        ("volumes", list(volumes)),
        ("totals", totals),
    ])
}

fn whose(app: Option<&str>, own: &str, other: &str) -> [(&'static str, Term); 2] {
    [("app_id", Term::from(app)), ("why", binary(if app.is_some() { own } else { other }))]
}

fn sized<const N: usize>(about: [(&'static str, Term); N], size: u64, whose: [(&'static str, Term); 2]) -> Term {
    let all: Vec<_> = about.into_iter().chain([("size", Term::from(size))]).chain(whose).collect();
    Term::Map(all.into_iter().map(|(key, value)| (atom(key), value)).collect())
}

fn texts(texts: &[String]) -> Term {
    list(texts.iter().map(|text| binary(text.as_str())))
}

/// The same of a download, which learns late how much it is.
pub(super) fn no_room((path, free): (&std::path::Path, u64), needed: u64) -> Term {
    low(&crate::build::DiskLow { path: path.to_owned(), free, needed, reserve: 0 })
}

/// Why there is too little room, as Mission Control matches on it.
pub(super) fn low(low: &crate::build::DiskLow) -> Term {
    let figures = [
        ("path", binary(low.path.display().to_string())),
        ("free", Term::from(low.free)),
        ("needed", Term::from(low.needed)),
        ("reserve", Term::from(low.reserve)),
    ];
    tuple([atom("disk_low"), map(figures)])
}
