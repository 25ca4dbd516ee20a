//! Fairness between tenants: the shares of equal ones, and one job beside a flood.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{Meter, QUEUE, job, metered};
use crate::{Error, Queue};

/// Slots of the worker, and how long each job takes: a slot comes free every fraction of a millisecond.
const SLOTS: usize = 20;
const HANDLER: Duration = Duration::from_millis(5);
/// Single jobs sent beside the flood.
const SINGLES: u64 = 50;

/// How fair it was.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Fairness {
    /// Equal tenants, each with so many jobs waiting.
    pub tenants: u64,
    /// Of their shares when a third of the jobs was done; 1 is even.
    pub jain_index: f64,
    /// Jobs of the flood.
    pub flood: u64,
    /// The longest that a single job of another tenant took to start beside the flood.
    pub single_max_ms: f64,
    /// Half of them started within this.
    pub single_p50_ms: f64,
}

async fn enqueue(queue: &Queue, tenant: &str, jobs: u64) -> Result<(), Error> {
    let mut conn = queue.pool().acquire().await?;
    let mut left = jobs;
    while left > 0 {
        let batch = left.min(5_000);
        queue
            .enqueue_many(&mut conn, (0..batch).map(|_| job(0).tenant(tenant)).collect())
            .await?;
        left -= batch;
    }
    Ok(())
}

async fn clear(queue: &Queue) -> Result<(), Error> {
    let queue_id = queue.names().queue(QUEUE).await?;
    sqlx::query("delete from queue.job where queue_id = $1")
        .bind(queue_id)
        .execute(queue.pool())
        .await?;
    sqlx::query("vacuum analyze queue.job")
        .execute(queue.pool())
        .await?;
    Ok(())
}

/// Measures both. What is left of the jobs is deleted.
pub async fn fairness(queue: &Queue, tenants: u64, flood: u64) -> Result<Fairness, Error> {
    let jain_index = shares(queue, tenants).await?;
    clear(queue).await?;
    let (single_p50_ms, single_max_ms) = beside_flood(queue, flood).await?;
    clear(queue).await?;
    Ok(Fairness {
        tenants,
        jain_index,
        flood,
        single_max_ms,
        single_p50_ms,
    })
}

async fn shares(queue: &Queue, tenants: u64) -> Result<f64, Error> {
    const EACH: u64 = 30;
    let mut conn = queue.pool().acquire().await?;
    // All of the first tenant's before any of the second's.
    let jobs = |tenant: u64| (0..EACH).map(move |_| job(0).tenant(format!("tenant-{tenant}")));
    queue
        .enqueue_many(&mut conn, (0..tenants).flat_map(jobs).collect())
        .await?;
    let meter = Meter::new(HANDLER);
    let stop = CancellationToken::new();
    let worker = tokio::spawn(metered(queue, &meter, SLOTS).run(stop.clone()));
    while meter.done() < tenants * EACH / 3 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let waiting: Vec<(String, i64)> = sqlx::query_as(
        "select tenant, count(*) from queue.job
        where tenant is not null and claimed_by is null group by tenant",
    )
    .fetch_all(&mut *conn)
    .await?;
    stop.cancel();
    let _ = worker.await;
    let waiting: HashMap<String, i64> = waiting.into_iter().collect();
    let share = |tenant: u64| {
        let left = waiting.get(&format!("tenant-{tenant}")).copied().unwrap_or(0);
        EACH as f64 - left as f64
    };
    let sum: f64 = (0..tenants).map(share).sum();
    let squares: f64 = (0..tenants).map(|tenant| share(tenant).powi(2)).sum();
    Ok(sum * sum / (tenants as f64 * squares))
}

async fn beside_flood(queue: &Queue, flood: u64) -> Result<(f64, f64), Error> {
    enqueue(queue, "flood", flood).await?;
    sqlx::query("vacuum analyze queue.job")
        .execute(queue.pool())
        .await?;
    let meter = Meter::new(HANDLER);
    let stop = CancellationToken::new();
    let worker = tokio::spawn(metered(queue, &meter, SLOTS).run(stop.clone()));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut conn = queue.pool().acquire().await?;
    for single in 0..SINGLES {
        let of = job(meter.now_us()).tenant(format!("single-{single}"));
        queue.enqueue(&mut conn, of).await?;
        let start = Instant::now();
        while (meter.starts().len() as u64) <= single && start.elapsed() < Duration::from_secs(10) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stop.cancel();
    let _ = worker.await;
    let mut latencies: Vec<u64> = meter.starts().iter().map(|start| start.latency_us).collect();
    if (latencies.len() as u64) < SINGLES {
        return Err(Error::Invalid(
            "a single job was not started within 10 s beside the flood".into(),
        ));
    }
    latencies.sort_unstable();
    let ms = |us: Option<&u64>| us.map_or(f64::NAN, |us| *us as f64 / 1_000.0);
    Ok((ms(latencies.get(latencies.len() / 2)), ms(latencies.last())))
}
