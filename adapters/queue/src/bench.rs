//! Measures the queue and, in the same run, the floor under it: bare SQL with the same durability.
//!
//! Only ratios within one run mean anything. The functions work on the queue [`QUEUE`] of the given
//! database and leave finished jobs in its history. What drains it are workers of [`worker`], in this process
//! or in others.

mod fairness;
pub mod floor;
mod history;
mod limits;
mod steady;
mod throughput;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{Error, Job, NewJob, Outcome, Policy, Queue, Registry, Worker, WorkerOptions};

pub use fairness::{Fairness, fairness};
pub use history::{Dropped, History, drop_a_day, fill};
pub use limits::{Claimed, KEYS, lift, limit, watch};
pub use steady::{Latency, Steady, pin, steady};
pub use throughput::{Cost, Meters, drain, enqueue_bulk, enqueue_keyed, enqueue_single, send};

/// The queue that is measured.
pub const QUEUE: &str = "bench";
const KIND: &str = "bench.noop";

#[derive(Debug, Serialize, Deserialize)]
struct Noop {
    /// Microseconds since the bench's start, 0 for a job whose latency isn't measured.
    at: u64,
}

/// One start of a measured job.
#[derive(Debug, Clone, Copy)]
struct Start {
    /// When it was sent, and how much later it started, in microseconds.
    sent_us: u64,
    latency_us: u64,
}

/// What the jobs of this process say of themselves.
#[derive(Debug, Clone)]
pub struct Meter {
    epoch: Instant,
    done: Arc<AtomicU64>,
    starts: Arc<Mutex<Vec<Start>>>,
    handler: Duration,
}

impl Meter {
    fn new(handler: Duration) -> Self {
        Self {
            epoch: Instant::now(),
            done: Arc::default(),
            starts: Arc::default(),
            handler,
        }
    }

    fn now_us(&self) -> u64 {
        // Never 0: that means "not measured".
        u64::try_from(self.epoch.elapsed().as_micros())
            .unwrap_or(u64::MAX)
            .max(1)
    }

    fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    fn starts(&self) -> Vec<Start> {
        self.starts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn noop(meter: Meter, job: Job<Noop>) -> Result<Outcome, crate::JobError> {
    if job.args.at > 0 {
        let latency_us = meter.now_us().saturating_sub(job.args.at);
        let start = Start {
            sent_us: job.args.at,
            latency_us,
        };
        meter
            .starts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(start);
    }
    if !meter.handler.is_zero() {
        tokio::time::sleep(meter.handler).await;
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

/// A worker of the measured queue, whose jobs each take so long.
pub fn worker(queue: &Queue, concurrency: usize, handler: Duration) -> Worker<Meter> {
    metered(queue, &Meter::new(handler), concurrency)
}

fn metered(queue: &Queue, meter: &Meter, concurrency: usize) -> Worker<Meter> {
    let policy = Policy {
        timeout: None,
        ..Policy::default()
    };
    let options = WorkerOptions {
        name: QUEUE.into(),
        queues: vec![(QUEUE.into(), concurrency)],
        max_claim: concurrency,
        ..WorkerOptions::default()
    };
    Worker::new(
        queue.clone(),
        Registry::new().add(KIND, policy, noop),
        meter.clone(),
        options,
    )
}

/// Waits until so many workers of the measured queue are there.
pub async fn until_registered(queue: &Queue, workers: i64) -> Result<(), Error> {
    let start = Instant::now();
    let count = "select count(*) from queue.worker where name = $1 and stopped_at is null";
    while sqlx::query_scalar::<_, i64>(count)
        .bind(QUEUE)
        .fetch_one(queue.pool())
        .await?
        < workers
    {
        if start.elapsed() > Duration::from_secs(30) {
            return Err(Error::Invalid(format!(
                "{workers} workers should have registered by now"
            )));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
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
