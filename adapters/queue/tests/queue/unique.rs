//! Unique keys: keep, replace and hasten, on jobs that wait and on jobs that run.

use std::time::Duration;

use queue::{Enqueued, JobError, OnConflict, Outcome, Policy, Registry, State, Verdict};
use serde_json::{Value, json};
use sqlx::Connection;

use crate::harness::{KIND, Probe, Stage, job, options};

const HOUR: Duration = Duration::from_hours(1);

async fn put(stage: &Stage, args: Value, delay: Duration, on_conflict: OnConflict) -> Enqueued {
    let mut conn = stage.pool.acquire().await.unwrap();
    let new = job(args).delay(delay).unique("key", on_conflict);
    stage.queue.enqueue(&mut conn, new).await.unwrap()
}

/// A handler that waits at the gate.
fn gated() -> Registry<Probe> {
    Registry::new().add(KIND, Policy::default(), |probe: Probe, job| async move {
        probe.see(&job);
        probe.pass().await;
        Ok::<_, JobError>(Outcome::Done)
    })
}

#[tokio::test]
async fn keep_leaves_the_older_job_as_it_is() {
    let stage = Stage::new().await;
    let first = put(&stage, json!(1), HOUR, OnConflict::Keep).await;
    let second = put(&stage, json!(2), Duration::ZERO, OnConflict::Keep).await;
    assert_eq!(first.verdict, Verdict::Inserted);
    assert_eq!(
        second,
        Enqueued {
            id: first.id,
            verdict: Verdict::Kept
        }
    );
    let row = stage.job(first.id).await;
    assert_eq!((row.args.clone(), row.state()), (json!(1), State::Scheduled));
    assert_eq!(stage.number("select count(*) from queue.job").await, 1);
}

#[tokio::test]
async fn replace_gives_a_waiting_job_the_new_arguments_and_the_new_time() {
    let stage = Stage::new().await;
    let first = put(&stage, json!(1), Duration::ZERO, OnConflict::Replace).await;
    // Ready to ready keeps the place in line.
    let place = stage.number("select seq from queue.job").await;
    let second = put(&stage, json!(2), Duration::ZERO, OnConflict::Replace).await;
    assert_eq!(
        second,
        Enqueued {
            id: first.id,
            verdict: Verdict::Replaced
        }
    );
    assert_eq!(stage.number("select seq from queue.job").await, place);
    assert_eq!(stage.job(first.id).await.args, json!(2));
    // Ready to scheduled.
    put(&stage, json!(3), HOUR, OnConflict::Replace).await;
    let row = stage.job(first.id).await;
    assert_eq!((row.args.clone(), row.state()), (json!(3), State::Scheduled));
    let due = row.run_at.unwrap();
    // Scheduled to scheduled: debounced.
    put(&stage, json!(4), 2 * HOUR, OnConflict::Replace).await;
    let row = stage.job(first.id).await;
    assert_eq!(row.args, json!(4));
    assert!(row.run_at.unwrap() > due, "the new time counts");
    // Scheduled to ready.
    put(&stage, json!(5), Duration::ZERO, OnConflict::Replace).await;
    let row = stage.job(first.id).await;
    assert_eq!((row.args.clone(), row.state()), (json!(5), State::Ready));
}

#[tokio::test]
async fn hasten_takes_the_new_arguments_and_the_earlier_time() {
    let stage = Stage::new().await;
    let id = put(&stage, json!(1), HOUR, OnConflict::Hasten).await.id;
    let due = stage.job(id).await.run_at.unwrap();
    put(&stage, json!(2), 2 * HOUR, OnConflict::Hasten).await;
    let row = stage.job(id).await;
    assert_eq!((row.args.clone(), row.run_at), (json!(2), Some(due)));
    put(&stage, json!(3), HOUR / 2, OnConflict::Hasten).await;
    let row = stage.job(id).await;
    assert!(row.run_at.unwrap() < due);
    put(&stage, json!(4), Duration::ZERO, OnConflict::Hasten).await;
    assert_eq!(stage.job(id).await.state(), State::Ready);
    let last = put(&stage, json!(5), HOUR, OnConflict::Hasten).await;
    assert_eq!(
        last,
        Enqueued {
            id,
            verdict: Verdict::Replaced
        }
    );
    let row = stage.job(id).await;
    assert_eq!((row.args.clone(), row.state()), (json!(5), State::Ready));
}

