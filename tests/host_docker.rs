//! Container engines: the same on the real Docker and the real Podman.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods, reason = "a test ends there")]

#[path = "support/ports.rs"]
mod ports;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use otturnaut::host::docker::Engines;
use otturnaut::host::{
    BuildImage, ContainerSpec, ContainerStatus, Publish, Restart, Runtime, RuntimeError, RuntimeKind, RuntimeTarget,
    Runtimes, install_crypto,
};
use ports::free_port;
use tokio::sync::mpsc;
use tokio::time::timeout;

const KINDS: [RuntimeKind; 2] = [RuntimeKind::Docker, RuntimeKind::Podman];

fn engine(kind: RuntimeKind) -> Arc<dyn Runtime> {
    at(kind, None)
}

fn at(kind: RuntimeKind, socket: Option<PathBuf>) -> Arc<dyn Runtime> {
    install_crypto();
    Engines::new("/var/run/docker.sock".into()).runtime(&RuntimeTarget { kind, socket })
}

fn unique(stem: &str) -> String {
    format!("otturnaut-it-{stem}-{:08x}", rand::random::<u32>())
}

/// A build context: busybox and a Dockerfile.
fn context(dockerfile: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy("/bin/busybox", dir.path().join("busybox")).expect("busybox is installed");
    std::fs::write(dir.path().join("Dockerfile"), dockerfile).unwrap();
    dir
}

async fn build(engine: &dyn Runtime, tag: &str, dockerfile: &str) -> Result<(), RuntimeError> {
    let dir = context(dockerfile);
    let build = BuildImage {
        context: dir.path().to_owned(),
        dockerfile: "Dockerfile".to_owned(),
        tag: tag.to_owned(),
        build_args: BTreeMap::from([("WORD".to_owned(), "given".to_owned())]),
    };
    engine.build_image(&build, None).await
}

fn spec(name: &str, image: &str, port: u16) -> ContainerSpec {
    ContainerSpec {
        name: name.to_owned(),
        image: image.to_owned(),
        publish: Some(Publish { container_port: 8080, port }),
        command: vec![],
        volumes: vec![],
        restart: Restart::UnlessStopped,
        env: BTreeMap::new(),
        labels: BTreeMap::from([("otturnaut.test".to_owned(), name.to_owned())]),
    }
}

const SLEEPER: &str = "FROM scratch\nCOPY busybox /bin/busybox\nARG WORD=none\nENV WORD=$WORD\nCMD [\"/bin/busybox\", \"sleep\", \"300\"]\n";

/// Removes an image, past the code under test.
fn remove_image(kind: RuntimeKind, tag: &str) {
    let program = if kind == RuntimeKind::Docker { "docker" } else { "podman" };
    Command::new(program).args(["rmi", "--force", tag]).output().unwrap();
}

#[tokio::test]
async fn a_container_lives_through_its_whole_life() {
    for kind in KINDS {
        let (engine, tag, name, port) = (engine(kind), unique("image"), unique("life"), free_port());
        assert!(!engine.version().await.expect("the engine answers").is_empty());
        build(&*engine, &tag, SLEEPER).await.unwrap();
        let id = engine.start(&spec(&name, &tag, port)).await.unwrap();
        let found = engine.inspect(&name).await.unwrap();
        assert_eq!((found.id, found.status, found.port), (id, ContainerStatus::Running, Some(port)), "{kind}");
        let listed = engine.list(&[format!("otturnaut.test={name}")]).await.unwrap();
        assert_eq!(listed.iter().map(|c| (c.name.as_str(), c.port)).collect::<Vec<_>>(), [(name.as_str(), Some(port))]);
        engine.stop(&name, Duration::from_secs(0)).await.unwrap();
        engine.stop(&name, Duration::from_secs(0)).await.unwrap();
        assert_eq!(engine.inspect(&name).await.unwrap().status, ContainerStatus::Stopped, "{kind}");
        engine.remove(&name).await.unwrap();
        for missing in [engine.remove(&name).await, engine.stop(&name, Duration::ZERO).await] {
            assert!(matches!(missing, Err(RuntimeError::NotFound { .. })), "{kind} {missing:?}");
        }
        remove_image(kind, &tag);
    }
}

