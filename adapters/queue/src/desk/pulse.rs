//! Whether the queue fares well, in a few numbers.

use sqlx::FromRow;

use crate::{Error, Queue};

/// The fleet, the schedules and the oldest snapshot.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct Pulse {
    /// Workers that live.
    pub workers: i64,
    /// Of those: beyond their lease, about to be given up.
    pub workers_late: i64,
    /// Of those: asked to finish and leave.
    pub workers_draining: i64,
    /// Schedules that aren't paused.
    pub schedules: i64,
    /// Of those: their tick is more than 30 s overdue.
    pub schedules_late: i64,
    /// Of those: their last tick failed.
    pub schedules_failing: i64,
    /// Pauses of queues, kinds and tenants.
    pub pauses: i64,
    /// The age in seconds of the oldest snapshot, which keeps the database from cleaning up; as far as this role
    /// may see.
    pub oldest_snapshot_s: Option<f64>,
}

const PULSE: &str = "
select
    (select count(*) from queue.worker where stopped_at is null) as workers,
    (select count(*) from queue.worker where stopped_at is null
        and heartbeat_at < clock_timestamp() - lease_ms * interval '1 millisecond') as workers_late,
    (select count(*) from queue.worker where stopped_at is null and draining_at is not null) as workers_draining,
    (select count(*) from queue.schedule where paused_at is null) as schedules,
    (select count(*) from queue.schedule where paused_at is null
        and next_at < clock_timestamp() - interval '30 seconds') as schedules_late,
    (select count(*) from queue.schedule where paused_at is null and error is not null) as schedules_failing,
    (select count(*) from queue.queue where paused_at is not null)
        + (select count(*) from queue.kind where paused_at is not null)
        + (select count(*) from queue.paused_tenant) as pauses,
    (select max(seconds) from queue.snapshot_holder where not catalog_only) as oldest_snapshot_s";

impl Queue {
    /// How it fares now.
    pub async fn pulse(&self) -> Result<Pulse, Error> {
        let mut unit = self.own_unit().await?;
        let pulse = sqlx::query_as(PULSE)
            .persistent(false)
            .fetch_one(&mut *unit)
            .await?;
        unit.end().await?;
        Ok(pulse)
    }
}
