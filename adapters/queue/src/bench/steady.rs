//! A steady rate of jobs: how long each waits to be started, with or without a snapshot that pins everything.

use std::time::{Duration, Instant};

use serde::Serialize;
use sqlx::{ConnectOptions, PgConnection};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Meter, Start, job, metered};
use crate::{Error, Queue};

/// Time from before the enqueue to the handler's first line.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Latency {
    /// Half of the jobs started within this.
    pub p50_ms: f64,
    /// 99 of 100 did.
    pub p99_ms: f64,
    /// All did.
    pub max_ms: f64,
}

impl Latency {
    fn of(starts: impl Iterator<Item = Start>) -> Self {
        let mut latencies: Vec<u64> = starts.map(|start| start.latency_us).collect();
        latencies.sort_unstable();
        let percentile = |of: f64| {
            let place = (latencies.len().saturating_sub(1) as f64 * of) as usize;
            latencies.get(place).map_or(f64::NAN, |us| *us as f64 / 1_000.0)
        };
        Self {
            p50_ms: percentile(0.5),
            p99_ms: percentile(0.99),
            max_ms: percentile(1.0),
        }
    }
}

/// What became of a steady rate.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Steady {
    /// Jobs asked for per second.
    pub rate: u64,
    /// Seconds.
    pub seconds: u64,
    /// Jobs sent.
    pub sent: u64,
    /// Jobs started by the time the last was sent.
    pub started_in_time: u64,
    /// Of all jobs.
    pub latency: Latency,
    /// Of those sent in the first part: a minute, or a quarter if that is less.
    pub first: Latency,
    /// Of those sent in the last part.
    pub last: Latency,
}

/// Holds a snapshot for as long as the connection lives, so that nothing dead can be cleaned away.
pub async fn pin(queue: &Queue) -> Result<PgConnection, Error> {
    let mut conn = queue.pool().connect_options().connect().await?;
    sqlx::query("begin isolation level repeatable read")
        .execute(&mut conn)
        .await?;
    sqlx::query("select count(*) from queue.queue")
        .execute(&mut conn)
        .await?;
    Ok(conn)
}

/// Sends `rate` jobs a second for so long, singly, with one worker beside.
pub async fn steady(queue: &Queue, rate: u64, seconds: u64, concurrency: usize) -> Result<Steady, Error> {
    let meter = Meter::new(Duration::ZERO);
    let stop = CancellationToken::new();
    let worker = tokio::spawn(metered(queue, &meter, concurrency).run(stop.clone()));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let for_how_long = Duration::from_secs(seconds);
    let (start, start_us) = (Instant::now(), meter.now_us());
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
        while let Some(sender) = senders.try_join_next() {
            sender.map_err(|error| Error::Invalid(error.to_string()))??;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let started_in_time = meter.done();
    while let Some(sender) = senders.join_next().await {
        sender.map_err(|error| Error::Invalid(error.to_string()))??;
    }
    let patience = Instant::now();
    while meter.done() < sent && patience.elapsed() < Duration::from_secs(30) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stop.cancel();
    let _ = worker.await;
    let starts = meter.starts();
    let part_us = (seconds * 1_000_000 / 4).min(60_000_000);
    let end_us = start_us + seconds * 1_000_000;
    Ok(Steady {
        rate,
        seconds,
        sent,
        started_in_time,
        latency: Latency::of(starts.iter().copied()),
        first: Latency::of(
            starts
                .iter()
                .copied()
                .filter(|start| start.sent_us < start_us + part_us),
        ),
        last: Latency::of(
            starts
                .iter()
                .copied()
                .filter(|start| start.sent_us >= end_us - part_us),
        ),
    })
}
