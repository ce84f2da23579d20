//! What every runtime does alike, on the one that `OTTURNAUT_TEST_RUNTIME` names: Docker, Podman with root and without, systemd.
//! What they alone have is in tests of their own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods, reason = "a test ends there")]

#[path = "support/deploying.rs"]
mod deploying;

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use deploying::{Ground, Place, answer, free_port};
use futures::StreamExt;
use otturnaut::deploy::generate_id;
use otturnaut::host::{
    ContainerSpec, ContainerStatus, EngineAction, LogQuery, Publish, Resources, Restart, Runtime, RuntimeError,
};
use otturnaut::secret::Secret;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

/// The repository of these tests' images.
const REPOSITORY: &str = "otturnaut-it-conforms";

/// How long something may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// A runtime, and names of this test's own on it.
struct Subject {
    runtime: Arc<dyn Runtime>,
    place: Place,
    data: TempDir,
}

impl Subject {
    fn new() -> Self {
        let data = Ground::here().dir();
        // Containers of another user reach what lies within.
        std::fs::set_permissions(data.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let mark = generate_id().to_lowercase().replace(['-', '_'], "x");
        let data_dir = data.path().join("agent");
        // No Caddy is asked for anything.
        let place = Place { data_dir, admin: 1, http: 1, https: 1, ports: 1..=1, mark };
        let host = place.host();
        Ground::here().make_image((REPOSITORY, &place.mark), &host);
        Self { runtime: host.runtimes.runtime(&Ground::here().target()), place, data }
    }

    fn image(&self) -> String {
        format!("{REPOSITORY}:{}", self.place.mark)
    }

    fn name(&self, stem: &str) -> String {
        format!("otturnaut-{stem}-{}", self.place.mark)
    }

    /// The image's own program, which answers at a port with `VERSION`.
    fn service(&self, name: &str, port: u16) -> ContainerSpec {
        ContainerSpec {
            name: name.to_owned(),
            image: self.image(),
            publish: Some(Publish { container_port: 8080, port }),
            labels: [("otturnaut.test".to_owned(), name.to_owned())].into(),
            env: [("VERSION".to_owned(), Secret::new("one".to_owned()))].into(),
            ..ContainerSpec::default()
        }
    }

    /// A line of the shell, once and without a port.
    fn task(&self, name: &str, script: &str) -> ContainerSpec {
        let command = ["/bin/sh", "-c", script].map(str::to_owned).into();
        ContainerSpec { publish: None, command, restart: Restart::No, ..self.service(name, 0) }
    }

    async fn lines(&self, name: &str, wanted: usize) -> Vec<String> {
        let until = Instant::now() + PATIENCE;
        loop {
            let lines = self.runtime.tail(name, 50).await.unwrap();
            if lines.len() >= wanted {
                return lines.iter().map(|line| String::from_utf8_lossy(&line.text).into_owned()).collect();
            }
            assert!(Instant::now() < until, "{lines:?}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    async fn until(&self, name: &str, what: &str, condition: impl Fn(&otturnaut::host::Container) -> bool) {
        let until = Instant::now() + PATIENCE;
        loop {
            let seen = self.runtime.inspect(name).await.unwrap();
            if condition(&seen) {
                return;
            }
            assert!(Instant::now() < until, "{what} did not come: {seen:?}");
            sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        for seen in Ground::here().containers(&self.place.mark, &self.place.data_dir) {
            Ground::here().remove(&seen.name);
        }
        Ground::here().remove_image(&self.image());
    }
}

#[expect(clippy::needless_pass_by_value, reason = "an answer is asked for once")]
fn is_absent<T>(answer: Result<T, RuntimeError>) -> bool {
    matches!(answer, Err(RuntimeError::NotFound { .. }))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_lives_through_its_whole_life() {
    let subject = Subject::new();
    let (runtime, name, port) = (&subject.runtime, subject.name("life"), free_port());
    let id = runtime.start(&subject.service(&name, port)).await.unwrap();
    let until = Instant::now() + PATIENCE;
    while !answer(([127, 0, 0, 1], port).into(), "x").is_ok_and(|answer| answer.ends_with("one\n")) {
        assert!(Instant::now() < until, "it does not answer");
        sleep(Duration::from_millis(20)).await;
    }
    let listed = runtime.list(&[format!("otturnaut.test={name}")]).await.unwrap();
    let [seen] = listed.as_slice() else { panic!("{listed:?}") };
    assert_eq!((seen.name.as_str(), seen.port, seen.runs()), (name.as_str(), Some(port), true));
    assert_eq!(runtime.list(&["otturnaut.test=nobody".to_owned()]).await.unwrap(), []);
    let inspected = runtime.inspect(&name).await.unwrap();
    assert_eq!((&inspected.id, inspected.port, inspected.status), (&id, Some(port), ContainerStatus::Running));
    assert_eq!(inspected.labels.get("otturnaut.test"), Some(&name));
    assert!(inspected.started_at.is_some() && inspected.image.contains(REPOSITORY), "{inspected:?}");
    assert_eq!(inspected.image_id, runtime.image(&subject.image()).await.unwrap().id);
    runtime.start(&subject.service(&name, free_port())).await.expect_err("its name is taken");
    assert!(runtime.inspect(&name).await.unwrap().runs(), "the first one goes on");

    runtime.stop(&name, Duration::from_secs(5)).await.unwrap();
    runtime.stop(&name, Duration::from_secs(5)).await.expect("it is stopped already");
    assert_eq!(runtime.inspect(&name).await.unwrap().status, ContainerStatus::Stopped);
    runtime.start_again(&name).await.unwrap();
    subject.until(&name, "its second life", |seen| seen.status == ContainerStatus::Running).await;
    runtime.remove(&name).await.unwrap();
    assert!(is_absent(runtime.inspect(&name).await) && is_absent(runtime.remove(&name).await));
    assert!(is_absent(runtime.stop(&name, Duration::ZERO).await) && is_absent(runtime.start_again(&name).await));
    assert!(is_absent(runtime.logs(&name, &LogQuery::default()).await.map(drop)));
    assert!(is_absent(runtime.exec(&name, &["true".to_owned()], PATIENCE).await));
    assert_eq!(runtime.list(&[format!("otturnaut.test={name}")]).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn words_and_variables_come_as_they_were_given() {
    let subject = Subject::new();
    let name = subject.name("words");
    let words = ["--name=%n", "$HOME ${HOME}", "a b", "\"q\" 'q'", "back\\slash", "ü 🦦", "#;{}`x`"];
    let mut task = subject.task(&name, "for word in \"$@\"; do echo \"$word\"; done; echo \"$ODD\"");
    task.command.extend(std::iter::once("sh").chain(words).map(str::to_owned));
    task.env = [("ODD".to_owned(), Secret::new("a\"b'c\\d$HOME `x` %n = #".to_owned()))].into();
    subject.runtime.start(&task).await.unwrap();
    assert_eq!(subject.runtime.wait(&name).await.unwrap(), 0);
    let said = subject.lines(&name, 8).await;
    assert_eq!(said, [&words[..], &["a\"b'c\\d$HOME `x` %n = #"]].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_is_told_with_its_code_and_one_that_is_deaf_is_killed_after_its_grace() {
    let subject = Subject::new();
    let runtime = &subject.runtime;
    let name = subject.name("exits");
    runtime.start(&subject.task(&name, "busybox sleep 0.2; exit 3")).await.unwrap();
    assert_eq!(runtime.wait(&name).await.unwrap(), 3);
    let seen = runtime.inspect(&name).await.unwrap();
    assert_eq!((seen.status, seen.exit_code), (ContainerStatus::Stopped, Some(3)));
    assert!(seen.finished_at >= seen.started_at && !seen.oom_killed, "{seen:?}");
    let name = subject.name("deaf");
    let deaf = "trap '' TERM; echo deaf; while :; do busybox sleep 0.2; done";
    runtime.start(&subject.task(&name, deaf)).await.unwrap();
    subject.lines(&name, 1).await;
    let began = Instant::now();
    runtime.stop(&name, Duration::from_secs(1)).await.unwrap();
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(900) && took < Duration::from_secs(10), "{took:?}");
    assert_eq!(runtime.inspect(&name).await.unwrap().exit_code, Some(137));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_is_started_again_and_what_runs_once_is_not() {
    let subject = Subject::new();
    let runtime = &subject.runtime;
    let (again, once) = (subject.name("again"), subject.name("once"));
    for (name, restart) in [(&again, Restart::UnlessStopped), (&once, Restart::No)] {
        let script = "echo began; busybox sleep 0.1; exit 1";
        runtime.start(&ContainerSpec { restart, ..subject.task(name, script) }).await.unwrap();
    }
    subject.until(&again, "a restart", |seen| seen.restart_count > 0).await;
    subject.lines(&again, 2).await;
    assert_eq!(runtime.wait(&once).await.unwrap(), 1);
    assert_eq!(subject.lines(&once, 1).await, ["began"]);
    runtime.stop(&again, Duration::from_secs(5)).await.unwrap();
    let lives = subject.lines(&again, 2).await.len();
    let next_life = timeout(Duration::from_secs(2), subject.lines(&again, lives + 1)).await;
    assert!(next_life.is_err(), "it stays stopped: {next_life:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_may_use_is_bounded_and_told_or_refused() {
    let subject = Subject::new();
    let (runtime, name) = (&subject.runtime, subject.name("bounds"));
    let resources = Resources { memory: Some(64 << 20), cpu_millis: Some(500), pids: Some(20) };
    let bounded = ContainerSpec { resources, ..subject.service(&name, free_port()) };
    if let Err(error) = runtime.start(&bounded).await {
        // Without root the first version of control groups has no bounds to give.
        assert!(Ground::here().is_unbounded() && error.to_string().contains("it bounds no memory"), "{error}");
        assert!(is_absent(runtime.inspect(&name).await), "nothing is left of it");
        return;
    }
    let used = runtime.usage(&name).await.unwrap().expect("it runs");
    assert_eq!(used.memory_limit, 64 << 20);
    assert!(used.memory > 0 && used.memory < 64 << 20 && (1..=20).contains(&used.processes), "{used:?}");
    runtime.stop(&name, Duration::from_secs(5)).await.unwrap();
    assert_eq!(runtime.usage(&name).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn its_output_is_read_and_followed_to_its_end() {
    let subject = Subject::new();
    let (runtime, name) = (&subject.runtime, subject.name("log"));
    let gate = subject.data.path().join("gate");
    std::fs::create_dir(&gate).unwrap();
    std::fs::set_permissions(&gate, std::fs::Permissions::from_mode(0o777)).unwrap();
    let script = "echo one; echo two; while [ ! -e /run/gate/go ]; do busybox sleep 0.05; done; echo three; echo seen > /run/gate/said";
    let task = ContainerSpec { volumes: vec![format!("{}:/run/gate", gate.display())], ..subject.task(&name, script) };
    runtime.start(&task).await.unwrap();
    subject.lines(&name, 2).await;
    let mut log = runtime.logs(&name, &LogQuery { follow: true, ..LogQuery::default() }).await.unwrap();
    let mut said = Vec::new();
    while let Some(entries) = timeout(PATIENCE, log.next()).await.expect("it goes on").unwrap() {
        said.extend(entries.into_iter().map(|entry| String::from_utf8_lossy(&entry.text).into_owned()));
        if said.len() == 2 {
            std::fs::write(gate.join("go"), "").unwrap();
        }
    }
    assert_eq!(said, ["one", "two", "three"]);
    assert_eq!(std::fs::read_to_string(gate.join("said")).unwrap(), "seen\n", "the volume is this machine's directory");
    assert_eq!(runtime.tail(&name, 1).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_runs_beside_it_with_its_environment_and_a_limit() {
    let subject = Subject::new();
    let (runtime, name) = (&subject.runtime, subject.name("exec"));
    runtime.start(&subject.service(&name, free_port())).await.unwrap();
    let command = ["/bin/sh", "-c", "echo $VERSION $0; exit 4", "$HOME"].map(str::to_owned);
    let ended = runtime.exec(&name, &command, PATIENCE).await.unwrap();
    assert_eq!((ended.exit_code, ended.output.trim()), (Some(4), "one $HOME"));
    let endless = ["/bin/sh", "-c", "busybox sleep 60"].map(str::to_owned);
    let ended = runtime.exec(&name, &endless, Duration::from_millis(300)).await.unwrap();
    assert_eq!(ended.exit_code, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn starts_ends_and_removals_are_told_as_they_happen() {
    let subject = Subject::new();
    let (runtime, name) = (&subject.runtime, subject.name("told"));
    let mut events = runtime.events(&[format!("otturnaut.test={name}")]).await.unwrap();
    let mut told = async |wanted: fn(&EngineAction) -> bool| loop {
        let event = timeout(PATIENCE, events.next()).await.expect("it is told").unwrap().unwrap();
        assert_eq!(event.name, name);
        if wanted(&event.action) {
            return;
        }
    };
    runtime.start(&subject.task(&name, "busybox sleep 0.5; exit 3")).await.unwrap();
    told(|action| *action == EngineAction::Started).await;
    told(|action| *action == EngineAction::Exited(Some(3))).await;
    runtime.remove(&name).await.unwrap();
    told(|action| *action == EngineAction::Removed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_has_any_number_of_names_and_goes_with_its_last() {
    let subject = Subject::new();
    let (runtime, mark) = (&subject.runtime, &subject.place.mark);
    let other = format!("otturnaut-it-other:{mark}");
    let image = runtime.image(&subject.image()).await.unwrap();
    assert!(image.id.starts_with("sha256:"), "{image:?}");
    runtime.tag_image(&subject.image(), "otturnaut-it-other", mark).await.unwrap();
    assert_eq!(runtime.image(&other).await.unwrap().id, image.id);
    assert_eq!(runtime.image(&image.id).await.unwrap().id, image.id);
    runtime.remove_image(&other).await.unwrap();
    assert!(is_absent(runtime.image(&other).await) && is_absent(runtime.remove_image(&other).await));
    assert_eq!(runtime.image(&subject.image()).await.unwrap().id, image.id);
    assert!(is_absent(runtime.tag_image(&other, "otturnaut-it-third", mark).await));
    let space = runtime.space().await.unwrap();
    let kept = space.images.iter().find(|kept| kept.id == image.id).unwrap_or_else(|| panic!("{space:?}"));
    assert!(kept.size > 0 && kept.names.iter().any(|name| name.ends_with(&subject.image())), "{kept:?}");
    let missing = ContainerSpec { image: other, ..subject.service(&subject.name("missing"), free_port()) };
    runtime.start(&missing).await.expect_err("it has no image");
    assert!(is_absent(runtime.inspect(&missing.name).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn its_version_is_told() {
    let subject = Subject::new();
    let version = subject.runtime.version().await.unwrap();
    assert!(version.starts_with(|first: char| first.is_ascii_digit()), "{version}");
}
