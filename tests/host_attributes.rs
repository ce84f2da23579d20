//! What a deployment asks of its container beside image and port: the same on the real Docker and the real Podman.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods, reason = "a test ends there")]

#[path = "support/engines.rs"]
mod engines;
#[path = "support/ports.rs"]
mod ports;

use std::time::Duration;

use engines::{KINDS, ask, engine, shell, spec, task, unique};
use otturnaut::host::{ContainerSpec, ContainerStatus, Resources, Restart, Runtime, RuntimeError, RuntimeKind};
use otturnaut::limits;
use ports::free_port;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

/// What a line of the shell says inside a container.
async fn said(engine: &dyn Runtime, name: &str, line: &str) -> String {
    let command = ["/bin/sh", "-c", line].map(str::to_owned);
    engine.exec(name, &command, Duration::from_secs(20)).await.unwrap().output
}

#[tokio::test]
async fn memory_processors_and_processes_are_bounded() {
    for kind in KINDS {
        let (engine, image, name) = (engine(kind), shell(kind, &[]), unique("bounds"));
        let resources = Resources { memory: Some(64 << 20), cpu_millis: Some(250), pids: Some(50) };
        engine.start(&ContainerSpec { resources, ..task(&name, &image, "sleep 60") }).await.unwrap();
        // The second of each is where the first version of control groups has it.
        let files = [
            ("memory.max", "memory/memory.limit_in_bytes", "67108864"),
            ("cpu.max", "cpu/cpu.cfs_quota_us", "25000"),
            ("pids.max", "pids/pids.max", "50"),
        ];
        for (file, older, wanted) in files {
            let line = format!("cd /sys/fs/cgroup; cat {file} 2>/dev/null || cat {older}");
            let told = said(&*engine, &name, &line).await;
            assert_eq!(told.split_whitespace().next(), Some(wanted), "{kind} {file}: {told}");
        }
        assert_eq!(engine.usage(&name).await.unwrap().unwrap().memory_limit, 64 << 20, "{kind}");
        engine.remove(&name).await.unwrap();
    }
}

#[tokio::test]
async fn it_joins_all_its_networks_and_is_reached_at_its_port() {
    for kind in KINDS {
        let (engine, image, name, port) = (engine(kind), shell(kind, &[]), unique("joined"), free_port());
        let networks = vec![unique("net"), unique("net")];
        for network in &networks {
            let made = ask(kind, ("POST", "/networks/create"), &json!({ "Name": network })).await;
            assert_eq!(made, 201, "{kind}");
        }
        let serve = "echo here > /index.html; exec httpd -f -p 8080";
        let command = ["/bin/sh", "-c", serve].map(str::to_owned).into();
        let joined = ContainerSpec { networks: networks.clone(), command, ..spec(&name, &image, port) };
        engine.start(&joined).await.unwrap();
        assert_eq!(said(&*engine, &name, "ls -d /sys/class/net/eth*").await.lines().count(), 2, "{kind}");
        let page = async {
            while reqwest::get(format!("http://127.0.0.1:{port}/")).await.is_err() {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(Duration::from_secs(20), page).await.expect("it answers at its port");
        engine.remove(&name).await.unwrap();
        for network in &networks {
            ask(kind, ("DELETE", &format!("/networks/{network}")), &Value::Null).await;
        }
    }
}

#[tokio::test]
async fn a_network_that_is_not_there_is_named_and_nothing_is_left() {
    for kind in KINDS {
        let (engine, image, made) = (engine(kind), shell(kind, &[]), unique("net"));
        ask(kind, ("POST", "/networks/create"), &json!({ "Name": made })).await;
        for networks in [vec!["otturnaut-it-none".to_owned()], vec![made.clone(), "otturnaut-it-none".to_owned()]] {
            let name = unique("alone");
            let lonely = ContainerSpec { networks, ..task(&name, &image, "sleep 60") };
            let failed = engine.start(&lonely).await.unwrap_err();
            assert!(failed.to_string().contains("otturnaut-it-none"), "{kind} {failed}");
            assert!(matches!(engine.inspect(&name).await, Err(RuntimeError::NotFound { .. })), "{kind}");
        }
        ask(kind, ("DELETE", &format!("/networks/{made}")), &Value::Null).await;
    }
}

#[tokio::test]
async fn what_ends_well_is_not_started_again_on_failure_and_what_ends_badly_is() {
    for kind in KINDS {
        let (engine, image) = (engine(kind), shell(kind, &[]));
        let (good, bad) = (unique("good"), unique("bad"));
        let restart = Restart::OnFailure;
        engine.start(&ContainerSpec { restart, ..task(&good, &image, "exit 0") }).await.unwrap();
        engine.start(&ContainerSpec { restart, ..task(&bad, &image, "exit 3") }).await.unwrap();
        let restarted = async {
            while engine.inspect(&bad).await.unwrap().restart_count == 0 {
                sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(Duration::from_secs(30), restarted).await.expect("it is started again");
        let ended = engine.inspect(&good).await.unwrap();
        assert_eq!(
            (ended.status, ended.exit_code, ended.restart_count),
            (ContainerStatus::Stopped, Some(0), 0),
            "{kind}"
        );
        for name in [good, bad] {
            engine.remove(&name).await.unwrap();
        }
    }
}

#[tokio::test]
async fn what_never_stays_is_given_up_after_so_many_restarts() {
    // Docker waits twice as long each time, two minutes in all.
    let kind = RuntimeKind::Podman;
    let (engine, image, name) = (engine(kind), shell(kind, &[]), unique("crashes"));
    let restart = Restart::OnFailure;
    engine.start(&ContainerSpec { restart, ..task(&name, &image, "exit 3") }).await.unwrap();
    let given_up = async {
        loop {
            let seen = engine.inspect(&name).await.unwrap();
            if seen.restart_count >= i64::from(limits::RESTARTS) && seen.status == ContainerStatus::Stopped {
                return seen;
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    let seen = timeout(Duration::from_secs(60), given_up).await.expect("it is given up");
    assert_eq!((seen.restart_count, seen.exit_code), (i64::from(limits::RESTARTS), Some(3)));
    engine.remove(&name).await.unwrap();
}

#[tokio::test]
async fn a_command_takes_the_place_of_the_images_own_and_labels_are_found() {
    for kind in KINDS {
        let (engine, image, name) = (engine(kind), shell(kind, &[]), unique("own"));
        let label = (format!("{name}.tier"), "web=1".to_owned());
        let labels = [label.clone()].into();
        let command = ["/bin/sh", "-c", "echo \"$0 $1\"; exec sleep 60", "a b", "$c"].map(str::to_owned).into();
        engine.start(&ContainerSpec { labels, command, ..task(&name, &image, "") }).await.unwrap();
        let listed = engine.list(&[format!("{}={}", label.0, label.1)]).await.unwrap();
        assert_eq!(listed.iter().map(|found| found.name.as_str()).collect::<Vec<_>>(), [name.as_str()], "{kind}");
        let line = async {
            loop {
                if let Some(line) = engine.tail(&name, 1).await.unwrap().pop() {
                    return line;
                }
                sleep(Duration::from_millis(20)).await;
            }
        };
        let line = timeout(Duration::from_secs(20), line).await.expect("it says something");
        assert_eq!(String::from_utf8_lossy(&line.text), "a b $c", "{kind}");
        engine.remove(&name).await.unwrap();
    }
}
