//! Effects exactly once: a handler that completes its job in the transaction of its effects.

use std::time::Duration;

use queue::{Backoff, Job, JobError, OnConflict, Outcome, Policy, Registry, State};
use serde_json::{Value, json};

use crate::harness::{KIND, Probe, Stage, job, options};

/// The table that handlers write their effects into. It has no unique index: a double would be seen.
pub(crate) const LEDGER: &str = "create table ledger (job_id bigint not null)";

/// Writes the effect and completes the job, in one transaction.
pub(crate) async fn effect(pool: &sqlx::PgPool, job: &Job<Value>) -> Result<(), JobError> {
    let failed = |error: sqlx::Error| JobError::retry(error.to_string());
    let mut tx = pool.begin().await.map_err(failed)?;
    sqlx::query("insert into ledger (job_id) values ($1)")
        .persistent(false)
        .bind(job.id)
        .execute(&mut *tx)
        .await
        .map_err(failed)?;
    job.complete_in(&mut tx)
        .await
        .map_err(|error| JobError::retry(error.to_string()))?;
    tx.commit().await.map_err(failed)
}

fn quick() -> Policy {
    Policy {
        backoff: Backoff::exponential(Duration::from_millis(5), Duration::from_millis(20)),
        timeout: None,
        ..Policy::default()
    }
}

async fn ledger(stage: &Stage, id: i64) -> i64 {
    sqlx::query_scalar("select count(*) from ledger where job_id = $1")
        .bind(id)
        .fetch_one(&stage.pool)
        .await
        .unwrap()
}

#[tokio::test]
async fn an_effect_and_its_jobs_end_commit_together() {
    let stage = Stage::new().await;
    stage.execute(LEDGER).await;
    let probe = Probe::new(&stage);
    let registry = Registry::new().add(KIND, quick(), |probe: Probe, job| async move {
        probe.see(&job);
        effect(&probe.pool, &job).await?;
        Ok::<_, JobError>(Outcome::Done)
    });
    let worker = stage.start(registry, probe.clone(), options("w", 8));
    let ids = stage
        .enqueue_many((0..200).map(|n| job(json!(n))).collect())
        .await;
    stage.until_empty().await;
    worker.stop().await;
    for id in ids {
        assert_eq!(ledger(&stage, id).await, 1);
        assert_eq!(stage.job(id).await.state(), State::Completed);
    }
    assert_eq!(stage.number("select count(*) from queue.history").await, 200);
    assert_eq!(probe.seen().len(), 200);
}

/// It panics after the commit, before it, and gives no sign of the commit.
#[tokio::test]
async fn a_handler_that_crashes_in_between_leaves_its_effect_exactly_once() {
    let stage = Stage::new().await;
    stage.execute(LEDGER).await;
    let probe = Probe::new(&stage);
    let registry = Registry::new().add(KIND, quick(), |probe: Probe, job: Job<Value>| async move {
        probe.see(&job);
        if job.args == json!("before the commit") && job.attempt == 1 {
            let mut tx = probe.pool.begin().await.unwrap();
            sqlx::query("insert into ledger (job_id) values ($1)")
                .persistent(false)
                .bind(job.id)
                .execute(&mut *tx)
                .await
                .unwrap();
            job.complete_in(&mut tx).await.unwrap();
            panic!("before the commit");
        }
        effect(&probe.pool, &job).await?;
        match job.args.as_str() {
            Some("panics after it") => panic!("after the commit"),
            Some("fails after it") => Err(JobError::retry("after the commit")),
            Some("snoozes after it") => Ok(Outcome::Snooze(Duration::ZERO)),
            Some("hangs after it") => std::future::pending().await,
            _ => Ok(Outcome::Done),
        }
    });
    let worker = stage.start(registry, probe.clone(), options("w", 8));
    let cases = [
        ("before the commit", 2),
        ("panics after it", 1),
        ("fails after it", 1),
        ("snoozes after it", 1),
        ("hangs after it", 1),
    ];
    for (case, runs) in cases {
        let new = job(json!(case)).timeout(Duration::from_secs(2));
        let id = stage.enqueue(new).await;
        stage.reaches(id, State::Completed).await;
        // Whatever the handler says afterwards comes too late to bring it back.
        stage.enqueue(job(json!("other"))).await;
        stage.until_empty().await;
        assert_eq!(ledger(&stage, id).await, 1, "{case}");
        assert_eq!(
            probe.seen().iter().filter(|seen| seen.id == id).count(),
            runs,
            "{case}"
        );
    }
    worker.stop().await;
    assert_eq!(stage.number("select count(*) from queue.history").await, 10);
    stage.assert_empty().await;
}

#[tokio::test]
async fn a_rerun_noted_meanwhile_survives_the_handlers_own_completion() {
    let stage = Stage::new().await;
    stage.execute(LEDGER).await;
    let probe = Probe::new(&stage);
    let registry = Registry::new().add(KIND, quick(), |probe: Probe, job| async move {
        probe.see(&job);
        probe.pass().await;
        effect(&probe.pool, &job).await?;
        Ok::<_, JobError>(Outcome::Done)
    });
    let worker = stage.start(registry, probe.clone(), options("w", 8));
    let first = stage
        .enqueue(job(json!(1)).unique("key", OnConflict::Replace))
        .await;
    probe.until_seen(1).await;
    stage
        .enqueue(job(json!(2)).unique("key", OnConflict::Replace))
        .await;
    probe.open(2);
    stage.until_empty().await;
    worker.stop().await;
    let args: Vec<Value> = probe.seen().into_iter().map(|seen| seen.args).collect();
    assert_eq!(args, [json!(1), json!(2)]);
    assert_eq!(ledger(&stage, first).await, 1);
    assert_eq!(stage.number("select count(*) from ledger").await, 2);
    assert_eq!(
        stage
            .number("select count(*) from queue.history where state = 0")
            .await,
        2
    );
}

/// Each commit is a flush of the log: many ends have to share one.
#[tokio::test]
async fn ends_of_many_jobs_share_their_transactions() {
    let stage = Stage::new().await;
    stage
        .enqueue_many((0..2_000).map(|n| job(json!(n))).collect())
        .await;
    let registry = Registry::new().add(KIND, quick(), |(), _: Job<Value>| async move {
        Ok::<_, JobError>(Outcome::Done)
    });
    let worker = stage.start(registry, (), options("w", 200));
    stage.until_empty().await;
    worker.stop().await;
    // The transaction that wrote a row stands in it.
    let transactions = stage
        .number("select count(distinct xmin::text) from queue.history")
        .await;
    assert!(
        transactions <= 400,
        "{transactions} transactions ended 2,000 jobs"
    );
}
