//! Drain: what runs may end, what doesn't end is given back, and nothing stays claimed.

use std::time::{Duration, Instant};

use queue::{Job, JobError, Outcome, Policy, Registry, State, WorkerOptions};
use serde_json::{Value, json};

use crate::harness::{KIND, Probe, Stage, job, options};

fn gated() -> Registry<Probe> {
    Registry::new().add(KIND, Policy::default(), |probe: Probe, job| async move {
        probe.see(&job);
        probe.pass().await;
        Ok::<_, JobError>(Outcome::Done)
    })
}

fn with_grace(concurrency: usize, drain_grace: Duration) -> WorkerOptions {
    WorkerOptions {
        drain_grace,
        ..options("w", concurrency)
    }
}

#[tokio::test]
async fn a_draining_worker_lets_running_jobs_end_and_claims_no_more() {
    let stage = Stage::new().await;
    let probe = Probe::new(&stage);
    let worker = stage.start(gated(), probe.clone(), with_grace(3, Duration::from_secs(20)));
    let ids = stage.enqueue_many((0..5).map(|n| job(json!(n))).collect()).await;
    probe.until_seen(3).await;
    worker.shutdown.cancel();
    probe.open(5);
    worker.stop().await;
    for id in &ids[..3] {
        assert_eq!(stage.job(*id).await.state(), State::Completed);
    }
    for id in &ids[3..] {
        let row = stage.job(*id).await;
        assert_eq!((row.state(), row.attempt), (State::Ready, 0));
    }
    assert_eq!(probe.seen().len(), 3);
}

#[tokio::test]
async fn what_does_not_end_within_the_grace_is_given_back_with_its_attempts_unburned() {
    let stage = Stage::new().await;
    let probe = Probe::new(&stage);
    let registry = Registry::new().add(
        KIND,
        Policy::default(),
        |probe: Probe, job: Job<Value>| async move {
            probe.see(&job);
            if job.args == json!("listens") {
                job.cancelled().cancelled().await;
                return Err(JobError::retry("told to stop"));
            }
            probe.pass().await;
            Ok(Outcome::Done)
        },
    );
    let worker = stage.start(registry, probe.clone(), with_grace(3, Duration::from_millis(300)));
    let deaf = stage.enqueue(job(json!("is deaf")).max_attempts(1)).await;
    let listens = stage.enqueue(job(json!("listens")).max_attempts(1)).await;
    probe.until_seen(2).await;
    let asked = Instant::now();
    worker.stop().await;
    assert!(
        asked.elapsed() < Duration::from_secs(5),
        "draining took {:?}",
        asked.elapsed()
    );
    for id in [deaf, listens] {
        let row = stage.job(id).await;
        assert_eq!((row.state(), row.attempt), (State::Ready, 0), "{row:?}");
        assert!(stage.errors(id).await.is_empty());
    }
    assert_eq!(
        stage
            .number("select count(*) from queue.job where claimed_by is not null")
            .await,
        0
    );

    let next = stage.start(gated(), probe.clone(), options("next", 3));
    probe.open(2);
    let row = stage.reaches(deaf, State::Completed).await;
    assert_eq!(row.attempt, 1);
    stage.until_empty().await;
    next.stop().await;
}

#[tokio::test]
async fn a_worker_that_leaves_signs_off() {
    let stage = Stage::new().await;
    let worker = stage.start(gated(), Probe::new(&stage), options("w", 1));
    stage
        .until("select count(*) = 1 from queue.worker where stopped_at is null")
        .await;
    worker.stop().await;
    assert_eq!(
        stage
            .number("select count(*) from queue.worker where stopped_at is not null")
            .await,
        1
    );
}

/// Told to stop while jobs stream through it: what it has claimed by then is run or given back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_stopped_in_full_flow_leaves_nothing_claimed() {
    let stage = Stage::new().await;
    stage
        .enqueue_many((0..5_000).map(|n| job(json!(n))).collect())
        .await;
    let mut seen = 0;
    for round in 0..5 {
        let probe = Probe::new(&stage);
        probe.open(10_000);
        let worker = stage.start(gated(), probe.clone(), options(&format!("w{round}"), 200));
        probe.until_seen(300).await;
        worker.stop().await;
        seen += probe.seen().len();
        let claimed = stage
            .number("select count(*) from queue.job where claimed_by is not null")
            .await;
        assert_eq!(claimed, 0);
        let finished = stage.number("select count(*) from queue.history").await;
        assert_eq!(finished as usize, seen, "an end was not written down");
    }
}
