//! Claims: never two workers for a job, never more than the limit, best first.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use queue::{Job, JobError, NewJob, Outcome, Policy, Registry, State, WorkerOptions};
use serde_json::{Value, json};

use crate::harness::{KIND, Probe, QUEUE, Stage, job, options};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_jobs_run_once_each_on_three_workers() {
    let stage = Stage::new().await;
    let runs: Arc<Vec<AtomicUsize>> = Arc::new((0..10_000).map(|_| AtomicUsize::new(0)).collect());
    let registry = || {
        Registry::new().add(
            KIND,
            Policy::default(),
            |runs: Arc<Vec<AtomicUsize>>, job: Job<usize>| async move {
                if job.args.is_multiple_of(3) {
                    tokio::task::yield_now().await;
                }
                runs[job.args].fetch_add(1, Ordering::Relaxed);
                Ok::<_, JobError>(Outcome::Done)
            },
        )
    };
    let workers: Vec<_> = ["a", "b", "c"]
        .map(|name| stage.start(registry(), Arc::clone(&runs), options(name, 50)))
        .into();
    for thousand in 0..10 {
        let jobs = (0..1_000).map(|n| job(json!(thousand * 1_000 + n))).collect();
        stage.enqueue_many(jobs).await;
    }
    stage.until_empty().await;
    for worker in workers {
        worker.stop().await;
    }
    let wrong: Vec<usize> = (0..10_000)
        .filter(|n| runs[*n].load(Ordering::Relaxed) != 1)
        .collect();
    assert!(wrong.is_empty(), "not run exactly once: {wrong:?}");
    assert_eq!(
        stage
            .number("select count(distinct id) from queue.history where state = 0 and attempt = 1")
            .await,
        10_000
    );
}

/// How many run at once, and how many ever did.
#[derive(Clone, Default)]
struct Crowd {
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_jobs_run_at_once_than_the_worker_was_given() {
    let stage = Stage::new().await;
    let crowd = Crowd::default();
    let registry = Registry::new().add(
        KIND,
        Policy::default(),
        |crowd: Crowd, _: Job<Value>| async move {
            let now = crowd.now.fetch_add(1, Ordering::SeqCst) + 1;
            crowd.most.fetch_max(now, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(5)).await;
            crowd.now.fetch_sub(1, Ordering::SeqCst);
            Ok::<_, JobError>(Outcome::Done)
        },
    );
    let worker = stage.start(registry, crowd.clone(), options("w", 7));
    stage
        .enqueue_many((0..500).map(|n| job(json!(n))).collect())
        .await;
    stage.until_empty().await;
    worker.stop().await;
    assert_eq!(crowd.most.load(Ordering::SeqCst), 7);
}

/// With all slots taken, no further job may be claimed and kept waiting in the worker's memory.
#[tokio::test]
async fn a_worker_claims_no_more_than_it_can_run() {
    let stage = Stage::new().await;
    stage
        .enqueue_many((0..100).map(|n| job(json!(n))).collect())
        .await;
    let probe = Probe::new(&stage);
    let worker = stage.start(gated(), probe.clone(), options("w", 5));
    probe.until_seen(5).await;
    for freed in 0..20 {
        // An end that isn't written down yet leaves its job claimed for a moment.
        stage
            .until("select count(*) = 5 from queue.job where claimed_by is not null")
            .await;
        assert_eq!(probe.seen().len(), 5 + freed);
        probe.open(1);
        probe.until_seen(5 + freed + 1).await;
    }
    probe.open(100);
    stage.until_empty().await;
    worker.stop().await;
}

#[tokio::test]
async fn a_claim_takes_no_more_than_its_limit() {
    let stage = Stage::new().await;
    stage
        .enqueue_many((0..100).map(|n| job(json!(n))).collect())
        .await;
    let probe = Probe::new(&stage);
    let capped = WorkerOptions {
        max_claim: 3,
        ..options("w", 50)
    };
    let worker = stage.start(gated(), probe.clone(), capped);
    probe.until_seen(50).await;
    // Rows of one claim carry nearly the same time, those of different claims don't share a transaction.
    let most = "select max(claims) from (select count(*) as claims from queue.job
        where claimed_by is not null group by xmin) as claim";
    assert_eq!(stage.number(most).await, 3);
    probe.open(100);
    stage.until_empty().await;
    worker.stop().await;
}

