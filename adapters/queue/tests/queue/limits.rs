//! Limits and rates over several workers: kept at every moment, by what runs and by what is claimed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use queue::{Job, JobError, Limits, Outcome, Policy, Rate, Registry};
use serde_json::{Value, json};

use crate::harness::{KIND, QUEUE, Stage, StartedWorker, ann, job, options};

/// Who runs just now, and the most that ever did.
#[derive(Debug, Clone, Default)]
struct Crowd(Arc<Mutex<Counts>>);

#[derive(Debug, Default)]
struct Counts {
    running: HashMap<Value, usize>,
    most_of_a_key: usize,
    most: usize,
    starts: Vec<(Instant, Value)>,
}

impl Crowd {
    fn enter(&self, key: &Value) {
        let mut counts = self.0.lock().unwrap();
        *counts.running.entry(key.clone()).or_default() += 1;
        counts.most_of_a_key = counts.most_of_a_key.max(counts.running[key]);
        counts.most = counts.most.max(counts.running.values().sum());
        counts.starts.push((Instant::now(), key.clone()));
    }

    fn leave(&self, key: &Value) {
        *self.0.lock().unwrap().running.get_mut(key).unwrap() -= 1;
    }

    fn most(&self) -> (usize, usize) {
        let counts = self.0.lock().unwrap();
        (counts.most, counts.most_of_a_key)
    }

    fn starts(&self) -> Vec<(Instant, Value)> {
        self.0.lock().unwrap().starts.clone()
    }
}

fn registry() -> Registry<Crowd> {
    Registry::new().add(
        KIND,
        Policy::default(),
        |crowd: Crowd, job: Job<Value>| async move {
            crowd.enter(&job.args);
            tokio::time::sleep(Duration::from_millis(3)).await;
            crowd.leave(&job.args);
            Ok::<_, JobError>(Outcome::Done)
        },
    )
}

async fn limit(stage: &Stage, limits: Limits) {
    let mut conn = stage.pool.acquire().await.unwrap();
    stage
        .queue
        .set_limits(&mut conn, QUEUE, limits, &ann())
        .await
        .unwrap();
    assert_eq!(stage.queue.limits(&mut conn, QUEUE).await.unwrap(), limits);
}

fn workers(stage: &Stage, crowd: &Crowd) -> Vec<StartedWorker> {
    let start = |name| stage.start(registry(), crowd.clone(), options(name, 20));
    ["a", "b", "c"].map(start).into()
}

