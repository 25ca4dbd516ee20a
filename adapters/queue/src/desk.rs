//! Jobs as people see and steer them.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{FromRow, PgConnection, Postgres, QueryBuilder};

use crate::finish::to_history;
use crate::{Error, Queue, Wake, wake};

/// How a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Waits for a free worker.
    Ready,
    /// Its time has not come.
    Scheduled,
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
    fn from_number(number: i16) -> Self {
        match number {
            0 => Self::Completed,
            1 => Self::Cancelled,
            2 => Self::Dead,
            3 => Self::Ready,
            4 => Self::Scheduled,
            _ => Self::Running,
        }
    }

    fn number(self) -> i16 {
        match self {
            Self::Completed => 0,
            Self::Cancelled => 1,
            Self::Dead => 2,
            Self::Ready => 3,
            Self::Scheduled => 4,
            Self::Running => 5,
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
}

/// Which jobs to list; newest first.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only in this state.
    pub state: Option<State>,
    /// Only in this queue.
    pub queue: Option<String>,
    /// Only of this kind.
    pub kind: Option<String>,
    /// Only with a smaller identifier.
    pub before: Option<i64>,
    /// At most so many.
    pub limit: i64,
}

/// Unfinished jobs of a queue.
#[derive(Debug, Clone, FromRow)]
pub struct QueueCount {
    /// The queue's name.
    pub queue: String,
    /// Ready to run.
    pub ready: i64,
    /// Waiting for their time.
    pub scheduled: i64,
    /// With a worker.
    pub running: i64,
    /// Age of the oldest ready job, in milliseconds.
    pub oldest_ready_ms: Option<i64>,
}

/// What became of a wish about a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Done.
    Done,
    /// A running job was asked to stop.
    Requested,
    /// The job's state doesn't allow it.
    NotAllowed(State),
    /// There is no such job.
    NotFound,
}

const UNFINISHED: &str = "
select job.id, kind.name as kind, queue.name as queue,
    (case when job.claimed_by is not null then 5 when job.seq is null then 4 else 3 end)::smallint as state,
    job.priority, job.attempt, job.max_attempts, job.unique_key, job.correlation_id, job.traceparent,
    worker.name as worker, job.last_error, job.created_at, job.run_at, job.claimed_at as started_at,
    null::timestamptz as finished_at, job.args, null::jsonb as result
from queue.job as job
join queue.kind as kind on kind.id = job.kind_id
join queue.queue as queue on queue.id = job.queue_id
left join queue.worker as worker on worker.id = job.claimed_by
where true";

const FINISHED: &str = "
select job.id, kind.name as kind, queue.name as queue, job.state, job.priority, job.attempt, job.max_attempts,
    job.unique_key, job.correlation_id, job.traceparent, worker.name as worker, job.reason as last_error,
    job.created_at, null::timestamptz as run_at, job.started_at, job.finished_at, job.args, job.result
from queue.history as job
join queue.kind as kind on kind.id = job.kind_id
join queue.queue as queue on queue.id = job.queue_id
left join queue.worker as worker on worker.id = job.worker_id
where true";

const COUNTS: &str = "
select queue.name as queue,
    count(*) filter (where job.seq is not null and job.claimed_by is null) as ready,
    count(*) filter (where job.seq is null and job.id is not null) as scheduled,
    count(*) filter (where job.claimed_by is not null) as running,
    (extract(epoch from clock_timestamp() - min(job.created_at)
        filter (where job.seq is not null and job.claimed_by is null)) * 1000)::bigint as oldest_ready_ms
from queue.queue as queue left join queue.job as job on job.queue_id = queue.id
group by queue.name order by queue.name";

const CANCEL: &str = concat!(
    "with gone as (delete from queue.job where id = $1 and claimed_by is null returning *) ",
    to_history!("gone", "1", "$2::text", "null")
);

