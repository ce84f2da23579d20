//! When a container counts as ready and why it does not, on the real Docker and the real Podman.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods, reason = "a test ends there")]

#[path = "support/engines.rs"]
mod engines;
#[path = "support/ports.rs"]
mod ports;

use std::process::Command;
use std::time::{Duration, Instant};

use engines::{KINDS, engine, shell, spec, unique};
use otturnaut::host::{ContainerSpec, Host, HostSettings, ProxySettings, RuntimeError, RuntimeKind, RuntimeTarget};
use otturnaut::watch::{Check, ExpectedStatus, NotReady, Readiness, wait_ready};
use ports::free_port;

/// An engine and an image of busybox as the shell, with something to serve.
struct Trial {
    kind: RuntimeKind,
    image: String,
    host: Host,
    _data: tempfile::TempDir,
}

impl Trial {
    fn new(kind: RuntimeKind) -> Self {
        let image = shell(kind, &[]);
        let proxy = ProxySettings {
            base_url: "http://127.0.0.1:1".to_owned(),
            http_port: 1,
            https_port: 2,
            disable_auto_https: true,
        };
        let data = tempfile::tempdir().unwrap();
        let (container_socket, data_dir) = ("/var/run/docker.sock".into(), data.path().to_owned());
        let settings = HostSettings {
            container_socket,
            data_dir,
            local_sources: vec![],
            caddy_routes_dir: None,
            proxy,
            user_manager: None,
            open_files: None,
        };
        let _installed = engine(kind);
        Self { kind, image, host: Host::real(settings).unwrap(), _data: data }
    }

    fn target(&self) -> RuntimeTarget {
        RuntimeTarget { kind: self.kind, socket: None }
    }

    /// Starts the shell with a script and waits until it is ready by what `check` makes of its name and port.
    async fn run(
        &self,
        script: &str,
        check: impl FnOnce(&Self, &str, u16) -> Check,
        change: impl FnOnce(Readiness) -> Readiness,
    ) -> (Result<String, NotReady>, Duration) {
        let (name, port) = (unique("health"), free_port());
        let command = ["/bin/sh", "-c", script].map(str::to_owned).into();
        engine(self.kind).start(&ContainerSpec { command, ..spec(&name, &self.image, port) }).await.unwrap();
        let readiness = change(Readiness {
            runtime: self.target(),
            container: name.clone(),
            checks: vec![check(self, &name, port)],
            interval: Duration::from_millis(200),
            within: Duration::from_secs(20),
            healthy_for: Duration::ZERO,
        });
        let begin = Instant::now();
        let outcome = wait_ready(&self.host, &readiness).await;
        let took = begin.elapsed();
        engine(self.kind).remove(&name).await.unwrap();
        (outcome, took)
    }
}

fn http(path: &str, expected: u16) -> impl FnOnce(&Trial, &str, u16) -> Check {
    let path = path.to_owned();
    move |_, _, port| Check::Http {
        url: format!("http://127.0.0.1:{port}{path}"),
        host: None,
        expected: ExpectedStatus(vec![expected..=expected]),
        timeout: Duration::from_secs(5),
    }
}

fn running(trial: &Trial, name: &str, _: u16) -> Check {
    Check::Running { runtime: trial.target(), name: name.to_owned() }
}

fn as_it_is(readiness: Readiness) -> Readiness {
    readiness
}

fn briefly(readiness: Readiness) -> Readiness {
    Readiness { within: Duration::from_secs(1), ..readiness }
}

#[tokio::test]
async fn an_exit_is_noticed_at_once_with_its_code_and_the_last_output() {
    for kind in KINDS {
        let trial = Trial::new(kind);
        let script = "echo starting; echo no database >&2; exec /bin/sh -c 'sleep 0.5; exit 7'";
        let (outcome, took) = trial.run(script, http("/", 200), as_it_is).await;
        let failed = outcome.unwrap_err();
        assert!(took < Duration::from_secs(10), "{kind}: {took:?}");
        assert_eq!(failed.why.exit_code, Some(7), "{kind}: {failed:?}");
        assert!(failed.to_string().contains("the container exited with code 7"), "{kind}: {failed}");
        for line in ["starting", "no database"] {
            assert!(failed.log.iter().any(|said| said == line), "{kind}: {:?}", failed.log);
        }
    }
}

