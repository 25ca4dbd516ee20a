//! Schedules as the API shows them.

use chrono::{DateTime, Utc};
use domain::JobId;
use domain::queue::{self, CatchUp};
use serde::Serialize;
use utoipa::ToSchema;

/// Jobs that are enqueued at the ticks of a cron expression.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Schedule {
    /// Its name.
    name: String,
    /// When it ticks.
    cron: String,
    /// Where: an IANA time zone.
    time_zone: String,
    /// The queue of its jobs.
    queue: String,
    /// Their kind.
    kind: String,
    /// Their arguments.
    args: serde_json::Value,
    /// Their priority; lower runs first.
    priority: i16,
    /// Whether a tick adds no job while the last one's is unfinished.
    single: bool,
    /// What becomes of ticks that nobody saw.
    catch_up: MissedTicks,
    /// With `all`: how many of them get a job, the last ones.
    catch_up_most: Option<u16>,
    /// Since when it is paused.
    paused_at: Option<DateTime<Utc>>,
    /// The next tick; null once there is none any more.
    next_at: Option<DateTime<Utc>>,
    /// Why its last tick failed; it is tried again.
    error: Option<String>,
    /// The last tick that enqueued a job.
    last_tick: Option<DateTime<Utc>>,
    /// That job.
    last_job_id: Option<i64>,
}

/// What becomes of ticks that nobody saw.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MissedTicks {
    /// They are left out.
    Skip,
    /// One job for them all.
    Once,
    /// A job for each of the last ones.
    All,
}

impl From<queue::Schedule> for Schedule {
    fn from(schedule: queue::Schedule) -> Self {
        let (catch_up, catch_up_most) = match schedule.catch_up {
            CatchUp::Skip => (MissedTicks::Skip, None),
            CatchUp::Once => (MissedTicks::Once, None),
            CatchUp::All(most) => (MissedTicks::All, Some(most)),
        };
        Self {
            name: schedule.name,
            cron: schedule.cron,
            time_zone: schedule.time_zone,
            queue: schedule.queue,
            kind: schedule.kind,
            args: schedule.args,
            priority: schedule.priority,
            single: schedule.single,
            catch_up,
            catch_up_most,
            paused_at: schedule.paused_at,
            next_at: schedule.next_at,
            error: schedule.error,
            last_tick: schedule.last_tick,
            last_job_id: schedule.last_job_id.map(|id| id.0),
        }
    }
}

/// A tick that enqueued a job.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ScheduleTick {
    /// Its time; that of the wish where a person asked for it.
    at: DateTime<Utc>,
    /// A person asked for it.
    manual: bool,
    /// The job.
    job_id: i64,
}

impl From<queue::Tick> for ScheduleTick {
    fn from(tick: queue::Tick) -> Self {
        Self {
            at: tick.at,
            manual: tick.manual,
            job_id: tick.job_id.0,
        }
    }
}

/// What was done about a schedule.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ScheduleDone {
    /// The schedule.
    name: String,
    /// False if it was so already.
    changed: bool,
    /// The job that was enqueued.
    job_id: Option<i64>,
}

impl ScheduleDone {
    pub(super) fn switched(name: String, changed: bool) -> Self {
        Self {
            name,
            changed,
            job_id: None,
        }
    }

    pub(super) fn enqueued(name: String, job: JobId) -> Self {
        Self {
            name,
            changed: true,
            job_id: Some(job.0),
        }
    }
}