async fn stop(workers: Vec<StartedWorker>) {
    for worker in workers {
        worker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_jobs_run_at_once_over_all_workers_than_the_queue_allows() {
    let stage = Stage::new().await;
    let limits = Limits {
        max_running: Some(7),
        ..Limits::default()
    };
    limit(&stage, limits).await;
    stage
        .enqueue_many((0..600).map(|n| job(json!(n))).collect())
        .await;
    let crowd = Crowd::default();
    let workers = workers(&stage, &crowd);
    let mut most_claimed = 0;
    while stage.number("select count(*) from queue.job").await > 0 {
        let claimed = stage
            .number("select count(*) from queue.job where claimed_by is not null")
            .await;
        most_claimed = most_claimed.max(claimed);
    }
    stop(workers).await;
    assert_eq!(crowd.most().0, 7, "the limit is used and kept");
    assert!(most_claimed <= 7, "{most_claimed} were claimed at once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_jobs_of_a_key_run_at_once_over_all_workers_than_the_queue_allows() {
    let stage = Stage::new().await;
    let limits = Limits {
        max_running: Some(15),
        max_running_per_key: Some(2),
        ..Limits::default()
    };
    limit(&stage, limits).await;
    let of = |n: i64| job(json!(n % 10)).key(format!("key-{}", n % 10));
    stage.enqueue_many((0..800).map(of).collect()).await;
    let crowd = Crowd::default();
    let workers = workers(&stage, &crowd);
    stage.until_empty().await;
    stop(workers).await;
    let (most, most_of_a_key) = crowd.most();
    assert!(most <= 15, "{most} ran at once");
    assert_eq!(most_of_a_key, 2, "the limit is used and kept");
}

/// A job that waits for its key must not hold up those behind it.
#[tokio::test]
async fn a_blocked_key_holds_up_no_other() {
    let stage = Stage::new().await;
    let limits = Limits {
        max_running_per_key: Some(1),
        ..Limits::default()
    };
    limit(&stage, limits).await;
    let registry = Registry::new().add(
        KIND,
        Policy::default(),
        |crowd: Crowd, job: Job<Value>| async move {
            crowd.enter(&job.args);
            if job.args == json!("slow") {
                job.cancelled().cancelled().await;
            }
            crowd.leave(&job.args);
            Ok::<_, JobError>(Outcome::Done)
        },
    );
    let slow = (0..500).map(|_| job(json!("slow")).key("slow"));
    stage.enqueue_many(slow.collect()).await;
    let crowd = Crowd::default();
    let worker = stage.start(registry, crowd.clone(), options("w", 5));
    stage
        .until("select exists (select from queue.job where claimed_by is not null)")
        .await;
    for n in 0..20 {
        stage.enqueue(job(json!(n)).key(format!("other-{n}"))).await;
    }
    stage.until("select count(*) = 500 from queue.job").await;
    assert_eq!(crowd.most().1, 1);
    drop(worker);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rate_is_kept_over_all_workers() {
    let stage = Stage::new().await;
    let limits = Limits {
        rate: Some(Rate {
            jobs: 20,
            period: Duration::from_millis(500),
        }),
        ..Limits::default()
    };
    limit(&stage, limits).await;
    stage.enqueue_many((0..80).map(|n| job(json!(n))).collect()).await;
    let crowd = Crowd::default();
    let start = Instant::now();
    let workers = workers(&stage, &crowd);
    stage.until_empty().await;
    let took = start.elapsed();
    stop(workers).await;
    // 20 at once, then 60 at 40 a second.
    assert!(took >= Duration::from_millis(1_400), "80 jobs within {took:?}");
    assert!(took < Duration::from_secs(6), "80 jobs took {took:?}");
    let starts = crowd.starts();
    for window in starts.windows(42) {
        // 20 from a full bucket and 20 in the time itself, and the odd one.
        let within = window[41].0 - window[0].0;
        assert!(
            within >= Duration::from_millis(450),
            "42 jobs started within {within:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rate_per_key_slows_that_key_alone() {
    let stage = Stage::new().await;
    let limits = Limits {
        rate_per_key: Some(Rate {
            jobs: 5,
            period: Duration::from_millis(500),
        }),
        ..Limits::default()
    };
    limit(&stage, limits).await;
    let often = (0..15).map(|_| job(json!("often")).key("often"));
    let once = (0..40).map(|n| job(json!(n)).key(format!("once-{n}")));
    stage.enqueue_many(often.chain(once).collect()).await;
    let crowd = Crowd::default();
    let start = Instant::now();
    let workers = workers(&stage, &crowd);
    stage.until_empty().await;
    let took = start.elapsed();
    stop(workers).await;
    assert!(
        took >= Duration::from_millis(900),
        "15 jobs of one key within {took:?}"
    );
    let last_of_others = crowd
        .starts()
        .into_iter()
        .filter(|(_, key)| *key != json!("often"))
        .map(|(at, _)| at)
        .max();
    let others = last_of_others.unwrap() - start;
    assert!(
        others < took,
        "the others, done after {others:?}, had to wait for the slow key, done after {took:?}"
    );
}

/// What a worker that died had running counts no more once its jobs are rescued, and is counted until then.
#[tokio::test]
async fn a_dead_workers_jobs_count_until_they_are_rescued() {
    let stage = Stage::new().await;
    let limits = Limits {
        max_running: Some(1),
        ..Limits::default()
    };
    limit(&stage, limits).await;
    stage.enqueue(job(json!("first"))).await;
    stage
        .execute(
            "insert into queue.worker (name, queues, kinds, concurrency, lease_ms)
         select 'dead', array[id], '{}', 1, 2000 from queue.queue;
         update queue.job set claimed_by = (select id from queue.worker where name = 'dead'), epoch = 1;
         insert into queue.held (queue_id, worker_id, running, keys)
         select queue_id, claimed_by, 1, '{}' from queue.job",
        )
        .await;
    stage.enqueue(job(json!("second"))).await;
    let crowd = Crowd::default();
    let worker = stage.start(
        registry(),
        crowd.clone(),
        queue::WorkerOptions {
            lease: Duration::from_secs(1),
            ..options("w", 5)
        },
    );
    tokio::time::sleep(Duration::from_millis(900)).await;
    assert!(
        crowd.starts().is_empty(),
        "the limit was passed while the dead worker still had its lease"
    );
    stage.until_empty().await;
    worker.stop().await;
    assert_eq!(crowd.most().0, 1);
}

#[tokio::test]
async fn a_limit_that_makes_no_sense_is_refused() {
    let stage = Stage::new().await;
    let mut conn = stage.pool.acquire().await.unwrap();
    for limits in [
        Limits {
            max_running: Some(0),
            ..Limits::default()
        },
        Limits {
            rate: Some(Rate {
                jobs: 0,
                period: Duration::from_secs(1),
            }),
            ..Limits::default()
        },
        Limits {
            rate_per_key: Some(Rate {
                jobs: 1,
                period: Duration::ZERO,
            }),
            ..Limits::default()
        },
    ] {
        let refused = stage.queue.set_limits(&mut conn, QUEUE, limits, &ann()).await;
        assert!(
            matches!(refused, Err(queue::Error::Invalid(_))),
            "{limits:?}: {refused:?}"
        );
    }
}
