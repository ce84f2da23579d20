//! Logs of containers that are taken away.

use super::*;
use crate::host::Document;

fn kept(machine: &Machine) -> Vec<String> {
    machine.inside().logs.keys().map(|Document { folder, name }| format!("{folder}/{name}")).collect()
}

fn failing() -> ExecuteOptions {
    let health = HealthPolicy { deadline: Duration::from_millis(20), ..HealthPolicy::default() };
    ExecuteOptions { health, ..ExecuteOptions::default() }
}

#[tokio::test(start_paused = true)]
async fn those_of_kept_releases_and_of_the_last_failure_stay_until_they_go() {
    let machine = Machine::new();
    let (engine, ..) = machine.engine();
    machine.inside().says.output = &["one", "two"];
    for id in ["1", "2", "3", "4"] {
        run(&engine, Deployment { keep_releases: 3, ..deployment("shop", id) }).await.unwrap();
    }
    assert_eq!(kept(&machine), ["shop/2", "shop/3"], "the running one has its container");
    let log = machine.inside().logs.values().next().cloned().unwrap();
    assert!(String::from_utf8(log).unwrap().contains("stdout F two\n"));

    machine.app(App::Silent);
    for id in ["5", "6"] {
        engine.execute(deployment("shop", id), failing(), None).await.unwrap_err();
    }
    assert_eq!(kept(&machine), ["shop/2", "shop/3", "shop/6"]);
    engine.execute(deployment("blog", "1"), failing(), None).await.unwrap_err();
    assert_eq!(kept(&machine), ["blog/1", "shop/2", "shop/3", "shop/6"]);

    engine.undeploy(undeploy_of("shop"), None).await.unwrap();
    assert_eq!(kept(&machine), ["blog/1"]);
}

#[tokio::test(start_paused = true)]
async fn a_release_command_is_told_only_where_it_failed() {
    let machine = Machine::new();
    let (engine, ..) = machine.engine();
    let with_command = |id| Deployment { release_command: vec!["migrate".to_owned()], ..deployment("shop", id) };
    run(&engine, with_command("1")).await.unwrap();
    assert_eq!(kept(&machine), Vec::<String>::new());
    machine.inside().task_exits = 3;
    run(&engine, with_command("2")).await.unwrap_err();
    assert_eq!(kept(&machine), ["shop/2"]);
}

#[tokio::test(start_paused = true)]
async fn a_log_that_cannot_be_kept_stops_no_deploy_and_no_undo() {
    for (operation, fault) in [("logs", Fault::Down), ("put_log", Fault::Refused(500, "no room"))] {
        let machine = Machine::new();
        let (engine, state, ports) = machine.engine();
        machine.fault(operation, fault);
        run(&engine, deployment("shop", "1")).await.unwrap();
        assert!(run(&engine, deployment("shop", "2")).await.unwrap().leftovers.is_empty());
        machine.app(App::Silent);
        let failure = engine.execute(deployment("shop", "3"), failing(), None).await.unwrap_err();
        assert_eq!(failure.stuck, Vec::<String>::new());
        assert_eq!(state.get("shop").unwrap().deployment_id.as_deref(), Some("2"));
        engine.undeploy(undeploy_of("shop"), None).await.unwrap();
        assert_eq!(everything(&machine, &state, &ports), nothing(), "{operation}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_log_is_read_before_the_switch() {
    let machine = Machine::new();
    let (engine, ..) = machine.engine();
    for id in ["1", "2"] {
        run(&engine, deployment("shop", id)).await.unwrap();
    }
    let log = machine.log();
    let at = |what: &str| log.iter().rposition(|done| done.starts_with(what)).unwrap();
    assert!(at("put_route") < at("logs") && at("logs") < at("remove otturnaut-shop-1"), "{log:?}");
}
