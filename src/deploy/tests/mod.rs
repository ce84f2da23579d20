//! Deploys, undeploys and recovery on a machine in memory.

mod death;
mod releases;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::testing::{App, DOCKER, Fault, Machine, OUTPOST, Seen, deployment};
use super::*;
use crate::apps::{AppEntry, AppState, AppStatus, Labels, PortManager};
use crate::host::{ContainerStatus, ProxyError, Route, RuntimeError};
use crate::limits;
use crate::watch::ExpectedStatus;

async fn run(engine: &Engine, deployment: Deployment) -> Result<Deployed, Box<DeployFailure>> {
    engine.execute(deployment, ExecuteOptions::default(), None).await
}

/// Runs a deploy and gathers its steps.
async fn run_told(
    engine: &Engine,
    deployment: Deployment,
) -> (Result<Deployed, Box<DeployFailure>>, Vec<Progress<DeployStep>>) {
    let (sender, mut receiver) = mpsc::channel(limits::PROGRESS_QUEUE);
    let outcome = engine.execute(deployment, ExecuteOptions::default(), Some(sender)).await;
    let mut told = Vec::new();
    while let Ok(progress) = receiver.try_recv() {
        told.push(progress);
    }
    (outcome, told)
}

fn undeploy_of(app_id: &str) -> UndeployRequest {
    UndeployRequest { app_id: app_id.to_owned(), runtime: DOCKER, deployment_id: None, cancel: false }
}

fn labels(app_id: &str, deployment_id: &str) -> Labels {
    Labels {
        outpost: OUTPOST.to_owned(),
        app_id: app_id.to_owned(),
        deployment_id: deployment_id.to_owned(),
        domains: vec![format!("{app_id}.test")],
        container_port: 8080,
        run: None,
        task: false,
    }
}

/// A machine on which nothing is.
fn nothing() -> (Seen, Entries, Vec<u16>) {
    let seen = Seen { containers: vec![], routes: vec![], images: vec![], documents: vec![] };
    (seen, vec![], vec![])
}

/// What a completed deployment of `shop` leaves, and nothing else.
fn only(id: &str, port: u16) -> Seen {
    Seen {
        containers: vec![(format!("otturnaut-shop-{id}"), RUNS)],
        routes: vec![route("shop", port)],
        images: vec![format!("otturnaut-release:shop-{id}")],
        documents: vec![("shop".to_owned(), id.to_owned())],
    }
}

fn route(app_id: &str, upstream_port: u16) -> Route {
    Route { id: format!("{app_id}-route"), domains: vec![format!("{app_id}.test")], upstream_port }
}

type Entries = Vec<(String, std::sync::Arc<AppEntry>)>;

/// What there is, of machine and agent.
fn everything(machine: &Machine, state: &AppState, ports: &PortManager) -> (Seen, Entries, Vec<u16>) {
    (machine.seen(), state.list(), ports.list_allocated())
}

const RUNS: ContainerStatus = ContainerStatus::Running;

mod deploys {
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
}

mod health {
    use super::*;

    async fn outcome(
        app: App,
        domains: bool,
        policy: HealthPolicy,
    ) -> (Result<Deployed, Box<DeployFailure>>, Vec<Progress<DeployStep>>) {
        let machine = Machine::new();
        machine.app(app);
        let (engine, ..) = machine.engine();
        let mut wanted = deployment("shop", "1");
        if !domains {
            wanted.domains.clear();
        }
        let (sender, mut receiver) = mpsc::channel(limits::PROGRESS_QUEUE);
        let outcome =
            engine.execute(wanted, ExecuteOptions { health: policy, ..Default::default() }, Some(sender)).await;
        let told = std::iter::from_fn(|| receiver.try_recv().ok()).collect();
        if outcome.is_err() {
            assert_eq!(machine.seen(), nothing().0);
        }
        (outcome, told)
    }

    fn why(told: &[Progress<DeployStep>]) -> &str {
        &told.last().unwrap().message
    }