#[tokio::test]
async fn debounce_pushes_the_time_on_but_not_beyond_the_longest_wait() {
    let stage = Stage::new().await;
    let debounce = OnConflict::Debounce { max_wait: 3 * HOUR };
    let first = put(&stage, json!(1), HOUR, debounce).await;
    assert_eq!(first.verdict, Verdict::Inserted);
    let due = stage.job(first.id).await.run_at.unwrap();
    let second = put(&stage, json!(2), 2 * HOUR, debounce).await;
    assert_eq!((second.id, second.verdict), (first.id, Verdict::Replaced));
    let row = stage.job(first.id).await;
    assert!(row.run_at.unwrap() > due, "pushed on");
    assert_eq!(row.args, json!(2));
    put(&stage, json!(3), 10 * HOUR, debounce).await;
    let row = stage.job(first.id).await;
    assert_eq!(row.args, json!(3));
    assert_eq!(
        (row.run_at.unwrap() - row.created_at).num_seconds(),
        3 * 3600,
        "no further"
    );
    // Long overdue: what comes now changes the arguments and not the time, and a ready job keeps its place.
    stage
        .execute("update queue.job set created_at = now() - interval '4 h', seq = 7, run_at = now()")
        .await;
    put(&stage, json!(4), HOUR, debounce).await;
    let row = stage.job(first.id).await;
    assert_eq!((row.args.clone(), row.state()), (json!(4), State::Ready));
    assert_eq!(stage.number("select seq from queue.job").await, 7);
    put(&stage, json!(5), Duration::ZERO, debounce).await;
    assert_eq!(stage.job(first.id).await.state(), State::Ready);
}

#[tokio::test]
async fn debouncing_a_running_job_runs_it_once_more_within_the_longest_wait() {
    let stage = Stage::new().await;
    let probe = Probe::new(&stage);
    let debounce = OnConflict::Debounce { max_wait: HOUR };
    put(&stage, json!(1), Duration::ZERO, debounce).await;
    let worker = stage.start(gated(), probe.clone(), options("w", 4));
    probe.until_seen(1).await;
    put(&stage, json!(2), 5 * HOUR, debounce).await;
    probe.open(1);
    stage
        .until("select count(*) = 1 from queue.job where seq is null and claimed_by is null")
        .await;
    worker.stop().await;
    let minutes = stage.number("select (extract(epoch from run_at - now()) / 60)::bigint from queue.job");
    assert!((55..=60).contains(&minutes.await));
}

#[tokio::test]
async fn keep_leaves_a_running_job_alone_and_notes_no_rerun() {
    let stage = Stage::new().await;
    let probe = Probe::new(&stage);
    let id = put(&stage, json!(1), Duration::ZERO, OnConflict::Keep).await.id;
    let worker = stage.start(gated(), probe.clone(), options("w", 4));
    probe.until_seen(1).await;
    let kept = put(&stage, json!(2), Duration::ZERO, OnConflict::Keep).await;
    assert_eq!((kept.id, kept.verdict), (id, Verdict::Kept));
    probe.open(10);
    stage.until_empty().await;
    worker.stop().await;
    assert_eq!(probe.seen().len(), 1);
}

/// The new arguments run after the present attempt, never beside it.
#[tokio::test]
async fn replacing_a_running_job_runs_it_once_more_afterwards_with_the_newest_arguments() {
    for on_conflict in [OnConflict::Replace, OnConflict::Hasten] {
        let stage = Stage::new().await;
        let probe = Probe::new(&stage);
        let id = put(&stage, json!(1), Duration::ZERO, on_conflict).await.id;
        let worker = stage.start(gated(), probe.clone(), options("w", 4));
        probe.until_seen(1).await;
        for args in [2, 3] {
            let answer = put(&stage, json!(args), Duration::ZERO, on_conflict).await;
            assert_eq!((answer.id, answer.verdict), (id, Verdict::Replaced));
        }
        assert_eq!(stage.job(id).await.args, json!(1), "changed under its handler");
        // Four free slots, and yet nothing may start before the first attempt has ended.
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(probe.seen().len(), 1, "two at once");
        probe.open(1);
        probe.until_seen(2).await;
        assert_eq!(stage.job(id).await.state(), State::Completed);
        probe.open(1);
        stage.until_empty().await;
        worker.stop().await;
        let args: Vec<Value> = probe.seen().into_iter().map(|seen| seen.args).collect();
        assert_eq!(args, [json!(1), json!(3)], "{on_conflict:?}");
        assert_eq!(
            stage
                .number("select count(*) from queue.history where state = 0 and unique_key = 'key'")
                .await,
            2
        );
    }
}

#[tokio::test]
async fn a_rerun_noted_for_later_waits_for_its_time() {
    let stage = Stage::new().await;
    let probe = Probe::new(&stage);
    put(&stage, json!(1), Duration::ZERO, OnConflict::Replace).await;
    let worker = stage.start(gated(), probe.clone(), options("w", 4));
    probe.until_seen(1).await;
    put(&stage, json!(2), HOUR, OnConflict::Replace).await;
    probe.open(1);
    stage
        .until("select count(*) = 1 from queue.job where seq is null and claimed_by is null")
        .await;
    worker.stop().await;
    let args: Value =
        sqlx::query_scalar("select args from queue.job where run_at > now() + interval '50 min'")
            .fetch_one(&stage.pool)
            .await
            .unwrap();
    assert_eq!(args, json!(2));
}

