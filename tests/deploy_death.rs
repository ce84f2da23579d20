//! Agents that SIGKILL ends at any moment of a deploy, on a real runtime, Caddy and disk, and what the next one makes of
//! it. The agent that dies is this executable in a process of its own.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a test"
)]

#[path = "support/deadly.rs"]
mod deadly;
#[path = "support/deploying.rs"]
mod deploying;

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use deadly::Death;
use deploying::{Ground, Machine, Place, Seen, answer, run, undeploy_of, wait_for};
use otturnaut::apps::AppStatus;
use otturnaut::deploy::{Deployment, Engine, ExecuteOptions, Strategy, generate_id};
use otturnaut::secret::Secret;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};

/// What is promised: from the start of an agent until what its predecessor left is whole, on a machine that has a processor
/// for it. Podman alone takes longer for some of its answers.
fn recovered_within() -> Duration {
    match Ground::here() {
        Ground::Docker | Ground::Systemd | Ground::SystemdUser => Duration::from_secs(2),
        Ground::Podman | Ground::Rootless => Duration::from_secs(5),
    }
}

/// Deaths at random moments: most where they cost least.
fn kills_wanted() -> usize {
    if Ground::here() == Ground::Docker { 100 } else { 40 }
}

/// The variable that says what the process is to do.
const ERRAND: &str = "OTTURNAUT_TEST_ERRAND";

const APP: &str = "shop";

/// What an agent does, which it may not live to see the end of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Act {
    /// A deploy where nothing runs.
    First,
    Redeploy,
    /// A deploy that stops the old version first, which has the volume.
    Recreate,
    Rollback,
    /// A deploy of a version that never answers.
    Failing,
    Undeploy,
    /// Nothing but what every agent does first.
    Recover,
}

/// What an agent is started for.
#[derive(Debug, Serialize, Deserialize)]
struct Errand {
    place: Place,
    act: Act,
    /// Of the deployment.
    id: String,
    /// When it dies, if it is to do so by itself.
    moment: Option<usize>,
}

impl Errand {
    async fn run(self) {
        let death = Death::new(self.moment, self.place.data_dir.with_file_name("epitaph"));
        let (engine, ..) = self.place.engine(deadly::host(self.place.host(), &death));
        if self.act == Act::Recover {
            death.count();
        }
        engine.recover().await;
        death.count();
        self.begin(&engine).await;
        engine.shutdown(Duration::from_secs(5)).await;
    }

    async fn begin(&self, engine: &Engine) {
        let mut deployment = self.deployment();
        match self.act {
            Act::First | Act::Redeploy => drop(run(engine, deployment).await.unwrap()),
            Act::Recreate => {
                deployment.strategy = Strategy::Recreate;
                let volume = self.place.data_dir.with_file_name("volume");
                deployment.volumes = vec![format!("{}:/data", volume.display())];
                drop(run(engine, deployment).await.unwrap());
            }
            Act::Failing => {
                deployment.env.insert("DELAY".to_owned(), Secret::new("60".to_owned()));
                let mut impatient = ExecuteOptions::default();
                impatient.health.deadline = Duration::from_millis(50);
                engine.execute(deployment, impatient, None).await.unwrap_err();
            }
            // There may be no release before.
            Act::Rollback => drop(engine.rollback(&self.place.app(APP), None, None).await),
            Act::Undeploy => engine.undeploy(undeploy_of(self.place.app(APP)), None).await.unwrap(),
            Act::Recover => {}
        }
    }

    fn deployment(&self) -> Deployment {
        Deployment { keep_releases: 3, ..self.place.deployment_of(APP, self.id.clone()) }
    }
}

#[test]
#[ignore = "the agent that dies: the other tests start it"]
fn agent() {
    let Ok(errand) = std::env::var(ERRAND) else { return };
    let errand: Errand = serde_json::from_str(&errand).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(errand.run());
}

/// An agent in a process of its own, which ends with it.
struct Agent(Child);

