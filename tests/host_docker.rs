//! Container engines: the same on the real Docker and the real Podman.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods, reason = "a test ends there")]

#[path = "support/engines.rs"]
mod engines;
#[path = "support/ports.rs"]
mod ports;

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use engines::{KINDS, ask, at, build, context, engine, remove_image, run, shell, spec, task, unique};
use otturnaut::host::{
    BuildImage, ContainerSpec, ContainerStatus, HealthState, Recipe, RuntimeError, RuntimeKind, Stream,
};
use ports::free_port;
use serde_json::{Value, json};
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
async fn a_container_tells_what_it_uses_while_it_runs() {
    for kind in KINDS {
        let (engine, tag, name) = (engine(kind), unique("image"), unique("usage"));
        build(&*engine, &tag, SLEEPER).await.unwrap();
        engine.start(&spec(&name, &tag, free_port())).await.unwrap();
        let used = engine.usage(&name).await.unwrap().expect("it runs");
        assert!(used.cpu > Duration::ZERO && used.memory > 0 && used.memory < used.memory_limit, "{kind} {used:?}");
        assert!(used.processes > 0, "{kind} {used:?}");
        engine.stop(&name, Duration::ZERO).await.unwrap();
        assert_eq!(engine.usage(&name).await.unwrap(), None, "{kind}");
        engine.remove(&name).await.unwrap();
        let missing = engine.usage(&name).await;
        assert!(matches!(missing, Err(RuntimeError::NotFound { .. })), "{kind} {missing:?}");
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
            recipe: Recipe::Dockerfile { path: "Dockerfile".to_owned() },
            tag: tag.clone(),
            build_args: BTreeMap::new(),
            secrets: [].into(),
            resources: otturnaut::host::Resources::default(),
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

#[tokio::test]
async fn names_of_images_are_given_as_they_are_asked_for_and_one_in_use_stays() {
    for kind in KINDS {
        let (engine, tag, name) = (engine(kind), unique("image"), unique("use"));
        build(&*engine, &tag, &format!("{SLEEPER}LABEL of={tag}\n")).await.unwrap();
        let (repository, kept) = (format!("otturnaut-it/{name}"), format!("otturnaut-it/{name}:one"));
        engine.tag_image(&tag, &repository, "one").await.unwrap();
        let mut tags = engine.image(&kept).await.unwrap().tags;
        tags.sort();
        assert_eq!(tags, [format!("{tag}:latest"), kept.clone()], "{kind}");
        engine.remove_image(&tag).await.unwrap();
        engine.start(&spec(&name, &kept, free_port())).await.unwrap();
        assert_eq!(engine.inspect(&name).await.unwrap().image, kept, "{kind}");
        let listed = engine.list(&[format!("otturnaut.test={name}")]).await.unwrap();
        assert_eq!(listed.iter().map(|c| c.image.as_str()).collect::<Vec<_>>(), [kept.as_str()], "{kind}");
        let refused = engine.remove_image(&kept).await;
        assert!(matches!(refused, Err(RuntimeError::Http { status: 409, .. })), "{kind} {refused:?}");
        engine.remove(&name).await.unwrap();
        engine.remove_image(&kept).await.unwrap();
        let missing = engine.tag_image(&kept, &repository, "two").await;
        assert!(matches!(missing, Err(RuntimeError::NotFound { .. })), "{kind} {missing:?}");
    }
}

#[tokio::test]
async fn a_command_that_runs_once_gives_its_code_and_its_last_lines_and_sees_its_volumes() {
    for kind in KINDS {
        let (engine, image, name) = (engine(kind), shell(kind, &[]), unique("task"));
        let kept = tempfile::tempdir().unwrap();
        let script = "echo one; echo two >&2; sleep 0.2; printf three > /kept/three; echo four; exit 5";
        let volumes = vec![format!("{}:/kept", kept.path().display())];
        engine.start(&ContainerSpec { volumes, ..task(&name, &image, script) }).await.unwrap();
        assert_eq!(timeout(Duration::from_secs(20), engine.wait(&name)).await.expect("it ends").unwrap(), 5, "{kind}");
        assert_eq!(engine.wait(&name).await.unwrap(), 5, "{kind}: at once where it does not run");
        let told = |lines: Vec<otturnaut::host::Line>| {
            let text = |line: otturnaut::host::Line| (line.stream, String::from_utf8(line.text.to_vec()).unwrap());
            lines.into_iter().map(text).collect::<Vec<_>>()
        };
        let all = told(engine.tail(&name, 10).await.unwrap());
        for said in [(Stream::Stdout, "one"), (Stream::Stderr, "two"), (Stream::Stdout, "four")] {
            assert!(all.contains(&(said.0, said.1.to_owned())), "{kind} {all:?}");
        }
        assert_eq!(told(engine.tail(&name, 1).await.unwrap()), [(Stream::Stdout, "four".to_owned())], "{kind}");
        assert_eq!(std::fs::read_to_string(kept.path().join("three")).unwrap(), "three", "{kind}");
        engine.remove(&name).await.unwrap();
        for missing in [engine.wait(&name).await.err(), engine.tail(&name, 1).await.err()] {
            assert!(matches!(missing, Some(RuntimeError::NotFound { .. })), "{kind} {missing:?}");
        }
    }
}

#[tokio::test]
async fn the_output_of_a_terminal_is_read_too() {
    for kind in KINDS {
        let (engine, image, name) = (engine(kind), shell(kind, &[]), unique("terminal"));
        let script = ["/bin/sh", "-c", "echo one; echo two >&2"];
        run(kind, &name, &json!({ "Image": image, "Tty": true, "Cmd": script })).await;
        engine.wait(&name).await.unwrap();
        let lines = engine.tail(&name, 10).await.unwrap();
        let lines: Vec<_> = lines.iter().map(|line| String::from_utf8_lossy(&line.text).into_owned()).collect();
        assert_eq!(lines, ["one", "two"], "{kind}");
        engine.remove(&name).await.unwrap();
    }
}

#[tokio::test]
async fn waiting_ends_with_an_exit_of_this_life_and_not_of_the_one_before() {
    for kind in KINDS {
        let (engine, image, name) = (engine(kind), shell(kind, &[]), unique("lives"));
        let long =
            ContainerSpec { restart: otturnaut::host::Restart::UnlessStopped, ..task(&name, &image, "sleep 60") };
        engine.start(&long).await.unwrap();
        engine.stop(&name, Duration::ZERO).await.unwrap();
        timeout(Duration::from_secs(5), engine.wait(&name)).await.expect("it does not run").unwrap();
        engine.start_again(&name).await.unwrap();
        let early = timeout(Duration::from_secs(2), engine.wait(&name)).await;
        assert!(early.is_err(), "{kind}: it runs: {early:?}");
        let kill = format!("/containers/{name}/kill");
        let (code, killed) = tokio::join!(
            timeout(Duration::from_secs(20), engine.wait(&name)),
            ask(kind, ("POST", &kill), &Value::Null),
        );
        assert_eq!((code.expect("it was killed").unwrap(), killed), (137, 204), "{kind}");
        engine.remove(&name).await.unwrap();
    }
}

#[tokio::test]
async fn an_exit_counts_though_the_engine_starts_the_container_again() {
    for kind in KINDS {
        let (engine, image, name) = (engine(kind), shell(kind, &[]), unique("restarts"));
        let script = "test -e /once && exec sleep 60; echo > /once; sleep 1; exit 3";
        let spec = ContainerSpec { restart: otturnaut::host::Restart::UnlessStopped, ..task(&name, &image, script) };
        engine.start(&spec).await.unwrap();
        assert_eq!(timeout(Duration::from_secs(20), engine.wait(&name)).await.expect("it exits").unwrap(), 3, "{kind}");
        let restarted = async {
            while engine.inspect(&name).await.unwrap().restart_count == 0 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(Duration::from_secs(20), restarted).await.expect("the engine starts it again");
        engine.remove(&name).await.unwrap();
    }
}

#[tokio::test]
async fn commands_run_inside_a_container_and_end_in_time_or_are_left() {
    for kind in KINDS {
        let (engine, image, name) = (engine(kind), shell(kind, &[]), unique("exec"));
        let exec = async |line: &str, limit| {
            let command = ["/bin/sh", "-c", line].map(str::to_owned);
            engine.exec(&name, &command, Duration::from_millis(limit)).await
        };
        let missing = exec("true", 5_000).await;
        assert!(matches!(missing, Err(RuntimeError::NotFound { .. })), "{kind} {missing:?}");
        engine.start(&task(&name, &image, "sleep 60")).await.unwrap();
        let ended = exec("echo one; echo two >&2; exit 3", 20_000).await.unwrap();
        let mut said: Vec<&str> = ended.output.lines().collect();
        said.sort_unstable();
        assert_eq!((ended.exit_code, said), (Some(3), vec!["one", "two"]), "{kind}");
        let long = exec("i=0; while test $i -lt 6000; do echo line $i; i=$((i+1)); done", 60_000).await.unwrap();
        assert!(long.output.ends_with("line 5999") && long.output.len() <= 17_000, "{kind} {}", long.output.len());
        let slow = exec("echo begun; sleep 60", 1_500).await.unwrap();
        assert_eq!((slow.exit_code, slow.output.as_str()), (None, "begun"), "{kind}");
        engine.stop(&name, Duration::ZERO).await.unwrap();
        let stopped = exec("true", 20_000).await;
        assert!(matches!(stopped, Err(RuntimeError::Http { .. })), "{kind} {stopped:?}");
        engine.remove(&name).await.unwrap();
    }
}

/// Podman's own checks are timers of systemd, which is not everywhere: there the check is run by hand.
#[tokio::test]
async fn what_a_health_check_of_the_engine_says_is_read() {
    for kind in KINDS {
        let (engine, image, name) = (engine(kind), shell(kind, &[]), unique("check"));
        let test = ["CMD-SHELL", "test -e /ready || { echo not yet; exit 1; }"];
        let check = json!({ "Test": test, "Interval": 1_000_000_000, "Timeout": 5_000_000_000_i64, "Retries": 1 });
        run(kind, &name, &json!({ "Image": image, "Cmd": ["/bin/sleep", "60"], "Healthcheck": check })).await;
        let becomes = async |wanted: HealthState| {
            while engine.inspect(&name).await.unwrap().health != Some(wanted.clone()) {
                if kind == RuntimeKind::Podman {
                    let path = format!("/v4.0.0/libpod/containers/{name}/healthcheck");
                    assert_eq!(ask(kind, ("GET", &path), &Value::Null).await, 200);
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let unhealthy = |end: &str| HealthState::Unhealthy(format!("not yet{end}"));
        let end = if kind == RuntimeKind::Docker { "\n" } else { "" };
        timeout(Duration::from_secs(20), becomes(unhealthy(end))).await.expect("it says why");
        engine
            .exec(&name, &["/bin/sh", "-c", "echo > /ready"].map(str::to_owned), Duration::from_secs(20))
            .await
            .unwrap();
        timeout(Duration::from_secs(20), becomes(HealthState::Healthy)).await.expect("it is well");
        engine.remove(&name).await.unwrap();
    }
}
