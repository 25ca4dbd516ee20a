//! What the database says about one unfinished job. Every statement reads a bounded number of rows.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection};

use super::reason::{Awaited, Holding};
use crate::State;
use crate::desk::standing;

/// The most jobs named.
const NAMED: i64 = 20;
/// Others ahead are counted up to so many.
const AHEAD: i64 = 1_000;

/// When a bucket lets the next job through: it is full at `full_at`, and has room for one an interval later
/// than a period before (see the gate).
macro_rules! next_at {
    ($bucket:literal, $period_ms:literal, $jobs:literal) => {
        concat!(
            $bucket,
            ".full_at - ",
            $period_ms,
            " * interval '1 millisecond'
            + greatest(",
            $period_ms,
            " * 1000::bigint / ",
            $jobs,
            ", 1) * interval '1 microsecond'"
        )
    };
}

const FACTS: &str = concat!(
    "select clock_timestamp() as as_of, job.queue_id, job.kind_id, job.seq, job.lane,
        job.seq is null and job.parked is not null as is_parked,
        case when job.seq is null and job.parked is null then job.run_at end as run_at,
        queue.paused_at as queue_paused_at, kind.paused_at as kind_paused_at, tenant.paused_at as tenant_paused_at,
        queue.max_running, queue.max_running_per_key,
        queue.rate, queue.rate_period_ms, queue.key_rate, queue.key_rate_period_ms, ",
    next_at!("bucket", "queue.rate_period_ms", "queue.rate"),
    " as next_at, ",
    next_at!("key_bucket", "queue.key_rate_period_ms", "queue.key_rate"),
    " as key_next_at,
        greatest(extract(epoch from clock_timestamp() - worker.heartbeat_at) * 1000, 0)::bigint as heartbeat_age_ms,
        coalesce(worker.stopped_at is not null
            or worker.heartbeat_at < clock_timestamp() - worker.lease_ms * interval '1 millisecond', true) as is_late,
        exists (select from queue.cancel_request as request where request.job_id = job.id) as is_cancel_requested
    from queue.job as job
    join queue.queue as queue on queue.id = job.queue_id
    join queue.kind as kind on kind.id = job.kind_id
    left join queue.paused_tenant as tenant on tenant.queue_id = job.queue_id and tenant.tenant = job.tenant
    left join queue.bucket as bucket on bucket.queue_id = job.queue_id and bucket.key = 0
    left join queue.bucket as key_bucket
        on key_bucket.queue_id = job.queue_id and key_bucket.key = hashtextextended(job.key, 0)
    left join queue.worker as worker on worker.id = job.claimed_by
    where job.id = $1"
);

/// The job's own row and those of what it belongs to.
#[derive(Debug, FromRow)]
pub(super) struct Facts {
    pub(super) as_of: DateTime<Utc>,
    pub(super) queue_id: i16,
    pub(super) kind_id: i32,
    pub(super) seq: Option<i64>,
    pub(super) lane: Option<i64>,
    pub(super) is_parked: bool,
    pub(super) run_at: Option<DateTime<Utc>>,
    pub(super) queue_paused_at: Option<DateTime<Utc>>,
    pub(super) kind_paused_at: Option<DateTime<Utc>>,
    pub(super) tenant_paused_at: Option<DateTime<Utc>>,
    pub(super) max_running: Option<i32>,
    pub(super) max_running_per_key: Option<i32>,
    pub(super) rate: Option<i32>,
    pub(super) rate_period_ms: Option<i32>,
    pub(super) key_rate: Option<i32>,
    pub(super) key_rate_period_ms: Option<i32>,
    pub(super) next_at: Option<DateTime<Utc>>,
    pub(super) key_next_at: Option<DateTime<Utc>>,
    pub(super) heartbeat_age_ms: Option<i64>,
    pub(super) is_late: bool,
    pub(super) is_cancel_requested: bool,
}

pub(super) async fn read(conn: &mut PgConnection, id: i64) -> Result<Option<Facts>, sqlx::Error> {
    let query = sqlx::query_as(FACTS).persistent(false).bind(id);
    query.fetch_optional(conn).await
}

const AWAITED: &str = concat!(
    "select awaited.on_id, coalesce(
        (select ",
    standing!(),
    " from queue.job as job where job.id = awaited.on_id),
        (select job.state from queue.history as job where job.id = awaited.on_id
        order by job.finished_at desc limit 1))
    from (select on_id from queue.dependency where waiter_id = $1 order by on_id limit $2) as awaited
    order by awaited.on_id"
);

/// What the job waits for, and whether there is more of it.
pub(super) async fn awaited(conn: &mut PgConnection, id: i64) -> Result<(Vec<Awaited>, bool), sqlx::Error> {
    let query = sqlx::query_as(AWAITED).persistent(false).bind(id).bind(NAMED + 1);
    let rows: Vec<(i64, Option<i16>)> = query.fetch_all(conn).await?;
    let more = rows.len() as i64 > NAMED;
    let rows = rows.into_iter().take(NAMED as usize);
    let awaited = rows.map(|(id, state)| Awaited {
        id,
        state: state.map(State::from_number),
    });
    Ok((awaited.collect(), more))
}

const WORKERS: &str = "
select name, $2 = any (kinds) as knows_kind, draining_at is not null as is_draining,
    heartbeat_at < clock_timestamp() - lease_ms * interval '1 millisecond' as is_late,
    concurrency, coalesce(held, 0) as held
from queue.worker where stopped_at is null and $1 = any (queues) order by name, id";

/// A worker that serves the queue and hasn't left.
#[derive(Debug, FromRow)]
pub(super) struct Server {
    pub(super) name: String,
    pub(super) knows_kind: bool,
    pub(super) is_draining: bool,
    pub(super) is_late: bool,
    pub(super) concurrency: i32,
    pub(super) held: i32,
}

pub(super) async fn workers(conn: &mut PgConnection, facts: &Facts) -> Result<Vec<Server>, sqlx::Error> {
    let query = sqlx::query_as(WORKERS)
        .persistent(false)
        .bind(facts.queue_id)
        .bind(facts.kind_id);
    query.fetch_all(conn).await
}

/// What each worker has written down at the gate, as the gate itself adds it up.
const HELD: &str = "
select worker.name, held.running,
    (select count(*) from unnest(held.keys) as key where key = hashtextextended($2, 0))
from queue.worker as worker
cross join lateral (select h.running, h.keys from queue.held as h
    where h.queue_id = $1 and h.worker_id = worker.id order by h.version desc limit 1) as held
where worker.stopped_at is null and held.running > 0
order by held.running desc, worker.name";

/// Who holds jobs of the queue, and how many of this key.
pub(super) async fn held(
    conn: &mut PgConnection,
    queue_id: i16,
    key: Option<&str>,
) -> Result<(Vec<Holding>, i64), sqlx::Error> {
    let query = sqlx::query_as(HELD).persistent(false).bind(queue_id).bind(key);
    let rows: Vec<(String, i32, i64)> = query.fetch_all(conn).await?;
    let of_key = rows.iter().map(|(.., of_key)| of_key).sum();
    let held = rows
        .into_iter()
        .map(|(worker, running, _)| Holding { worker, running });
    Ok((held.collect(), of_key))
}

/// Claimed jobs of a key. No index has them; they stand in front, of the line and of their lane.
const OF_KEY: &str = "
select distinct id from (
    (select id, key, claimed_by from queue.job
    where queue_id = $1 and seq is not null and lane is null order by priority, seq limit 10000)
    union all
    (select id, key, claimed_by from queue.job
    where queue_id = $1 and lane = $3 and seq is not null order by priority, seq limit 10000)
    union all
    (select id, key, claimed_by from queue.job
    where queue_id = $1 and seq is not null and lane is not null order by lane, priority, seq limit 10000)
) as front
where claimed_by is not null and key = $2 order by id limit $4";

/// Jobs of the key that run, as far as they are found, and whether there may be more.
pub(super) async fn running_of_key(
    conn: &mut PgConnection,
    facts: &Facts,
    key: &str,
    running: i64,
) -> Result<(Vec<i64>, bool), sqlx::Error> {
    let query = sqlx::query_scalar(OF_KEY)
        .persistent(false)
        .bind(facts.queue_id)
        .bind(key)
        .bind(facts.lane)
        .bind(NAMED);
    let ids: Vec<i64> = query.fetch_all(conn).await?;
    let more = running > ids.len() as i64;
    Ok((ids, more))
}

const AHEAD_IN_LINE: &str = "
select count(*) from (select from queue.job
    where queue_id = $1 and lane is null and seq is not null and (priority, seq) < ($2, $3) and claimed_by is null
    limit $4) as ahead";
const AHEAD_IN_LANE: &str = "
select count(*) from (select from queue.job
    where queue_id = $1 and lane = $5 and seq is not null and (priority, seq) < ($2, $3) and claimed_by is null
    limit $4) as ahead";

/// How many come first, and whether there may be more.
pub(super) async fn ahead(
    conn: &mut PgConnection,
    facts: &Facts,
    priority: i16,
    seq: i64,
) -> Result<(i64, bool), sqlx::Error> {
    let statement = if facts.lane.is_some() {
        AHEAD_IN_LANE
    } else {
        AHEAD_IN_LINE
    };
    let mut query = sqlx::query_scalar(statement)
        .persistent(false)
        .bind(facts.queue_id)
        .bind(priority)
        .bind(seq)
        .bind(AHEAD);
    if let Some(lane) = facts.lane {
        query = query.bind(lane);
    }
    let ahead: i64 = query.fetch_one(conn).await?;
    Ok((ahead, ahead == AHEAD))
}
