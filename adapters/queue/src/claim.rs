//! Claims ready jobs.

use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgConnection, Row};

/// A job that this worker has claimed and not yet finished.
#[derive(Debug, Clone)]
pub struct Claimed {
    pub(crate) id: i64,
    pub(crate) epoch: i32,
    pub(crate) attempt: i32,
    pub(crate) max_attempts: i32,
    pub(crate) kind_id: i32,
    pub(crate) priority: i16,
    pub(crate) seq: i64,
    pub(crate) timeout_ms: Option<i32>,
    pub(crate) keyed: bool,
    pub(crate) correlation_id: Option<String>,
    pub(crate) traceparent: Option<String>,
    pub(crate) args: String,
}

/// By position: looking twelve names up for each row is a good part of what a claim costs here.
impl FromRow<'_, PgRow> for Claimed {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get(0)?,
            epoch: row.try_get(1)?,
            attempt: row.try_get(2)?,
            max_attempts: row.try_get(3)?,
            kind_id: row.try_get(4)?,
            priority: row.try_get(5)?,
            seq: row.try_get(6)?,
            timeout_ms: row.try_get(7)?,
            keyed: row.try_get(8)?,
            correlation_id: row.try_get(9)?,
            traceparent: row.try_get(10)?,
            args: row.try_get(11)?,
        })
    }
}

/// The CTE with the limit is materialised: a planner that inlined it could lock more than the limit. Rows
/// are found again by `ctid`, which no index lookup has to serve. `epoch` makes every lease a new one.
const CLAIM: &str = "
with next as materialized (
    select ctid from queue.job
    where queue_id = $1 and seq is not null and claimed_by is null and kind_id = any($2)
    order by priority, seq
    limit $3
    for update skip locked)
update queue.job as job
set claimed_by = $4, claimed_at = clock_timestamp(), epoch = job.epoch + 1, attempt = job.attempt + 1
where job.ctid = any (array (select ctid from next))
returning job.id, job.epoch, job.attempt, job.max_attempts, job.kind_id, job.priority, job.seq,
    job.timeout_ms,
    job.unique_key is not null, job.correlation_id, job.traceparent, job.args::text";

/// Claims up to `limit` jobs of the queue, best first; empty when none is ready. Jobs of kinds that this
/// worker doesn't know are left for one that does.
pub(crate) async fn claim(
    conn: &mut PgConnection,
    worker_id: i32,
    queue_id: i16,
    kinds: &[i32],
    limit: i64,
) -> Result<Vec<Claimed>, sqlx::Error> {
    sqlx::query_as(CLAIM)
        .bind(queue_id)
        .bind(kinds)
        .bind(limit)
        .bind(worker_id)
        .fetch_all(conn)
        .await
}
