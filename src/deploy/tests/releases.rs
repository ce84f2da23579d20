//! Releases that are kept, rollbacks, what goes; the list of runs, cancelling, deadlines, strategies.

use super::*;
use crate::host::Document;
use DeployStep::*;

fn ids(engine: &Engine) -> Vec<String> {
    engine.releases("shop").into_iter().map(|release| release.deployment.id).collect()
}

async fn deployed(count: usize, keep: usize) -> (Machine, Engine, AppState, PortManager) {
    let machine = Machine::new();
    let (engine, state, ports) = machine.engine();
    for id in 1..=count {
        let wanted = Deployment { keep_releases: keep, ..deployment("shop", &id.to_string()) };
        run(&engine, wanted).await.unwrap();
    }
    (machine, engine, state, ports)
}

#[tokio::test(start_paused = true)]
async fn so_many_releases_are_kept_as_the_running_one_says() {
    let (machine, engine, ..) = deployed(4, 3).await;
    assert_eq!(ids(&engine), ["2", "3", "4"]);
    let kept = ["2", "3", "4"].map(|id| format!("otturnaut-release:shop-{id}"));
    assert_eq!(machine.seen().images, kept);
    assert_eq!(machine.seen().documents.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_image_of_the_agents_own_build_goes_with_the_last_release_that_needs_it() {
    let machine = Machine::new();
    let (engine, ..) = machine.engine();
    for (id, image) in
        [("1", "otturnaut-shop:a"), ("2", "otturnaut-shop:b"), ("3", "otturnaut-shop:b"), ("4", "nginx:1")]
    {
        machine.inside().images.insert(image.to_owned(), format!("sha256:{image}"));
        let wanted = Deployment { keep_releases: 2, image: image.to_owned(), ..deployment("shop", id) };
        run(&engine, wanted).await.unwrap();
    }
    let images = machine.seen().images;
    assert!(
        !images.contains(&"otturnaut-shop:a".to_owned()) && images.contains(&"otturnaut-shop:b".to_owned()),
        "{images:?}"
    );
    let wanted = Deployment { keep_releases: 1, ..deployment("shop", "5") };
    run(&engine, wanted).await.unwrap();
    assert_eq!(machine.seen().images, ["nginx:1", "otturnaut-release:shop-5"], "what others made stays");
}

#[tokio::test(start_paused = true)]
async fn a_part_that_cannot_be_removed_is_told_and_looked_at_again() {
    let (machine, engine, ..) = deployed(1, 1).await;
    machine.fault("remove_image", Fault::Refused(409, "image is in use"));
    run(&engine, Deployment { keep_releases: 1, ..deployment("shop", "2") }).await.unwrap();
    assert_eq!(ids(&engine), ["1", "2"]);
    machine.inside().faults.clear();
    let asked = engine.prune(true).await;
    assert_eq!(ids(&engine), ["1", "2"], "it was only asked for");
    let why = |id: &str, kind| {
        let item = asked.iter().find(|item| item.deployment_id == id && item.kind == kind);
        item.map(|item| (item.stays, item.why.clone())).unwrap()
    };
    assert_eq!(why("1", ItemKind::Configuration), (false, "1 later releases are kept".to_owned()));
    assert_eq!(why("2", ItemKind::Image), (true, "it runs now".to_owned()));
    engine.prune(false).await;
    assert_eq!(ids(&engine), ["2"]);
    assert_eq!(machine.seen().images, ["otturnaut-release:shop-2"]);
}

#[tokio::test(start_paused = true)]
async fn a_rollback_puts_the_release_before_in_place_with_its_environment() {
    let machine = Machine::new();
    let (engine, state, _) = machine.engine();
    let mut first = deployment("shop", "1");
    first.env.insert("WORD".to_owned(), crate::secret::Secret::new("secret-of-1".to_owned()));
    run(&engine, first).await.unwrap();
    run(&engine, deployment("shop", "2")).await.unwrap();
    let back = engine.rollback("shop", None, None).await.unwrap().unwrap().deployment;
    assert_eq!((back.id.as_str(), back.image.as_str()), ("1", "image:1"));
    assert_eq!(back.env["WORD"].expose(), "secret-of-1");
    assert_eq!(state.get("shop").unwrap().deployment_id.as_deref(), Some("1"));
    assert_eq!(ids(&engine), ["2", "1"]);
    assert_eq!(engine.releases("shop")[0].deployment.status, Status::RolledBack);
    assert_eq!(machine.seen().containers, [("otturnaut-shop-1".to_owned(), RUNS)]);
    let journal = String::from_utf8(machine.inside().journal.clone()).unwrap();
    assert!(!journal.contains("secret-of-1"), "the journal holds no environment");
    engine.rollback("shop", Some("2"), None).await.unwrap().unwrap();
    assert_eq!(ids(&engine), ["1", "2"]);
}

#[tokio::test(start_paused = true)]
async fn a_rollback_looks_first_whether_all_that_it_needs_is_here() {
    let (machine, engine, ..) = deployed(2, 5).await;
    let before = machine.seen().containers;
    let refused = |to: Option<&'static str>| {
        let engine = engine.clone();
        async move { engine.rollback("shop", to, None).await.unwrap_err() }
    };
    assert!(matches!(refused(Some("7")).await, RollbackError::UnknownRelease { .. }));
    assert!(matches!(refused(Some("2")).await, RollbackError::Running { .. }));
    assert!(matches!(engine.rollback("blog", None, None).await, Err(RollbackError::NoRelease { .. })));
    machine.fault("image", Fault::Down);
    assert!(matches!(refused(None).await, RollbackError::Engine { .. }));
    machine.fault("image", Fault::Refused(404, ""));
    assert!(matches!(refused(None).await, RollbackError::ImageGone { .. }));
    machine.inside().faults.clear();
    machine.inside().documents.clear();
    assert!(matches!(refused(None).await, RollbackError::ConfigurationGone { .. }));
    assert_eq!(machine.seen().containers, before);
}

#[tokio::test(start_paused = true)]
async fn an_undeploy_takes_the_releases_with_it() {
    let (machine, engine, state, ports) = deployed(3, 5).await;
    engine.undeploy(undeploy_of("shop"), None).await.unwrap();
    assert_eq!(everything(&machine, &state, &ports), nothing());
    assert_eq!(ids(&engine), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn an_undo_that_failed_is_listed_and_tried_again_until_it_succeeds() {
    let machine = Machine::new();
    let (engine, state, ports) = machine.engine();
    machine.fault("put_route", Fault::AnswerLost);
    machine.fault("remove", Fault::Refused(500, "busy"));
    let failure = run(&engine, deployment("shop", "1")).await.unwrap_err();
    assert_eq!(failure.stuck, ["start_container could not be undone: docker answered 500: {\"message\":\"busy\"}"]);
    let listed = engine.list();
    assert_eq!((listed.len(), listed[0].state), (1, RunState::Stuck));
    assert_eq!(listed[0].stuck, failure.stuck);

    // The next agent knows of it as well.
    let next = machine.next_agent();
    let (engine, ..) = next.engine();
    engine.recover().await;
    assert_eq!(engine.list().len(), 1);
    machine.inside().faults.clear();
    tokio::time::sleep(limits::STUCK_PAUSES.1 * 2).await;
    assert_eq!(engine.list(), []);
    drop((state, ports));
    assert_eq!(next.seen(), nothing().0);
}

#[tokio::test(start_paused = true)]
async fn a_late_undo_touches_nothing_of_what_was_deployed_since() {
    let machine = Machine::new();
    let (engine, state, _) = machine.engine();
    run(&engine, deployment("shop", "1")).await.unwrap();
    machine.fault("put_route", Fault::AnswerLost);
    machine.fault("remove", Fault::Refused(500, "busy"));
    run(&engine, deployment("shop", "2")).await.unwrap_err();
    machine.inside().faults.clear();
    let port = run(&engine, deployment("shop", "3")).await.unwrap().deployment.port.unwrap();
    tokio::time::sleep(limits::STUCK_PAUSES.1 * 2).await;
    assert_eq!((engine.list(), machine.seen().routes), (vec![], vec![route("shop", port)]));
    assert_eq!(machine.seen().containers, [("otturnaut-shop-3".to_owned(), RUNS)]);
    assert_eq!(state.get("shop").unwrap().deployment_id.as_deref(), Some("3"));
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_cannot_be_written_refuses_a_deploy_and_touches_nothing() {
    let machine = Machine::new();
    let (engine, state, ports) = machine.engine();
    engine.recover().await;
    machine.fault("append_journal", Fault::Down);
    machine.fault("replace_journal", Fault::Down);
    let failure = run(&engine, deployment("shop", "1")).await.unwrap_err();
    assert!(matches!(failure.reason, DeployError::Journal(_)), "{:?}", failure.reason);
    assert_eq!(everything(&machine, &state, &ports), nothing());
    machine.inside().faults.clear();
    run(&engine, deployment("shop", "2")).await.unwrap();
    let next = machine.next_agent();
    let (engine, ..) = next.engine();
    engine.recover().await;
    assert_eq!((ids(&engine), engine.list()), (vec!["2".to_owned()], vec![]), "what was not written then is now");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_waits_says_so_and_is_listed_in_its_order() {
    let machine = Machine::new();
    machine.app(App::Answers(200, Duration::from_secs(2)));
    let (engine, ..) = machine.engine();
    let first = run(&engine, deployment("shop", "1"));
    let second = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        run_told(&engine, deployment("shop", "2")).await
    };
    let look = async {
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let seen = engine.list();
        seen.into_iter().map(|run| (run.deployment_id.unwrap(), run.state, run.step)).collect::<Vec<_>>()
    };
    let (first, (second, told), listed) = tokio::join!(first, second, look);
    assert!(first.is_ok() && second.is_ok());
    assert_eq!((told[0].step, told[0].message.as_str()), (Queued, "Waiting for the run before it"));
    let expected =
        [("1".to_owned(), RunState::Running, Some("health_check")), ("2".to_owned(), RunState::Queued, Some("queued"))];
    assert_eq!(listed, expected);
    assert_eq!(engine.list(), []);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_deploy_is_undone_when_the_answer_comes() {
    let (machine, engine, state, ports) = deployed(1, 5).await;
    let before = everything(&machine, &state, &ports);
    machine.app(App::Silent);
    let cancel = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(engine.cancel("nobody").await, Err(CancelError::NotFound));
        engine.cancel("2").await.unwrap();
        everything(&machine, &state, &ports)
    };
    let (outcome, after) = tokio::join!(run(&engine, deployment("shop", "2")), cancel);
    assert!(matches!(outcome.unwrap_err().reason, DeployError::Cancelled));
    assert_eq!(after, before);
}

#[tokio::test(start_paused = true)]
async fn a_deploy_that_has_switched_cannot_be_cancelled() {
    let (machine, engine, state, _) = deployed(1, 5).await;
    let old = state.get("shop").unwrap().port.unwrap();
    machine.inside().connected.insert(old, tokio::time::Instant::now() + Duration::from_secs(9));
    let cancel = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        engine.cancel("2").await
    };
    let (outcome, cancelled) = tokio::join!(run(&engine, deployment("shop", "2")), cancel);
    assert!(outcome.is_ok());
    assert_eq!(cancelled, Err(CancelError::TooLate));
}

#[tokio::test(start_paused = true)]
async fn the_deadline_is_for_waiting_and_running_together() {
    let machine = Machine::new();
    machine.app(App::Answers(200, Duration::from_secs(8)));
    let (engine, state, ports) = machine.engine();
    let limited = ExecuteOptions { deadline: Duration::from_secs(10), ..ExecuteOptions::default() };
    let (first, second) = tokio::join!(
        engine.execute(deployment("shop", "1"), limited.clone(), None),
        engine.execute(deployment("shop", "2"), limited, None),
    );
    let first = first.unwrap().deployment;
    let reason = second.unwrap_err().reason;
    assert!(matches!(reason, DeployError::DeadlineExceeded { within } if within.as_secs() == 10), "{reason:?}");
    assert_eq!(machine.seen().containers, [("otturnaut-shop-1".to_owned(), RUNS)]);
    assert_eq!((ports.list_allocated(), state.list().len()), (vec![first.port.unwrap()], 1));
}

#[tokio::test(start_paused = true)]
async fn an_undeploy_may_cancel_the_deploy_that_it_meets() {
    let machine = Machine::new();
    machine.app(App::Silent);
    let (engine, state, ports) = machine.engine();
    let undeploy = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        engine.undeploy(UndeployRequest { cancel: true, ..undeploy_of("shop") }, None).await
    };
    let begin = tokio::time::Instant::now();
    let (outcome, undeployed) = tokio::join!(run(&engine, deployment("shop", "1")), undeploy);
    assert!(matches!(outcome.unwrap_err().reason, DeployError::Cancelled) && undeployed.is_ok());
    assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
    assert_eq!(everything(&machine, &state, &ports), nothing());
}

#[tokio::test(start_paused = true)]
async fn an_old_version_in_use_is_waited_for_and_no_longer_than_it_may_take() {
    for (used, expected) in [(2, 2), (100, 30)] {
        let (machine, engine, state, _) = deployed(1, 5).await;
        let old = state.get("shop").unwrap().port.unwrap();
        let begin = tokio::time::Instant::now();
        machine.inside().connected.insert(old, begin + Duration::from_secs(used));
        let (outcome, told) = run_told(&engine, deployment("shop", "2")).await;
        outcome.unwrap();
        let took = begin.elapsed().as_secs();
        assert!((expected..=expected + 1).contains(&took), "{took} s for {used} s of use");
        let named = told.iter().any(|p| p.message.contains("1 connection of caddy (7) still open after 30 s"));
        assert_eq!(named, used > 30, "{told:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn recreate_stops_the_old_version_first_and_counts_the_downtime() {
    let (machine, engine, ..) = deployed(1, 5).await;
    machine.app(App::Answers(200, Duration::from_secs(3)));
    let wanted = Deployment { strategy: Strategy::Recreate, ..deployment("shop", "2") };
    let (outcome, told) = run_told(&engine, wanted).await;
    outcome.unwrap();
    let log = machine.log();
    let at = |what: &str| log.iter().position(|l| l.starts_with(what)).unwrap();
    assert!(at("stop otturnaut-shop-1") < at("start otturnaut-shop-2"), "{log:?}");
    let down = told.iter().find_map(|p| p.message.strip_prefix("Nobody answered for ")).unwrap();
    let down: u64 = down.strip_suffix(" ms").unwrap().parse().unwrap();
    assert!((3000..3500).contains(&down), "{down}");
}

#[tokio::test(start_paused = true)]
async fn recreate_that_fails_starts_the_old_version_again() {
    let (machine, engine, state, ports) = deployed(1, 5).await;
    let before = everything(&machine, &state, &ports);
    machine.fault("put_route", Fault::Refused(500, "bad domain"));
    let wanted = Deployment { strategy: Strategy::Recreate, ..deployment("shop", "2") };
    run(&engine, wanted).await.unwrap_err();
    assert_eq!(everything(&machine, &state, &ports), before);
    assert!(machine.log().iter().any(|l| l.starts_with("start_again")));
}

#[tokio::test(start_paused = true)]
async fn a_release_command_runs_once_before_the_new_version_and_its_failure_undoes_the_deploy() {
    let (machine, engine, state, ports) = deployed(1, 5).await;
    let wanted = |id| Deployment { release_command: vec!["migrate".to_owned()], ..deployment("shop", id) };
    run(&engine, wanted("2")).await.unwrap();
    let log = machine.log();
    let at = |what: &str| log.iter().position(|l| l == what).unwrap();
    assert!(at("start otturnaut-shop-2-release") < at("start otturnaut-shop-2"), "{log:?}");
    assert_eq!(log.iter().filter(|l| *l == "start otturnaut-shop-2-release").count(), 1);
    let before = everything(&machine, &state, &ports);
    machine.inside().task_exits = 3;
    let failure = run(&engine, wanted("3")).await.unwrap_err();
    assert!(matches!(failure.reason, DeployError::ReleaseCommand { code: Some(3), .. }), "{:?}", failure.reason);
    assert_eq!(everything(&machine, &state, &ports), before);
}

#[tokio::test(start_paused = true)]
async fn a_plan_tells_what_a_deploy_would_do_and_touches_nothing() {
    let (machine, engine, ..) = deployed(1, 5).await;
    let before = (machine.seen(), ids(&engine));
    let mut wanted = Deployment { strategy: Strategy::Recreate, ..deployment("shop", "2") };
    wanted.image = "missing:2".to_owned();
    wanted.env.insert("WORD".to_owned(), crate::secret::Secret::new("hidden".to_owned()));
    let plan = engine.plan(&wanted, &ExecuteOptions::default()).await.unwrap();
    let steps: Vec<_> = plan.steps.iter().map(|step| step.step).collect();
    assert_eq!(steps, [AllocatePort, StopOld, StartContainer, HealthCheck, SwitchRoute, StopOld, ReleasePort]);
    assert!(plan.downtime);
    assert!(plan.steps[2].what.contains("which is pulled first"), "{:?}", plan.steps);
    assert_eq!(plan.differences, ["image: missing:2 instead of image:1", "environment: +WORD"]);
    assert_eq!(((machine.seen(), ids(&engine)), engine.list()), (before, vec![]));
    assert!(!machine.log().iter().any(|l| l.starts_with("pull")));
    // Of a source that is still to be built.
    let wanted = Deployment { image: String::new(), domains: Vec::new(), ..deployment("shop", "2") };
    let plan = engine.plan(&wanted, &ExecuteOptions::default()).await.unwrap();
    let image = "image: one to be built instead of image:1";
    assert_eq!(plan.differences, [image, "domains: none instead of shop.test"]);
}

#[tokio::test(start_paused = true)]
async fn a_journal_does_not_grow_with_what_has_ended() {
    let (machine, engine, ..) = deployed(2, 5).await;
    let mut longest = 0;
    for n in 3..400 {
        run(&engine, Deployment { keep_releases: 2, ..deployment("shop", &n.to_string()) }).await.unwrap();
        longest = longest.max(machine.inside().journal.len());
    }
    assert!(longest > limits::JOURNAL_BYTES / 2, "it was never written anew: {longest}");
    assert!(longest < limits::JOURNAL_BYTES + 64 * 1024, "{longest}");
    engine.shutdown(Duration::from_secs(1)).await;
    let next = machine.next_agent();
    let (engine, ..) = next.engine();
    engine.recover().await;
    assert_eq!((ids(&engine), engine.list()), (vec!["398".to_owned(), "399".to_owned()], vec![]));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_failed_is_listed_as_being_undone_while_it_is() {
    let (machine, engine, ..) = deployed(1, 5).await;
    machine.fault("put_route", Fault::Refused(500, "bad domain"));
    let (wanted, mut seen) = (run(&engine, deployment("shop", "2")), Vec::new());
    tokio::pin!(wanted);
    while tokio::time::timeout(Duration::from_millis(1), &mut wanted).await.is_err() {
        seen.extend(engine.list().into_iter().map(|run| run.state));
    }
    seen.dedup();
    assert_eq!(seen, [RunState::Running, RunState::Undoing]);
}

#[tokio::test(start_paused = true)]
async fn cancelling_a_deploy_does_not_cancel_the_undeploy_behind_it() {
    let machine = Machine::new();
    machine.app(App::Silent);
    let (engine, state, ports) = machine.engine();
    let request = UndeployRequest { deployment_id: Some("1".to_owned()), ..undeploy_of("shop") };
    let cancel = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        engine.cancel("1").await
    };
    let (outcome, undeployed, cancelled) =
        tokio::join!(run(&engine, deployment("shop", "1")), engine.undeploy(request, None), cancel);
    assert!(matches!(outcome.unwrap_err().reason, DeployError::Cancelled));
    assert!(undeployed.is_ok() && cancelled.is_ok());
    assert_eq!(everything(&machine, &state, &ports), nothing());
}

#[tokio::test(start_paused = true)]
async fn what_was_taken_up_while_the_journal_could_not_be_opened_is_written_when_it_can() {
    let machine = Machine::new();
    machine.container(&labels("shop", "1"), 10_001);
    let kept = Document { folder: "cart".to_owned(), name: "1".to_owned() };
    machine.inside().documents.insert(kept.clone(), Vec::new());
    machine.fault("open_journal", Fault::Down);
    let (engine, ..) = machine.engine();
    engine.recover().await;
    assert_eq!(ids(&engine), ["1"], "it is learned from what runs");
    assert!(machine.inside().documents.contains_key(&kept), "who needs it stands in the journal");
    tokio::time::sleep(Duration::from_secs(1)).await;
    machine.inside().faults.clear();
    run(&engine, deployment("blog", "1")).await.unwrap();
    engine.shutdown(Duration::from_secs(1)).await;
    let journal = String::from_utf8(machine.inside().journal.clone()).unwrap();
    assert!(journal.lines().any(|line| line.contains("released") && line.contains("\"shop\"")), "{journal}");
}
