//! A failure or a cancellation anywhere leaves what was there before, or the new version complete.

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
