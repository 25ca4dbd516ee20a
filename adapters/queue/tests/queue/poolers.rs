//! Poll-only mode behind PgBouncer in transaction mode: sessions that change underneath, no startup parameters,
//! no named statements that last, no session locks.

use std::time::Duration;

use queue::{JobError, OnConflict, Outcome, Policy, Registry, State};
use serde_json::json;

use crate::harness::{KIND, Probe, Stage, job, options};
use crate::transaction::{LEDGER, effect};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_run_behind_a_pooler_in_transaction_mode() {
    let Some(stage) = Stage::behind_pooler().await else {
        return;
    };
    stage.execute(LEDGER).await;
    let registry = || {
        Registry::new().add(
            KIND,
            Policy::default(),
            |probe: Probe, job: queue::Job<_>| async move {
                probe.see(&job);
                match job.args.as_str() {
                    Some("effect") => effect(&probe.pool, &job).await.map(|()| Outcome::Done),
                    Some("once more") if job.attempt == 1 => Err(JobError::Retry {
                        error: "not yet".into(),
                        after: Some(Duration::ZERO),
                    }),
                    Some("listen") => {
                        job.cancelled().cancelled().await;
                        Ok(Outcome::Cancel("told so".into()))
                    }
                    _ => Ok(Outcome::DoneWith(json!(1))),
                }
            },
        )
    };
    let probe = Probe::new(&stage);
    // Three workers and a dozen of clients share eight server connections.
    let workers = ["a", "b", "c"].map(|name| stage.start(registry(), probe.clone(), options(name, 8)));
    let mut ids = stage
        .enqueue_many((0..500).map(|n| job(json!(n))).collect())
        .await;
    for args in ["effect", "once more", "done"] {
        for n in 0..20 {
            ids.push(
                stage
                    .enqueue(job(json!(args)).delay(Duration::from_millis(n)))
                    .await,
            );
        }
    }
    let key = |n: i32| job(json!(n)).unique("key", OnConflict::Replace);
    // In the caller's own transaction, and rolled back.
    let mut tx = stage.queue.pool().begin().await.unwrap();
    stage.queue.enqueue(&mut tx, key(0)).await.unwrap();
    tx.rollback().await.unwrap();
    ids.push(stage.enqueue(key(1)).await);
    for id in ids {
        stage.reaches(id, State::Completed).await;
    }
    assert_eq!(stage.number("select count(*) from ledger").await, 20);
    let id = stage.enqueue(job(json!("listen"))).await;
    stage.reaches(id, State::Running).await;
    stage.cancel(id).await;
    stage.reaches(id, State::Cancelled).await;
    stage.retry(id).await.unwrap();
    stage.reaches(id, State::Running).await;
    stage.cancel(id).await;
    stage.reaches(id, State::Cancelled).await;
    for worker in workers {
        worker.stop().await;
    }
    stage.assert_empty().await;
}

/// Server connections die under transactions; what was undone is done again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_connections_cut_behind_a_pooler_lose_no_job() {
    let Some(stage) = Stage::behind_pooler().await else {
        return;
    };
    stage.execute(LEDGER).await;
    let probe = Probe::new(&stage);
    let registry = Registry::new().add(
        KIND,
        Policy::default(),
        |probe: Probe, job: queue::Job<_>| async move {
            probe.see(&job);
            match job.id % 3 {
                0 => effect(&probe.pool, &job).await.map(|()| Outcome::Done),
                1 => Ok(Outcome::DoneWith(json!(1))),
                _ => Ok(Outcome::Done),
            }
        },
    );
    let jobs = (0..3_000).map(|n| job(json!(n)).max_attempts(1_000));
    stage.enqueue_many(jobs.collect()).await;
    let worker = stage.start(registry, probe.clone(), options("w", 20));
    let mut cuts = 0;
    for round in 1..=8 {
        probe.until_seen(round * 300).await;
        cuts += stage
            .number(
                "select count(pg_terminate_backend(pid)) from pg_stat_activity
                where datname = current_database() and pid <> pg_backend_pid()
                  and application_name like 'codex-k8s queue %'",
            )
            .await;
    }
    assert!(cuts > 4, "only {cuts} connections were cut");
    stage
        .until("select count(*) = 3000 from queue.history where state = 0")
        .await;
    worker.stop().await;
    stage.assert_empty().await;
    assert_eq!(stage.number("select count(*) from ledger").await, 1_000);
    assert_eq!(
        stage.number("select count(distinct job_id) from ledger").await,
        1_000
    );
}
