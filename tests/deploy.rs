//! Deploys with the real Docker, Caddy and git: what the machine shows is looked at from outside.

#![expect(clippy::disallowed_methods, reason = "a test")]

#[path = "support/deploying.rs"]
mod deploying;

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use deploying::{Ground, Machine, get, run, undeploy_of};
use otturnaut::build::{Build, BuildOptions, BuildSource};
use otturnaut::deploy::{DeployError, Deployment, ExecuteOptions, generate_id};
use otturnaut::host::{Recipe, Resources, RuntimeError};
use otturnaut::secret::Secret;
use tokio_util::task::TaskTracker;

/// Redeploys under load.
const SWITCHES: usize = 5;

#[tokio::test(flavor = "multi_thread")]
async fn redeploys_under_load_lose_no_request_and_leave_one_container() {
    let machine = Machine::start();
    let (engine, _, ports) = machine.engine();
    run(&engine, machine.deployment("shop")).await.unwrap();
    assert_eq!(machine.get("shop"), Ok(200));
    let (stop, requests) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (address, host) = (machine.http(), machine.domain("shop"));
    let client = |_| {
        let (stop, requests, host) = (Arc::clone(&stop), Arc::clone(&requests), host.clone());
        thread::spawn(move || {
            let mut failed = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let answer = get(address, &host);
                requests.fetch_add(1, Ordering::Relaxed);
                if answer != Ok(200) {
                    failed.push(answer);
                }
            }
            failed
        })
    };
    let clients: Vec<_> = (0..4).map(client).collect();
    for _ in 0..SWITCHES {
        let mut slow = machine.deployment("shop");
        slow.env.insert("DELAY".to_owned(), Secret::new("0.5".to_owned()));
        let deployed = run(&engine, slow).await.unwrap();
        assert!(deployed.leftovers.is_empty(), "{:?}", deployed.leftovers);
    }
    stop.store(true, Ordering::Relaxed);
    let failed: Vec<_> = clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
    let requests = requests.load(Ordering::Relaxed);
    assert!(requests > 500, "only {requests} requests were made");
    assert!(failed.is_empty(), "{} of {requests}: {:?}", failed.len(), failed.first());
    assert_eq!((machine.containers().len(), ports.list_allocated().len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_applications_deployed_at_once_are_all_routed() {
    let machine = Machine::start();
    let (engine, ..) = machine.engine();
    let names: Vec<String> = (0..8).map(|n| format!("app{n}")).collect();
    let deploys = names.iter().map(|name| run(&engine, machine.deployment(name)));
    for outcome in futures::future::join_all(deploys).await {
        outcome.unwrap();
    }
    for name in &names {
        assert_eq!(machine.get(name), Ok(200), "{name}");
    }
    let undeploys = names.iter().map(|name| engine.undeploy(undeploy_of(machine.app(name)), None));
    for outcome in futures::future::join_all(undeploys).await {
        outcome.unwrap();
    }
    assert!(machine.containers().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_is_not_well_leaves_the_old_one_serving() {
    let machine = Machine::start();
    let (engine, state, ports) = machine.engine();
    let old = run(&engine, machine.deployment("shop")).await.unwrap().deployment;
    let before = (state.list(), ports.list_allocated(), machine.containers());

    let mut broken = machine.deployment("shop");
    broken.env.insert("FAIL".to_owned(), Secret::new("3".to_owned()));
    let reason = run(&engine, broken).await.unwrap_err();
    assert!(matches!(reason, DeployError::HealthCheckFailed(_)), "{reason:?}");
    let mut silent = machine.deployment("shop");
    silent.env.insert("DELAY".to_owned(), Secret::new("60".to_owned()));
    let mut impatient = ExecuteOptions::default();
    impatient.health.deadline = Duration::from_secs(1);
    let failure = engine.execute(silent, impatient, None).await.unwrap_err();
    assert!(matches!(failure.reason, DeployError::HealthCheckFailed(_)), "{:?}", failure.reason);
    let mut missing = machine.deployment("shop");
    missing.image = "otturnaut-nobody:1".to_owned();
    let reason = run(&engine, missing).await.unwrap_err();
    let DeployError::ContainerStart { source, .. } = &reason else { panic!("{reason:?}") };
    assert!(format!("{source:?}").contains("otturnaut-nobody"), "{source:?}");
    if let (Ground::Docker, RuntimeError::Http { status, body, .. }) = (Ground::here(), source) {
        let said = r#"{"message":"No such image: otturnaut-nobody:1"}"#;
        assert_eq!((*status, body.to_string().as_str()), (404, said));
    }

    assert_eq!((state.list(), ports.list_allocated(), machine.containers()), before);
    assert_eq!(machine.get("shop"), Ok(200));
    assert_eq!(get(([127, 0, 0, 1], old.port.unwrap()).into(), "x"), Ok(200));
}

#[tokio::test(flavor = "multi_thread")]
async fn bounds_hold_or_are_refused_before_anything_is_touched() {
    let machine = Machine::start();
    let (engine, state, ports) = machine.engine();
    let mut bounded = machine.deployment("shop");
    bounded.resources = Resources { memory: Some(64 << 20), ..Resources::default() };
    let plan = engine.plan(&bounded, &ExecuteOptions::default()).await.unwrap();
    let warned = plan.warnings.iter().any(|warning| warning.contains("it bounds no memory"));
    // Without root the first version of control groups has no bounds to give.
    assert_eq!(warned, Ground::here().is_unbounded(), "{:?}", plan.warnings);
    match run(&engine, bounded).await {
        Ok(_) => assert!(!warned && machine.get("shop") == Ok(200)),
        Err(DeployError::ContainerStart { source: RuntimeError::Unsupported { .. }, .. }) => {
            assert!(warned && machine.containers().is_empty() && state.list().is_empty());
            assert_eq!(ports.list_allocated(), [0; 0]);
        }
        Err(other) => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_without_domains_that_exits_soon_is_not_completed() {
    let machine = Machine::start();
    let (engine, ..) = machine.engine();
    let mut worker = machine.deployment("worker");
    worker.domains.clear();
    run(&engine, worker.clone()).await.unwrap();
    let mut broken = Deployment { id: generate_id(), ..worker };
    broken.env.insert("FAIL".to_owned(), Secret::new("1".to_owned()));
    let reason = run(&engine, broken).await.unwrap_err();
    assert!(matches!(reason, DeployError::HealthCheckFailed(_)), "{reason:?}");
    assert_eq!(machine.containers().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_starts_again_knows_what_runs_and_can_take_it_away() {
    let machine = Machine::start();
    let (first, ..) = machine.engine();
    let old = run(&first, machine.deployment("my-shop")).await.unwrap().deployment;
    first.shutdown(Duration::from_secs(5)).await;
    drop(first);
    let (engine, state, ports) = machine.engine();
    engine.recover().await;
    let entry = state.get(&machine.app("my-shop")).expect("it is found again");
    assert_eq!((entry.container_name.clone(), entry.port), (old.container_name, old.port));
    assert!(ports.in_use(old.port.unwrap()));
    let new = run(&engine, machine.deployment("my-shop")).await.unwrap().deployment;
    assert_eq!(new.previous_container_name, entry.container_name);
    assert_eq!(machine.containers(), [new.container_name.unwrap()]);
    engine.undeploy(undeploy_of(machine.app("my-shop")), None).await.unwrap();
    assert!(machine.containers().is_empty());
    assert_eq!(machine.get("my-shop"), Ok(0), "nobody answers any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_is_killed_leaves_nothing() {
    let machine = Machine::start();
    let (engine, state, ports) = machine.engine();
    let mut slow = machine.deployment("shop");
    slow.env.insert("DELAY".to_owned(), Secret::new("60".to_owned()));
    let started = async {
        while machine.containers().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        outcome = run(&engine, slow) => panic!("{outcome:?}"),
        () = started => {}
    }
    engine.shutdown(Duration::from_secs(20)).await;
    assert!(machine.containers().is_empty() && state.list().is_empty() && ports.list_allocated().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_built_from_a_repository_and_deployed() {
    if Ground::here().is_systemd() {
        // It builds programs: tests/systemd.rs.
        return;
    }
    let machine = Machine::start();
    let repository = machine.data.path().join("repository");
    let script = format!(
        "git init -q -b main '{0}' && cd '{0}' && printf 'FROM {1}\\nARG WHAT\\nRUN echo $WHAT > /www/index.html\\n' > Dockerfile \
         && git add . && git -c user.name=a -c user.email=a@b commit -q -m first",
        repository.display(),
        machine.place.image()
    );
    assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success());
    let tasks = TaskTracker::new();
    let build = Build::new(machine.host(), tasks.clone());
    let source = BuildSource {
        repo_url: Secret::new(format!("file://{}", repository.display())),
        git_ref: "main".to_owned(),
        recipe: Recipe::Dockerfile { path: "Dockerfile".to_owned() },
        build_args: BTreeMap::from([("WHAT".to_owned(), "built".to_owned())]),
        build_secrets: [].into(),
        ssh_key: None,
        submodules: false,
        resources: Resources::default(),
    };
    let options = BuildOptions { timeout: None, runtime: Ground::here().target() };
    let tag = build.run(&machine.app("built"), &source, &options, None).await.unwrap();
    let (engine, ..) = machine.engine();
    let mut deployment = machine.deployment("built");
    deployment.image = tag.clone();
    run(&engine, deployment).await.unwrap();
    assert_eq!(machine.get("built"), Ok(200));
    engine.undeploy(undeploy_of(machine.app("built")), None).await.unwrap();
    Ground::here().remove_image(&tag);
}