/// Its epochs go on far above those of its earlier life (in seconds: nobody claims a job every half second
/// for years), so that an acknowledgement that comes late fits none of its new leases.
const REVIVE: &str = "
with gone as (delete from queue.history where id = $1 and state in (1, 2) returning *)
insert into queue.job (id, seq, epoch, created_at, kind_id, max_attempts, timeout_ms, queue_id, priority,
    unique_key, correlation_id, traceparent, last_error, tags, args)
select id, nextval('queue.job_seq'),
    extract(epoch from clock_timestamp() - timestamptz '2026-01-01 00:00:00+00')::integer, created_at, kind_id, max_attempts, timeout_ms, queue_id, priority,
    unique_key, correlation_id, traceparent, reason, tags, args from gone
returning queue_id";

const HASTEN: &str = "
update queue.job set seq = nextval('queue.job_seq'), run_at = null, attempt = 0
where id = $1 and seq is null returning queue_id";

impl Queue {
    /// Jobs, newest first.
    pub async fn list(&self, filter: &Filter) -> Result<Vec<JobRow>, Error> {
        let mut query = QueryBuilder::<Postgres>::new("select * from (");
        let finished = filter.state.is_none_or(State::is_finished);
        let unfinished = filter.state.is_none_or(|state| !state.is_finished());
        if unfinished {
            part(&mut query, UNFINISHED, filter);
            match filter.state {
                Some(State::Ready) => query.push(" and job.seq is not null and job.claimed_by is null"),
                Some(State::Scheduled) => query.push(" and job.seq is null"),
                Some(State::Running) => query.push(" and job.claimed_by is not null"),
                _ => &mut query,
            };
            query
                .push(" order by job.id desc limit ")
                .push_bind(filter.limit)
                .push(")");
        }
        if unfinished && finished {
            query.push(" union all ");
        }
        if finished {
            part(&mut query, FINISHED, filter);
            if let Some(state) = filter.state {
                query.push(" and job.state = ").push_bind(state.number());
            }
            query
                .push(" order by job.id desc limit ")
                .push_bind(filter.limit)
                .push(")");
        }
        query
            .push(") as job order by id desc limit ")
            .push_bind(filter.limit);
        Ok(query.build_query_as().fetch_all(self.pool()).await?)
    }

    /// One job with its failed attempts, oldest first.
    pub async fn get(&self, id: i64) -> Result<Option<(JobRow, Vec<Attempt>)>, Error> {
        let mut conn = self.pool().acquire().await?;
        let Some(row) = find(&mut conn, id).await? else {
            return Ok(None);
        };
        let attempts = sqlx::query_as(
            "select attempt.attempt, attempt.at, coalesce(worker.name, 'worker ' || attempt.worker_id) as worker,
                attempt.error
            from queue.attempt as attempt left join queue.worker as worker on worker.id = attempt.worker_id
            where attempt.job_id = $1 order by attempt.at, attempt.attempt",
        );
        let attempts = attempts.bind(id).fetch_all(&mut *conn).await?;
        Ok(Some((row, attempts)))
    }

    /// Unfinished jobs per queue.
    pub async fn counts(&self) -> Result<Vec<QueueCount>, Error> {
        Ok(sqlx::query_as(COUNTS).fetch_all(self.pool()).await?)
    }

