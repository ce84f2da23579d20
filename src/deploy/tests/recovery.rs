//! What an agent makes of what it finds when it starts.

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
async fn what_is_taken_away_while_the_agent_looks_around_is_not_taken_up_again() {
    // Whenever it is asked for: while the journal is read, while the engine answers, or before the application's turn.
    for asked in (0..8).map(Duration::from_millis) {
        let machine = Machine::new();
        machine.container(&labels("shop", "1"), 10_001);
        machine.inside().routes.insert("shop-route".to_owned(), route("shop", 10_001));
        let (engine, state, ports) = machine.engine();
        let undeploy = async {
            tokio::time::sleep(asked).await;
            engine.undeploy(undeploy_of("shop"), None).await.unwrap();
        };
        tokio::join!(engine.recover(), undeploy);
        assert_eq!(everything(&machine, &state, &ports), nothing(), "asked for after {asked:?}");
    }
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
async fn a_route_that_leads_where_nothing_of_the_application_is_leads_to_it_again() {
    let machine = Machine::new();
    let (engine, state, _) = machine.engine();
    run(&engine, deployment("shop", "1")).await.unwrap();
    let port = state.get("shop").unwrap().port.unwrap();
    engine.shutdown(Duration::from_secs(1)).await;
    // As a directory of routes has it that comes from a backup.
    let other = if port == 10_009 { 10_008 } else { 10_009 };
    machine.inside().routes.insert("shop-route".to_owned(), route("shop", other));
    let engine = Engine::new(machine.next_agent().settings());
    engine.recover().await;
    assert_eq!(machine.seen().routes, [route("shop", port)]);
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