#[tokio::test]
async fn a_kind_that_a_worker_does_not_know_is_left_for_one_that_does() {
    let stage = Stage::new().await;
    let probe = Probe::new(&stage);
    probe.open(100);
    let strange = stage
        .enqueue(NewJob::new(QUEUE, "strange", json!(0)).priority(-10))
        .await;
    let worker = stage.start(gated(), probe.clone(), options("knows one", 1));
    let known = stage.enqueue_many((0..20).map(|n| job(json!(n))).collect()).await;
    for id in known {
        stage.reaches(id, State::Completed).await;
    }
    let row = stage.job(strange).await;
    assert_eq!((row.state(), row.attempt), (State::Ready, 0));

    let registry = Registry::new().add("strange", Policy::default(), |probe: Probe, job| async move {
        probe.see(&job);
        Ok::<_, JobError>(Outcome::Done)
    });
    let other = stage.start(registry, probe.clone(), options("knows the other", 1));
    let row = stage.reaches(strange, State::Completed).await;
    assert_eq!(row.worker.as_deref(), Some("knows the other"));
    worker.stop().await;
    other.stop().await;
    stage.assert_empty().await;
}

#[tokio::test]
async fn one_at_a_time_runs_by_priority_and_then_in_order() {
    let stage = Stage::new().await;
    let mut expected = Vec::new();
    let mut jobs = Vec::new();
    for n in 0..60_i16 {
        let priority = (n * 7) % 5 - 2;
        expected.push((priority, n));
        jobs.push(job(json!(n)).priority(priority));
    }
    expected.sort_unstable();
    stage.enqueue_many(jobs).await;
    let probe = Probe::new(&stage);
    probe.open(60);
    let worker = stage.start(gated(), probe.clone(), options("w", 1));
    stage.until_empty().await;
    worker.stop().await;
    let order: Vec<Value> = probe.seen().into_iter().map(|seen| seen.args).collect();
    let expected: Vec<Value> = expected.into_iter().map(|(_, n)| json!(n)).collect();
    assert_eq!(order, expected);
}

#[tokio::test]
async fn each_queue_of_a_worker_has_its_own_slots() {
    let stage = Stage::new().await;
    let probe = Probe::new(&stage);
    let both = WorkerOptions {
        queues: vec![("slow".into(), 1), ("quick".into(), 2)],
        ..options("w", 0)
    };
    let registry = Registry::new().add(KIND, Policy::default(), |probe: Probe, job| async move {
        probe.see(&job);
        if job.args == json!("slow") {
            probe.pass().await;
        }
        Ok::<_, JobError>(Outcome::Done)
    });
    let worker = stage.start(registry, probe.clone(), both);
    let slow = stage
        .enqueue_many((0..3).map(|_| NewJob::new("slow", KIND, json!("slow"))).collect())
        .await;
    probe.until_seen(1).await;
    let quick = stage
        .enqueue_many(
            (0..20)
                .map(|_| NewJob::new("quick", KIND, json!("quick")))
                .collect(),
        )
        .await;
    for id in quick {
        stage.reaches(id, State::Completed).await;
    }
    assert_eq!(stage.job(slow[0]).await.state(), State::Running);
    assert_eq!(stage.job(slow[1]).await.state(), State::Ready);
    probe.open(3);
    stage.until_empty().await;
    worker.stop().await;
}

fn gated() -> Registry<Probe> {
    Registry::new().add(KIND, Policy::default(), |probe: Probe, job| async move {
        probe.see(&job);
        probe.pass().await;
        Ok::<_, JobError>(Outcome::Done)
    })
}
