//! Deploys that succeed, and what they make of what was there.

use super::*;
use DeployStep::*;

#[tokio::test(start_paused = true)]
async fn a_first_deploy_runs_is_routed_and_known() {
    let machine = Machine::new();
    let (engine, state, ports) = machine.engine();
    let (outcome, told) = run_told(&engine, deployment("my-app", "-a_1")).await;
    let deployed = outcome.unwrap();
    let port = deployed.deployment.port.unwrap();
    assert_eq!(machine.seen().containers, [("otturnaut-my-app--a_1".to_owned(), RUNS)]);
    assert_eq!(machine.seen().routes, [route("my-app", port)]);
    assert_eq!(ports.list_allocated(), [port]);
    let entry = state.get("my-app").unwrap();
    assert_eq!(entry.status, Some(AppStatus::Running));
    assert_eq!(entry.container_name.as_deref(), Some("otturnaut-my-app--a_1"));
    assert_eq!((entry.port, entry.runtime), (Some(port), Some(DOCKER)));
    let deployment = deployed.deployment;
    assert_eq!(deployment.status, Status::Completed);
    assert_eq!(deployment.container_id.as_deref(), Some("id-1"));
    assert!(deployment.started_at <= deployment.completed_at && deployment.started_at.is_some());
    assert_eq!((deployment.previous_container_name, deployment.previous_port), (None, None));
    assert!(deployed.leftovers.is_empty());
    let steps: Vec<_> = told.iter().map(|p| p.step).collect();
    assert_eq!(steps, [AllocatePort, StartContainer, HealthCheck, SwitchRoute, StopOld, ReleasePort]);
    assert_eq!(told.iter().map(|p| p.seq).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    assert!(told.iter().all(|p| p.app_id == "my-app" && p.deployment_id.as_deref() == Some("-a_1")));
}

#[tokio::test(start_paused = true)]
async fn a_redeploy_switches_before_it_stops_the_old_version_and_leaves_nothing_of_it() {
    let machine = Machine::new();
    let (engine, state, ports) = machine.engine();
    let old = run(&engine, deployment("shop", "1")).await.unwrap().deployment;
    state.update_with("shop", |entry| entry.rest = Bytes::from_static(b"notes")).unwrap();
    let new = run(&engine, deployment("shop", "2")).await.unwrap().deployment;
    assert_eq!(new.previous_container_name.as_deref(), Some("otturnaut-shop-1"));
    assert_eq!(new.previous_port, old.port);
    assert_eq!(machine.seen().containers, [("otturnaut-shop-2".to_owned(), RUNS)]);
    assert_eq!(machine.seen().routes, [route("shop", new.port.unwrap())]);
    assert_eq!(ports.list_allocated(), [new.port.unwrap()]);
    assert!(state.get("shop").unwrap().rest.is_empty(), "a deploy keeps nothing of the rest");
    let log = machine.log();
    let at = |what: &str| log.iter().position(|l| l.starts_with(what)).unwrap();
    let switched = log.iter().rposition(|l| l.starts_with("put_route")).unwrap();
    assert!(switched < at("stop otturnaut-shop-1"), "{log:?}");
    assert!(at("stop otturnaut-shop-1") < at("remove otturnaut-shop-1"), "{log:?}");
}

#[tokio::test(start_paused = true)]
async fn the_old_version_is_found_by_label_when_the_state_is_lost() {
    let machine = Machine::new();
    machine.container(&labels("shop", "lost"), 10_003);
    machine.container(&labels("shop-2", "other"), 10_004);
    machine.foreign("otturnaut-shop-by-hand", BTreeMap::new(), 10_005);
    let (engine, ..) = machine.engine();
    let new = run(&engine, deployment("shop", "2")).await.unwrap().deployment;
    assert_eq!(new.previous_container_name.as_deref(), Some("otturnaut-shop-lost"));
    assert_eq!(new.previous_port, Some(10_003));
    let names: Vec<_> = machine.seen().containers.into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["otturnaut-shop-2-other", "otturnaut-shop-by-hand", "otturnaut-shop-2"]);
}

#[tokio::test(start_paused = true)]
async fn a_container_without_labels_is_known_by_the_state() {
    let machine = Machine::new();
    machine.foreign("otturnaut-shop-of-elixir", BTreeMap::new(), 10_003);
    let (engine, state, _) = machine.engine();
    let name = Some("otturnaut-shop-of-elixir".to_owned());
    state.put("shop", AppEntry { container_name: name.clone(), port: Some(10_003), ..Default::default() }).unwrap();
    let new = run(&engine, deployment("shop", "2")).await.unwrap().deployment;
    assert_eq!(new.previous_container_name, name);
    assert_eq!(machine.seen().containers, [("otturnaut-shop-2".to_owned(), RUNS)]);
}