    #[tokio::test(start_paused = true)]
    async fn an_application_with_domains_is_switched_when_it_answers_whatever_the_status() {
        let begin = tokio::time::Instant::now();
        let app = App::Answers(500, Duration::from_secs(3));
        outcome(app, true, HealthPolicy::default()).await.0.unwrap();
        assert!(begin.elapsed() >= Duration::from_secs(3), "{:?}", begin.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_runs_and_does_not_answer_fails_when_its_time_is_up() {
        let begin = tokio::time::Instant::now();
        let (failed, told) = outcome(App::Silent, true, HealthPolicy::default()).await;
        assert!(matches!(failed.unwrap_err().reason, DeployError::HealthCheckFailed(_)));
        assert!((60..62).contains(&begin.elapsed().as_secs()), "{:?}", begin.elapsed());
        assert_eq!(why(&told), "Failed: connection refused");
        assert_eq!(told.last().unwrap().step, DeployStep::HealthCheck);
    }

    #[tokio::test(start_paused = true)]
    async fn asking_only_whether_it_runs_does_not_switch_what_does_not_answer() {
        for probe in [HealthProbe::Running, HealthProbe::Tcp { timeout: None }] {
            let policy = HealthPolicy { probe: Some(probe), ..HealthPolicy::default() };
            assert!(outcome(App::Silent, true, policy).await.0.is_err());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_expected_status_counts_where_one_is_named() {
        let expected = ExpectedStatus(vec![200..=200]);
        let http = HealthProbe::Http { path: Some("up".to_owned()), host: None, expected, timeout: None };
        let policy = HealthPolicy { probe: Some(http), ..HealthPolicy::default() };
        let (failed, told) = outcome(App::Answers(503, Duration::ZERO), true, policy.clone()).await;
        assert!(failed.is_err());
        assert_eq!(why(&told), "Failed: answered 503, expected 200");
        outcome(App::Answers(200, Duration::ZERO), true, policy).await.0.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_container_that_exits_fails_at_once_and_its_code_is_told() {
        let begin = tokio::time::Instant::now();
        let (failed, told) = outcome(App::Exits(3, Duration::from_millis(300)), true, HealthPolicy::default()).await;
        assert!(failed.is_err());
        assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
        assert!(why(&told).contains("exited with code 3"), "{}", why(&told));
    }

    #[tokio::test(start_paused = true)]
    async fn one_without_domains_must_keep_running_for_a_moment() {
        let soon = Duration::from_millis(300);
        for app in [App::Exits(1, soon), App::Restarts(soon), App::Restarts(Duration::from_millis(900))] {
            assert!(outcome(app, false, HealthPolicy::default()).await.0.is_err(), "{app:?}");
        }
        outcome(App::Silent, false, HealthPolicy::default()).await.0.unwrap();
        let short = HealthPolicy { deadline: Duration::from_millis(10), ..HealthPolicy::default() };
        outcome(App::Silent, false, short).await.0.unwrap();
    }
}

/// A failure or a cancellation anywhere leaves what was there before, or the new version complete.
mod undo {
    use super::*;

    /// A machine with or without version 1 in place.
    async fn machine(with_old: bool) -> (Machine, Engine, AppState, PortManager) {
        let machine = Machine::new();
        let (engine, state, ports) = machine.engine();
        if with_old {
            run(&engine, deployment("shop", "1")).await.unwrap();
            state.update_with("shop", |entry| entry.rest = Bytes::from_static(b"notes")).unwrap();
        }
        (machine, engine, state, ports)
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_at_any_step_leaves_what_was_there() {
        let faults = [
            ("start", Fault::Refused(500, "no space left on device")),
            ("start", Fault::Down),
            ("start", Fault::AnswerLost),
            ("get_route", Fault::Down),
            ("put_route", Fault::Down),
            ("put_route", Fault::AnswerLost),
            ("put_route", Fault::Refused(500, "loading new config: bad domain")),
        ];
        for with_old in [false, true] {
            for (operation, fault) in faults {
                let (machine, engine, state, ports) = machine(with_old).await;
                let before = everything(&machine, &state, &ports);
                machine.fault(operation, fault);
                let (outcome, told) = run_told(&engine, deployment("shop", "2")).await;
                let failure = outcome.unwrap_err();
                assert_eq!(everything(&machine, &state, &ports), before, "{operation} {fault:?}");
                assert_eq!(failure.deployment.status, Status::Failed);
                assert!((failure.deployment.port, failure.deployment.container_id) == (None, None));
                assert!(told.last().unwrap().message.starts_with("Failed: "), "{told:?}");
                if fault == Fault::Down && operation.ends_with("route") {
                    let reason = &failure.reason;
                    assert!(
                        matches!(reason, DeployError::RouteSwitch { source: ProxyError::Unavailable { .. }, .. }),
                        "{reason:?}"
                    );
                    assert!(failure.stuck.is_empty(), "{:?}", failure.stuck);
                }
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn full_ports_fail_and_leave_what_was_there() {
        let (machine, engine, state, ports) = machine(true).await;
        machine.inside().listeners.extend(10_000..=10_009);
        let before = everything(&machine, &state, &ports);
        let failure = run(&engine, deployment("shop", "2")).await.unwrap_err();
        assert!(matches!(failure.reason, DeployError::PortAllocation(_)));
        assert_eq!(everything(&machine, &state, &ports), before);
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_deployment_again_does_not_take_away_what_it_had_started() {
        let (machine, engine, state, ports) = machine(true).await;
        let before = everything(&machine, &state, &ports);
        for fault in [None, Some(Fault::AnswerLost)] {
            if let Some(fault) = fault {
                machine.fault("start", fault);
            }
            run(&engine, deployment("shop", "1")).await.unwrap_err();
            assert_eq!(everything(&machine, &state, &ports), before);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_undo_that_fails_is_reported_and_the_others_go_on() {
        let (machine, engine, state, ports) = machine(false).await;
        machine.fault("put_route", Fault::AnswerLost);
        machine.fault("remove_route", Fault::Down);
        machine.fault("remove", Fault::Refused(500, "busy"));
        let failure = run(&engine, deployment("shop", "1")).await.unwrap_err();
        assert_eq!(failure.stuck.len(), 2, "{:?}", failure.stuck);
        assert!(failure.stuck[0].starts_with("switch_route could not be undone"), "{:?}", failure.stuck);
        assert!(failure.stuck[1].starts_with("start_container could not be undone"), "{:?}", failure.stuck);
        assert_eq!((state.list(), ports.list_allocated()), (vec![], vec![]));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_put_into_the_state_meanwhile_outlives_a_failure() {
        let (machine, engine, state, _) = machine(true).await;
        machine.app(App::Silent);
        let during = async {
            tokio::time::sleep(Duration::from_secs(2)).await;
            assert_eq!(state.get("shop").unwrap().status, Some(AppStatus::Deploying));
            state.update_with("shop", |entry| entry.rest = Bytes::from_static(b"newer")).unwrap();
        };
        let (outcome, ()) = tokio::join!(run(&engine, deployment("shop", "2")), during);
        outcome.unwrap_err();
        let entry = state.get("shop").unwrap();
        assert_eq!((entry.status, &entry.rest[..]), (Some(AppStatus::Running), &b"newer"[..]));
        assert_eq!(entry.deployment_id.as_deref(), Some("1"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_is_killed_at_any_moment_leaves_the_old_version_or_the_new_one() {
        for with_old in [false, true] {
            let (mut undone, mut completed) = (0, 0);
            for moment in (0..).map(Duration::from_millis) {
                let (machine, engine, state, ports) = machine(with_old).await;
                machine.app(App::Answers(200, Duration::from_millis(60)));
                let before = everything(&machine, &state, &ports);
                if let Ok(ended) = tokio::time::timeout(moment, run(&engine, deployment("shop", "2"))).await {
                    ended.unwrap();
                    break;
                }
                engine.shutdown(Duration::from_mins(1)).await;
                let after = everything(&machine, &state, &ports);
                if after == before {
                    undone += 1;
                } else {
                    completed += 1;
                    let port = state.get("shop").unwrap().port.unwrap();
                    let mut expected = only("2", port);
                    if with_old {
                        expected.images.insert(0, "otturnaut-release:shop-1".to_owned());
                        expected.documents.insert(0, ("shop".to_owned(), "1".to_owned()));
                    }
                    assert_eq!(after.0, expected, "at {moment:?}");
                    assert_eq!(after.2, [port], "at {moment:?}");
                }
            }
            assert!(undone > 60 && completed > 1, "undone {undone}, completed {completed}");
        }
    }
}

mod turns {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn many_deploys_of_one_application_at_once_leave_one_container_and_one_port() {
        let machine = Machine::new();
        let (engine, state, ports) = machine.engine();
        let deploys = (0..8).map(|n| run(&engine, deployment("shop", &n.to_string())).boxed());
        for outcome in futures::future::join_all(deploys).await {
            outcome.unwrap();
        }
        assert_eq!(machine.seen().containers, [("otturnaut-shop-7".to_owned(), RUNS)], "the last to come is the last");
        assert_eq!(ports.list_allocated(), [state.get("shop").unwrap().port.unwrap()]);
    }

    #[tokio::test(start_paused = true)]
    async fn different_applications_are_deployed_side_by_side() {
        let machine = Machine::new();
        machine.app(App::Answers(200, Duration::from_secs(5)));
        let (engine, ..) = machine.engine();
        let begin = tokio::time::Instant::now();
        let deploys = (0..8).map(|n| run(&engine, deployment(&format!("app{n}"), "1")).boxed());
        for outcome in futures::future::join_all(deploys).await {
            outcome.unwrap();
        }
        assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
        assert_eq!(machine.seen().routes.len(), 8);
    }

    #[tokio::test(start_paused = true)]
    async fn an_undeploy_waits_for_the_deploy_before_it() {
        let machine = Machine::new();
        machine.app(App::Answers(200, Duration::from_secs(3)));
        let (engine, state, ports) = machine.engine();
        let (deployed, undeployed) =
            tokio::join!(run(&engine, deployment("shop", "1")), engine.undeploy(undeploy_of("shop"), None));
        assert!(deployed.is_ok() && undeployed.is_ok());
        assert_eq!(everything(&machine, &state, &ports), nothing());
    }

    #[tokio::test(start_paused = true)]
    async fn a_shutdown_lets_a_deploy_end_within_its_grace_and_begins_no_other() {
        let machine = Machine::new();
        machine.app(App::Answers(200, Duration::from_secs(3)));
        let (engine, ..) = machine.engine();
        let (first, waiting, late, ()) = tokio::join!(
            run(&engine, deployment("shop", "1")),
            run(&engine, deployment("shop", "2")),
            async {
                tokio::time::sleep(Duration::from_secs(2)).await;
                run(&engine, deployment("blog", "1")).await
            },
            async {
                tokio::time::sleep(Duration::from_secs(1)).await;
                engine.shutdown(Duration::from_secs(30)).await;
            },
        );
        first.unwrap();
        assert!(matches!(waiting.unwrap_err().reason, DeployError::ShuttingDown));
        assert!(matches!(late.unwrap_err().reason, DeployError::ShuttingDown));
        assert_eq!(machine.seen().containers, [("otturnaut-shop-1".to_owned(), RUNS)]);
        assert!(matches!(engine.undeploy(undeploy_of("shop"), None).await, Err(UndeployError::ShuttingDown)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_shutdown_undoes_what_does_not_end_in_time() {
        let machine = Machine::new();
        machine.app(App::Silent);
        let (engine, state, ports) = machine.engine();
        let (outcome, ()) = tokio::join!(run(&engine, deployment("shop", "1")), async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            engine.shutdown(Duration::from_secs(2)).await;
            assert_eq!(everything(&machine, &state, &ports), nothing(), "undone when the shutdown is over");
        });
        assert!(matches!(outcome.unwrap_err().reason, DeployError::Cancelled));
    }

    use futures::FutureExt;
}

mod undeploys {
    use super::*;
    use UndeployStep::*;

    async fn undeploy_told(engine: &Engine, app_id: &str) -> Vec<UndeployStep> {
        let (sender, mut receiver) = mpsc::channel(limits::PROGRESS_QUEUE);
        engine.undeploy(undeploy_of(app_id), Some(sender)).await.unwrap();
        std::iter::from_fn(|| receiver.try_recv().ok()).map(|p| p.step).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn the_route_goes_before_the_container_and_nothing_is_left() {
        let machine = Machine::new();
        let (engine, state, ports) = machine.engine();
        run(&engine, deployment("shop", "1")).await.unwrap();
        let told = undeploy_told(&engine, "shop").await;
        assert_eq!(told, [RetrieveState, StopContainer, RemoveContainer, RemoveRoutes, ReleasePort, ClearState]);
        assert_eq!(everything(&machine, &state, &ports), nothing());
        let log = machine.log();
        let at = |what: &str| log.iter().position(|l| l.starts_with(what)).unwrap();
        assert!(at("remove_route") < at("stop") && at("stop") < at("remove otturnaut"), "{log:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_there_is_fine_as_often_as_one_likes() {
        let machine = Machine::new();
        let (engine, ..) = machine.engine();
        for _ in 0..2 {
            assert_eq!(undeploy_told(&engine, "nobody").await.len(), 6);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn containers_are_found_by_label_when_the_state_is_lost() {
        let machine = Machine::new();
        for (app, id, port) in [("my-app", "1", 10_001), ("my-app", "2", 10_002), ("my", "app-1", 10_003)] {
            machine.container(&labels(app, id), port);
        }
        machine.stop_now("otturnaut-my-app-1");
        let (engine, ..) = machine.engine();
        undeploy_told(&engine, "my-app").await;
        assert_eq!(machine.seen().containers, [("otturnaut-my-app-1".to_owned(), RUNS)], "it belongs to `my`");
        assert_eq!(machine.log().iter().filter(|l| l.starts_with("stop")).count(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn an_engine_or_a_caddy_that_is_down_does_not_stop_the_rest() {
        let machine = Machine::new();
        let (engine, state, ports) = machine.engine();
        run(&engine, deployment("shop", "1")).await.unwrap();
        machine.fault("remove_route", Fault::Down);
        undeploy_told(&engine, "shop").await;
        assert!(machine.seen().containers.is_empty() && state.list().is_empty() && ports.list_allocated().is_empty());

        machine.inside().faults.clear();
        run(&engine, deployment("shop", "2")).await.unwrap();
        for operation in ["list", "inspect", "stop", "remove"] {
            machine.fault(operation, Fault::Down);
        }
        undeploy_told(&engine, "shop").await;
        assert!(machine.seen().routes.is_empty() && state.list().is_empty() && ports.list_allocated().is_empty());
    }
}

mod recovery {
    use super::*;

    fn known(state: &AppState) -> Vec<(String, Option<String>, Option<AppStatus>)> {
        state.list().into_iter().map(|(id, entry)| (id, entry.deployment_id.clone(), entry.status)).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn the_state_is_rebuilt_from_what_runs() {
        let machine = Machine::new();
        machine.container(&labels("my-app", "x-1"), 10_001);
        machine.container(&labels("shop", "1"), 20_001);
        machine.foreign("postgres", BTreeMap::new(), 5432);
        machine.stop_now("otturnaut-shop-1");
        machine.inside().routes.insert("my-app-route".to_owned(), route("my-app", 10_001));
        let (engine, state, ports) = machine.engine();
        engine.recover().await;
        let running = ("my-app".to_owned(), Some("x-1".to_owned()), Some(AppStatus::Running));
        let stopped = ("shop".to_owned(), Some("1".to_owned()), Some(AppStatus::Stopped));
        assert_eq!(known(&state), [running, stopped]);
        let entry = state.get("my-app").unwrap();
        assert_eq!((entry.port, entry.domains), (Some(10_001), Some(vec!["my-app.test".to_owned()])));
        assert_eq!(ports.list_allocated(), [10_001]);
        assert_eq!(machine.seen().containers.len(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn what_other_agents_run_is_left_alone() {
        let machine = Machine::new();
        let theirs = Labels { outpost: "other@test".to_owned(), ..labels("shop", "1") };
        machine.container(&theirs, 10_001);
        let (engine, state, ports) = machine.engine();
        engine.recover().await;
        assert_eq!(known(&state), []);
        assert!(ports.list_allocated().is_empty() && machine.inside().routes.is_empty());
        assert_eq!(machine.seen().containers.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn of_a_torn_deploy_the_version_with_the_requests_stays() {
        for routed in [10_001, 10_002] {
            let machine = Machine::new();
            machine.container(&labels("shop", "1"), 10_001);
            machine.container(&labels("shop", "2"), 10_002);
            machine.inside().routes.insert("shop-route".to_owned(), route("shop", routed));
            let (engine, state, ports) = machine.engine();
            engine.recover().await;
            assert_eq!(machine.seen().containers, [(format!("otturnaut-shop-{}", routed - 10_000), RUNS)]);
            assert_eq!(state.get("shop").unwrap().port, Some(routed));
            assert_eq!(ports.list_allocated(), [routed]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_removed_while_it_is_not_certain_which_version_has_the_requests() {
        for caddy_down in [true, false] {
            let machine = Machine::new();
            machine.container(&labels("shop", "1"), 10_001);
            machine.container(&labels("shop", "2"), 10_002);
            machine.inside().routes.insert("shop-route".to_owned(), route("shop", 10_009));
            if caddy_down {
                machine.fault("get_route", Fault::Down);
            }
            let (engine, state, ports) = machine.engine();
            engine.recover().await;
            assert_eq!(machine.seen().containers.len(), 2);
            assert_eq!(state.get("shop").unwrap().deployment_id.as_deref(), Some("2"), "the newest that runs");
            assert_eq!(ports.list_allocated(), [10_001, 10_002]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_caddy_that_came_back_empty_gets_its_route_again() {
        let machine = Machine::new();
        machine.container(&labels("shop", "1"), 10_001);
        let (engine, ..) = machine.engine();
        engine.recover().await;
        assert_eq!(machine.seen().routes, [route("shop", 10_001)]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_engine_that_is_down_at_the_start_is_asked_again() {
        for down in ["list", "present"] {
            let machine = Machine::new();
            machine.container(&labels("shop", "1"), 10_001);
            machine.fault(down, Fault::Down);
            let (engine, state, _) = machine.engine();
            engine.recover().await;
            assert!(state.list().is_empty());
            tokio::time::sleep(Duration::from_secs(20)).await;
            machine.inside().faults.clear();
            tokio::time::sleep(limits::RECOVERY_PAUSES.1).await;
            assert_eq!(known(&state).len(), 1, "{down}");
            engine.shutdown(Duration::from_secs(1)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_recovery_leaves_alone_what_was_deployed_since() {
        let machine = Machine::new();
        machine.container(&labels("shop", "1"), 10_001);
        machine.fault("list", Fault::Down);
        let (engine, state, _) = machine.engine();
        engine.recover().await;
        machine.inside().faults.clear();
        machine.app(App::Answers(200, Duration::from_secs(5)));
        run(&engine, deployment("shop", "2")).await.unwrap();
        tokio::time::sleep(limits::RECOVERY_PAUSES.1).await;
        assert_eq!(machine.seen().containers, [("otturnaut-shop-2".to_owned(), RUNS)]);
        assert_eq!(state.get("shop").unwrap().deployment_id.as_deref(), Some("2"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_shutdown_ends_the_asking() {
        let machine = Machine::new();
        machine.fault("list", Fault::Down);
        let (engine, ..) = machine.engine();
        engine.recover().await;
        let begin = tokio::time::Instant::now();
        engine.shutdown(Duration::from_secs(5)).await;
        assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
    }
}