impl Agent {
    fn start(errand: &Errand) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["agent", "--exact", "--ignored", "--nocapture"])
            .env(ERRAND, serde_json::to_string(errand).unwrap())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }

    /// Whether it is dead within that time; it has ended well if not by SIGKILL.
    fn dies(&mut self, within: Duration) -> Option<bool> {
        let until = Instant::now() + within;
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                assert!(status.success() || status.signal() == Some(9), "{status}");
                return Some(!status.success());
            }
            if Instant::now() > until {
                return None;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Whether it died at the moment that it was given, and did not come to its end.
    fn end(mut self) -> bool {
        self.dies(Duration::from_secs(60)).expect("the agent ends")
    }

    /// Kills it after that time; whether it was not at its end already.
    fn kill_after(mut self, delay: Duration) -> bool {
        self.dies(delay).is_none() && {
            self.0.kill().unwrap();
            self.dies(Duration::from_secs(60)).expect("it is killed")
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A machine with one application, and what was last seen of it.
struct Scene {
    machine: Machine,
    /// The one that runs last.
    releases: Vec<String>,
    /// Whether it may have been stopped meanwhile.
    started_again: bool,
    slowest: Duration,
}

impl Scene {
    fn new() -> Self {
        let machine = Machine::start();
        std::fs::create_dir(machine.data.path().join("volume")).unwrap();
        Self { machine, releases: Vec::new(), started_again: false, slowest: Duration::ZERO }
    }

    fn errand(&self, act: Act, moment: Option<usize>) -> Errand {
        Errand { place: self.machine.place.clone(), act, id: generate_id(), moment }
    }

    /// The versions that may run when the errand has ended or broken off: the one before, and the one that is to be.
    fn possible(&mut self, errand: &Errand) -> [Option<String>; 2] {
        self.started_again = errand.act == Act::Recreate;
        let before = self.releases.last().cloned();
        let after = match errand.act {
            Act::First | Act::Redeploy | Act::Recreate => Some(errand.id.clone()),
            Act::Rollback => self.releases.iter().rev().nth(1).or(before.as_ref()).cloned(),
            Act::Failing | Act::Recover => before.clone(),
            Act::Undeploy => None,
        };
        [before, after]
    }

    /// An agent in this process comes, finds all that is there whole within the promised time, and does `next`.
    async fn next_agent(&mut self, possible: &[Option<String>], at: &str, next: Option<Act>) -> Option<String> {
        let (began, waited) = (Instant::now(), waited_for_a_processor());
        let (engine, state, ports) = self.machine.engine();
        engine.recover().await;
        let took = began.elapsed();
        self.slowest = self.slowest.max(took);
        let app_id = self.machine.app(APP);
        let ids =
            |engine: &Engine| engine.releases(&app_id).into_iter().map(|one| one.deployment.id).collect::<Vec<_>>();
        self.releases = ids(&engine);
        let at = &format!("{at}, left is {:?}", engine.list());
        let runs = self.running(at);
        let waited = waited_for_a_processor().saturating_sub(waited);
        assert!(
            took.saturating_sub(waited) <= recovered_within(),
            "{at}: it took {took:?}, {waited:?} without a processor"
        );
        assert!(possible.contains(&runs), "{at}: {runs:?} runs, and not one of {possible:?}");
        assert_eq!(self.releases.last(), runs.as_ref(), "{at}");
        assert_eq!(engine.list(), [], "{at}: nothing is left to do");
        let entry = state.get(&app_id);
        assert_eq!(entry.as_ref().and_then(|entry| entry.deployment_id.clone()), runs, "{at}");
        assert!(entry.iter().all(|entry| entry.status == Some(AppStatus::Running)), "{at}: {entry:?}");
        assert_eq!(ports.list_allocated(), self.listened(), "{at}");
        if let Some(act) = next {
            self.errand(act, None).begin(&engine).await;
            self.releases = ids(&engine);
        }
        engine.shutdown(Duration::from_secs(5)).await;
        runs
    }

    /// The version that runs, of all that can be seen from outside; fails where anything is there that belongs to none of
    /// the releases.
    fn running(&self, at: &str) -> Option<String> {
        let (place, app_id) = (&self.machine.place, self.machine.app(APP));
        // The engine goes on with what the one that died asked it for: it ends a removal by itself, and what it makes late
        // the agent takes away.
        let is_late = |container: &Seen| ["removing", "created"].contains(&container.state.as_str());
        let mut containers = Vec::new();
        wait_for("the end of what comes late", || {
            containers = self.machine.seen();
            !containers.iter().any(is_late)
        });
        let runs = self.served();
        let ports = self.listened();
        let wanted = runs.iter().zip(&ports).map(|(id, port)| Seen {
            name: format!("otturnaut-{app_id}-{id}"),
            state: "running".to_owned(),
            port: Some(*port),
        });
        assert_eq!(
            containers,
            wanted.collect::<Vec<_>>(),
            "{at}: {ports:?} are listened on, {runs:?} has the requests"
        );
        assert_eq!(ports.len(), runs.iter().count(), "{at}: {ports:?} are listened on, {runs:?} has the requests");
        let mut kept: Vec<String> = self.releases.clone();
        kept.sort();
        let images = kept.iter().map(|id| format!("otturnaut-release:{app_id}-{id}"));
        assert_eq!(self.machine.kept_images(), images.collect::<Vec<_>>(), "{at}");
        let documents = kept.iter().map(|id| format!("releases/{app_id}/{id}.json"));
        let files = ["journal".to_owned(), "lock".to_owned()].into_iter().chain(documents);
        let (routes, others): (Vec<_>, Vec<_>) =
            files_of(&place.data_dir).into_iter().partition(|file| file.starts_with("routes/"));
        let (logs, others): (Vec<_>, Vec<_>) = others.into_iter().partition(|file| file.starts_with("logs/"));
        let (units, others): (Vec<_>, Vec<_>) = others.into_iter().partition(|file| file.starts_with("units/"));
        let environments = containers.iter().map(|unit| format!("units/{}.env", unit.name));
        let environments = environments.filter(|_| Ground::here().is_systemd());
        assert_eq!(units, environments.collect::<Vec<_>>(), "{at}");
        let others: Vec<String> = others.into_iter().filter(|file| !file.starts_with("artifacts/")).collect();
        assert_eq!(others, files.collect::<Vec<_>>(), "{at}");
        // Of the releases, of the deployment that failed last, and of one whose removal was torn.
        let of_app = format!("logs/{app_id}/");
        let fine = logs.iter().all(|log| log.starts_with(&of_app)) && logs.len() <= kept.len() + 2;
        assert!(fine, "{at}: {logs:?}");
        let places: BTreeSet<&str> = routes.iter().filter_map(|file| file.split('/').nth(1)).collect();
        let route = runs.iter().map(|_| format!("{app_id}-route"));
        let there = places.into_iter().filter(|name| *name != ".probe").map(str::to_owned);
        assert_eq!(there.collect::<Vec<_>>(), route.collect::<Vec<_>>(), "{at}: {routes:?}");
        runs
    }

    /// The version that answers through Caddy, if one does.
    fn served(&self) -> Option<String> {
        let until = Instant::now() + Duration::from_secs(5);
        loop {
            let (head, body) = match answer(self.machine.http(), &self.machine.domain(APP)) {
                Ok(answer) => {
                    answer.split_once("\r\n\r\n").map(|(head, body)| (head.to_owned(), body.trim().to_owned()))
                }
                // Caddy has no server before the first route.
                Err(_) if self.releases.is_empty() => return None,
                Err(error) => Some((error.to_string(), String::new())),
            }
            .expect("an HTTP answer");
            if head.starts_with("HTTP/1.1 200") {
                return (!body.is_empty()).then_some(body);
            }
            // A change of Caddy's configuration a moment ago resets connections; what was started again begins to listen.
            let passes = !head.starts_with("HTTP/1.1") || head.starts_with("HTTP/1.1 502") && self.started_again;
            assert!(passes && Instant::now() < until, "{head}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The ports of this machine's range that somebody listens on.
    fn listened(&self) -> Vec<u16> {
        let tables = ["tcp", "tcp6"].map(|table| std::fs::read_to_string(format!("/proc/net/{table}")).unwrap());
        let port = |line: &str| {
            let mut words = line.split_whitespace().skip(1);
            let (local, state) = (words.next()?, words.nth(1)?);
            let port = u16::from_str_radix(local.rsplit(':').next()?, 16).ok()?;
            (state == "0A" && self.machine.place.ports.contains(&port)).then_some(port)
        };
        let mut ports: Vec<u16> = tables.iter().flat_map(|table| table.lines()).filter_map(port).collect();
        ports.sort_unstable();
        ports
    }
}

/// For how long since its start this machine had more to do than it has processors: that is not the agent's. Zero where the
/// system does not tell.
fn waited_for_a_processor() -> Duration {
    let pressure = std::fs::read_to_string("/proc/pressure/cpu").unwrap_or_default();
    let total = pressure.lines().next().and_then(|some| some.rsplit_once("total=")?.1.parse().ok());
    Duration::from_micros(total.unwrap_or_default())
}

/// All files under a directory, by their paths in it.
fn files_of(dir: &std::path::Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(next) = dirs.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else {
                found.push(path.strip_prefix(dir).unwrap().display().to_string());
            }
        }
    }
    found.sort();
    found
}

/// An agent dies at every `step`th moment of the act, each time with the next agent's work as its start. Elsewhere than on
/// Docker at every fourth at most: each death so soon after the last is one more run to look after.
async fn dies_at_moments(act: Act, step: usize) {
    let step = if Ground::here() == Ground::Docker { step } else { step.max(4) };
    let mut scene = Scene::new();
    if act != Act::First {
        scene.next_agent(&[None], "at first", Some(Act::Redeploy)).await;
    }
    if act == Act::Rollback {
        let first = scene.releases.last().cloned();
        scene.next_agent(&[first], "at second", Some(Act::Redeploy)).await;
    }
    let mut deaths = 0;
    for moment in (0..).step_by(step) {
        let errand = scene.errand(act, Some(moment));
        let possible = scene.possible(&errand);
        let killed = Agent::start(&errand).end();
        let epitaph = std::fs::read_to_string(scene.machine.data.path().join("epitaph")).unwrap_or_default();
        let at = format!("{act:?}, moment {moment}, {epitaph}");
        let runs = scene.next_agent(&possible, &at, None).await;
        if !killed {
            assert_eq!(runs, possible[1], "{at}");
            break;
        }
        deaths += 1;
        match (act, &runs) {
            (Act::First, Some(_)) => drop(scene.next_agent(&[runs], &at, Some(Act::Undeploy)).await),
            (Act::Undeploy, None) => drop(scene.next_agent(&[None], &at, Some(Act::First)).await),
            _ => {}
        }
    }
    eprintln!("{act:?}: {deaths} deaths, the slowest recovery took {:?}", scene.slowest);
    assert!(deaths * step > 20, "{act:?} has only {deaths} moments");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redeploy_that_is_torn_before_during_or_after_any_call() {
    dies_at_moments(Act::Redeploy, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recreate_that_is_torn_before_during_or_after_any_call() {
    dies_at_moments(Act::Recreate, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_deploy_that_is_torn() {
    dies_at_moments(Act::First, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_that_is_torn() {
    dies_at_moments(Act::Rollback, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deploy_that_fails_and_is_torn() {
    dies_at_moments(Act::Failing, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undeploy_that_is_torn() {
    dies_at_moments(Act::Undeploy, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_version_that_the_engine_is_still_stopping_runs_again() {
    let mut scene = Scene::new();
    let lingering = scene.errand(Act::First, None);
    let (engine, ..) = scene.machine.engine();
    engine.recover().await;
    let mut deployment = lingering.deployment();
    deployment.env.insert("LINGER".to_owned(), Secret::new("2".to_owned()));
    run(&engine, deployment).await.unwrap();
    engine.shutdown(Duration::from_secs(5)).await;
    drop(engine);
    // The call that is torn while the old version ends.
    let epitaph = scene.machine.data.path().join("epitaph");
    for moment in (1..).step_by(3) {
        let errand = scene.errand(Act::Recreate, Some(moment));
        assert!(Agent::start(&errand).end(), "it stops the old version");
        if std::fs::read_to_string(&epitaph).unwrap() == "during stop" {
            break;
        }
    }
    let starts = || {
        let container = format!("otturnaut-{}-{}", scene.machine.app(APP), lingering.id);
        Ground::here().started(&container)
    };
    let before = starts();
    let (engine, ..) = scene.machine.engine();
    engine.recover().await;
    wait_for("the restart", || starts() != before && scene.machine.seen().iter().all(|seen| seen.state == "running"));
    scene.releases = vec![lingering.id.clone()];
    scene.started_again = true;
    assert_eq!(scene.running("it runs again"), Some(lingering.id.clone()));
    assert_eq!(engine.list(), []);
    engine.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_killed_one_after_another_leave_one_version_that_is_whole() {
    let seed = std::env::var("OTTURNAUT_TEST_SEED").map_or_else(|_| rand::random(), |seed| seed.parse().unwrap());
    eprintln!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut scene = Scene::new();
    // How long each usually takes.
    let mut usual = Vec::new();
    for act in [Act::First, Act::Redeploy, Act::Recreate, Act::Rollback, Act::Failing, Act::Recover, Act::Undeploy] {
        let errand = scene.errand(act, None);
        let [_, after] = scene.possible(&errand);
        let began = Instant::now();
        assert!(!Agent::start(&errand).end(), "nobody kills it");
        usual.push((act, began.elapsed()));
        scene.next_agent(&[after], &format!("{act:?}, seed {seed}"), None).await;
    }
    let usual = |act| usual.iter().find(|(known, _)| *known == act).map_or(Duration::ZERO, |(_, usual)| *usual);
    let mut kills = 0;
    while kills < kills_wanted() {
        let act = match (scene.releases.is_empty(), random.random_range(0..10)) {
            (true, _) => Act::First,
            (_, 0..4) => Act::Redeploy,
            (_, 4..7) => Act::Recreate,
            (_, 7) => Act::Rollback,
            (_, 8) => Act::Failing,
            _ => Act::Undeploy,
        };
        let errand = scene.errand(act, None);
        let possible = scene.possible(&errand);
        let delay = usual(act).mul_f64(random.random_range(0.0..1.0));
        let mut at = format!("seed {seed}, kill {kills}: {act:?} after {delay:?}");
        kills += usize::from(Agent::start(&errand).kill_after(delay));
        // Now and then the next one does not live long either.
        if random.random_range(0..4) == 0 {
            let delay = (usual(Act::Recover) * 3).mul_f64(random.random_range(0.0..1.0));
            at = format!("{at}, and the next after {delay:?}");
            kills += usize::from(Agent::start(&scene.errand(Act::Recover, None)).kill_after(delay));
        }
        scene.next_agent(&possible, &at, None).await;
    }
    eprintln!("seed {seed}: {kills} deaths, the slowest recovery took {:?}", scene.slowest);
}
