//! Taking an application away.

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
    assert!(machine.log().contains(&"give_up_route shop-route".to_owned()), "{:?}", machine.log());

    machine.inside().faults.clear();
    run(&engine, deployment("shop", "2")).await.unwrap();
    for operation in ["list", "inspect", "stop", "remove"] {
        machine.fault(operation, Fault::Down);
    }
    undeploy_told(&engine, "shop").await;
    assert!(machine.seen().routes.is_empty() && state.list().is_empty() && ports.list_allocated().is_empty());
}
