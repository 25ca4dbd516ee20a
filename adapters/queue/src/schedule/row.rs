//! Schedules and their ticks as people see them.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{FromRow, PgConnection};

use super::CatchUp;
use crate::{Error, Queue};

/// A schedule as it stands.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct ScheduleRow {
    pub(super) id: i32,
    /// Its name.
    pub name: String,
    /// When it ticks.
    pub cron: String,
    /// Where: an IANA time zone.
    pub time_zone: String,
    /// The queue of its jobs.
    pub queue: String,
    /// Their kind.
    pub kind: String,
    /// Their arguments.
    pub args: Value,
    /// Their priority; lower runs first.
    pub priority: i16,
    /// Their attempts.
    pub max_attempts: i32,
    /// How long an attempt may take, in milliseconds.
    pub timeout_ms: Option<i32>,
    /// Their tags, beside `schedule:<name>` and `tick:<time>`.
    pub tags: Vec<String>,
    /// Whose they are, for fairness.
    pub tenant: Option<String>,
    /// What limits and rates count them by.
    pub key: Option<String>,
    /// The field of the arguments that takes the tick.
    pub tick_field: Option<String>,
    /// At most one unfinished job at a time.
    pub single: bool,
    #[sqlx(rename = "catch_up")]
    catch_up_number: i32,
    /// Since when it is paused.
    pub paused_at: Option<DateTime<Utc>>,
    /// The next tick; none once there is none any more.
    pub next_at: Option<DateTime<Utc>>,
    /// Why its last tick failed; it is tried again every 30 s.
    pub error: Option<String>,
    /// The last tick that enqueued a job.
    pub last_tick: Option<DateTime<Utc>>,
    /// That job.
    pub last_job_id: Option<i64>,
    /// When it was first stored.
    pub created_at: DateTime<Utc>,
    /// When it was last changed, by a person or a program.
    pub updated_at: DateTime<Utc>,
}

impl ScheduleRow {
    /// What becomes of missed ticks.
    pub fn catch_up(&self) -> CatchUp {
        CatchUp::from_number(self.catch_up_number)
    }
}

/// A tick that enqueued a job.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct TickRow {
    /// Its time; that of the wish where a person asked for it.
    pub tick: DateTime<Utc>,
    /// A person asked for it: [`Queue::trigger_schedule`].
    pub manual: bool,
    /// The job: its own, or the unfinished one of a schedule with one job at a time.
    pub job_id: i64,
}

impl Queue {
    /// Schedules by name, after this one, at most so many.
    pub async fn schedules(&self, after: Option<&str>, limit: i64) -> Result<Vec<ScheduleRow>, Error> {
        let rows = sqlx::query_as(
            "select * from queue.schedule where $1::text is null or name collate \"C\" > $1
            order by name collate \"C\" limit $2",
        );
        let mut conn = self.own_unit().await?;
        let rows = rows.persistent(self.named()).bind(after).bind(limit);
        Ok(rows.fetch_all(&mut *conn).await?)
    }

    /// The schedule of this name.
    pub async fn schedule(&self, name: &str) -> Result<Option<ScheduleRow>, Error> {
        let mut conn = self.own_unit().await?;
        Ok(self.find_schedule(&mut conn, name).await?)
    }

    /// Its ticks, newest first, before this one, at most so many. They are kept as long as finished jobs.
    pub async fn schedule_ticks(
        &self,
        name: &str,
        before: Option<DateTime<Utc>>,
        limit: i64,
    ) -> Result<Vec<TickRow>, Error> {
        let rows = sqlx::query_as(
            "select tick.tick, tick.manual, tick.job_id from queue.schedule_tick as tick
            where tick.schedule_id = (select id from queue.schedule where name = $1)
              and ($2::timestamptz is null or tick.tick < $2) and tick.job_id is not null
            order by tick.tick desc limit $3",
        );
        let mut conn = self.own_unit().await?;
        let rows = rows.persistent(self.named()).bind(name).bind(before).bind(limit);
        Ok(rows.fetch_all(&mut *conn).await?)
    }

    pub(super) async fn find_schedule(
        &self,
        conn: &mut PgConnection,
        name: &str,
    ) -> Result<Option<ScheduleRow>, sqlx::Error> {
        let row = sqlx::query_as("select * from queue.schedule where name = $1").persistent(self.named());
        row.bind(name).fetch_optional(conn).await
    }
}
