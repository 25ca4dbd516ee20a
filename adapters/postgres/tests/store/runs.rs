//! What the contract suites can't see of runs: races, slots, events and jobs.

use domain::RunId;
use domain::access::Projects;
use domain::port::{Admission, ApplyError, RunDesk, RunStore};
use domain::run::{Created, LogLine, Run, RunEvent, RunState};
use serde_json::json;
use testkit::contract::new_run;

use crate::world::World;

async fn made(world: &World, issue: i64) -> Run {
    let Created::New(id) = world
        .store
        .create(new_run(&world.repository, issue))
        .await
        .unwrap()
    else {
        panic!("issue {issue} was busy")
    };
    read(world, id).await
}

async fn read(world: &World, id: RunId) -> Run {
    RunStore::get(&world.store, id).await.unwrap().unwrap()
}

async fn kinds(world: &World, run: RunId) -> Vec<String> {
    world
        .store
        .events(run, &Projects::All)
        .await
        .unwrap()
        .into_iter()
        .map(|event| event.kind)
        .collect()
}

/// The runs for which there is an unfinished job of this kind.
async fn jobs(world: &World, kind: &str) -> Vec<i64> {
    sqlx::query_scalar(
        "select (args->>'run_id')::bigint from queue.job j join queue.kind k on k.id = j.kind_id
        where k.name = $1 order by 1",
    )
    .bind(kind)
    .fetch_all(&world.sql)
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rivals_make_one_run() {
    let world = World::create().await;
    let wish = new_run(&world.repository, 1);
    let mut tries = tokio::task::JoinSet::new();
    for n in 0..20 {
        let store = world.store.clone();
        let wish = if n % 2 == 0 {
            wish.clone()
        } else {
            new_run(&world.repository, 1)
        };
        tries.spawn(async move { store.create(wish).await.unwrap() });
    }
    let answers = tries.join_all().await;
    assert_eq!(
        answers.iter().filter(|a| matches!(a, Created::New(_))).count(),
        1,
        "{answers:?}"
    );
    assert_eq!(world.count("select count(*) from runs.run").await, 1);
    assert_eq!(world.count("select count(*) from audit.flow_event").await, 1);
    assert_eq!(jobs(&world, "run.start").await.len(), 1);
    assert_eq!(jobs(&world, "run.report").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn slots_are_never_exceeded() {
    let world = World::create().await;
    let repository = world
        .store
        .seed_project("demo", 3, &world.repository.name)
        .await
        .unwrap();
    let mut tries = tokio::task::JoinSet::new();
    for issue in 1..=12 {
        let (store, wish) = (world.store.clone(), new_run(&repository, issue));
        tries.spawn(async move {
            let Created::New(id) = store.create(wish).await.unwrap() else {
                panic!("busy")
            };
            let run = RunStore::get(&store, id).await.unwrap().unwrap();
            store.admit(&run).await.unwrap()
        });
    }
    let answers = tries.join_all().await;
    assert_eq!(answers.iter().filter(|a| **a == Admission::Admitted).count(), 3);
    assert_eq!(
        world
            .count("select count(*) from runs.run where status = 'preparing'")
            .await,
        3
    );
    assert_eq!(
        world
            .count("select count(*) from runs.run where status = 'waiting_slot'")
            .await,
        9
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_run_that_ends_and_one_that_wants_its_slot_cannot_miss_each_other() {
    let world = World::create().await;
    for issue in 1..=15 {
        let holder = made(&world, issue).await;
        assert_eq!(world.store.admit(&holder).await.unwrap(), Admission::Admitted);
        let holder = read(&world, holder.id).await;
        let next = made(&world, 100 + issue).await;
        world.run("delete from queue.job").await;
        let (store, other) = (world.store.clone(), world.store.clone());
        let wanting = next.clone();
        let ends = tokio::spawn(async move {
            store
                .apply(&holder, RunEvent::Failed { reason: "x".into() }, json!({}))
                .await
                .unwrap();
        });
        let admission = tokio::spawn(async move { other.admit(&wanting).await.unwrap() });
        ends.await.unwrap();
        match admission.await.unwrap() {
            Admission::Admitted => {}
            // It was told to wait, so the one that ended must have had it started.
            Admission::Full => assert_eq!(jobs(&world, "run.start").await, [next.id.0]),
        }
        let next = read(&world, next.id).await;
        world
            .store
            .apply(&next, RunEvent::Canceled { reason: "x".into() }, json!({}))
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_free_slot_goes_to_the_oldest_waiting_run() {
    let world = World::create().await;
    let (holder, first, second) = (
        made(&world, 1).await,
        made(&world, 2).await,
        made(&world, 3).await,
    );
    assert_eq!(world.store.admit(&holder).await.unwrap(), Admission::Admitted);
    assert_eq!(world.store.admit(&second).await.unwrap(), Admission::Full);
    assert_eq!(world.store.admit(&first).await.unwrap(), Admission::Full);
    assert_eq!(
        world.store.admit(&read(&world, first.id).await).await.unwrap(),
        Admission::Full
    );
    assert_eq!(kinds(&world, first.id).await, ["run.created", "run.waiting_slot"]);
    world.run("delete from queue.job").await;
    let holder = read(&world, holder.id).await;
    world
        .store
        .apply(&holder, RunEvent::Failed { reason: "x".into() }, json!({}))
        .await
        .unwrap();
    assert_eq!(jobs(&world, "run.start").await, [first.id.0]);

    // The next in line goes away before it is started: the slot isn't lost.
    world.run("delete from queue.job").await;
    let first = read(&world, first.id).await;
    world
        .store
        .apply(&first, RunEvent::Canceled { reason: "x".into() }, json!({}))
        .await
        .unwrap();
    assert_eq!(jobs(&world, "run.start").await, [second.id.0]);

    // A project that gets more slots starts those that wait.
    world.run("delete from queue.job").await;
    world
        .store
        .seed_project("demo", 2, &world.repository.name)
        .await
        .unwrap();
    assert_eq!(jobs(&world, "run.start").await, [second.id.0]);
}

#[tokio::test]
async fn a_whole_run_with_its_events_and_jobs() {
    let world = World::create().await;
    let run = made(&world, 1).await;
    world.store.admit(&run).await.unwrap();
    let run = read(&world, run.id).await;
    let run = world
        .store
        .apply(&run, RunEvent::Launched, json!({ "job": "agent-r1" }))
        .await
        .unwrap();
    let due = "select count(*) from queue.job where unique_key like 'run.observe:%'
        and run_at between now() + interval '25 seconds' and now() + interval '31 seconds'";
    assert_eq!(world.count(due).await, 1);
    world.store.hint(run.id).await.unwrap();
    let due = "select count(*) from queue.job where unique_key like 'run.observe:%' and run_at is null";
    assert_eq!(
        world.count(due).await,
        1,
        "the hint didn't hasten the look at the Job"
    );
    world
        .store
        .set_comment(run.id, domain::CommentId(5))
        .await
        .unwrap();
    world
        .store
        .set_comment(run.id, domain::CommentId(5))
        .await
        .unwrap();
    let run = world
        .store
        .apply(&run, RunEvent::Exited { code: 0 }, json!({}))
        .await
        .unwrap();
    assert_eq!(run.state, RunState::Succeeded);
    assert_eq!(
        kinds(&world, run.id).await,
        [
            "run.created",
            "run.preparing",
            "run.running",
            "run.reported",
            "run.succeeded"
        ]
    );
    let events = world.store.events(run.id, &Projects::All).await.unwrap();
    assert!(
        events
            .iter()
            .all(|e| e.correlation_id == run.correlation_id && e.run_id == Some(run.id))
    );
    assert_eq!(events[2].data, json!({ "job": "agent-r1" }));
    world.run("delete from queue.job").await;
    world.store.hint(run.id).await.unwrap();
    assert_eq!(
        jobs(&world, "run.observe").await,
        [0_i64; 0],
        "a finished run is looked at"
    );
    let stale = world
        .store
        .apply(&run, RunEvent::Exited { code: 1 }, json!({}))
        .await;
    assert!(matches!(stale, Err(ApplyError::Port(_))), "{stale:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_event_of_its_own_is_recorded_once() {
    let world = World::create().await;
    let run = made(&world, 1).await;
    let mut tries = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (store, correlation_id) = (world.store.clone(), run.correlation_id.clone());
        tries.spawn(async move {
            let event = domain::flow::FlowEvent {
                correlation_id,
                run: Some(run.id),
                kind: "namespace.prepared",
                actor: domain::flow::FlowActor::Agent("dev".to_owned()),
                data: json!({ "n\0": "a\0b" }),
            };
            store.record(event).await.unwrap();
        });
    }
    tries.join_all().await;
    assert_eq!(kinds(&world, run.id).await, ["run.created", "namespace.prepared"]);
}

#[tokio::test]
async fn nul_in_logs_and_reasons() {
    let world = World::create().await;
    let run = made(&world, 1).await;
    world
        .store
        .append_log(
            run.id,
            &[LogLine {
                number: 1,
                text: "a\0b".into(),
            }],
        )
        .await
        .unwrap();
    assert_eq!(
        world.store.log(run.id, 0, 10, &Projects::All).await.unwrap()[0].text,
        "a\u{fffd}b"
    );
    let reason = || RunEvent::Failed {
        reason: "no\0".into(),
    };
    world
        .store
        .apply(&run, reason(), json!({ "x": "\0" }))
        .await
        .unwrap();
    let expected = RunState::Failed {
        reason: "no\u{fffd}".into(),
        exit_code: None,
    };
    assert_eq!(read(&world, run.id).await.state, expected);
}
