//! Measures the queue and, in the same run, the floor under it: bare SQL with the same durability.
//!
//! Only ratios within one run mean anything. The functions work on the queue [`QUEUE`] of the given
//! database and leave finished jobs in its history.

pub mod floor;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{Error, Job, NewJob, Outcome, Policy, Queue, Registry, Worker, WorkerOptions};

/// The queue that is measured.
pub const QUEUE: &str = "bench";
const KIND: &str = "bench.noop";

/// Latencies in milliseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Latency {
    /// Jobs asked for per second.
    pub rate: u64,
    /// Jobs sent.
    pub sent: u64,
    /// Jobs started.
    pub started: u64,
    /// Half of them started within this.
    pub p50_ms: f64,
    /// 99 of 100 did.
    pub p99_ms: f64,
    /// All did.
    pub max_ms: f64,
}

#[derive(Deserialize)]
struct Noop {
    /// Microseconds since the bench's start, 0 for a job whose latency isn't measured.
    at: u64,
}

#[derive(Clone)]
struct Meter {
    epoch: Instant,
    done: Arc<AtomicU64>,
    latencies_us: Arc<Mutex<Vec<u64>>>,
}

impl Meter {
    fn new() -> Self {
        Self {
            epoch: Instant::now(),
            done: Arc::default(),
            latencies_us: Arc::default(),
        }
    }

    fn now_us(&self) -> u64 {
        // Never 0: that means "not measured".
        u64::try_from(self.epoch.elapsed().as_micros())
            .unwrap_or(u64::MAX)
            .max(1)
    }
}

async fn noop(meter: Meter, job: Job<Noop>) -> Result<Outcome, crate::JobError> {
    if job.args.at > 0 {
        let latency = meter.now_us().saturating_sub(job.args.at);
        meter
            .latencies_us
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(latency);
    }
    meter.done.fetch_add(1, Ordering::Relaxed);
    Ok(Outcome::Done)
}

fn job(at: u64) -> NewJob {
    NewJob::new(QUEUE, KIND, json!({ "at": at }))
}

fn per_second(count: u64, since: Instant) -> f64 {
    count as f64 / since.elapsed().as_secs_f64()
}

/// Enqueues `jobs` jobs in batches of 1,000; returns jobs per second.
pub async fn enqueue_bulk(queue: &Queue, jobs: u64) -> Result<f64, Error> {
    let start = Instant::now();
    let mut conn = queue.pool().acquire().await?;
    let mut sent = 0;
    while sent < jobs {
        let batch = (jobs - sent).min(1_000);
        queue
            .enqueue_many(&mut conn, (0..batch).map(|_| job(0)).collect())
            .await?;
        sent += batch;
    }
    Ok(per_second(jobs, start))
}

/// Enqueues jobs one at a time from so many clients; returns jobs sent and jobs per second.
pub async fn enqueue_single(
    queue: &Queue,
    clients: usize,
    for_how_long: Duration,
) -> Result<(u64, f64), Error> {
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..clients {
        let queue = queue.clone();
        tasks.spawn(async move {
            let mut conn = queue.pool().acquire().await?;
            let mut sent = 0_u64;
            while start.elapsed() < for_how_long {
                queue.enqueue(&mut conn, job(0)).await?;
                sent += 1;
            }
            Ok::<_, Error>(sent)
        });
    }
    let mut sent = 0;
    while let Some(client) = tasks.join_next().await {
        sent += client.map_err(|error| Error::Invalid(error.to_string()))??;
    }
    Ok((sent, per_second(sent, start)))
}

fn worker(queue: &Queue, meter: &Meter, concurrency: usize) -> Worker<Meter> {
    let registry = Registry::new().add(
        KIND,
        Policy {
            timeout: None,
            ..Policy::default()
        },
        noop,
    );
    let options = WorkerOptions {
        name: "bench".into(),
        queues: vec![(QUEUE.into(), concurrency)],
        max_claim: concurrency,
        ..WorkerOptions::default()
    };
    Worker::new(queue.clone(), registry, meter.clone(), options)
}

