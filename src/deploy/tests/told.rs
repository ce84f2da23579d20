//! What the events tell of runs, and what is watched after them.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::*;
use crate::watch::{Condition, Event, Events, What};

/// Writes what waits, and gives all of it.
async fn all(events: &Events) -> Vec<Arc<Event>> {
    let stop = CancellationToken::new();
    stop.cancel();
    events.run(stop).await;
    events.since(0).await.unwrap()
}

fn last(events: &[Arc<Event>]) -> (Option<&str>, Option<&str>, &What) {
    let last = events.last().unwrap();
    (last.app_id.as_deref(), last.deployment_id.as_deref(), &last.what)
}

#[tokio::test(start_paused = true)]
async fn a_deploy_tells_its_steps_and_how_long_each_took() {
    let machine = Machine::new();
    let settings = machine.settings();
    run(&Engine::new(settings.clone()), deployment("shop", "1")).await.unwrap();
    let events = all(&settings.events).await;
    let steps: Vec<&str> = events
        .iter()
        .filter_map(|event| match &event.what {
            What::DeploymentStep { step, .. } => Some(step.as_str()),
            _ => None,
        })
        .collect();
    let wanted = ["allocate_port", "start_container", "health_check", "switch_route", "stop_old", "release_port"];
    assert_eq!(steps, wanted);
    assert!(matches!(&events[0].what, What::DeploymentStarted { kind, .. } if kind == "deploy"));
    let (Some("shop"), Some("1"), What::DeploymentCompleted { port, steps_ms, duration_ms, left, .. }) = last(&events)
    else {
        panic!("{events:?}")
    };
    assert!(port.is_some_and(|port| (10_000..=10_009).contains(&port)), "{port:?}");
    assert_eq!((left.len(), steps_ms.len()), (0, wanted.len()));
    assert!(*duration_ms >= steps_ms.values().sum());
}

#[tokio::test(start_paused = true)]
async fn a_failure_tells_the_step_and_what_it_saw() {
    let machine = Machine::new();
    machine.app(App::Answers(503, Duration::ZERO));
    let settings = machine.settings();
    let probe = HealthProbe::Http { path: None, host: None, expected: ExpectedStatus(vec![200..=200]), timeout: None };
    let health = HealthPolicy { probe: Some(probe), deadline: Duration::from_secs(1), ..HealthPolicy::default() };
    let options = ExecuteOptions { health, ..ExecuteOptions::default() };
    Engine::new(settings.clone()).execute(deployment("shop", "1"), options, None).await.unwrap_err();
    let events = all(&settings.events).await;
    let (_, _, What::DeploymentFailed { step, why, stuck, .. }) = last(&events) else { panic!("{events:?}") };
    assert_eq!((step.as_deref(), stuck.len()), (Some("health_check"), 0));
    assert!(why.as_ref().unwrap().contains("answered 503"), "{why:?}");
    assert_eq!(settings.monitor.status("shop"), None);
}

#[tokio::test(start_paused = true)]
async fn of_a_run_that_a_death_tore_the_next_agent_tells_the_end() {
    let machine = Machine::new();
    machine.app(App::Silent);
    let first = Engine::new(machine.settings());
    machine.dies_at(30);
    tokio::select! {
        _ = run(&first, deployment("shop", "1")) => panic!("it ended"),
        () = machine.died() => {}
    }
    let second = machine.next_agent().settings();
    Engine::new(second.clone()).recover().await;
    let events = all(&second.events).await;
    let (Some("shop"), Some("1"), What::DeploymentFailed { reason, .. }) = last(&events) else { panic!("{events:?}") };
    assert!(reason.contains("the agent ended during"), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn what_runs_is_watched_also_by_the_next_agent_and_no_more_once_it_is_gone() {
    let machine = Machine::new();
    let first = machine.settings();
    run(&Engine::new(first.clone()), deployment("shop", "1")).await.unwrap();
    assert_eq!(first.monitor.status("shop").unwrap().deployment_id.as_deref(), Some("1"));
    let second = machine.next_agent().settings();
    let engine = Engine::new(second.clone());
    engine.recover().await;
    let watching = second.monitor.run(CancellationToken::new());
    let well = async {
        while second.monitor.status("shop").unwrap().condition != Condition::Healthy {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        () = watching => panic!("it ended"),
        () = well => {}
    }
    engine.undeploy(undeploy_of("shop"), None).await.unwrap();
    assert_eq!(second.monitor.status("shop"), None);
}
