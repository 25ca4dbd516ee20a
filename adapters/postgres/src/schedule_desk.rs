//! Schedules as staff see and steer them.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::flow::Author;
use domain::id::JobId;
use domain::port::{PortError, ScheduleDesk};
use domain::queue::{CatchUp, Schedule, Switched, Tick};
use queue::ScheduleRow;

use crate::Store;
use crate::error::db;
use crate::queue_desk::switched;
use crate::store::page;
use crate::translate::steered_by;

#[async_trait]
impl ScheduleDesk for Store {
    async fn list(&self, after: Option<&str>, limit: i64) -> Result<Vec<Schedule>, PortError> {
        let rows = self.queue.schedules(after, page(limit)).await.map_err(db)?;
        Ok(rows.into_iter().map(schedule).collect())
    }

    async fn get(&self, name: &str) -> Result<Option<Schedule>, PortError> {
        Ok(self.queue.schedule(name).await.map_err(db)?.map(schedule))
    }

    async fn ticks(
        &self,
        name: &str,
        before: Option<DateTime<Utc>>,
        limit: i64,
    ) -> Result<Vec<Tick>, PortError> {
        let ticks = self.queue.schedule_ticks(name, before, page(limit)).await;
        let tick = |row: queue::TickRow| Tick {
            at: row.tick,
            manual: row.manual,
            job_id: JobId(row.job_id),
        };
        Ok(ticks.map_err(db)?.into_iter().map(tick).collect())
    }

    async fn pause(&self, name: &str, paused: bool, by: &Author) -> Result<Switched, PortError> {
        if self.queue.schedule(name).await.map_err(db)?.is_none() {
            return Ok(Switched::NotFound);
        }
        let mut conn = self.pool.acquire().await.map_err(db)?;
        let by = &steered_by(by);
        let changed = if paused {
            self.queue.pause_schedule(&mut conn, name, by).await
        } else {
            self.queue.resume_schedule(&mut conn, name, by).await
        };
        Ok(switched(changed.map_err(db)?))
    }

    async fn run_now(&self, name: &str, by: &Author) -> Result<Option<JobId>, PortError> {
        let mut conn = self.pool.acquire().await.map_err(db)?;
        let enqueued = self
            .queue
            .trigger_schedule(&mut conn, name, &steered_by(by))
            .await;
        Ok(enqueued.map_err(db)?.map(|job| JobId(job.id)))
    }

    async fn remove(&self, name: &str, by: &Author) -> Result<bool, PortError> {
        let mut conn = self.pool.acquire().await.map_err(db)?;
        let removed = self.queue.remove_schedule(&mut conn, name, &steered_by(by)).await;
        removed.map_err(db)
    }
}

fn schedule(row: ScheduleRow) -> Schedule {
    let catch_up = match row.catch_up() {
        queue::CatchUp::Skip => CatchUp::Skip,
        queue::CatchUp::Once => CatchUp::Once,
        queue::CatchUp::All(most) => CatchUp::All(most),
    };
    Schedule {
        name: row.name,
        cron: row.cron,
        time_zone: row.time_zone,
        queue: row.queue,
        kind: row.kind,
        args: row.args,
        priority: row.priority,
        single: row.single,
        catch_up,
        paused_at: row.paused_at,
        next_at: row.next_at,
        error: row.error,
        last_tick: row.last_tick,
        last_job_id: row.last_job_id.map(JobId),
    }
}