#[tokio::test]
async fn a_signal_is_named() {
    for kind in KINDS {
        let trial = Trial::new(kind);
        // Not of the first process of a container, which signals of its own do not reach.
        let script = "sleep 0.3; /bin/sh -c 'kill -SEGV $$'; exit $?";
        let (outcome, _) = trial.run(script, http("/", 200), as_it_is).await;
        let text = outcome.unwrap_err().why.to_string();
        assert!(text.contains("139 (SIGSEGV, segmentation fault)"), "{kind}: {text}");
    }
}

#[tokio::test]
async fn a_wrong_answer_tells_its_status_and_what_it_said() {
    for kind in KINDS {
        let trial = Trial::new(kind);
        let serve = "exec /bin/busybox httpd -f -p 8080 -h /www";
        let (outcome, _) = trial.run(serve, http("/nothing", 200), briefly).await;
        let why = outcome.unwrap_err().why;
        let last = why.last.clone().unwrap_or_default();
        assert!(last.starts_with("answered 404, expected 200: ") && last.contains("Not Found"), "{kind}: {why}");
        assert!(why.probes > 2, "{kind}: {why:?}");
        trial.run(serve, http("/nothing", 404), as_it_is).await.0.unwrap();
    }
}

#[tokio::test]
async fn a_redirect_is_an_answer_that_tells_where_it_leads() {
    for kind in KINDS {
        let trial = Trial::new(kind);
        let serve = "/bin/busybox mkdir /www/old && exec /bin/busybox httpd -f -p 8080 -h /www";
        let last = trial.run(serve, http("/old", 200), briefly).await.0.unwrap_err().why.last.unwrap_or_default();
        assert!(
            last.starts_with("answered 302, expected 200, it leads to ") && last.ends_with("/old/"),
            "{kind}: {last}"
        );
    }
}

#[tokio::test]
async fn a_right_page_of_a_wrong_status_tells_its_first_bytes() {
    for kind in KINDS {
        let trial = Trial::new(kind);
        let serve = "echo still warming up > /www/page; exec /bin/busybox httpd -f -p 8080 -h /www";
        let last = trial.run(serve, http("/page", 204), briefly).await.0.unwrap_err().why.last;
        assert_eq!(last.as_deref(), Some("answered 200, expected 204: \"still warming up\""), "{kind}");
    }
}

#[tokio::test]
async fn a_command_in_the_container_decides() {
    let command = |line: &str| {
        let line = line.to_owned();
        move |trial: &Trial, name: &str, _: u16| Check::Command {
            runtime: trial.target(),
            name: name.to_owned(),
            command: vec!["/bin/sh".to_owned(), "-c".to_owned(), line],
            timeout: Duration::from_secs(1),
        }
    };
    for kind in KINDS {
        let trial = Trial::new(kind);
        let script = "sleep 1; echo > /ready; exec sleep 60";
        trial.run(script, command("test -e /ready"), as_it_is).await.0.unwrap();
        let failed = trial.run(script, command("echo not me; exit 4"), briefly).await.0.unwrap_err();
        let last = failed.why.last.unwrap_or_default();
        assert_eq!(last, "the command exited with code 4: not me", "{kind}");
        let failed = trial.run(script, command("sleep 60"), briefly).await.0.unwrap_err();
        assert_eq!(failed.why.last.unwrap_or_default(), "the command did not end within 1s", "{kind}");
    }
}

#[tokio::test]
async fn it_must_stay_well_for_as_long_as_is_asked() {
    for kind in KINDS {
        let trial = Trial::new(kind);
        let long = |readiness| Readiness { healthy_for: Duration::from_secs(2), ..readiness };
        let (outcome, took) = trial.run("exec sleep 60", running, long).await;
        outcome.unwrap();
        assert!(took >= Duration::from_secs(2), "{kind}: {took:?}");
        let failed = trial.run("exec sleep 1", running, long).await.0.unwrap_err();
        // On a busy machine the engine may have started it again before it tells of the exit.
        let restarted = failed.why.reason.contains("restarted by the engine");
        assert!(failed.why.exit_code == Some(0) || restarted, "{kind}: {failed:?}");
    }
}

