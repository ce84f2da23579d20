//! Agents that die at any moment, and what the next one makes of it.

use super::*;
use crate::secret::Secret;

/// What a run is, which the first agent does not live to see the end of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Torn {
    First,
    Redeploy,
    Recreate,
    Rollback,
    Undeploy,
    /// A deploy of a version that never answers: torn while it waits, or while it is undone.
    Failing,
}

const ALL: [Torn; 6] = [Torn::First, Torn::Redeploy, Torn::Recreate, Torn::Rollback, Torn::Undeploy, Torn::Failing];

impl Torn {
    /// The releases that are there before it.
    fn before(self) -> &'static [&'static str] {
        match self {
            Self::First => &[],
            Self::Rollback => &["1", "2"],
            _ => &["1"],
        }
    }

    async fn begin(self, engine: &Engine) {
        let mut wanted = deployment("shop", "3");
        wanted.release_command = vec!["migrate".to_owned()];
        let health = HealthPolicy { deadline: Duration::from_millis(20), ..HealthPolicy::default() };
        match self {
            Self::First | Self::Redeploy => drop(run(engine, wanted).await),
            Self::Recreate => {
                wanted.strategy = Strategy::Recreate;
                drop(run(engine, wanted).await);
            }
            Self::Failing => {
                let options = ExecuteOptions { health, ..ExecuteOptions::default() };
                drop(engine.execute(wanted, options, None).await);
            }
            Self::Rollback => drop(engine.rollback("shop", None, None).await),
            Self::Undeploy => drop(engine.undeploy(undeploy_of("shop"), None).await),
        }
    }

    /// Begins it with an agent that dies at that moment; whether it came to its end before.
    async fn ends(self, machine: &Machine, engine: &Engine, moment: usize) -> bool {
        machine.dies_at(moment);
        tokio::select! {
            () = self.begin(engine) => true,
            () = machine.died() => false,
        }
    }

    /// The release that runs once it is done.
    fn after(self) -> Option<&'static str> {
        match self {
            Self::First | Self::Redeploy | Self::Recreate => Some("3"),
            Self::Rollback | Self::Failing => Some("1"),
            Self::Undeploy => None,
        }
    }
}

/// A machine with the releases in place, and its engine.
async fn prepared(torn: Torn) -> (Machine, Engine) {
    let machine = Machine::new();
    let (engine, ..) = machine.engine();
    for id in torn.before() {
        run(&engine, deployment("shop", id)).await.unwrap();
    }
    if torn == Torn::Failing {
        machine.app(App::Silent);
    }
    (machine, engine)
}

/// The release that runs, of all that can be seen; fails where anything is there that belongs to no release.
fn running(machine: &Machine, releases: &[String], at: &str) -> Option<String> {
    let seen = machine.seen();
    let (Some((name, status)), 1) = (seen.containers.first(), seen.containers.len()) else {
        assert_eq!(seen, nothing().0, "{at}");
        return None;
    };
    assert_eq!(*status, RUNS, "{at}");
    let id = name.strip_prefix("otturnaut-shop-").unwrap().to_owned();
    let port = *machine.inside().listeners.iter().next().unwrap();
    assert_eq!(machine.inside().listeners.len(), 1, "{at}");
    assert_eq!(seen.routes, [route("shop", port)], "{at}");
    let mut known = releases.to_vec();
    known.sort();
    assert_eq!(seen.documents, known.iter().map(|id| ("shop".to_owned(), id.clone())).collect::<Vec<_>>(), "{at}");
    assert_eq!(seen.images, known.iter().map(|id| format!("otturnaut-release:shop-{id}")).collect::<Vec<_>>(), "{at}");
    Some(id)
}

fn ids(engine: &Engine) -> Vec<String> {
    engine.releases("shop").into_iter().map(|release| release.deployment.id).collect()
}

