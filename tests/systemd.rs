//! Native programs under the real systemd, which these tests need as the machine's first process: `script/systemd` starts
//! such a machine, and `script/test` runs them in it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods, reason = "a test ends there")]

#[path = "support/ground.rs"]
mod ground;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use ground::Ground;
use otturnaut::apps::{AppState, PortManager};
use otturnaut::build::{Build, BuildSource};
use otturnaut::deploy::{
    Content, DeployError, Deployment, Engine, EngineSettings, ExecuteOptions, Origin, UndeployRequest, generate_id,
};
use otturnaut::host::{
    BuildImage, ContainerSpec, ContainerStatus, EngineAction, Host, HostSettings, LogQuery, ProxySettings, Publish,
    Recipe, Resources, Restart, Runtime, RuntimeError, RuntimeKind, RuntimeTarget, install_crypto,
};
use otturnaut::secret::Secret;
use otturnaut::watch::{Events, Monitor};
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;

const WHY: &str = "systemd must be the first process: script/systemd";

struct Machine {
    systemd: Arc<dyn Runtime>,
    data: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        install_crypto();
        let data = tempfile::Builder::new().prefix("otturnaut").tempdir_in("/var/tmp").unwrap();
        std::fs::set_permissions(data.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        let base_url = "http://127.0.0.1:1".to_owned();
        let proxy = ProxySettings { base_url, http_port: 1, https_port: 1, disable_auto_https: true };
        let host = Host::real(settings(data.path(), proxy)).unwrap();
        let systemd = host.runtimes.runtime(&RuntimeTarget { kind: RuntimeKind::Systemd, socket: None });
        Self { systemd, data }
    }

    /// A program of the shell.
    async fn program(&self, script: &str) -> String {
        let path = self.data.path().join(format!("{:08x}", rand::random::<u32>()));
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        self.systemd.load_image(&path).await.unwrap()
    }

