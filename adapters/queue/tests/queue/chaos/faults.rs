//! Lost answers, a worker that was paused, a worker with a wrong clock.

use std::path::Path;
use std::time::Duration;

use queue::{Queue, Worker};
use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio_util::sync::CancellationToken;

use super::{
    LEDGER, assert_exactly_once, enqueue_all, hand, registry, short_lease, signal, spawn_worker, until_done,
    worker_command,
};
use crate::harness::{Stage, job};
use crate::proxy::Proxy;

/// The server has committed, and nobody hears of it: claims, acknowledgements, heartbeats, handlers' commits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_connections_and_lost_answers_lose_no_job_and_double_no_effect() {
    const JOBS: i64 = 3_000;
    let stage = Stage::new().await;
    enqueue_all(&stage, JOBS).await;
    let direct: PgConnectOptions = stage.url.parse().unwrap();
    let proxy = Proxy::start(direct.get_port()).await;
    let pool = PgPoolOptions::new()
        .max_connections(12)
        .connect_with(direct.port(proxy.port))
        .await
        .unwrap();
    let stop = CancellationToken::new();
    let workers: Vec<_> = ["a", "b"]
        .map(|name| {
            let worker = Worker::new(
                Queue::new(pool.clone()),
                registry(),
                hand(&pool, name),
                short_lease(name),
            );
            tokio::spawn(worker.run(stop.clone()))
        })
        .into();
    for round in 1..=20 {
        until_done(&stage, round * 140).await;
        if round % 2 == 0 {
            proxy.cut();
        } else {
            proxy.swallow(6);
        }
    }
    until_done(&stage, JOBS).await;
    proxy.swallow(0);
    stage.until_empty().await;
    stop.cancel();
    for worker in workers {
        worker.await.unwrap().unwrap();
    }
    let (cuts, swallowed) = proxy.counts();
    assert!(cuts > 50 && swallowed > 30, "{cuts} cut, {swallowed} swallowed");
    assert_exactly_once(&stage, JOBS).await;
    pool.close().await;
}

/// It wakes up believing in leases that others have by now.
#[tokio::test]
async fn a_worker_paused_past_its_lease_changes_nothing_when_it_wakes() {
    const JOBS: i64 = 100;
    let stage = Stage::new().await;
    stage.execute(LEDGER).await;
    let mut paused = spawn_worker(&stage.url);
    let slow = (0..JOBS).map(|_| job(json!("slow")).max_attempts(1_000));
    stage.enqueue_many(slow.collect()).await;
    until_done(&stage, 20).await;
    stage
        .until("select count(*) > 5 from queue.job where claimed_by is not null")
        .await;
    signal(&paused, "-STOP").await;
    let held = stage
        .number("select count(*) from queue.job where claimed_by is not null")
        .await;
    let mut other = spawn_worker(&stage.url);
    until_done(&stage, JOBS).await;
    stage.until_empty().await;
    assert_eq!(
        stage
            .number("select count(*) from queue.worker where silent")
            .await,
        1,
        "it held {held} jobs and was not given up"
    );
    signal(&paused, "-CONT").await;
    // It finds out, and carries on under its number.
    stage
        .until("select count(*) = 2 from queue.worker where stopped_at is null")
        .await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    other.kill().await.unwrap();
    stage.enqueue(job(json!("afterwards"))).await;
    until_done(&stage, JOBS + 1).await;
    stage.until_empty().await;
    assert!(paused.try_wait().unwrap().is_none(), "it ended by itself");
    paused.kill().await.unwrap();
    assert_exactly_once(&stage, JOBS + 1).await;
}

/// It holds the job's row, which nobody else may take, until the server ends its transaction.
#[tokio::test]
async fn a_worker_paused_between_its_effect_and_the_commit_keeps_nobody_from_its_job() {
    let stage = Stage::new().await;
    stage.execute(LEDGER).await;
    let mut paused = spawn_worker(&stage.url);
    stage.enqueue(job(json!("lingers")).max_attempts(1_000)).await;
    stage
        .until(
            "select exists (select from pg_locks where relation = 'ledger'::regclass and granted)
            and not exists (select from ledger)",
        )
        .await;
    // Within the half second that it lingers, with the job's row deleted already.
    tokio::time::sleep(Duration::from_millis(100)).await;
    signal(&paused, "-STOP").await;
    let mut other = spawn_worker(&stage.url);
    stage.until_empty().await;
    signal(&paused, "-CONT").await;
    stage
        .until("select count(*) = 2 from queue.worker where stopped_at is null")
        .await;
    for worker in [&mut paused, &mut other] {
        assert!(worker.try_wait().unwrap().is_none(), "it ended by itself");
        worker.kill().await.unwrap();
    }
    assert_exactly_once(&stage, 1).await;
}

const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

/// The database's clock alone decides who is dead and what is due.
#[tokio::test]
async fn workers_whose_clocks_are_an_hour_off_rob_nobody_and_start_nothing_early() {
    if !Path::new(FAKETIME).exists() {
        eprintln!("skipped: {FAKETIME} isn't there (Debian's package `faketime`)");
        return;
    }
    let stage = Stage::new().await;
    enqueue_all(&stage, 1_000).await;
    let delayed = (0..10).map(|_| job(json!("delayed")).delay(Duration::from_secs(4)));
    stage.enqueue_many(delayed.collect()).await;
    let wrong = |offset: &str| {
        let mut command = worker_command(&stage.url);
        command
            .env("LD_PRELOAD", FAKETIME)
            .env("FAKETIME", offset)
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        command.spawn().unwrap()
    };
    let workers = [wrong("+1h"), wrong("-1h"), spawn_worker(&stage.url)];
    until_done(&stage, 1_000).await;
    stage
        .until("select count(*) = 3 from queue.worker where stopped_at is null")
        .await;
    let slow = (0..60).map(|_| job(json!("slow")));
    stage.enqueue_many(slow.collect()).await;
    until_done(&stage, 1_070).await;
    stage.until_empty().await;
    // Longer than a lease.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert_eq!(
        stage
            .number("select count(*) from queue.worker where silent or stopped_at is not null")
            .await,
        0,
        "somebody was given up"
    );
    let early = "select count(*) from queue.history
        where args = '\"delayed\"' and started_at < created_at + interval '4 s'";
    assert_eq!(stage.number(early).await, 0);
    let late = "select count(*) from queue.history
        where args = '\"delayed\"' and started_at > created_at + interval '20 s'";
    assert_eq!(stage.number(late).await, 0);
    for skew in [
        "select count(*) from ledger where skew_s between 3590 and 3610",
        "select count(*) from ledger where skew_s between -3610 and -3590",
    ] {
        assert!(
            stage.number(skew).await > 0,
            "no job ran under a wrong clock: {skew}"
        );
    }
    for mut worker in workers {
        worker.kill().await.unwrap();
    }
    assert_exactly_once(&stage, 1_070).await;
}
