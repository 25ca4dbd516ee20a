//! What changes while somebody looks on: each change once, of any job that matters, from a bounded look.

use std::time::Duration;

use queue::{JobChanges, JobError, JobWatch, Outcome, Policy, Registry, State};
use serde_json::json;

use crate::harness::{KIND, Probe, QUEUE, Stage, job, options};

async fn told(watch: &mut JobWatch) -> Vec<(i64, State)> {
    let changes = watch.read(&[], 100).await.unwrap();
    let mut told: Vec<_> = changes.rows.iter().map(|row| (row.id, row.state())).collect();
    told.sort_by_key(|(id, _)| *id);
    told
}

/// Looks until something was told.
async fn next(watch: &mut JobWatch) -> Vec<(i64, State)> {
    for _ in 0..100 {
        let told = told(watch).await;
        if !told.is_empty() {
            return told;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("nothing was told")
}

#[tokio::test]
async fn a_jobs_life_is_told_once() {
    let stage = Stage::new().await;
    let mut watch = stage.queue.watch();
    assert_eq!(told(&mut watch).await, []);
    let id = stage.enqueue(job(json!("waits"))).await;
    assert_eq!(told(&mut watch).await, [(id, State::Ready)]);
    assert_eq!(told(&mut watch).await, []);

    let probe = Probe::new(&stage);
    let registry = Registry::new().add(
        KIND,
        Policy::default(),
        |probe: Probe, job: queue::Job<_>| async move {
            probe.see(&job);
            probe.pass().await;
            if job.attempt == 1 {
                return Err(JobError::Retry {
                    error: "not yet".into(),
                    after: Some(Duration::from_millis(1)),
                });
            }
            Ok(Outcome::Done)
        },
    );
    let worker = stage.start(registry, probe.clone(), options("w", 1));
    assert_eq!(next(&mut watch).await, [(id, State::Running)]);
    probe.open(1);
    let failed = next(&mut watch).await;
    assert_eq!(failed.len(), 1, "{failed:?}");
    probe.until_seen(2).await;
    while !told(&mut watch).await.is_empty() {}
    probe.open(1);
    assert_eq!(next(&mut watch).await, [(id, State::Completed)]);
    assert_eq!(told(&mut watch).await, []);
    worker.stop().await;

    let mut later = stage.queue.watch();
    assert_eq!(
        told(&mut later).await,
        [(id, State::Completed)],
        "of the last minute"
    );
}

#[tokio::test]
async fn what_people_do_is_told() {
    let stage = Stage::new().await;
    let ids = stage
        .enqueue_many(vec![job(json!(1)), job(json!(2)), job(json!(3))])
        .await;
    let mut watch = stage.queue.watch();
    assert_eq!(told(&mut watch).await.len(), 3);
    stage.cancel(ids[0]).await;
    assert_eq!(told(&mut watch).await, [(ids[0], State::Cancelled)]);
    stage.retry(ids[0]).await.unwrap();
    assert_eq!(told(&mut watch).await, [(ids[0], State::Ready)]);
    let mut conn = stage.queue.pool().acquire().await.unwrap();
    let by = queue::By::new("ann");
    stage
        .queue
        .change(&mut conn, ids[1], &queue::Change::Delete, &by)
        .await
        .unwrap();
    let changes = watch.read(&[], 100).await.unwrap();
    assert!(changes.more && changes.rows.is_empty(), "{changes:?}");
}

#[tokio::test]
async fn old_jobs_are_told_where_they_run_or_are_watched() {
    let stage = Stage::new().await;
    let old = stage.enqueue(job(json!("old"))).await;
    let watched = stage.enqueue(job(json!("watched"))).await;
    stage
        .execute("update queue.job set created_at = now() - interval '1 hour'")
        .await;
    // So many came since that the newest don't reach down to them.
    stage.execute("select setval('queue.job_id', 1000000)").await;
    let mut watch = stage.queue.watch();
    assert!(told(&mut watch).await.is_empty());
    assert!(
        watch.read(&[watched], 100).await.unwrap().rows.is_empty(),
        "nothing happened to it"
    );
    stage
        .execute(
            "update queue.job set claimed_by = 1, claimed_at = clock_timestamp(), epoch = 1 where id = 1",
        )
        .await;
    assert_eq!(next(&mut watch).await, [(old, State::Running)]);
    stage
        .execute("update queue.job set priority = 5 where id = 2")
        .await;
    assert!(told(&mut watch).await.is_empty());
    let changes = watch.read(&[watched], 100).await.unwrap();
    assert_eq!(
        changes.rows.iter().map(|row| row.id).collect::<Vec<_>>(),
        [watched]
    );
}

#[tokio::test]
async fn of_too_many_the_newest_are_told() {
    let stage = Stage::new().await;
    let mut watch = stage.queue.watch();
    watch.read(&[], 10).await.unwrap();
    let ids = stage.enqueue_many((0..50).map(|n| job(json!(n))).collect()).await;
    let JobChanges { rows, more } = watch.read(&[], 10).await.unwrap();
    let told: Vec<i64> = rows.iter().map(|row| row.id).collect();
    assert_eq!(told, ids.iter().rev().take(10).copied().collect::<Vec<_>>());
    assert!(more);
    let JobChanges { rows, more } = watch.read(&[], 10).await.unwrap();
    assert!(rows.is_empty() && !more);
    assert_eq!(stage.job(ids[0]).await.queue, QUEUE);
}
