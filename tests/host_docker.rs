//! Container engines: the same on the real Docker and the real Podman.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods, reason = "a test ends there")]

#[path = "support/engines.rs"]
mod engines;
#[path = "support/ports.rs"]
mod ports;

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use engines::{KINDS, at, build, context, engine, remove_image, spec, unique};
use otturnaut::host::{BuildImage, ContainerStatus, RuntimeError, RuntimeKind};
use ports::free_port;
use tokio::sync::mpsc;
use tokio::time::timeout;

const SLEEPER: &str = "FROM scratch\nCOPY busybox /bin/busybox\nARG WORD=none\nENV WORD=$WORD\nCMD [\"/bin/busybox\", \"sleep\", \"300\"]\n";

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

#[tokio::test]
async fn an_image_is_named_found_and_gone_with_its_last_name() {
    for kind in KINDS {
        let (engine, tag, repository) = (engine(kind), unique("image"), unique("kept"));
        // Its own content: another test's image of the same would be the same.
        build(&*engine, &tag, &format!("{SLEEPER}LABEL of={tag}\n")).await.unwrap();
        let image = engine.image(&tag).await.unwrap();
        engine.tag_image(&image.id, &repository, "one").await.unwrap();
        assert_eq!(engine.image(&format!("{repository}:one")).await.unwrap().id, image.id, "{kind}");
        engine.remove_image(&tag).await.unwrap();
        assert_eq!(engine.image(&image.id).await.unwrap().id, image.id, "{kind}: it has a name yet");
        engine.remove_image(&format!("{repository}:one")).await.unwrap();
        for missing in [engine.remove_image(&tag).await.err(), engine.image(&image.id).await.err()] {
            assert!(matches!(missing, Some(RuntimeError::NotFound { .. })), "{kind} {missing:?}");
        }
    }
}

#[tokio::test]
async fn a_container_that_stopped_runs_again_with_its_port() {
    for kind in KINDS {
        let (engine, tag, name, port) = (engine(kind), unique("image"), unique("again"), free_port());
        build(&*engine, &tag, SLEEPER).await.unwrap();
        engine.start(&spec(&name, &tag, port)).await.unwrap();
        engine.start_again(&name).await.expect("one that runs is fine");
        engine.stop(&name, Duration::ZERO).await.unwrap();
        engine.start_again(&name).await.unwrap();
        let found = engine.inspect(&name).await.unwrap();
        assert_eq!((found.status, found.port), (ContainerStatus::Running, Some(port)), "{kind}");
        engine.remove(&name).await.unwrap();
        let gone = engine.start_again(&name).await;
        assert!(matches!(gone, Err(RuntimeError::NotFound { .. })), "{kind} {gone:?}");
        remove_image(kind, &tag);
    }
}