#[tokio::test]
async fn one_bad_answer_begins_the_time_of_staying_well_anew() {
    let there = |trial: &Trial, name: &str, _: u16| Check::Command {
        runtime: trial.target(),
        name: name.to_owned(),
        command: ["/bin/sh", "-c", "test -e /ready"].map(str::to_owned).into(),
        timeout: Duration::from_secs(10),
    };
    for kind in KINDS {
        let trial = Trial::new(kind);
        let script = "echo > /ready; sleep 3; /bin/busybox rm /ready; sleep 3; echo > /ready; exec sleep 60";
        let long = |readiness| Readiness { healthy_for: Duration::from_secs(5), ..readiness };
        let (outcome, took) = trial.run(script, there, long).await;
        outcome.unwrap();
        assert!(took >= Duration::from_secs(7), "{kind}: {took:?}");
    }
}

#[tokio::test]
async fn an_image_without_a_health_check_of_its_own_says_so_at_once() {
    let own = |trial: &Trial, name: &str, _: u16| Check::Engine { runtime: trial.target(), name: name.to_owned() };
    for kind in KINDS {
        let trial = Trial::new(kind);
        let (outcome, took) = trial.run("exec sleep 60", own, as_it_is).await;
        let text = outcome.unwrap_err().why.to_string();
        assert!(text.starts_with("the image has no health check of its own"), "{kind}: {text}");
        assert!(took < Duration::from_secs(10), "{kind}: {took:?}");
    }
    // Podman's own checks are timers of systemd, which is not everywhere.
    let check = "HEALTHCHECK --interval=1s --retries=1 CMD test -e /ready || { echo not yet; exit 1; }";
    let image = shell(RuntimeKind::Docker, &["--change", check]);
    let trial = Trial { image, ..Trial::new(RuntimeKind::Docker) };
    trial.run("echo > /ready; exec sleep 60", own, as_it_is).await.0.unwrap();
    let patient = |readiness| Readiness { within: Duration::from_secs(4), ..readiness };
    let failed = trial.run("exec sleep 60", own, patient).await.0.unwrap_err();
    let last = failed.why.last.unwrap_or_default();
    assert_eq!(last, "the image's health check fails: not yet");
}

/// Only where this machine can bound a container's memory; it says so where it cannot.
#[tokio::test]
async fn want_of_memory_is_told() {
    let trial = Trial::new(RuntimeKind::Docker);
    let name = unique("memory");
    let script = "sleep 1; exec /bin/busybox dd if=/dev/zero of=/dev/null bs=256M count=1";
    let run = ["run", "--detach", "--memory", "16m", "--memory-swap", "16m", "--name", &name, &trial.image];
    let started = Command::new("docker").args(run).args(["/bin/sh", "-c", script]).output().unwrap();
    let warned = String::from_utf8_lossy(&started.stderr).contains("memory limit capabilities");
    assert!(started.status.success(), "{}", String::from_utf8_lossy(&started.stderr));
    let readiness = Readiness {
        runtime: trial.target(),
        container: name.clone(),
        checks: vec![running(&trial, &name, 0)],
        interval: Duration::from_millis(200),
        within: Duration::from_secs(20),
        healthy_for: Duration::from_secs(20),
    };
    let failed = wait_ready(&trial.host, &readiness).await.unwrap_err();
    let removed = engine(RuntimeKind::Docker).remove(&name).await;
    assert!(matches!(removed, Ok(()) | Err(RuntimeError::NotFound { .. })));
    if warned {
        eprintln!("this machine does not bound the memory of containers: an exit for want of it was not seen");
        return;
    }
    assert!(failed.why.out_of_memory, "{failed:?}");
    assert!(failed.why.to_string().contains("137 (killed: out of memory)"), "{failed}");
}
