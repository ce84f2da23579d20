//! Whose turn it is.

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
