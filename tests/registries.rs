//! Pulls by the real Docker and the real Podman from a real registry: with and without its password, by digest, and where the
//! line is cut.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods, reason = "a test ends there")]

#[path = "support/engines.rs"]
mod engines;
#[path = "support/registry.rs"]
mod registry;

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use engines::{KINDS, context, engine, remove_image, shell, unique};
use otturnaut::host::{PullImage, RegistryAuth, RuntimeError, RuntimeKind, Transfer};
use otturnaut::secret::Secret;
use registry::{PASSWORD, Registry, registry_port};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;

fn image(reference: &str) -> PullImage {
    PullImage { reference: reference.to_owned(), auth: None }
}

fn with(reference: &str, password: &str) -> PullImage {
    let auth = RegistryAuth { username: "me".to_owned(), password: Secret::new(password.to_owned()) };
    PullImage { reference: reference.to_owned(), auth: Some(auth) }
}

#[tokio::test]
async fn an_image_is_pulled_by_tag_and_by_digest_with_the_password_where_one_is_asked_for() {
    let open = Registry::open();
    open.push(&shell(RuntimeKind::Docker, &[]), "shell:1");
    let locked = open.locked();
    for kind in KINDS {
        let engine = engine(kind);
        let (tag, secret) = (open.name("shell:1"), locked.name("shell:1"));
        let (progress, seen) = watch::channel(Transfer::default());
        engine.pull_image(&image(&tag), Some(progress)).await.unwrap();
        drop(seen);
        let found = engine.image(&tag).await.unwrap();
        let by_digest = found.digests.iter().find(|digest| digest.starts_with(&open.name("shell@sha256:")));
        let by_digest = by_digest.unwrap_or_else(|| panic!("{kind}: {found:?}")).clone();
        remove_image(kind, &tag);
        engine.pull_image(&image(&by_digest), None).await.unwrap();
        assert_eq!(engine.image(&by_digest).await.unwrap().id, found.id, "{kind}");
        for refused in [image(&secret), with(&secret, "wrong")] {
            let failed = engine.pull_image(&refused, None).await.unwrap_err();
            let RuntimeError::Http { body, .. } = &failed else { panic!("{kind}: {failed:?}") };
            let said = body.to_string().to_lowercase();
            assert!(
                said.contains("no basic auth") || said.contains("unauthorized") || said.contains("authentication"),
                "{kind}: {said}"
            );
            assert!(!format!("{failed:?}").contains("wrong"), "{kind}: {failed:?}");
        }
        engine.pull_image(&with(&secret, PASSWORD), None).await.unwrap();
        let missing = engine.pull_image(&image(&open.name("shell:none")), None).await.unwrap_err();
        assert!(format!("{missing:?}").contains("manifest"), "{kind}: {missing:?}");
        remove_image(kind, &by_digest);
        remove_image(kind, &secret);
    }
}

/// Puts an image there with a layer that no engine has.
fn push_fresh(registry: &Registry, name: &str) {
    let built = unique("image");
    let dir = context("FROM scratch\nCOPY random /\n");
    let random: Vec<u8> = (0..300_000).map(|_| rand::random()).collect();
    std::fs::write(dir.path().join("random"), random).unwrap();
    let docker = |args: &[&str]| assert!(Command::new("docker").args(args).output().unwrap().status.success());
    docker(&["build", "--quiet", "--tag", &built, dir.path().to_str().unwrap()]);
    registry.push(&built, name);
    docker(&["rmi", &built]);
}

/// Passes connections on to a registry until it has answered so many bytes, and cuts them then.
async fn cutting(registry: u16, most: usize) -> u16 {
    let port = registry_port();
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let left = Arc::new(AtomicUsize::new(most));
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let left = Arc::clone(&left);
            tokio::spawn(async move { pass(client, registry, &left).await });
        }
    });
    port
}

