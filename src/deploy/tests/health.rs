//! When a new version counts as healthy.

use super::*;

async fn outcome(
    app: App,
    domains: bool,
    policy: HealthPolicy,
) -> (Result<Deployed, Box<DeployFailure>>, Vec<Progress<DeployStep>>) {
    outcome_of((app, Says::default()), domains, policy).await
}

async fn outcome_of(
    (app, says): (App, Says),
    domains: bool,
    policy: HealthPolicy,
) -> (Result<Deployed, Box<DeployFailure>>, Vec<Progress<DeployStep>>) {
    let machine = Machine::new();
    machine.app(app);
    machine.inside().says = says;
    let (engine, ..) = machine.engine();
    let mut wanted = deployment("shop", "1");
    if !domains {
        wanted.domains.clear();
    }
    let (sender, mut receiver) = mpsc::channel(limits::PROGRESS_QUEUE);
    let outcome = engine.execute(wanted, ExecuteOptions { health: policy, ..Default::default() }, Some(sender)).await;
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
    assert_eq!(why(&told), "Failed: it was not ready within 60 s, asked 68 times; last answer: connection refused");
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
    assert_eq!(
        why(&told),
        "Failed: it was not ready within 60 s, asked 68 times; last answer: answered 503, expected 200"
    );
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

fn asking(probe: HealthProbe) -> HealthPolicy {
    HealthPolicy { probe: Some(probe), ..HealthPolicy::default() }
}

const ANSWERS: App = App::Answers(200, Duration::ZERO);

#[tokio::test(start_paused = true)]
async fn a_command_that_is_asked_for_and_an_answer_must_both_be_good() {
    let policy = asking(HealthProbe::Command { command: vec!["ready".to_owned()], timeout: None });
    let says = |code| Says { command: (code, "warming up\nno cache yet"), ..Says::default() };
    outcome_of((ANSWERS, says(0)), true, policy.clone()).await.0.unwrap();
    let (failed, told) = outcome_of((ANSWERS, says(4)), true, policy.clone()).await;
    assert!(failed.is_err());
    assert!(why(&told).ends_with("last answer: the command exited with code 4: no cache yet"), "{}", why(&told));
    let (failed, told) = outcome_of((App::Silent, says(0)), true, policy.clone()).await;
    assert!(failed.is_err());
    assert!(why(&told).ends_with("last answer: connection refused"), "{}", why(&told));
    outcome_of((App::Silent, says(0)), false, policy).await.0.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_images_own_health_check_decides_where_it_is_asked_for() {
    let says = |health| Says { health: Some(health), ..Says::default() };
    let policy = asking(HealthProbe::Engine);
    outcome_of((ANSWERS, says(HealthState::Healthy)), true, policy.clone()).await.0.unwrap();
    assert!(outcome_of((App::Silent, says(HealthState::Healthy)), true, policy.clone()).await.0.is_err());
    let ill = HealthState::Unhealthy("no\u{7} disk\n".to_owned());
    for (health, told) in [(HealthState::Starting, "has not decided yet"), (ill, "fails: no  disk")] {
        let (failed, messages) = outcome_of((ANSWERS, says(health)), true, policy.clone()).await;
        assert!(failed.is_err());
        assert!(why(&messages).ends_with(&format!("the image's health check {told}")), "{}", why(&messages));
    }
}

#[tokio::test(start_paused = true)]
async fn an_image_without_a_health_check_of_its_own_fails_at_once() {
    let begin = tokio::time::Instant::now();
    let (failed, told) = outcome(ANSWERS, true, asking(HealthProbe::Engine)).await;
    assert!(failed.is_err());
    assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
    assert_eq!(why(&told), "Failed: the image has no health check of its own");
}

#[tokio::test(start_paused = true)]
async fn a_failure_tells_the_exit_the_engines_words_the_last_answer_and_the_last_output() {
    let says = Says { ended: (true, "cannot go on"), output: &["starting", "too much"], ..Says::default() };
    let app = App::Exits(137, Duration::from_millis(50));
    let (failed, told) = outcome_of((app, says), true, HealthPolicy::default()).await;
    let DeployError::HealthCheckFailed(not_ready) = failed.unwrap_err().reason else { panic!("{told:?}") };
    assert_eq!((not_ready.why.exit_code, not_ready.why.out_of_memory), (Some(137), true));
    assert_eq!(not_ready.log, ["starting", "too much"]);
    let expected = "Failed: the container exited with code 137 (killed: out of memory), \
        the engine says: cannot go on; last answer: connection refused\nits last output:\nstarting\ntoo much";
    assert_eq!(why(&told), expected);
}

#[tokio::test(start_paused = true)]
async fn what_must_stay_well_for_a_while_fails_if_it_does_not() {
    let policy = HealthPolicy { healthy_for: Some(Duration::from_secs(5)), ..HealthPolicy::default() };
    let begin = tokio::time::Instant::now();
    outcome(ANSWERS, true, policy.clone()).await.0.unwrap();
    assert!(begin.elapsed() >= Duration::from_secs(5), "{:?}", begin.elapsed());
    let (failed, told) = outcome(App::Exits(0, Duration::from_secs(3)), false, policy).await;
    assert!(failed.is_err());
    assert!(why(&told).contains("exited with code 0"), "{}", why(&told));
}