#[tokio::test]
async fn a_failed_attempt_with_a_rerun_noted_tries_again_with_the_new_arguments() {
    let stage = Stage::new().await;
    let probe = Probe::new(&stage);
    let id = put(&stage, json!(1), Duration::ZERO, OnConflict::Replace)
        .await
        .id;
    let registry = Registry::new().add(KIND, Policy::default(), |probe: Probe, job| async move {
        probe.see(&job);
        probe.pass().await;
        if job.args == json!(1) {
            return Err(JobError::Retry {
                error: "not with these".into(),
                after: Some(HOUR),
            });
        }
        Ok(Outcome::Done)
    });
    let worker = stage.start(registry, probe.clone(), options("w", 4));
    probe.until_seen(1).await;
    put(&stage, json!(2), Duration::ZERO, OnConflict::Replace).await;
    probe.open(2);
    let row = stage.reaches(id, State::Completed).await;
    assert_eq!((row.args, row.attempt), (json!(2), 2));
    worker.stop().await;
    stage.assert_empty().await;
}

#[tokio::test]
async fn a_conflict_never_aborts_the_callers_transaction() {
    let stage = Stage::new().await;
    let mut tx = stage.pool.begin().await.unwrap();
    for on_conflict in [OnConflict::Keep, OnConflict::Replace, OnConflict::Hasten] {
        for _ in 0..2 {
            stage
                .queue
                .enqueue(&mut tx, job(json!(0)).unique("key", on_conflict))
                .await
                .unwrap();
        }
    }
    let alive: i32 = sqlx::query_scalar("select 1").fetch_one(&mut *tx).await.unwrap();
    assert_eq!(alive, 1);
    tx.commit().await.unwrap();
    assert_eq!(stage.number("select count(*) from queue.job").await, 1);
}

#[tokio::test]
async fn a_finished_jobs_key_is_free_again() {
    let stage = Stage::new().await;
    let probe = Probe::new(&stage);
    probe.open(2);
    let worker = stage.start(gated(), probe.clone(), options("w", 4));
    let first = put(&stage, json!(1), Duration::ZERO, OnConflict::Keep).await;
    stage.reaches(first.id, State::Completed).await;
    let second = put(&stage, json!(2), Duration::ZERO, OnConflict::Keep).await;
    assert_eq!(second.verdict, Verdict::Inserted);
    assert_ne!(first.id, second.id);
    stage.until_empty().await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_key_from_twenty_connections_at_once_is_one_job() {
    let stage = Stage::new().await;
    let start = std::sync::Arc::new(tokio::sync::Barrier::new(20));
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..20 {
        let (queue, url, start) = (stage.queue.clone(), stage.url.clone(), start.clone());
        tasks.spawn(async move {
            let mut conn = sqlx::PgConnection::connect(&url).await.unwrap();
            start.wait().await;
            let new = job(json!(n)).unique("key", OnConflict::Replace);
            queue.enqueue(&mut conn, new).await.unwrap()
        });
    }
    let answers = tasks.join_all().await;
    let inserted = answers
        .iter()
        .filter(|answer| answer.verdict == Verdict::Inserted)
        .count();
    assert_eq!(inserted, 1);
    assert!(answers.iter().all(|answer| answer.id == answers[0].id));
    assert_eq!(stage.number("select count(*) from queue.job").await, 1);
}

/// Somebody's open transaction holds the row of a job that has just ended: the ends of others go through.
#[tokio::test]
async fn an_open_transaction_on_a_running_keyed_job_holds_up_no_other_acknowledgement() {
    for reruns_before in [0, 1] {
        let stage = Stage::new().await;
        let probe = Probe::new(&stage);
        let keyed = put(&stage, json!(1), Duration::ZERO, OnConflict::Replace)
            .await
            .id;
        let worker = stage.start(gated(), probe.clone(), options("w", 20));
        probe.until_seen(1).await;
        for n in 0..reruns_before {
            put(&stage, json!(100 + n), Duration::ZERO, OnConflict::Replace).await;
        }
        let mut held = stage.pool.begin().await.unwrap();
        let answer = stage
            .queue
            .enqueue(&mut held, job(json!("newest")).unique("key", OnConflict::Replace))
            .await
            .unwrap();
        assert_eq!((answer.id, answer.verdict), (keyed, Verdict::Replaced));
        probe.open(30);
        let others = stage.enqueue_many((0..10).map(|n| job(json!(n))).collect()).await;
        for id in others {
            tokio::time::timeout(Duration::from_secs(5), stage.reaches(id, State::Completed))
                .await
                .unwrap_or_else(|_| panic!("job {id} waits for a stranger's transaction"));
        }
        assert_eq!(stage.job(keyed).await.state(), State::Running);
        held.commit().await.unwrap();
        stage.until_empty().await;
        worker.stop().await;
        let last = probe.seen().last().unwrap().clone();
        assert_eq!(
            last.args,
            json!("newest"),
            "after {reruns_before} reruns noted before"
        );
        assert_eq!(probe.seen().len(), 12);
    }
}