async fn pass(client: TcpStream, registry: u16, left: &AtomicUsize) -> Option<()> {
    let server = TcpStream::connect(("127.0.0.1", registry)).await.ok()?;
    let ((mut asks, mut hears), (mut answers, mut takes)) = (client.into_split(), server.into_split());
    let up = async { tokio::io::copy(&mut asks, &mut takes).await.ok() };
    let down = async {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            let read = answers.read(&mut buffer).await.ok().filter(|read| *read > 0)?;
            let before = left.load(Ordering::Relaxed);
            left.store(before.saturating_sub(read), Ordering::Relaxed);
            hears.write_all(buffer.get(..read.min(before)).filter(|piece| !piece.is_empty())?).await.ok()?;
        }
    };
    tokio::select! {
        _ = up => Some(()),
        end = down => end,
    }
}

#[tokio::test]
async fn where_a_registry_cuts_the_line_the_pull_fails_and_leaves_no_image() {
    let registry = Registry::open();
    let name = format!("shell-{}:1", unique("cut"));
    push_fresh(&registry, &name);
    for kind in KINDS {
        let engine = engine(kind);
        // The engines themselves try a few times more.
        let port = cutting(registry.port, 60_000).await;
        let cut = format!("127.0.0.1:{port}/{name}");
        let failed = engine.pull_image(&image(&cut), None).await.unwrap_err();
        let RuntimeError::Http { body, .. } = &failed else { panic!("{kind}: {failed:?}") };
        let said = body.to_string();
        assert!(said.contains("EOF") || said.contains("reset"), "{kind}: {said}");
        assert!(matches!(engine.image(&cut).await, Err(RuntimeError::NotFound { .. })), "{kind}");
        let program = if kind == RuntimeKind::Docker { "docker" } else { "podman" };
        let here = Command::new(program).args(["images", "--all", "--quiet", &cut]).output().unwrap();
        assert!(here.stdout.is_empty(), "{kind}");
        // The line whole, the same image comes.
        let whole = registry.name(&name);
        engine.pull_image(&image(&whole), None).await.unwrap();
        remove_image(kind, &whole);
    }
}

/// Passes connections on to an engine's socket, and cuts each when it has answered so many bytes: the engine is gone then.
fn dying(engine: &'static str, most: usize) -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("engine.sock");
    let listener = UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut server = UnixStream::connect(engine).await.unwrap();
            tokio::spawn(async move {
                let ((mut asks, mut hears), (answers, mut takes)) = (client.split(), server.split());
                let mut answers = answers.take(most as u64);
                tokio::select! {
                    _ = tokio::io::copy(&mut asks, &mut takes) => {}
                    _ = tokio::io::copy(&mut answers, &mut hears) => {}
                }
            });
        }
    });
    (dir, path)
}

#[tokio::test]
async fn where_the_engine_is_gone_in_the_middle_of_a_pull_or_a_load_that_is_told() {
    let registry = Registry::open();
    let name = format!("shell-{}:1", unique("gone"));
    push_fresh(&registry, &name);
    let archive = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(archive.path(), vec![0; 4 << 20]).unwrap();
    for (kind, socket) in
        [(RuntimeKind::Docker, "/var/run/docker.sock"), (RuntimeKind::Podman, "/run/podman/podman.sock")]
    {
        // In the head of its answer, and in its body.
        for most in [40, 400] {
            let (_dir, path) = dying(socket, most);
            let dying = engines::at(kind, Some(path.clone()));
            let pulled = dying.pull_image(&image(&registry.name(&name)), None).await.unwrap_err();
            let RuntimeError::Transport { socket, reason, .. } = &pulled else { panic!("{kind} {most}: {pulled:?}") };
            assert_eq!((socket, reason.as_str()), (&path, "closed"), "{kind} {most}");
        }
        let (_dir, path) = dying(socket, 0);
        let loaded = engines::at(kind, Some(path)).load_image(archive.path()).await.unwrap_err();
        assert!(matches!(&loaded, RuntimeError::Transport { .. }), "{kind}: {loaded:?}");
        remove_image(kind, &registry.name(&name));
    }
}
