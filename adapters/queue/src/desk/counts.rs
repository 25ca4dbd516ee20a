//! How many jobs there are. Counted at once while the table is small; else by one worker of the fleet, now
//! and then, for all who ask.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection};

use super::search::bounded;
use crate::{Error, Queue};

/// Up to this size, in bytes, the table is counted for each who asks: about 200,000 jobs.
const SMALL: i64 = 64 * 1024 * 1024;

/// Unfinished jobs of a queue.
#[derive(Debug, Clone, FromRow)]
pub struct QueueCount {
    /// The queue's name.
    pub queue: String,
    /// Ready to run, or put aside with a paused kind.
    pub ready: i64,
    /// Waiting for their time.
    pub scheduled: i64,
    /// Waiting for other jobs.
    pub waiting: i64,
    /// With a worker.
    pub running: i64,
    /// For how long the oldest ready job has been waiting, in milliseconds.
    pub oldest_ready_ms: Option<i64>,
    /// When this was so.
    pub as_of: DateTime<Utc>,
    /// False where a sample was counted, because the table is large.
    pub exact: bool,
}

/// What the fleet publishes of all queues.
#[derive(Debug)]
pub(crate) struct Gauges {
    pub(crate) queues: Vec<(String, i64, f64)>,
    pub(crate) oldest_snapshot_s: Option<f64>,
}

const LIVE: &str = "
select queue.name as queue,
    count(*) filter (where (job.seq is not null or job.parked is not null) and job.claimed_by is null) as ready,
    count(*) filter (where job.seq is null and job.parked is null and job.id is not null
        and job.waiting is not true) as scheduled,
    count(*) filter (where job.waiting) as waiting,
    count(*) filter (where job.claimed_by is not null) as running,
    (extract(epoch from clock_timestamp() - min(coalesce(job.run_at, job.created_at))
        filter (where job.seq is not null and job.claimed_by is null)) * 1000)::bigint as oldest_ready_ms,
    clock_timestamp() as as_of, true as exact
from queue.queue as queue left join queue.job as job on job.queue_id = queue.id
group by queue.name order by queue.name";

const KEPT: &str = "
select queue.name as queue, coalesce(gauge.ready, 0) + coalesce(parked.jobs, 0) as ready,
    greatest(coalesce(gauge.scheduled, 0) - coalesce(waiting.jobs, 0) - coalesce(parked.jobs, 0), 0) as scheduled,
    coalesce(waiting.jobs, 0) as waiting,
    coalesce(gauge.running, 0) as running,
    case when gauge.oldest_ready_s > 0 then (gauge.oldest_ready_s * 1000)::bigint end as oldest_ready_ms,
    round.at as as_of, round.exact
from queue.queue as queue cross join queue.gauge_round as round
left join queue.gauge as gauge on gauge.queue_id = queue.id
left join (select queue_id, count(*) as jobs from queue.job where waiting group by queue_id) as waiting
    on waiting.queue_id = queue.id
left join (select queue_id, count(*) as jobs from queue.job where parked is not null and seq is null
    group by queue_id) as parked on parked.queue_id = queue.id
order by queue.name";

/// Nobody has counted for long: no worker runs.
const STALE: &str = "
select not exists (select from queue.gauge_round
    where at > clock_timestamp() - (60000 + 40 * took_ms) * interval '1 millisecond')";

impl Queue {
    /// Unfinished jobs per queue. Cheap at any size: of a large table what was counted last, up to some
    /// seconds ago.
    pub async fn counts(&self) -> Result<Vec<QueueCount>, Error> {
        let mut tx = self.pool().begin().await?;
        let size: i64 = sqlx::query_scalar("select pg_relation_size('queue.job')")
            .persistent(false)
            .fetch_one(&mut *tx)
            .await?;
        if size <= SMALL {
            return Ok(sqlx::query_as(LIVE).persistent(false).fetch_all(&mut *tx).await?);
        }
        bounded(&mut tx).await?;
        if sqlx::query_scalar(STALE)
            .persistent(false)
            .fetch_one(&mut *tx)
            .await?
        {
            sqlx::query("select queue.refresh_gauges(true)")
                .persistent(false)
                .execute(&mut *tx)
                .await?;
        }
        let counts = sqlx::query_as(KEPT).persistent(false).fetch_all(&mut *tx).await?;
        tx.commit().await?;
        Ok(counts)
    }

    /// How many jobs of the queue are ready, counted up to `limit`.
    pub async fn ready(&self, queue: &str, limit: i64) -> Result<i64, Error> {
        let queue_id = self.names().queue(queue).await?;
        let count = sqlx::query_scalar(
            "select count(*) from (select from queue.job
                where queue_id = $1 and seq is not null and claimed_by is null limit $2) as ready",
        )
        .persistent(false);
        let mut unit = self.own_unit().await?;
        let ready = count.bind(queue_id).bind(limit).fetch_one(&mut *unit).await?;
        unit.end().await?;
        Ok(ready)
    }
}

/// Counts anew if it is time and nobody else does, and reads what was counted last.
pub(crate) async fn read_gauges(conn: &mut PgConnection) -> Result<Gauges, sqlx::Error> {
    sqlx::query("select queue.refresh_gauges(), queue.roll_up()")
        .persistent(false)
        .execute(&mut *conn)
        .await?;
    let queues = sqlx::query_as(
        "select queue.name, gauge.ready, gauge.oldest_ready_s
        from queue.gauge as gauge join queue.queue as queue on queue.id = gauge.queue_id",
    )
    .persistent(false);
    Ok(Gauges {
        queues: queues.fetch_all(&mut *conn).await?,
        oldest_snapshot_s: sqlx::query_scalar("select oldest_snapshot_s from queue.gauge_round")
            .persistent(false)
            .fetch_optional(conn)
            .await?
            .flatten(),
    })
}
