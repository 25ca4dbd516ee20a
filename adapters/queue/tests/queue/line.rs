//! The low-water mark: under a long snapshot claims stay cheap, and no job is passed over.

use std::time::{Duration, Instant};

use queue::{Job, JobError, NewJob, Outcome, Policy, Registry, State};
use serde_json::{Value, json};
use sqlx::Connection;

use crate::harness::{KIND, Probe, QUEUE, Stage, job, options};

fn seeing() -> Registry<Probe> {
    Registry::new().add(
        KIND,
        Policy::default(),
        |probe: Probe, job: Job<Value>| async move {
            probe.see(&job);
            Ok::<_, JobError>(Outcome::Done)
        },
    )
}

/// Places are drawn before they are visible: a transaction that draws its places and commits long after the
/// marks have moved on must not lose its jobs.
#[tokio::test]
async fn a_job_committed_long_after_its_place_was_drawn_is_not_passed_over() {
    let stage = Stage::new().await;
    let probe = Probe::new(&stage);
    let worker = stage.start(seeing(), probe.clone(), options("w", 10));
    let mut slow = stage.pool.begin().await.unwrap();
    let late = stage
        .queue
        .enqueue(&mut slow, job(json!("late")))
        .await
        .unwrap()
        .id;
    // Long enough for several moves of the marks, with jobs that push them on.
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(4_500) {
        stage.enqueue(job(json!("early"))).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    slow.commit().await.unwrap();
    let committed = Instant::now();
    stage.reaches(late, State::Completed).await;
    assert!(
        committed.elapsed() < Duration::from_secs(2),
        "found only by the look once a minute"
    );
    worker.stop().await;
}

/// What is given back keeps its order and goes to the front, above which no mark stands.
#[tokio::test]
async fn a_job_that_is_given_back_is_claimed_again_whatever_came_after_it() {
    let stage = Stage::new().await;
    let first = stage.enqueue(job(json!("first"))).await;
    stage.execute("insert into queue.worker (name, queues, kinds, concurrency, lease_ms)
        select 'dead', array[id], '{}', 1, 4500 from queue.queue;
        update queue.job set claimed_by = (select id from queue.worker where name = 'dead'), epoch = 1, attempt = 1").await;
    let probe = Probe::new(&stage);
    let worker = stage.start(
        seeing(),
        probe.clone(),
        queue::WorkerOptions {
            lease: Duration::from_secs(1),
            ..options("w", 10)
        },
    );
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(4) {
        stage.enqueue(job(json!("later"))).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(
        stage.job(first).await.state() == State::Running,
        "its worker still has its lease"
    );
    stage.reaches(first, State::Completed).await;
    assert!(
        start.elapsed() < Duration::from_secs(20),
        "found only by the look once a minute"
    );
    worker.stop().await;
}

/// Without marks each claim would step over every job finished since the snapshot: thirty thousand of them here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_a_long_snapshot_claims_read_no_more_than_before() {
    let stage = Stage::new().await;
    let mut pinned = sqlx::PgConnection::connect(&stage.url).await.unwrap();
    sqlx::raw_sql("begin isolation level repeatable read; select count(*) from queue.job")
        .execute(&mut pinned)
        .await
        .unwrap();
    let probe = Probe::new(&stage);
    let worker = stage.start(seeing(), probe.clone(), options("w", 500));
    for _ in 0..30 {
        stage
            .enqueue_many((0..1_000).map(|n| job(json!(n))).collect())
            .await;
    }
    stage.until_empty().await;
    // Let the marks follow.
    for _ in 0..4 {
        stage.enqueue(job(json!("mark"))).await;
        tokio::time::sleep(Duration::from_millis(1_100)).await;
    }
    let reads = "select coalesce(sum(idx_tup_read), 0)::bigint from pg_stat_user_indexes where indexrelname = 'job_line'";
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let before = stage.number(reads).await;
    for n in 0..20 {
        stage.enqueue(job(json!(n))).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let read = stage.number(reads).await - before;
    worker.stop().await;
    // The gauges read the line too, now and then. Claims from the left edge would read it for each look.
    assert!(read < 150_000, "{read} index entries were read for twenty jobs");
    drop(pinned);
}

#[tokio::test]
async fn many_jobs_at_once_keep_everything_that_was_said_of_them() {
    let stage = Stage::new().await;
    let full = NewJob::new(
        QUEUE,
        KIND,
        json!({ "text": "quote \" tab \t backslash \\ \u{1f600}", "n": [1, null] }),
    )
    .priority(-3)
    .max_attempts(7)
    .timeout(Duration::from_millis(1_500))
    .correlation_id("corr")
    .traceparent("00-trace-01")
    .tag("one")
    .tag("two, \"quoted\"")
    .tenant("tenant")
    .key("key");
    let delayed = job(json!(2)).delay(Duration::from_mins(10));
    let ids = stage
        .enqueue_many(vec![full.clone(), delayed, job(json!(3))])
        .await;
    let singly = stage.enqueue(full).await;
    let row = "select concat_ws('|', kind_id, priority, max_attempts, timeout_ms, correlation_id, traceparent, tags, tenant,
        key, lane, seq is null, run_at, args) from queue.job where id = $1";
    let of = async |id: i64| {
        sqlx::query_scalar::<_, String>(row)
            .bind(id)
            .fetch_one(&stage.pool)
            .await
            .unwrap()
    };
    assert_eq!(
        of(ids[0]).await,
        of(singly).await,
        "in bulk and singly are the same"
    );
    let delayed = stage.job(ids[1]).await;
    assert_eq!(delayed.state(), State::Scheduled);
    let wait = delayed.run_at.unwrap() - delayed.created_at;
    assert!((wait.num_milliseconds() - 600_000).abs() < 2_000, "{wait}");
    assert_eq!(stage.job(ids[2]).await.state(), State::Ready);
}
