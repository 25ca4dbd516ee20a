//! Queues, workers and schedules as people see and steer them.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::id::JobId;
use crate::job::QueueCounts;
use crate::precondition::Version;

/// So many jobs may start in so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Jobs, at least 1.
    pub jobs: i32,
    /// In so many milliseconds, at least 1.
    pub period_ms: u64,
}

/// What a queue allows over all its workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Jobs that run at once.
    pub max_running: Option<i32>,
    /// Jobs of one key that run at once.
    pub max_running_per_key: Option<i32>,
    /// Jobs that start in a time.
    pub rate: Option<Rate>,
    /// Jobs of one key that start in a time.
    pub rate_per_key: Option<Rate>,
}

impl Limits {
    /// Of all of them.
    pub fn version(&self) -> Version {
        let count = |limit: Option<i32>| limit.map_or_else(|| "-".to_owned(), |limit| limit.to_string());
        let rate = |rate: Option<Rate>| {
            rate.map_or_else(
                || "-".to_owned(),
                |rate| format!("{}/{}", rate.jobs, rate.period_ms),
            )
        };
        Version::new(format!(
            "{};{};{};{}",
            count(self.max_running),
            count(self.max_running_per_key),
            rate(self.rate),
            rate(self.rate_per_key)
        ))
    }
}

/// What became of a queue's limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitsSet {
    /// They are so now.
    Done,
    /// Nobody has used this queue.
    NotFound,
    /// They aren't as they were seen: somebody has changed them meanwhile.
    Stale,
}

/// A queue as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueOverview {
    /// Its name.
    pub name: String,
    /// Since when it is paused.
    pub paused_at: Option<DateTime<Utc>>,
    /// What it allows.
    pub limits: Limits,
    /// Days that its jobs are kept after their end.
    pub keep_days: i16,
    /// Its unfinished jobs.
    pub counts: QueueCounts,
    /// When they were counted.
    pub as_of: DateTime<Utc>,
    /// False where a sample was counted, because there are very many.
    pub exact: bool,
}

/// What can be paused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pausable {
    /// A queue.
    Queue(String),
    /// A kind of job, in all queues.
    Kind(String),
    /// A tenant's jobs in a queue.
    Tenant {
        /// The queue.
        queue: String,
        /// The tenant.
        tenant: String,
    },
}

/// What became of a wish about something that has a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switched {
    /// Done.
    Done,
    /// It was so already.
    Unchanged,
    /// Nobody has used this name.
    NotFound,
}

/// Something that is paused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// What.
    pub what: Pausable,
    /// Since when.
    pub paused_at: DateTime<Utc>,
}

/// A worker process that hasn't left and hasn't been given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveWorker {
    /// Its number; no two ever have the same.
    pub id: i32,
    /// Its name, in Kubernetes its pod's.
    pub name: String,
    /// The queues that it works on.
    pub queues: Vec<String>,
    /// The kinds that it knows.
    pub kinds: Vec<String>,
    /// Jobs that it runs at once, over all its queues.
    pub concurrency: i32,
    /// Attempts that it had at its last sign of life.
    pub held: Option<i32>,
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// Milliseconds since its last sign of life.
    pub heartbeat_age_ms: i64,
    /// Beyond its lease: about to be given up.
    pub is_late: bool,
    /// Since when it was asked to drain.
    pub draining_at: Option<DateTime<Utc>>,
}

/// What becomes of ticks that nobody saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CatchUp {
    /// They are left out.
    Skip,
    /// One job for them all.
    Once,
    /// A job for each of the last so many.
    All(u16),
}

/// Jobs that are enqueued at the ticks of a cron expression.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
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
    /// Whether a tick adds no job while the last one's is unfinished.
    pub single: bool,
    /// What becomes of missed ticks.
    pub catch_up: CatchUp,
    /// Since when it is paused.
    pub paused_at: Option<DateTime<Utc>>,
    /// The next tick; none once there is none any more.
    pub next_at: Option<DateTime<Utc>>,
    /// Why its last tick failed; it is tried again.
    pub error: Option<String>,
    /// The last tick that enqueued a job.
    pub last_tick: Option<DateTime<Utc>>,
    /// That job.
    pub last_job_id: Option<JobId>,
}

/// A tick that enqueued a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tick {
    /// Its time; that of the wish where a person asked for it.
    pub at: DateTime<Utc>,
    /// A person asked for it.
    pub manual: bool,
    /// The job.
    pub job_id: JobId,
}
