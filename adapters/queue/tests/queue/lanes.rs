//! Tenants take turns, and can be paused as queues and kinds can.

use std::time::{Duration, Instant};

use queue::{Job, JobError, Outcome, Policy, Registry, State};
use serde_json::{Value, json};

use crate::harness::{KIND, Probe, QUEUE, Stage, ann, job, options};

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

#[tokio::test]
async fn a_tenants_flood_delays_nobody_else() {
    let stage = Stage::new().await;
    let flood = || (0..5_000).map(|_| job(json!("flood")).tenant("flood")).collect();
    for _ in 0..4 {
        stage.enqueue_many(flood()).await;
    }
    let registry = Registry::new().add(
        KIND,
        Policy::default(),
        |probe: Probe, job: Job<Value>| async move {
            probe.see(&job);
            tokio::time::sleep(Duration::from_millis(2)).await;
            Ok::<_, JobError>(Outcome::Done)
        },
    );
    let probe = Probe::new(&stage);
    let worker = stage.start(registry, probe.clone(), options("w", 4));
    probe.until_seen(50).await;
    let start = Instant::now();
    stage.enqueue(job(json!("plain"))).await;
    stage.enqueue(job(json!("single")).tenant("single")).await;
    for who in ["single", "plain"] {
        while !probe.seen().iter().any(|seen| seen.args == json!(who)) {
            assert!(
                start.elapsed() < Duration::from_secs(5),
                "{who} is held up by the flood"
            );
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    assert!(
        stage.number("select count(*) from queue.job").await > 5_000,
        "the flood goes on"
    );
    drop(worker);
}

#[tokio::test]
async fn equal_tenants_have_equal_shares() {
    let stage = Stage::new().await;
    // One after the other: in order of arrival the last would be served last.
    for tenant in 0..50 {
        stage
            .enqueue_many(
                (0..40)
                    .map(|_| job(json!(tenant)).tenant(format!("t{tenant}")))
                    .collect(),
            )
            .await;
    }
    let probe = Probe::new(&stage);
    let registry = Registry::new().add(
        KIND,
        Policy::default(),
        |probe: Probe, job: Job<Value>| async move {
            probe.see(&job);
            Ok::<_, JobError>(Outcome::Done)
        },
    );
    let worker = stage.start(registry, probe.clone(), options("w", 10));
    probe.until_seen(1_000).await;
    let seen = probe.seen();
    worker.stop().await;
    let mut shares = vec![0_f64; 50];
    for seen in &seen[..1_000] {
        shares[usize::try_from(seen.args.as_i64().unwrap()).unwrap()] += 1.0;
    }
    let sum: f64 = shares.iter().sum();
    let squares: f64 = shares.iter().map(|share| share * share).sum();
    let jain = sum * sum / (50.0 * squares);
    assert!(jain >= 0.95, "Jain's index is {jain}: {shares:?}");
}

#[tokio::test]
async fn within_a_lane_jobs_run_by_priority_and_then_in_order() {
    let stage = Stage::new().await;
    let of = |n: i64, priority| job(json!(n)).tenant("t").key("k").priority(priority);
    stage
        .enqueue_many(vec![of(3, 0), of(4, 0), of(1, -5), of(2, -5), of(5, 9)])
        .await;
    let probe = Probe::new(&stage);
    let worker = stage.start(seeing(), probe.clone(), options("w", 1));
    stage.until_empty().await;
    worker.stop().await;
    let order: Vec<Value> = probe.seen().into_iter().map(|seen| seen.args).collect();
    assert_eq!(order, [1, 2, 3, 4, 5].map(Value::from));
}

#[tokio::test]
async fn a_paused_queue_starts_nothing_until_it_is_resumed() {
    let stage = Stage::new().await;
    let mut conn = stage.pool.acquire().await.unwrap();
    let probe = Probe::new(&stage);
    let worker = stage.start(seeing(), probe.clone(), options("w", 5));
    stage.queue.pause(&mut conn, QUEUE, &ann()).await.unwrap();
    let plain = stage.enqueue(job(json!("plain"))).await;
    let laned = stage.enqueue(job(json!("laned")).tenant("t")).await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert!(probe.seen().is_empty(), "the queue is paused: {:?}", probe.seen());
    let start = Instant::now();
    stage.queue.resume(&mut conn, QUEUE, &ann()).await.unwrap();
    stage.reaches(plain, State::Completed).await;
    stage.reaches(laned, State::Completed).await;
    assert!(start.elapsed() < Duration::from_secs(2));
    worker.stop().await;
}

#[tokio::test]
async fn a_paused_tenant_waits_and_the_others_go_on() {
    let stage = Stage::new().await;
    let mut conn = stage.pool.acquire().await.unwrap();
    stage
        .queue
        .pause_tenant(&mut conn, QUEUE, "paused", &ann())
        .await
        .unwrap();
    let waiting = stage.enqueue(job(json!(1)).tenant("paused").key("k")).await;
    let other = stage.enqueue(job(json!(2)).tenant("other").key("k")).await;
    let probe = Probe::new(&stage);
    let worker = stage.start(seeing(), probe.clone(), options("w", 5));
    stage.reaches(other, State::Completed).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(stage.job(waiting).await.state(), State::Ready);
    stage
        .queue
        .resume_tenant(&mut conn, QUEUE, "paused", &ann())
        .await
        .unwrap();
    stage.reaches(waiting, State::Completed).await;
    worker.stop().await;
}

#[tokio::test]
async fn a_paused_kind_waits_and_the_others_go_on() {
    let stage = Stage::new().await;
    let mut conn = stage.pool.acquire().await.unwrap();
    let registry = seeing().add(
        "other",
        Policy::default(),
        |probe: Probe, job: Job<Value>| async move {
            probe.see(&job);
            Ok::<_, JobError>(Outcome::Done)
        },
    );
    stage.queue.pause_kind(&mut conn, KIND, &ann()).await.unwrap();
    let waiting = stage.enqueue(job(json!(1))).await;
    let laned = stage.enqueue(job(json!(2)).tenant("t")).await;
    let delayed = stage
        .enqueue(job(json!(4)).delay(Duration::from_millis(20)))
        .await;
    let unique = || job(json!(5)).unique("k", queue::OnConflict::Replace);
    let replaced = stage.enqueue(unique()).await;
    let hasten = || job(json!(6)).unique("h", queue::OnConflict::Hasten);
    let hastened = stage.enqueue(hasten()).await;
    let other = stage.enqueue(queue::NewJob::new(QUEUE, "other", json!(3))).await;
    let probe = Probe::new(&stage);
    let worker = stage.start(registry, probe.clone(), options("w", 5));
    stage.reaches(other, State::Completed).await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(probe.seen().len(), 1);
    assert_eq!(
        stage.number("select max(epoch)::bigint from queue.job").await,
        1,
        "what is put aside stays there"
    );
    assert_eq!(
        stage
            .number("select count(*) from queue.job where seq is not null")
            .await,
        0,
        "jobs of a paused kind are put aside, where no claim steps over them"
    );
    // A new time counts for a job that was put aside, too, and of two times the earlier one.
    stage.enqueue(unique().delay(Duration::from_mins(10))).await;
    stage.enqueue(hasten().delay(Duration::from_mins(10))).await;
    stage.queue.resume_kind(&mut conn, KIND, &ann()).await.unwrap();
    stage.reaches(waiting, State::Completed).await;
    stage.reaches(delayed, State::Completed).await;
    assert_eq!(stage.job(replaced).await.state(), State::Scheduled);
    stage.reaches(hastened, State::Completed).await;
    stage.reaches(laned, State::Completed).await;
    worker.stop().await;
}