#[tokio::test]
async fn a_start_that_fails_leaves_no_container_and_gives_the_engines_own_words() {
    for kind in KINDS {
        let (engine, tag, name) = (engine(kind), unique("image"), unique("broken"));
        build(&*engine, &tag, "FROM scratch\nCOPY busybox /bin/busybox\nCMD [\"/no/such/program\"]\n").await.unwrap();
        let failed = engine.start(&spec(&name, &tag, free_port())).await.unwrap_err();
        let RuntimeError::Http { body, .. } = &failed else { panic!("{kind} {failed:?}") };
        assert!(body.get("message").is_some_and(|message| message.to_string().contains("/no/such/program")), "{body}");
        assert!(matches!(engine.inspect(&name).await, Err(RuntimeError::NotFound { .. })), "{kind}");
        let missing = engine.start(&spec(&name, "otturnaut-it-nothing:none", free_port())).await.unwrap_err();
        assert!(matches!(missing, RuntimeError::Http { status: 404, .. }), "{kind} {missing:?}");
        remove_image(kind, &tag);
    }
}

#[tokio::test]
async fn a_build_tells_its_output_and_why_it_failed() {
    for kind in KINDS {
        let (engine, tag) = (engine(kind), unique("image"));
        let dir = context("FROM scratch\nCOPY missing /x\n");
        let build = BuildImage {
            context: dir.path().to_owned(),
            dockerfile: "Dockerfile".to_owned(),
            tag: tag.clone(),
            build_args: BTreeMap::new(),
        };
        let (lines, mut received) = mpsc::channel(64);
        let failed = engine.build_image(&build, Some(lines)).await.unwrap_err();
        assert!(
            matches!(&failed, RuntimeError::Build { reason, .. } if reason.contains("missing")),
            "{kind} {failed:?}"
        );
        let first = received.recv().await.expect("the build said something");
        let text = String::from_utf8_lossy(&first.first().unwrap().text).to_lowercase();
        assert!(text.starts_with("step 1/2"), "{kind} {text}");
    }
}

/// Podman 4.3 lets a step that runs go on to its end when its caller has left; Docker does not.
#[tokio::test]
async fn a_build_that_is_dropped_ends_on_docker() {
    let seconds = rand::random_range(40_000..49_999).to_string();
    let (engine, tag) = (engine(RuntimeKind::Docker), unique("image"));
    let dockerfile =
        format!("FROM scratch\nCOPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \"sleep\", \"{seconds}\"]\n");
    let pattern = format!("sleep {seconds}");
    let runs = || Command::new("pgrep").args(["-f", &pattern]).output().unwrap().status.success();
    let begun = async {
        while !runs() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::select! {
        built = build(&*engine, &tag, &dockerfile) => panic!("it must not end by itself: {built:?}"),
        begun = timeout(Duration::from_secs(60), begun) => begun.expect("the build begins"),
    }
    let ended = async {
        while runs() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(Duration::from_secs(20), ended).await.expect("the build ends with its caller");
}

#[tokio::test]
async fn archives_and_sockets_that_are_not_there_are_named_as_elixir_names_them() {
    for kind in KINDS {
        let missing = engine(kind).load_image("/nowhere/image.tar".as_ref()).await.unwrap_err();
        assert!(matches!(&missing, RuntimeError::File { reason, .. } if reason == "enoent"), "{missing:?}");
        let lost = at(kind, Some("/nowhere/engine.sock".into())).version().await.unwrap_err();
        assert!(matches!(&lost, RuntimeError::Transport { reason, .. } if reason == "enoent"), "{lost:?}");
        let dead = tempfile::tempdir().unwrap();
        let socket = dead.path().join("dead.sock");
        drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
        let refused = at(kind, Some(socket)).version().await.unwrap_err();
        assert!(matches!(&refused, RuntimeError::Transport { reason, .. } if reason == "econnrefused"), "{refused:?}");
    }
}