    async fn lines(&self, name: &str, wanted: usize) -> Vec<String> {
        let read = async {
            loop {
                let lines = self.systemd.tail(name, 50).await.unwrap();
                if lines.len() >= wanted {
                    return lines.iter().map(|line| String::from_utf8_lossy(&line.text).into_owned()).collect();
                }
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(Duration::from_secs(20), read).await.expect("it says so many lines")
    }
}

fn settings(data: &Path, proxy: ProxySettings) -> HostSettings {
    HostSettings {
        container_socket: "/nowhere".into(),
        data_dir: data.to_owned(),
        local_sources: vec![data.to_owned()],
        proxy,
        caddy_routes_dir: None,
        user_manager: Ground::here().user_manager(),
        open_files: None,
    }
}

fn unique(stem: &str) -> String {
    format!("otturnaut-{stem}-{:08x}", rand::random::<u32>())
}

fn spec(name: &str, image: &str) -> ContainerSpec {
    ContainerSpec {
        name: name.to_owned(),
        image: image.to_owned(),
        labels: [("otturnaut.test".to_owned(), name.to_owned())].into(),
        ..ContainerSpec::default()
    }
}

fn task(name: &str, image: &str) -> ContainerSpec {
    ContainerSpec { restart: Restart::No, ..spec(name, image) }
}

async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition().await {
        assert!(Instant::now() < deadline, "{what} did not come");
        sleep(Duration::from_millis(20)).await;
    }
}

fn systemctl(args: &[&str]) -> String {
    let user = (Ground::here() == Ground::SystemdUser).then_some("--user");
    let done = Command::new("systemctl").args(user).args(args).output().unwrap();
    String::from_utf8_lossy(&done.stdout).trim().to_owned()
}

fn unit_file(name: &str) -> PathBuf {
    Path::new("/etc/systemd/system").join(format!("{name}.service"))
}

#[tokio::test]
#[ignore = "systemd must be the first process: script/systemd"]
async fn a_unit_lives_through_its_whole_life() {
    let (machine, name) = (Machine::new(), unique("life"));
    let systemd = &machine.systemd;
    assert!(systemd.version().await.expect(WHY).starts_with("25"), "bookworm has 252");
    let image = machine.program("exec sleep 300").await;
    let publish = Some(Publish { container_port: 80, port: 12_345 });
    let id = systemd.start(&ContainerSpec { publish, ..spec(&name, &image) }).await.unwrap();
    let found = systemd.inspect(&id).await.unwrap();
    assert_eq!(
        (found.name.as_str(), found.status, found.port),
        (name.as_str(), ContainerStatus::Running, Some(12_345))
    );
    assert!(found.started_at.is_some() && found.exit_code.is_none(), "{found:?}");
    let listed = systemd.list(&[format!("otturnaut.test={name}")]).await.unwrap();
    assert_eq!(listed.iter().map(|unit| unit.name.as_str()).collect::<Vec<_>>(), [name.as_str()]);
    assert_eq!(systemctl(&["is-enabled", &name]), "enabled", "it comes back with the machine");
    systemd.stop(&name, Duration::from_secs(5)).await.unwrap();
    systemd.stop(&name, Duration::from_secs(5)).await.unwrap();
    assert_eq!(systemd.inspect(&name).await.unwrap().status, ContainerStatus::Stopped);
    assert_eq!(systemctl(&["is-enabled", &name]), "disabled", "somebody stopped it");
    systemd.start_again(&name).await.unwrap();
    assert!(systemd.inspect(&name).await.unwrap().runs());
    systemd.remove(&name).await.unwrap();
    for missing in [systemd.remove(&name).await, systemd.stop(&name, Duration::ZERO).await] {
        assert!(matches!(missing, Err(RuntimeError::NotFound { .. })), "{missing:?}");
    }
    assert!(!unit_file(&name).exists() && systemctl(&["list-units", "--all", "--no-legend", &name]).is_empty());
    let environments = std::fs::read_dir(machine.data.path().join("units")).unwrap().count();
    assert_eq!(environments, 0);
    systemd.remove_image(&image).await.unwrap();
    assert!(matches!(systemd.image(&image).await, Err(RuntimeError::NotFound { .. })));
}

#[tokio::test]
#[ignore = "systemd must be the first process: script/systemd"]
async fn a_program_gets_its_words_its_environment_and_its_port_and_nobody_else_sees_them() {
    let (machine, name) = (Machine::new(), unique("words"));
    let script =
        r#"echo "$PORT"; printf '%s|' "$ODD"; echo; for word in "$@"; do echo "$word"; done; id -u; exec sleep 300"#;
    let image = machine.program(script).await;
    let odd = "a\"b'c\\d$HOME `x` %n\nline";
    let words = ["--name=%n", "$HOME ${HOME}", "a b", "\"q\"", "back\\slash", "ü"];
    let publish = Some(Publish { container_port: 80, port: 23_456 });
    let env = [("ODD".to_owned(), Secret::new(odd.to_owned()))].into();
    let command = std::iter::once("app").chain(words).map(str::to_owned).collect();
    machine.systemd.start(&ContainerSpec { publish, env, command, ..spec(&name, &image) }).await.unwrap();
    let lines = machine.lines(&name, 10).await;
    let (first, last) = odd.split_once('\n').unwrap();
    let last = format!("{last}|");
    let said = [&["23456", first, &last], words.as_slice()].concat();
    assert_eq!(lines.get(..9).unwrap(), said, "{lines:?}");
    assert_ne!(lines.get(9).map(String::as_str), Some("0"), "it is nobody's user");
    let unit = std::fs::read_to_string(unit_file(&name)).unwrap();
    let shown = systemctl(&["show", &name]);
    assert!(!unit.contains("`x`") && !shown.contains("`x`"), "values are in the environment's file alone");
    let environment = machine.data.path().join(format!("units/{name}.env"));
    assert_eq!(environment.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    machine.systemd.remove(&name).await.unwrap();
}

/// Sockets that this process has open.
fn sockets() -> usize {
    let open = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    open.filter(|fd| std::fs::read_link(fd.path()).is_ok_and(|to| to.to_string_lossy().starts_with("socket:"))).count()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "systemd must be the first process: script/systemd"]
async fn connections_to_the_manager_go_with_who_needed_them() {
    let before = sockets();
    for what in ["list", "life", "wait", "events", "log"] {
        let (machine, name) = (Machine::new(), unique("connections"));
        machine.systemd.list(&[]).await.unwrap();
        if what != "list" {
            let image = machine.program("exec sleep 300").await;
            machine.systemd.start(&spec(&name, &image)).await.unwrap();
            match what {
                "wait" => drop(timeout(Duration::from_millis(50), machine.systemd.wait(&name)).await),
                "events" => drop(machine.systemd.events(&[]).await.unwrap()),
                "log" => drop(machine.systemd.logs(&name, &LogQuery::default()).await.unwrap()),
                _ => {}
            }
            machine.systemd.stop(&name, Duration::from_secs(5)).await.unwrap();
            machine.systemd.remove(&name).await.unwrap();
        }
        drop(machine);
        until(&format!("the end of the connections of {what}"), async || sockets() <= before).await;
    }
}

/// Text that a shell, systemd and its files would like to take for something.
fn odd_text() -> String {
    const ODD: [char; 24] = [
        'a', 'Z', '0', ' ', '\t', '\n', '\r', '"', '\'', '`', '\\', '$', '%', '{', '}', '#', ';', '=', '-', '*',
        '\u{1}', '\u{7f}', 'ü', '🦦',
    ];
    (0..rand::random_range(0..30)).filter_map(|_| ODD.get(rand::random_range(0..ODD.len()))).collect()
}

#[tokio::test]
#[ignore = "systemd must be the first process: script/systemd"]
async fn any_text_comes_to_a_program_as_it_was_given() {
    let (machine, name) = (Machine::new(), unique("odd"));
    let script = "for word in \"$@\"; do printf '%s\\0' \"$word\"; done > $STATE_DIRECTORY/words\n\
                  for at in $(seq 50); do eval \"printf '%s\\\\0' \\\"\\$ODD_$at\\\"\"; done > $STATE_DIRECTORY/values\n\
                  echo written";
    let image = machine.program(script).await;
    let [words, values] = [(); 2].map(|()| (0..50).map(|_| odd_text()).collect::<Vec<_>>());
    let env = values.iter().zip(1..).map(|(value, at)| (format!("ODD_{at}"), Secret::new(value.clone()))).collect();
    let command = std::iter::once("app".to_owned()).chain(words.clone()).collect();
    let unit = ContainerSpec { env, command, ..task(&name, &image) };
    machine.systemd.start(&unit).await.unwrap();
    assert_eq!(machine.systemd.wait(&name).await.unwrap(), 0);
    let state = PathBuf::from(format!("/var/lib/otturnaut-{name}"));
    let read = |file: &str| {
        let text = std::fs::read_to_string(state.join(file)).unwrap();
        text.split_terminator('\0').map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(read("words"), words);
    assert_eq!(read("values"), values);
    machine.systemd.remove(&name).await.unwrap();
}

#[tokio::test]
#[ignore = "systemd must be the first process: script/systemd"]
async fn a_program_sees_little_of_the_machine_and_keeps_its_state() {
    let (machine, name) = (Machine::new(), unique("sandbox"));
    let script = "touch /etc/x 2>/dev/null && echo wrote; ls /root >/dev/null 2>&1 && echo saw; \
                  echo kept > \"$STATE_DIRECTORY/file\" && echo $STATE_DIRECTORY; \
                  grep -c . /mounted/file; touch /mounted/x 2>/dev/null && echo wrote; echo end";
    let image = machine.program(script).await;
    let mounted = tempfile::tempdir_in("/var/tmp").unwrap();
    std::fs::set_permissions(mounted.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::write(mounted.path().join("file"), "one\ntwo\n").unwrap();
    let volumes = vec![format!("{}:/mounted:ro", mounted.path().display())];
    let labels = [("otturnaut.app_id".to_owned(), "shop.it".to_owned())].into();
    machine.systemd.start(&ContainerSpec { volumes, labels, ..task(&name, &image) }).await.unwrap();
    let lines = machine.lines(&name, 3).await;
    assert_eq!(lines, ["/var/lib/otturnaut-shop.it", "2", "end"]);
    machine.systemd.remove(&name).await.unwrap();
    for refused in [
        ContainerSpec { networks: vec!["net".to_owned()], ..task(&name, &image) },
        ContainerSpec { volumes: vec!["data:/data".to_owned()], ..task(&name, &image) },
    ] {
        let refused = machine.systemd.start(&refused).await.unwrap_err();
        assert!(matches!(refused, RuntimeError::Unit { .. }), "{refused:?}");
        assert!(!unit_file(&name).exists());
    }
}

#[tokio::test]
#[ignore = "systemd must be the first process: script/systemd"]
async fn a_program_that_runs_once_gives_its_code_and_one_that_is_killed_its_signal() {
    let machine = Machine::new();
    for (script, code) in [("exit 0", 0), ("sleep 0.3; exit 5", 5), ("kill -SEGV $$", 139)] {
        let (name, image) = (unique("once"), machine.program(script).await);
        machine.systemd.start(&task(&name, &image)).await.unwrap();
        let ended = timeout(Duration::from_secs(20), machine.systemd.wait(&name)).await.expect("it ends");
        assert_eq!(ended.unwrap(), code, "{script}");
        assert_eq!(machine.systemd.inspect(&name).await.unwrap().exit_code, Some(code), "{script}");
        machine.systemd.remove(&name).await.unwrap();
    }
}

#[tokio::test]
#[ignore = "systemd must be the first process: script/systemd"]
async fn a_start_that_fails_leaves_nothing_and_says_why() {
    let (machine, name) = (Machine::new(), unique("broken"));
    let path = machine.data.path().join("program");
    std::fs::write(&path, "#!/no/such/interpreter\n").unwrap();
    let image = machine.systemd.load_image(&path).await.unwrap();
    let failed = machine.systemd.start(&spec(&name, &image)).await.unwrap_err();
    assert!(failed.to_string().contains("did not start"), "{failed}");
    assert!(!unit_file(&name).exists());
    assert!(matches!(machine.systemd.inspect(&name).await, Err(RuntimeError::NotFound { .. })));
    for strange in ["ssh", "otturnaut-../../../tmp/x"] {
        let refused = machine.systemd.start(&spec(strange, &image)).await.unwrap_err();
        assert!(refused.to_string().contains("wanted is otturnaut-"), "{refused}");
        assert!(!unit_file(strange).exists());
    }
    let missing = machine.systemd.start(&spec(&name, "nothing:1")).await.unwrap_err();
    assert!(matches!(missing, RuntimeError::NotFound { .. }), "{missing:?}");
    std::fs::write(&path, "no program").unwrap();
    let refused = machine.systemd.load_image(&path).await.unwrap_err();
    assert!(refused.to_string().contains("no program"), "{refused}");
}

#[tokio::test]
#[ignore = "systemd must be the first process: script/systemd"]
async fn what_fails_is_started_again_and_what_never_stays_is_given_up() {
    let (machine, name) = (Machine::new(), unique("crashes"));
    let image = machine.program("exit 3").await;
    machine.systemd.start(&ContainerSpec { restart: Restart::OnFailure, ..spec(&name, &image) }).await.unwrap();
    until("a restart", async || machine.systemd.inspect(&name).await.unwrap().restart_count > 0).await;
    let given_up = async || {
        let seen = machine.systemd.inspect(&name).await.unwrap();
        seen.status == ContainerStatus::Stopped && seen.restart_count >= 10
    };
    until("the end", given_up).await;
    machine.systemd.remove(&name).await.unwrap();
}

#[tokio::test]
#[ignore = "systemd must be the first process: script/systemd"]
async fn a_program_is_bounded_and_tells_what_it_uses() {
    let (machine, name) = (Machine::new(), unique("bounds"));
    let image = machine.program("exec sleep 300").await;
    let resources = Resources { memory: Some(64 << 20), cpu_millis: Some(250), pids: Some(50) };
    machine.systemd.start(&ContainerSpec { resources, ..spec(&name, &image) }).await.unwrap();
    let shown = systemctl(&["show", &name, "--property=MemoryMax,CPUQuotaPerSecUSec,TasksMax"]);
    for wanted in ["MemoryMax=67108864", "CPUQuotaPerSecUSec=250ms", "TasksMax=50"] {
        assert!(shown.contains(wanted), "{shown}");
    }
    let used = machine.systemd.usage(&name).await.unwrap().expect("it runs");
    assert!(used.memory_limit == 64 << 20 && used.processes == 1 && used.memory > 0, "{used:?}");
    machine.systemd.stop(&name, Duration::from_secs(5)).await.unwrap();
    assert_eq!(machine.systemd.usage(&name).await.unwrap(), None);
    machine.systemd.remove(&name).await.unwrap();
}

#[tokio::test]
#[ignore = "systemd must be the first process: script/systemd"]
async fn one_that_is_deaf_to_sigterm_is_killed_after_its_grace() {
    let (machine, name) = (Machine::new(), unique("deaf"));
    let image = machine.program("trap '' TERM; echo deaf; while :; do sleep 1; done").await;
    machine.systemd.start(&spec(&name, &image)).await.unwrap();
    machine.lines(&name, 1).await;
    let began = Instant::now();
    machine.systemd.stop(&name, Duration::from_secs(1)).await.unwrap();
    assert!(began.elapsed() >= Duration::from_secs(1), "it had its grace");
    assert_eq!(machine.systemd.inspect(&name).await.unwrap().exit_code, Some(137));
    machine.systemd.remove(&name).await.unwrap();
}

#[tokio::test]
#[ignore = "systemd must be the first process: script/systemd"]
async fn exits_starts_and_removals_are_told() {
    let (machine, name) = (Machine::new(), unique("told"));
    let image = machine.program("exec sleep 300").await;
    let mut events = machine.systemd.events(&[format!("otturnaut.test={name}")]).await.unwrap();
    let mut next = async || {
        let event = timeout(Duration::from_secs(20), events.next()).await.expect("it is told").unwrap().unwrap();
        assert_eq!(event.name, name);
        event.action
    };
    machine.systemd.start(&spec(&name, &image)).await.unwrap();
    assert_eq!(next().await, EngineAction::Started);
    systemctl(&["kill", "--signal=KILL", &name]);
    let mut told = vec![next().await];
    while told.last() != Some(&EngineAction::Started) {
        told.push(next().await);
    }
    assert!(told.iter().any(|action| matches!(action, EngineAction::Exited(_))), "{told:?}");
    machine.systemd.remove(&name).await.unwrap();
    until_removed(&mut next).await;
}

async fn until_removed(next: &mut impl AsyncFnMut() -> EngineAction) {
    while next().await != EngineAction::Removed {}
}

#[tokio::test]
#[ignore = "systemd must be the first process: script/systemd"]
async fn the_journal_is_read_and_followed() {
    let (machine, name) = (Machine::new(), unique("log"));
    // Not under a directory for temporary files, of which a unit has its own.
    let go = format!("/run/{}", unique("go"));
    let script = format!("echo one; echo two >&2; while [ ! -e {go} ]; do sleep 0.05; done; echo three");
    let image = machine.program(&script).await;
    machine.systemd.start(&task(&name, &image)).await.unwrap();
    machine.lines(&name, 2).await;
    let mut log = machine.systemd.logs(&name, &LogQuery { follow: true, ..LogQuery::default() }).await.unwrap();
    let mut said = Vec::new();
    while said.len() < 3 {
        let entries = timeout(Duration::from_secs(20), log.next()).await.expect("it goes on").unwrap().expect("no end");
        said.extend(entries.into_iter().map(|entry| String::from_utf8_lossy(&entry.text).into_owned()));
        if said.len() == 2 {
            std::fs::write(&go, "").unwrap();
        }
    }
    assert_eq!(said, ["one", "two", "three"]);
    assert_eq!(timeout(Duration::from_secs(20), log.next()).await.expect("it ends with its unit").unwrap(), None);
    let last = machine.systemd.tail(&name, 1).await.unwrap();
    assert_eq!(last.first().map(|line| line.text.as_ref()), Some(&b"three"[..]));
    std::fs::remove_file(go).unwrap();
    machine.systemd.remove(&name).await.unwrap();
}

#[tokio::test]
#[ignore = "systemd must be the first process: script/systemd"]
async fn a_command_runs_beside_a_program_with_its_environment() {
    let (machine, name) = (Machine::new(), unique("exec"));
    let image = machine.program("exec sleep 300").await;
    let env = [("WORD".to_owned(), Secret::new("given".to_owned()))].into();
    machine.systemd.start(&ContainerSpec { env, ..spec(&name, &image) }).await.unwrap();
    let command = ["/bin/sh", "-c", "WORD=own; echo $WORD $0; exit 4", "$WORD"].map(str::to_owned);
    let ended = machine.systemd.exec(&name, &command, Duration::from_secs(20)).await.unwrap();
    assert_eq!((ended.exit_code, ended.output.trim()), (Some(4), "own $WORD"));
    let command = ["/bin/sh", "-c", "echo $WORD"].map(str::to_owned);
    let ended = machine.systemd.exec(&name, &command, Duration::from_secs(20)).await.unwrap();
    assert_eq!((ended.exit_code, ended.output.trim()), (Some(0), "given"));
    let command = ["/bin/sleep", "60"].map(str::to_owned);
    let ended = machine.systemd.exec(&name, &command, Duration::from_millis(300)).await.unwrap();
    assert_eq!(ended.exit_code, None);
    let beside = format!("{name}-exec-*");
    until("the end of the command", async || systemctl(&["list-units", "--no-legend", &beside]).is_empty()).await;
    machine.systemd.remove(&name).await.unwrap();
}

/// Programs deployed by the engine, behind a Caddy of their own.
struct Deploys {
    machine: Machine,
    engine: Engine,
    caddy: std::process::Child,
    http: u16,
    app: String,
}

impl Deploys {
    async fn start() -> Self {
        let machine = Machine::new();
        let [admin, http, https] = [free_port(), free_port(), free_port()];
        let config = machine.data.path().join("caddy.json");
        std::fs::write(&config, format!(r#"{{"admin":{{"listen":"127.0.0.1:{admin}"}}}}"#)).unwrap();
        let mut caddy = Command::new("caddy");
        caddy.args(["run", "--config"]).arg(&config).env("HOME", machine.data.path());
        let caddy = caddy.stderr(std::process::Stdio::null()).spawn().expect("caddy is there");
        let base_url = format!("http://127.0.0.1:{admin}");
        let proxy = ProxySettings { base_url, http_port: http, https_port: https, disable_auto_https: true };
        let host = Host::real(settings(machine.data.path(), proxy)).unwrap();
        let (state, events) = (AppState::default(), Events::new(host.storage.clone()));
        let engine = Engine::new(EngineSettings {
            outpost: format!("{}@127.0.0.1", unique("it")),
            ports: PortManager::new(21_000..=21_999, host.network.clone()),
            monitor: Monitor::new(host.clone(), state.clone(), events.clone()),
            build: Build::new(host.clone(), TaskTracker::new()),
            state,
            events,
            host,
        });
        engine.recover().await;
        until("caddy", async || std::net::TcpStream::connect(("127.0.0.1", admin)).is_ok()).await;
        Self { machine, engine, caddy, http, app: unique("shop").replace("otturnaut-", "") }
    }

    /// A version that is loaded from a file.
    fn version(&self, page: &str, script: &str) -> Deployment {
        let path = self.machine.data.path().join(format!("program-{:08x}", rand::random::<u32>()));
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        let runtime = RuntimeTarget { kind: RuntimeKind::Systemd, socket: None };
        let names = (self.app.clone(), generate_id());
        let env = [("PAGE".to_owned(), Secret::new(page.to_owned()))].into();
        let domains = vec![format!("{}.localhost", self.app)];
        let origin = Origin::Load { path };
        Deployment { env, domains, origin, ..Deployment::pending(names, String::new(), 80, runtime) }
    }

    async fn deploy(&self, version: Deployment) -> Result<Deployment, DeployError> {
        let deployed = self.engine.execute(version, ExecuteOptions::default(), None).await;
        deployed.map(|deployed| deployed.deployment).map_err(|failure| failure.reason)
    }

    async fn page(&self) -> String {
        let request = reqwest::Client::new().get(format!("http://127.0.0.1:{}/", self.http));
        let answer = request.header("host", format!("{}.localhost", self.app)).send().await.unwrap();
        answer.text().await.unwrap().trim().to_owned()
    }

    async fn units(&self) -> Vec<String> {
        let listed = self.machine.systemd.list(&[format!("otturnaut.app_id={}", self.app)]).await.unwrap();
        listed.into_iter().map(|unit| unit.name).collect()
    }

    fn artifacts(&self) -> usize {
        let entries = std::fs::read_dir(self.machine.data.path().join("artifacts")).unwrap().flatten();
        entries.filter(|entry| entry.file_name() != "names").count()
    }
}

impl Drop for Deploys {
    fn drop(&mut self) {
        self.caddy.kill().ok();
        self.caddy.wait().ok();
    }
}

const SERVE: &str = "mkdir -p /tmp/www; echo $PAGE > /tmp/www/index.html; echo serving $PAGE; \
                     exec busybox httpd -f -p 127.0.0.1:$PORT -h /tmp/www";

fn free_port() -> u16 {
    let free = |port: &u16| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok();
    std::iter::repeat_with(|| rand::random_range(22_000..30_000)).find(free).expect("a port is free")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "systemd must be the first process: script/systemd"]
async fn programs_are_deployed_blue_green_rolled_back_and_taken_away() {
    let deploys = Deploys::start().await;
    let one = deploys.deploy(deploys.version("one", SERVE)).await.unwrap();
    assert_eq!(deploys.page().await, "one");
    let failed = deploys.deploy(deploys.version("bad", "echo no database; exit 7")).await.unwrap_err();
    let DeployError::HealthCheckFailed(why) = &failed else { panic!("{failed:?}") };
    assert!(why.why.exit_code == Some(7) && why.log.iter().any(|line| line == "no database"), "{why:?}");
    assert_eq!(deploys.page().await, "one");
    assert_eq!(deploys.units().await, [one.container_name.clone().unwrap()]);
    // Another program than the first one's: a comment is enough.
    let two = deploys.deploy(deploys.version("two", &format!("# two\n{SERVE}"))).await.unwrap();
    assert_eq!(deploys.page().await, "two");
    assert_eq!(deploys.units().await, [two.container_name.unwrap()]);
    assert_eq!(deploys.artifacts(), 2, "what failed is gone");
    deploys.engine.rollback(&deploys.app, None, None).await.unwrap().unwrap();
    assert_eq!(deploys.page().await, "one");
    let runtime = RuntimeTarget { kind: RuntimeKind::Systemd, socket: None };
    let request = UndeployRequest { app_id: deploys.app.clone(), runtime, deployment_id: None, cancel: false };
    deploys.engine.undeploy(request, None).await.unwrap();
    assert_eq!((deploys.units().await.len(), deploys.artifacts()), (0, 0));
    let left = std::fs::read_dir(deploys.machine.data.path().join("units")).unwrap().count();
    assert_eq!(left, 0, "no environment is left");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "systemd must be the first process: script/systemd"]
async fn a_release_command_runs_in_the_new_program_before_it_serves() {
    let deploys = Deploys::start().await;
    let script = format!(
        "[ \"$1\" = migrate ] && {{ echo done > $STATE_DIRECTORY/migrated; exit 0; }}\n\
                          PAGE=$(cat $STATE_DIRECTORY/migrated)\n{SERVE}"
    );
    let mut version = deploys.version("one", &script);
    version.release_command = ["app", "migrate"].map(str::to_owned).into();
    deploys.deploy(version).await.unwrap();
    assert_eq!(deploys.page().await, "done");
    let mut failing = deploys.version("two", "echo no; exit 3");
    failing.release_command = ["app", "migrate"].map(str::to_owned).into();
    let failed = deploys.deploy(failing).await.unwrap_err();
    assert!(matches!(failed, DeployError::ReleaseCommand { code: Some(3), .. }), "{failed:?}");
    assert_eq!((deploys.page().await.as_str(), deploys.units().await.len()), ("done", 1));
}

/// A repository whose build command leaves a program that serves `page`; gives where it comes from.
fn repository(machine: &Machine, (script, command): (&str, &str)) -> BuildSource {
    let dir = machine.data.path().join(format!("repository-{:08x}", rand::random::<u32>()));
    std::fs::create_dir(&dir).unwrap();
    std::fs::write(dir.join("program"), format!("#!/bin/sh\n{script}\n")).unwrap();
    let mut commit = Command::new("sh");
    let made = commit
        .current_dir(&dir)
        .args(["-c", "git init -q -b main && git add . && git -c user.name=a -c user.email=a@b commit -q -m first"]);
    assert!(made.status().unwrap().success());
    BuildSource {
        repo_url: Secret::new(dir.display().to_string()),
        git_ref: "main".to_owned(),
        recipe: Recipe::Native {
            command: ["/bin/sh", "-c", command].map(str::to_owned).into(),
            output: "out/app".into(),
        },
        build_args: [("WORD".to_owned(), "a \"b\" $c".to_owned())].into(),
        build_secrets: [("token".to_owned(), Secret::new("tr0ub4dor".to_owned()))].into(),
        ssh_key: None,
        submodules: false,
        resources: Resources { memory: (!Ground::here().is_unbounded()).then_some(128 << 20), ..Resources::default() },
    }
}

/// What systemd, its files or a shell would take for something.
const ODD: &str = "$HOME $$ ; 'a' \"b\" \\x %n >&2";

/// The units that build with `mark` in their tag.
fn build_units(mark: &str) -> Vec<String> {
    let listed = systemctl(&["list-units", "--all", "--full", "--plain", "--no-legend", "otturnaut-build-*"]);
    listed.lines().filter(|unit| unit.contains(mark)).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "systemd must be the first process: script/systemd"]
async fn a_program_is_built_from_its_repository_by_nobodys_user_and_deployed() {
    let deploys = Deploys::start().await;
    let build = "mkdir out && { id -u; pwd; cat /run/secrets/token; echo \" $WORD\"; git rev-parse HEAD; \
                 ls .otturnaut*/ /var/tmp/otturnaut* 2>&1; touch /etc/x /usr/x 2>&1; ls /root 2>&1; \
                 cat /proc/self/cgroup; } > out/said && cp program out/app && cat out/said >> out/app";
    // What the build saw follows the program, which ends before it.
    let source = repository(&deploys.machine, (&format!("{SERVE}\nexit"), build));
    let mut version = deploys.version("built", SERVE);
    version.origin = Origin::Source(source);
    let deployed = deploys.deploy(version).await.unwrap();
    assert_eq!(deploys.page().await, "built");
    let Some(Content::Commit(commit)) = &deployed.content else { panic!("{deployed:?}") };
    assert_eq!(deployed.image, format!("otturnaut-{}:{commit}", deploys.app));
    let artifacts = deploys.machine.data.path().join("artifacts");
    let mut programs = std::fs::read_dir(artifacts).unwrap().flatten().map(|entry| entry.path().join("app"));
    let program = programs.find_map(|path| std::fs::read_to_string(path).ok()).unwrap();
    for wanted in ["/run/otturnaut-build\n", "tr0ub4dor a \"b\" $c\n", commit, "otturnaut-build-"] {
        assert!(program.contains(wanted), "{wanted}: {program}");
    }
    for refused in ["touch: cannot touch '/etc/x'", "touch: cannot touch '/usr/x'", "cannot open directory '/root'"] {
        assert!(program.contains(refused), "{refused}: {program}");
    }
    assert!(!program.contains("\n0\n") && !program.contains("sources\n"), "{program}");
    // A user has no other user to give: what is this build's own it sees, and nothing else of the agent's.
    assert_eq!(program.contains("environment\n"), Ground::here() == Ground::SystemdUser, "{program}");
    assert_eq!(build_units(&deploys.app), [""; 0]);
    let sources = deploys.machine.data.path().join("sources");
    assert_eq!(std::fs::read_dir(sources).map_or(0, Iterator::count), 0, "the tree is gone");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "systemd must be the first process: script/systemd"]
async fn a_build_command_that_fails_or_leaves_no_program_is_told_and_leaves_nothing() {
    let deploys = Deploys::start().await;
    for (build, wanted) in [
        ("echo compiling; echo no main >&2; exit 3", "exited with 3, and said last:\ncompiling\nno main"),
        ("true", "its output out/app is not there"),
        ("mkdir -p out/app", "is no file of its tree"),
        ("mkdir out; ln -s /etc/hostname out/app", "is no file of its tree"),
        ("mkdir out; echo text > out/app", "it is no program"),
        // It has no such room: a file with nothing in it.
        ("mkdir out; truncate --size=20G out/app", "has more than"),
        ("head -c 300M /dev/zero | tail -c 290M > /dev/null", "exited with"),
    ] {
        if build.starts_with("head") && Ground::here().is_unbounded() {
            continue;
        }
        let mut version = deploys.version("x", SERVE);
        version.origin = Origin::Source(repository(&deploys.machine, (SERVE, build)));
        let failed = deploys.deploy(version).await.unwrap_err();
        let causes = std::iter::successors(Some(&failed as &dyn std::error::Error), |error| error.source());
        let told: Vec<String> = causes.map(ToString::to_string).collect();
        let told = told.join("\n");
        assert!(told.contains(wanted) && !told.contains("tr0ub4dor"), "{build}: {told}");
    }
    assert_eq!((deploys.units().await.len(), build_units(&deploys.app).len()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "systemd must be the first process: script/systemd"]
async fn a_build_that_nobody_waits_for_ends_and_so_does_one_of_an_agent_that_died() {
    let machine = Machine::new();
    let dir = machine.data.path().join("tree");
    std::fs::create_dir(&dir).unwrap();
    let seconds = rand::random_range(100_000..900_000_u32).to_string();
    let recipe = Recipe::Native { command: ["sleep", &seconds].map(str::to_owned).into(), output: "app".into() };
    let build = BuildImage {
        context: dir,
        recipe,
        tag: format!("x:{seconds}"),
        build_args: [].into(),
        secrets: [].into(),
        resources: Resources::default(),
    };
    let running = || build_units(&seconds).iter().any(|unit| unit.contains("running"));
    let begun = async || until("the build", async || running()).await;
    tokio::select! {
        outcome = machine.systemd.build_image(&build, None) => panic!("{outcome:?}"),
        () = begun() => {}
    }
    until("the end of the build", async || build_units(&seconds).is_empty()).await;
    // Another unit's making reloads all of them meanwhile: the words stay what they are.
    let reloads = async {
        for _ in 0..40 {
            systemctl(&["daemon-reload"]);
            sleep(Duration::from_millis(5)).await;
        }
    };
    let recipe = Recipe::Native { command: ["echo", ODD].map(str::to_owned).into(), output: "app".into() };
    let words = BuildImage { recipe, ..build.clone() };
    let (told, mut said) = tokio::sync::mpsc::channel(64);
    let builds = async {
        for _ in 0..10 {
            let failed = machine.systemd.build_image(&words, Some(told.clone())).await.unwrap_err();
            assert!(failed.to_string().contains("output app is not there"), "{failed}");
            let line = said.recv().await.unwrap().remove(0);
            assert_eq!(line.text, ODD);
        }
    };
    tokio::join!(builds, reloads);
    let (left, ()) = tokio::join!(machine.systemd.build_image(&build, None), async {
        begun().await;
        machine.systemd.end_builds().await;
    });
    assert!(left.is_err());
    assert_eq!(build_units(&seconds), [""; 0]);
}

/// Where the half before a restart of the machine leaves what the half after it looks at.
const OVER_A_RESTART: &str = "/var/lib/otturnaut-it";

#[tokio::test]
#[ignore = "systemd must be the first process: script/systemd"]
async fn over_a_restart_first_half() {
    let machine = Machine::new();
    let image = machine.program("echo again; exec sleep 300").await;
    for name in ["otturnaut-runs-1", "otturnaut-stopped-1"] {
        machine.systemd.start(&spec(name, &image)).await.unwrap();
    }
    machine.systemd.stop("otturnaut-stopped-1", Duration::from_secs(5)).await.unwrap();
    // Programs and environments stay where they are.
    std::fs::write(OVER_A_RESTART, machine.data.keep().display().to_string()).unwrap();
}

#[tokio::test]
#[ignore = "systemd must be the first process: script/systemd"]
async fn over_a_restart_second_half() {
    let machine = Machine::new();
    assert!(std::fs::read_to_string(OVER_A_RESTART).is_ok(), "the first half came before");
    let runs = async |name| machine.systemd.inspect(name).await.unwrap().runs();
    until("what ran", async || runs("otturnaut-runs-1").await).await;
    assert!(!runs("otturnaut-stopped-1").await, "somebody had stopped it");
    for name in ["otturnaut-runs-1", "otturnaut-stopped-1"] {
        machine.systemd.remove(name).await.unwrap();
    }
}