    /// How many jobs of the queue are ready, counted up to `limit`.
    pub async fn ready(&self, queue: &str, limit: i64) -> Result<i64, Error> {
        let queue_id = self.names().queue(queue).await?;
        let count = sqlx::query_scalar(
            "select count(*) from (select from queue.job
                where queue_id = $1 and seq is not null and claimed_by is null limit $2) as ready",
        );
        Ok(count.bind(queue_id).bind(limit).fetch_one(self.pool()).await?)
    }

    /// Runs a dead, cancelled or scheduled job now, with its attempts counted anew.
    pub async fn retry(&self, conn: &mut PgConnection, id: i64) -> Result<Action, Error> {
        let hastened: Option<i16> = sqlx::query_scalar(HASTEN)
            .bind(id)
            .fetch_optional(&mut *conn)
            .await?;
        let queue_id = match hastened {
            Some(queue_id) => queue_id,
            None => match revive(&mut *conn, id).await? {
                Ok(queue_id) => queue_id,
                Err(refused) => return Ok(refused),
            },
        };
        // The wish to end the last run must not end the next one.
        sqlx::query("delete from queue.cancel_request where job_id = $1")
            .bind(id)
            .execute(&mut *conn)
            .await?;
        if self.wake_mode() == Wake::Notify {
            sqlx::query("select queue.wake($1)")
                .bind(queue_id)
                .execute(conn)
                .await?;
        }
        Ok(Action::Done)
    }

    /// Ends a job that hasn't ended: at once, or by asking its worker where it runs.
    pub async fn cancel(&self, conn: &mut PgConnection, id: i64, reason: &str) -> Result<Action, Error> {
        let ended = sqlx::query(CANCEL)
            .bind(id)
            .bind(reason)
            .execute(&mut *conn)
            .await?;
        if ended.rows_affected() > 0 {
            return Ok(Action::Done);
        }
        match find(conn, id).await?.map(|row| row.state()) {
            None => Ok(Action::NotFound),
            Some(State::Running) => {
                sqlx::query("insert into queue.cancel_request (job_id) values ($1) on conflict do nothing")
                    .bind(id)
                    .execute(&mut *conn)
                    .await?;
                if self.wake_mode() == Wake::Notify {
                    sqlx::query("select pg_notify($1, 'cancel')")
                        .bind(wake::CHANNEL)
                        .execute(conn)
                        .await?;
                }
                Ok(Action::Requested)
            }
            Some(state) => Ok(Action::NotAllowed(state)),
        }
    }
}

fn part(query: &mut QueryBuilder<Postgres>, select: &'static str, filter: &Filter) {
    query.push("(").push(select);
    if let Some(queue) = &filter.queue {
        query.push(" and queue.name = ").push_bind(queue.clone());
    }
    if let Some(kind) = &filter.kind {
        query.push(" and kind.name = ").push_bind(kind.clone());
    }
    if let Some(before) = filter.before {
        query.push(" and job.id < ").push_bind(before);
    }
}

async fn find(conn: &mut PgConnection, id: i64) -> Result<Option<JobRow>, Error> {
    let mut query = QueryBuilder::<Postgres>::new(UNFINISHED);
    query
        .push(" and job.id = ")
        .push_bind(id)
        .push(" union all ")
        .push(FINISHED);
    query.push(" and job.id = ").push_bind(id);
    // A job that was run again stands in both: the unfinished one comes first.
    query.push(" order by finished_at desc nulls first limit 1");
    Ok(query.build_query_as().fetch_optional(conn).await?)
}

/// Brings a finished job back, or says why not.
async fn revive(conn: &mut PgConnection, id: i64) -> Result<Result<i16, Action>, Error> {
    match find(conn, id).await?.map(|row| (row.state(), row.unique_key)) {
        None => Ok(Err(Action::NotFound)),
        Some((State::Dead | State::Cancelled, key)) => {
            if let Some(key) = key {
                let holder: Option<i64> =
                    sqlx::query_scalar("select id from queue.job where unique_key = $1")
                        .bind(&key)
                        .fetch_optional(&mut *conn)
                        .await?;
                if let Some(holder) = holder {
                    return Err(Error::Invalid(format!(
                        "job {holder} has the same unique key and isn't finished"
                    )));
                }
            }
            let revived = sqlx::query_scalar(REVIVE).bind(id).fetch_optional(conn).await?;
            revived
                .map(Ok)
                .ok_or_else(|| Error::Invalid(format!("job {id} changed in the meantime: try again")))
        }
        Some((state, _)) => Ok(Err(Action::NotAllowed(state))),
    }
}