/// Another agent comes, and what it finds is whole: the release before or the one that was to be. Gives which.
async fn next_agent(machine: &Machine, torn: Torn, at: &str) -> Option<String> {
    let machine = machine.next_agent();
    machine.app(App::Answers(200, Duration::ZERO));
    let (engine, state, ports) = machine.engine();
    engine.recover().await;
    let releases = ids(&engine);
    let runs = running(&machine, &releases, at);
    let entry = state.get("shop");
    assert_eq!(releases.last().cloned(), runs, "{at}");
    assert_eq!(entry.as_ref().and_then(|entry| entry.deployment_id.clone()), runs, "{at}");
    assert!(entry.iter().all(|entry| entry.status == Some(AppStatus::Running)), "{at}: {entry:?}");
    assert_eq!(ports.list_allocated(), Vec::from_iter(entry.and_then(|entry| entry.port)), "{at}");
    assert_eq!(engine.list(), [], "{at}: nothing is left to do");
    // What is there can be replaced.
    run(&engine, deployment("shop", "9")).await.unwrap();
    assert_eq!(running(&machine, &ids(&engine), at).as_deref(), Some("9"), "{at}");
    let possible = [torn.before().last().map(|id| (*id).to_owned()), torn.after().map(str::to_owned)];
    assert!(possible.contains(&runs), "{at}: {runs:?}");
    runs
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_dies_at_any_moment_leaves_the_old_version_or_the_new_one_and_nothing_else() {
    for torn in ALL {
        let mut found = Vec::new();
        for moment in 0.. {
            let (machine, engine) = prepared(torn).await;
            let ended = torn.ends(&machine, &engine, moment).await;
            let at = format!("{torn:?} at moment {moment}: {:?}", machine.log().last());
            found.push(next_agent(&machine, torn, &at).await);
            if ended {
                break;
            }
        }
        assert!(found.len() > 15, "{torn:?} has only {} moments", found.len());
        assert_eq!(found.last().unwrap().as_deref(), torn.after(), "{torn:?}");
        // Once it went forward it never goes back.
        let turned = found.iter().position(|runs| runs.as_deref() == torn.after()).unwrap();
        assert!(found[turned..].iter().all(|runs| runs.as_deref() == torn.after()), "{torn:?}: {found:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_dies_again_while_it_recovers_leaves_the_same() {
    for torn in ALL {
        for moment in (1..).step_by(5) {
            let (machine, engine) = prepared(torn).await;
            let ended = torn.ends(&machine, &engine, moment).await;
            if ended {
                break;
            }
            for again in 0.. {
                let machine = machine.next_agent();
                machine.dies_at(again);
                let (engine, ..) = machine.engine();
                let recovered = tokio::select! {
                    () = engine.recover() => true,
                    () = machine.died() => false,
                };
                if recovered {
                    break;
                }
            }
            next_agent(&machine, torn, &format!("{torn:?} at {moment}, recovered in pieces")).await;
        }
    }
}

/// One operation fails, each in turn: refused, out of reach, or done with its answer lost.
#[tokio::test(start_paused = true)]
async fn an_operation_that_fails_leaves_the_old_version_or_the_new_one_and_nothing_else() {
    let faults = [Fault::Refused(500, "no space left on device"), Fault::Down, Fault::AnswerLost];
    // An undeploy tells what it could not take away, and is asked for again.
    let deploys = ALL.into_iter().filter(|torn| *torn != Torn::Undeploy);
    for (torn, fault) in deploys.flat_map(|torn| faults.map(|fault| (torn, fault))) {
        let mut failed = 0;
        for operation in 0.. {
            let (machine, engine) = prepared(torn).await;
            machine.fails_at(operation, fault);
            torn.begin(&engine).await;
            if !machine.has_failed() {
                break;
            }
            failed += 1;
            // What could not be undone is tried again.
            tokio::time::sleep(limits::STUCK_PAUSES.1).await;
            let at = format!("{torn:?} with {fault:?} at operation {operation}: {:?}", machine.log());
            assert_eq!(engine.list(), [], "{at}: nothing is left to do");
            machine.app(App::Answers(200, Duration::ZERO));
            engine.recover().await;
            engine.shutdown(Duration::from_secs(1)).await;
            next_agent(&machine, torn, &at).await;
        }
        assert!(failed > 5, "{torn:?} has only {failed} operations");
    }
}

#[tokio::test(start_paused = true)]
async fn a_journal_whose_last_write_is_torn_loses_nothing_that_runs() {
    for torn in [Torn::Redeploy, Torn::Recreate, Torn::Failing] {
        for moment in 0.. {
            let (machine, engine) = prepared(torn).await;
            let ended = torn.ends(&machine, &engine, moment).await;
            if ended {
                break;
            }
            // Only a write that was under way can be torn: nobody has acted on it.
            if machine.log().last().map(String::as_str) != Some("append_journal") {
                continue;
            }
            let (from, to) = machine.last_write();
            for cut in (from..to).step_by(7).chain([to - 1, to]) {
                let (copy, torn_at) = (machine.copy(), format!("{torn:?} at {moment}, cut at {cut}"));
                copy.inside().journal.truncate(cut);
                let next = copy.next_agent();
                next.app(App::Answers(200, Duration::ZERO));
                let (engine, state, _) = next.engine();
                tokio::time::timeout(Duration::from_mins(5), engine.recover()).await.expect(&torn_at);
                let entry = state.get("shop").unwrap_or_else(|| panic!("{torn_at}"));
                assert_eq!(next.seen().containers.len(), 1, "{torn_at}: {:?}", next.seen());
                assert_eq!(next.seen().routes, [route("shop", entry.port.unwrap())], "{torn_at}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_rollback_that_is_torn_at_any_moment_leaves_the_environment_of_its_release() {
    for moment in 0.. {
        let machine = Machine::new();
        let (engine, ..) = machine.engine();
        let mut first = deployment("shop", "1");
        first.env.insert("WORD".to_owned(), Secret::new("secret-of-1".to_owned()));
        run(&engine, first).await.unwrap();
        run(&engine, deployment("shop", "2")).await.unwrap();
        machine.dies_at(moment);
        let ended = tokio::select! {
            () = Torn::Rollback.begin(&engine) => true,
            () = machine.died() => false,
        };
        let next = machine.next_agent();
        let (engine, ..) = next.engine();
        engine.recover().await;
        if ids(&engine).last().map(String::as_str) == Some("1") {
            run(&engine, deployment("shop", "3")).await.unwrap();
        }
        let back = engine.rollback("shop", Some("1"), None).await.unwrap().unwrap().deployment;
        let word = back.env.get("WORD").map(|word| word.expose().as_str());
        assert_eq!(word, Some("secret-of-1"), "at moment {moment}: {:?}", machine.log().last());
        if ended {
            break;
        }
    }
}

/// The engine goes on with what it was asked for: here it makes the new container when the next agent has looked for it.
#[tokio::test(start_paused = true)]
async fn a_container_that_the_engine_makes_late_for_an_agent_that_died_is_removed() {
    for moment in 0.. {
        let (machine, engine) = prepared(Torn::Redeploy).await;
        machine.dies_at(moment);
        tokio::select! {
            () = Torn::Redeploy.begin(&engine) => panic!("it was not torn at its start"),
            () = machine.died() => {}
        }
        if machine.log().last().map(String::as_str) == Some("start otturnaut-shop-3") {
            let next = machine.next_agent();
            let (engine, _, ports) = next.engine();
            engine.recover().await;
            assert_eq!(running(&next, &ids(&engine), "early").as_deref(), Some("1"));
            let journal = String::from_utf8(machine.inside().journal.clone()).unwrap();
            let mark = journal.rsplit_once(r#""mark":""#).unwrap().1.split('"').next().map(str::to_owned);
            next.container(&Labels { run: mark, ..labels("shop", "3") }, 20_050);
            assert_eq!(next.seen().containers.len(), 2);
            // As a look at the engine does that meets it.
            ports.claim(20_050);
            tokio::time::sleep(limits::LATE_LOOKS[0] * 2).await;
            assert_eq!(running(&next, &ids(&engine), "late").as_deref(), Some("1"));
            assert!(!ports.in_use(20_050), "its port went with it");
            return;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_is_lost_is_learned_again_from_what_runs() {
    let (machine, _) = prepared(Torn::Rollback).await;
    machine.inside().journal.clear();
    let next = machine.next_agent();
    let (engine, ..) = next.engine();
    engine.recover().await;
    assert_eq!(ids(&engine), ["2"]);
    run(&engine, deployment("shop", "3")).await.unwrap();
    engine.rollback("shop", None, None).await.unwrap().unwrap();
    assert_eq!(ids(&engine), ["3", "2"]);
}

#[tokio::test(start_paused = true)]
async fn a_torn_switch_waits_until_caddy_tells_which_way_it_went() {
    let mut machine = Machine::new();
    for moment in 0.. {
        let (prepared, engine) = prepared(Torn::Redeploy).await;
        machine = prepared;
        let before = machine.seen().routes;
        let ended = Torn::Redeploy.ends(&machine, &engine, moment).await;
        assert!(!ended, "it was not torn after its switch");
        if machine.seen().routes != before {
            break;
        }
    }
    machine.fault("get_route", Fault::Down);
    machine.fault("list_routes", Fault::Down);
    let next = machine.next_agent();
    let (engine, ..) = next.engine();
    engine.recover().await;
    assert_eq!(next.seen().containers.len(), 2, "nothing is removed while it is not known");
    next.inside().faults.clear();
    tokio::time::sleep(limits::RECOVERY_PAUSES.1 * 2).await;
    assert_eq!(running(&next, &ids(&engine), "late").as_deref(), Some("3"));
}
