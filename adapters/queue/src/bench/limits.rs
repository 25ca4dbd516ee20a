//! Limits: what they cost, and whether they are kept.

use std::time::Duration;

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::QUEUE;
use crate::{By, Error, Limits, Queue};

/// The keys that limited jobs are spread over.
pub const KEYS: u64 = 10_000;

/// The most that was seen claimed at once, over all workers.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Claimed {
    /// Of all keys.
    pub most_running: i64,
    /// Of one key.
    pub most_of_a_key: i64,
    /// How often it was looked at.
    pub looks: u64,
}

impl Claimed {
    /// Both together.
    pub fn and(self, other: Self) -> Self {
        Self {
            most_running: self.most_running.max(other.most_running),
            most_of_a_key: self.most_of_a_key.max(other.most_of_a_key),
            looks: self.looks + other.looks,
        }
    }
}

/// Sets a global limit and one per key.
pub async fn limit(queue: &Queue, max_running: i32, max_running_per_key: i32) -> Result<(), Error> {
    let limits = Limits {
        max_running: Some(max_running),
        max_running_per_key: Some(max_running_per_key),
        ..Limits::default()
    };
    queue
        .set_limits(
            &mut *queue.pool().acquire().await?,
            QUEUE,
            limits,
            &By::new("bench"),
        )
        .await
}

/// Lifts them.
pub async fn lift(queue: &Queue) -> Result<(), Error> {
    queue
        .set_limits(
            &mut *queue.pool().acquire().await?,
            QUEUE,
            Limits::default(),
            &By::new("bench"),
        )
        .await
}

/// Looks at what is claimed until it is told to stop: each look is one snapshot, so nothing can slip between.
pub async fn watch(queue: Queue, stop: CancellationToken) -> Result<Claimed, Error> {
    let mut seen = Claimed::default();
    while !stop.is_cancelled() {
        let (running, of_a_key): (i64, i64) = sqlx::query_as(
            "select coalesce(sum(jobs), 0)::bigint, coalesce(max(jobs), 0) from (
                select count(*) as jobs from queue.job where claimed_by is not null group by key) as of_key",
        )
        .fetch_one(queue.pool())
        .await?;
        seen.most_running = seen.most_running.max(running);
        seen.most_of_a_key = seen.most_of_a_key.max(of_a_key);
        seen.looks += 1;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(seen)
}
