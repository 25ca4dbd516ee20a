//! Jobs as people see and steer them.
//!
//! `search` finds them, `steer` changes some of them in the caller's transaction, `apply` as many as a filter
//! matches, and `audit` tells who did what. `counts`, `queues`, `workers` and `snapshot` show how the queue fares,
//! `changes` what becomes other while one looks.

mod apply;
mod audit;
mod changes;
mod counts;
mod pulse;
mod queues;
mod search;
mod snapshot;
mod steer;
mod throughput;
mod wish;
mod workers;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::{FromRow, PgConnection, Postgres, QueryBuilder};

pub use apply::{Applied, Matching, Preview, Selection};
pub use audit::{AuditEntry, AuditFilter};
pub(crate) use audit::{Subject, forget as forget_audit, record_subject};
pub use changes::{JobChanges, JobWatch, Tail};
pub use counts::QueueCount;
pub(crate) use counts::{Gauges, read_gauges};
pub use pulse::Pulse;
pub use queues::QueueRow;
pub(crate) use search::bounded;
pub use search::{Filter, Page, Scope};
pub use snapshot::{Holder, SnapshotHolders};
pub use throughput::{Latencies, Throughput, ThroughputRow, Window};
pub use wish::{Action, By, Change, When};
pub use workers::LiveWorker;

use crate::{Error, Queue};

/// How a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// In line for a free worker; [`Queue::explain`] says what holds it up, such as a pause.
    Ready,
    /// Its time has not come.
    Scheduled,
    /// Waits for other jobs: see [`Queue::waits_for`].
    Waiting,
    /// A worker has it.
    Running,
    /// Ended well.
    Completed,
    /// Ended by a person, or because it had lost its sense.
    Cancelled,
    /// Ended badly.
    Dead,
}

impl State {
    pub(crate) fn from_number(number: i16) -> Self {
        match number {
            0 => Self::Completed,
            1 => Self::Cancelled,
            2 => Self::Dead,
            3 => Self::Ready,
            4 => Self::Scheduled,
            6 => Self::Waiting,
            _ => Self::Running,
        }
    }

    /// As people write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Scheduled => "scheduled",
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
            Self::Dead => "dead",
        }
    }

    fn is_finished(self) -> bool {
        matches!(self, Self::Completed | Self::Cancelled | Self::Dead)
    }
}

/// A job, finished or not.
#[derive(Debug, Clone, FromRow)]
pub struct JobRow {
    /// Its identifier.
    pub id: i64,
    /// The kind's name.
    pub kind: String,
    /// The queue's name.
    pub queue: String,
    #[sqlx(rename = "state")]
    state_number: i16,
    /// Lower runs first.
    pub priority: i16,
    /// Attempts begun so far.
    pub attempt: i32,
    /// Attempts allowed.
    pub max_attempts: i32,
    /// The unique key.
    pub unique_key: Option<String>,
    /// What it belongs to.
    pub correlation_id: Option<String>,
    /// W3C trace context of the one who enqueued it.
    pub traceparent: Option<String>,
    /// The worker that has or had it.
    pub worker: Option<String>,
    /// The last error, or why it ended.
    pub last_error: Option<String>,
    /// When it was enqueued.
    pub created_at: DateTime<Utc>,
    /// When it may run next, while it is scheduled.
    pub run_at: Option<DateTime<Utc>>,
    /// When the present or last attempt was claimed.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// Its arguments.
    pub args: Value,
    /// What its handler returned to keep.
    pub result: Option<Value>,
    /// Its tags.
    pub tags: Option<Vec<String>>,
    /// Whose turn it waits for.
    pub tenant: Option<String>,
    /// What limits and rates per key count it by.
    pub key: Option<String>,
}

impl JobRow {
    /// How it stands.
    pub fn state(&self) -> State {
        State::from_number(self.state_number)
    }
}

/// A failed attempt.
#[derive(Debug, Clone, FromRow)]
pub struct Attempt {
    /// Which, from 1.
    pub attempt: i32,
    /// When it failed.
    pub at: DateTime<Utc>,
    /// On which worker.
    pub worker: String,
    /// What went wrong.
    pub error: String,
    /// W3C trace context that it ran in: that of the one who enqueued the job.
    pub traceparent: Option<String>,
}

/// The number of an unfinished job's state. One that is put aside with its paused kind keeps its place in line.
macro_rules! standing {
    () => {
        "(case when job.claimed_by is not null then 5 when job.waiting then 6
            when job.seq is null and job.parked is null then 4 else 3 end)::smallint"
    };
}
pub(crate) use standing;

const UNFINISHED: &str = concat!(
    "
select job.id, kind.name as kind, queue.name as queue, ",
    standing!(),
    " as state,
    job.priority, job.attempt, job.max_attempts, job.unique_key, job.correlation_id, job.traceparent,
    worker.name as worker, job.last_error, job.created_at,
    case when job.seq is null and job.parked is null then job.run_at end as run_at, job.claimed_at as started_at,
    null::timestamptz as finished_at, job.args, null::jsonb as result, job.tags, job.tenant, job.key
from queue.job as job
join queue.kind as kind on kind.id = job.kind_id
join queue.queue as queue on queue.id = job.queue_id
left join queue.worker as worker on worker.id = job.claimed_by
where true"
);

const FINISHED: &str = "
select job.id, kind.name as kind, queue.name as queue, job.state, job.priority, job.attempt, job.max_attempts,
    job.unique_key, job.correlation_id, job.traceparent, worker.name as worker, job.reason as last_error,
    job.created_at, null::timestamptz as run_at, job.started_at, job.finished_at, job.args, job.result,
    job.tags, job.tenant, job.key
from queue.history as job
join queue.kind as kind on kind.id = job.kind_id
join queue.queue as queue on queue.id = job.queue_id
left join queue.worker as worker on worker.id = job.worker_id
where true";

impl Queue {
    /// One job with its failed attempts, oldest first.
    pub async fn get(&self, id: i64) -> Result<Option<(JobRow, Vec<Attempt>)>, Error> {
        let mut conn = self.own_unit().await?;
        let Some(row) = find(&mut conn, id).await? else {
            return Ok(None);
        };
        let attempts = sqlx::query_as(
            "select attempt.attempt, attempt.at, coalesce(worker.name, 'worker ' || attempt.worker_id) as worker,
                attempt.error, attempt.traceparent
            from queue.attempt as attempt left join queue.worker as worker on worker.id = attempt.worker_id
            where attempt.job_id = $1 order by attempt.at, attempt.attempt",
        ).persistent(false);
        let attempts = attempts.persistent(false).bind(id).fetch_all(&mut *conn).await?;
        conn.end().await?;
        Ok(Some((row, attempts)))
    }
}

pub(crate) async fn find(conn: &mut PgConnection, id: i64) -> Result<Option<JobRow>, Error> {
    let mut query = QueryBuilder::<Postgres>::new(UNFINISHED);
    query
        .push(" and job.id = ")
        .push_bind(id)
        .push(" union all ")
        .push(FINISHED);
    query.push(" and job.id = ").push_bind(id);
    // A job that was run again stands in both: the unfinished one comes first.
    query.push(" order by finished_at desc nulls first limit 1");
    Ok(query
        .build_query_as()
        .persistent(false)
        .fetch_optional(conn)
        .await?)
}