#[tokio::test(start_paused = true)]
async fn an_old_version_that_cannot_be_removed_does_not_fail_the_deploy() {
    let machine = Machine::new();
    let (engine, ..) = machine.engine();
    run(&engine, deployment("shop", "1")).await.unwrap();
    machine.fault("remove", Fault::Refused(500, "device or resource busy"));
    let deployed = run(&engine, deployment("shop", "2")).await.unwrap();
    assert_eq!(deployed.leftovers.len(), 1);
    assert!(deployed.leftovers[0].contains("otturnaut-shop-1"), "{:?}", deployed.leftovers);
}

#[tokio::test(start_paused = true)]
async fn a_version_without_domains_takes_the_route_of_the_one_before_away() {
    let machine = Machine::new();
    let (engine, ..) = machine.engine();
    run(&engine, deployment("shop", "1")).await.unwrap();
    let mut next = deployment("shop", "2");
    next.domains.clear();
    run(&engine, next).await.unwrap();
    assert_eq!(machine.seen().routes, []);
}

#[tokio::test(start_paused = true)]
async fn an_application_that_never_had_domains_needs_no_caddy() {
    let machine = Machine::new();
    for operation in ["put_route", "get_route", "remove_route"] {
        machine.fault(operation, Fault::Down);
    }
    let (engine, ..) = machine.engine();
    for id in ["1", "2"] {
        let mut worker = deployment("worker", id);
        worker.domains.clear();
        run(&engine, worker).await.unwrap();
    }
    assert_eq!(machine.seen().containers, [("otturnaut-worker-2".to_owned(), RUNS)]);
}

#[tokio::test(start_paused = true)]
async fn an_image_that_is_not_here_is_pulled_once() {
    let machine = Machine::new();
    let (engine, ..) = machine.engine();
    let mut wanted = deployment("shop", "1");
    wanted.image = "missing:latest".to_owned();
    run(&engine, wanted).await.unwrap();
    let log = machine.log();
    let engine: Vec<_> = log.iter().filter(|l| l.starts_with("start") || l.starts_with("pull")).collect();
    assert_eq!(engine, ["start otturnaut-shop-1", "pull missing:latest", "start otturnaut-shop-1"]);
}

#[tokio::test(start_paused = true)]
async fn a_pull_that_fails_gives_the_first_answer() {
    let machine = Machine::new();
    machine.fault("pull", Fault::Refused(500, "dial tcp: no route to host"));
    let (engine, ..) = machine.engine();
    let mut wanted = deployment("shop", "1");
    wanted.image = "missing:latest".to_owned();
    let failure = run(&engine, wanted).await.unwrap_err();
    let DeployError::ContainerStart { source: RuntimeError::Http { status, body, .. }, .. } = failure.reason else {
        panic!("{:?}", failure.reason)
    };
    assert_eq!((status, body["message"].as_str()), (404, Some("No such image: missing:latest")));
}

#[tokio::test(start_paused = true)]
async fn an_image_of_the_agents_own_is_never_pulled() {
    let machine = Machine::new();
    machine.fault("start", Fault::Refused(404, "No such image: otturnaut-shop:abc"));
    let (engine, ..) = machine.engine();
    let mut wanted = deployment("shop", "1");
    wanted.image = "otturnaut-shop:abc".to_owned();
    run(&engine, wanted).await.unwrap_err();
    assert!(machine.log().iter().all(|l| !l.starts_with("pull")), "{:?}", machine.log());
}

#[tokio::test(start_paused = true)]
async fn a_port_that_is_taken_meanwhile_is_replaced() {
    let machine = Machine::new();
    machine.fault("start", Fault::Refused(500, "Bind for 127.0.0.1:1 failed: port is already allocated"));
    let (engine, _, ports) = machine.engine();
    let failure = run(&engine, deployment("shop", "1")).await.unwrap_err();
    assert!(matches!(failure.reason, DeployError::ContainerStart { .. }));
    let starts = machine.log().iter().filter(|l| l.starts_with("start ")).count();
    assert_eq!(starts, 1 + limits::PORT_RETRIES);
    assert!(ports.list_allocated().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_name_that_engines_do_not_take_is_refused_before_anything_is_done() {
    let machine = Machine::new();
    let (engine, ..) = machine.engine();
    for app_id in ["", "a b", "a/b", "-a", "ä"] {
        let failure = run(&engine, deployment(app_id, "1")).await.unwrap_err();
        assert!(matches!(failure.reason, DeployError::Invalid(_)), "{app_id}");
        assert_eq!(failure.deployment.status, Status::Failed);
    }
    assert!(machine.log().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_that_reads_nothing_does_not_stop_a_deploy() {
    let machine = Machine::new();
    let (engine, ..) = machine.engine();
    let (sender, _never_read) = mpsc::channel(1);
    engine.execute(deployment("shop", "1"), ExecuteOptions::default(), Some(sender)).await.unwrap();
}