/// Runs everything that stands in the queue until it has moved to history; returns jobs per second.
pub async fn drain(queue: &Queue, jobs: u64, workers: usize, concurrency: usize) -> Result<f64, Error> {
    sqlx::query("vacuum analyze queue.job")
        .execute(queue.pool())
        .await?;
    let meter = Meter::new();
    let stop = CancellationToken::new();
    let start = Instant::now();
    let mut running = JoinSet::new();
    for _ in 0..workers {
        running.spawn(worker(queue, &meter, concurrency).run(stop.clone()));
    }
    let limit = Duration::from_mins(10);
    while meter.done.load(Ordering::Relaxed) < jobs || left(queue).await? {
        if start.elapsed() > limit {
            return Err(Error::Invalid(format!(
                "the queue was not drained within {} s",
                limit.as_secs()
            )));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let rate = per_second(jobs, start);
    stop.cancel();
    while running.join_next().await.is_some() {}
    Ok(rate)
}

async fn left(queue: &Queue) -> Result<bool, Error> {
    let queue_id = queue.names().queue(QUEUE).await?;
    let left = sqlx::query_scalar("select exists (select from queue.job where queue_id = $1)");
    Ok(left.bind(queue_id).fetch_one(queue.pool()).await?)
}

/// Sends `rate` jobs a second for so long, singly, and measures from before the enqueue to the handler's
/// first line.
pub async fn latency(
    queue: &Queue,
    rate: u64,
    for_how_long: Duration,
    concurrency: usize,
) -> Result<Latency, Error> {
    let meter = Meter::new();
    let stop = CancellationToken::new();
    let worker = tokio::spawn(worker(queue, &meter, concurrency).run(stop.clone()));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let start = Instant::now();
    let mut sent = 0_u64;
    let mut senders = JoinSet::new();
    while start.elapsed() < for_how_long {
        let due = (start.elapsed().as_secs_f64() * rate as f64) as u64;
        for _ in sent..due {
            let (queue, at) = (queue.clone(), meter.now_us());
            senders.spawn(async move {
                let mut conn = queue.pool().acquire().await?;
                queue.enqueue(&mut conn, job(at)).await
            });
        }
        sent = sent.max(due);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    while let Some(sender) = senders.join_next().await {
        sender.map_err(|error| Error::Invalid(error.to_string()))??;
    }
    let patience = Instant::now();
    while meter.done.load(Ordering::Relaxed) < sent && patience.elapsed() < Duration::from_secs(10) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stop.cancel();
    let _ = worker.await;
    let mut latencies = meter
        .latencies_us
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    latencies.sort_unstable();
    let percentile = |of: f64| {
        let place = (latencies.len().saturating_sub(1) as f64 * of) as usize;
        latencies.get(place).map_or(0.0, |us| *us as f64 / 1_000.0)
    };
    Ok(Latency {
        rate,
        sent,
        started: latencies.len() as u64,
        p50_ms: percentile(0.5),
        p99_ms: percentile(0.99),
        max_ms: percentile(1.0),
    })
}

/// The server's version, for the record.
pub async fn server_version(queue: &Queue) -> Result<String, Error> {
    Ok(sqlx::query_scalar("select current_setting('server_version')")
        .fetch_one(queue.pool())
        .await?)
}

/// How many of the measured jobs stand in history.
pub async fn finished(queue: &Queue) -> Result<u64, Error> {
    let queue_id = queue.names().queue(QUEUE).await?;
    let count = sqlx::query_scalar("select count(*) from queue.history where queue_id = $1 and state = 0");
    let count: i64 = count.bind(queue_id).fetch_one(queue.pool()).await?;
    Ok(u64::try_from(count).unwrap_or_default())
}
