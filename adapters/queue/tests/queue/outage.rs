//! Lost connections, in the middle of work.

use std::time::{Duration, Instant};

use queue::{Job, JobError, Limits, Outcome, Policy, Queue, Registry, Worker, WorkerOptions};
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio_util::sync::CancellationToken;

use crate::harness::{KIND, Probe, QUEUE, Stage, ann, job, options};
use crate::meter::Meter;
use crate::proxy::Proxy;
use crate::transaction::{LEDGER, effect};

const CUT: &str = "select count(pg_terminate_backend(pid)) from pg_stat_activity
    where datname = current_database() and application_name like 'codex-k8s queue %'";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_cut_in_the_middle_lose_no_job() {
    let stage = Stage::new().await;
    stage.execute(LEDGER).await;
    let probe = Probe::new(&stage);
    let registry = Registry::new().add(
        KIND,
        Policy::default(),
        |probe: Probe, job: queue::Job<_>| async move {
            probe.see(&job);
            if job.id % 2 == 0 {
                effect(&probe.pool, &job).await?;
            } else {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            Ok::<_, JobError>(Outcome::Done)
        },
    );
    stage
        .enqueue_many((0..4_000).map(|n| job(json!(n))).collect())
        .await;
    let worker = stage.start(registry, probe.clone(), options("w", 20));
    let start = Instant::now();
    let mut cuts = 0;
    for round in 1..=12 {
        probe.until_seen(round * 300).await;
        cuts += stage.number(CUT).await;
    }
    assert!(cuts > 12, "only {cuts} connections were cut");
    stage.until_empty().await;
    assert!(start.elapsed() < Duration::from_mins(1));
    worker.stop().await;
    assert_eq!(
        stage
            .number("select count(distinct id) from queue.history where state = 0")
            .await,
        4_000
    );
    assert_eq!(stage.number("select count(*) from queue.history").await, 4_000);
    assert_eq!(
        stage
            .number("select count(*) from (select from ledger group by job_id having count(*) > 1) as twice")
            .await,
        0
    );
    assert_eq!(stage.number("select count(*) from ledger").await, 2_000);
}

/// After an outage every heartbeat is old. Nobody may be given up before the living had time to renew theirs.
#[tokio::test]
async fn nobody_is_given_up_right_after_an_outage() {
    let meter = Meter::default();
    let _meter = metrics::set_default_local_recorder(&meter);
    let (mut server, url) = crate::chaos::own_server().await;
    let stage = Stage::on(&url).await;
    let probe = Probe::new(&stage);
    let registry = || {
        Registry::new().add(KIND, Policy::default(), |probe: Probe, job| async move {
            probe.see(&job);
            probe.pass().await;
            Ok::<_, JobError>(Outcome::Done)
        })
    };
    // Two that would rescue, and six whose heartbeats are seldom and so likely to come after it.
    let leases = [4, 4, 25, 25, 25, 25, 25, 25].map(Duration::from_secs);
    let workers: Vec<_> = leases
        .into_iter()
        .map(|lease| {
            let one = WorkerOptions {
                lease,
                ..options("w", 1)
            };
            stage.start(registry(), probe.clone(), one)
        })
        .collect();
    stage.enqueue_many((0..8).map(|n| job(json!(n))).collect()).await;
    probe.until_seen(8).await;
    // Both have been in contact for long enough to rescue.
    tokio::time::sleep(Duration::from_secs(5)).await;
    server.crash().await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    server.restart().await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(meter.count("codex_k8s_queue_rescued_total"), 0);
    probe.open(8);
    stage.until_empty().await;
    for worker in workers {
        worker.stop().await;
    }
    assert_eq!(probe.seen().len(), 8, "a job was taken from a living worker");
    assert_eq!(meter.count("codex_k8s_queue_stale_acks_total"), 0);
    stage.pool.close().await;
}

/// In the gate nobody waits for the disk: a server that crashes forgets the last claims. What a worker does under one
/// of those counts for nothing, even if it is the same worker that claims the job again.
#[tokio::test]
async fn a_claim_that_the_server_forgot_gives_its_worker_no_second_lease_of_its_epoch() {
    let stage = Stage::new().await;
    let limits = Limits {
        max_running: Some(5),
        ..Limits::default()
    };
    let mut conn = stage.pool.acquire().await.unwrap();
    stage
        .queue
        .set_limits(&mut conn, QUEUE, limits, &ann())
        .await
        .unwrap();
    let probe = Probe::new(&stage);
    let registry = Registry::new().add(
        KIND,
        Policy::default(),
        |probe: Probe, job: Job<Value>| async move {
            probe.see(&job);
            probe.pass().await;
            Ok::<_, JobError>(Outcome::Done)
        },
    );
    let worker = stage.start(registry, probe.clone(), options("w", 5));
    stage.enqueue(job(json!(1))).await;
    probe.until_seen(1).await;
    let forgotten = stage.number("select epoch::bigint from queue.job").await;
    // As a crash leaves it behind: no connection, and the row as it was before the claim.
    stage.number(CUT).await;
    stage
        .execute("update queue.job set claimed_by = null, claimed_at = null, epoch = epoch - 1, attempt = attempt - 1")
        .await;
    probe.until_seen(2).await;
    let lease = stage.number("select epoch::bigint from queue.job").await;
    assert!(
        lease > forgotten,
        "{lease} is the epoch of a lease that is lost, {forgotten}"
    );
    probe.open(2);
    stage.until_empty().await;
    worker.stop().await;
    assert_eq!(stage.number("select count(*) from queue.history").await, 1);
}

/// The server has put jobs back for their next attempt, and the worker hears nothing of it: what it says again is
/// no stale worker's word.
#[tokio::test]
async fn lost_answers_count_as_no_stale_acknowledgement() {
    let meter = Meter::default();
    let _meter = metrics::set_default_local_recorder(&meter);
    let stage = Stage::new().await;
    let direct: PgConnectOptions = stage.url.parse().unwrap();
    let proxy = Proxy::start(direct.get_port()).await;
    let pool = PgPoolOptions::new()
        .connect_with(direct.port(proxy.port))
        .await
        .unwrap();
    let registry = Registry::new().add(KIND, Policy::default(), |(), job: Job<Value>| async move {
        tokio::time::sleep(Duration::from_millis(5)).await;
        if job.attempt == 1 {
            return Err(JobError::Retry {
                error: "once more".into(),
                after: Some(Duration::from_millis(20)),
            });
        }
        Ok(Outcome::Done)
    });
    stage
        .enqueue_many((0..3_000).map(|n| job(json!(n))).collect())
        .await;
    let stop = CancellationToken::new();
    let worker = Worker::new(Queue::new(pool.clone()), registry, (), options("w", 20));
    let worker = tokio::spawn(worker.run(stop.clone()));
    for part in 1..20 {
        let done = "select count(*) from queue.attempt";
        while stage.number(done).await < part * 100 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        proxy.swallow(2);
    }
    stage.until_empty().await;
    stop.cancel();
    worker.await.unwrap().unwrap();
    assert!(proxy.counts().1 > 10);
    assert_eq!(meter.count("codex_k8s_queue_stale_acks_total"), 0);
    pool.close().await;
}
