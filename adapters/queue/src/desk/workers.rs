//! The fleet as it is now.

use chrono::{DateTime, Utc};
use sqlx::FromRow;

use crate::{Error, Queue};

/// A worker process that hasn't left and hasn't been given up.
#[derive(Debug, Clone, FromRow)]
pub struct LiveWorker {
    /// Its number; no two ever have the same.
    pub id: i32,
    /// Its name.
    pub name: String,
    /// The queues that it works on.
    pub queues: Vec<String>,
    /// The kinds that it knows.
    pub kinds: Vec<String>,
    /// Jobs that it runs at once, over all its queues.
    pub concurrency: i32,
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// Milliseconds since its last sign of life.
    pub heartbeat_age_ms: i64,
    /// Beyond its lease: about to be given up.
    pub is_late: bool,
    /// Attempts that it had at its last sign of life.
    pub held: Option<i32>,
    /// Since when it was asked to drain, by [`Queue::drain_worker`].
    pub draining_at: Option<DateTime<Utc>>,
}

const LIVE: &str = "
select worker.id, worker.name,
    array (select name from queue.queue where id = any (worker.queues) order by name) as queues,
    array (select name from queue.kind where id = any (worker.kinds) order by name) as kinds,
    worker.concurrency, worker.started_at, worker.held, worker.draining_at,
    greatest(extract(epoch from clock_timestamp() - worker.heartbeat_at) * 1000, 0)::bigint as heartbeat_age_ms,
    worker.heartbeat_at < clock_timestamp() - worker.lease_ms * interval '1 millisecond' as is_late
from queue.worker as worker where worker.stopped_at is null order by worker.name, worker.id";

impl Queue {
    /// The workers that live.
    pub async fn workers(&self) -> Result<Vec<LiveWorker>, Error> {
        let mut unit = self.own_unit().await?;
        let workers = sqlx::query_as(LIVE)
            .persistent(false)
            .fetch_all(&mut *unit)
            .await?;
        unit.end().await?;
        Ok(workers)
    }
}
