//! Claims ready jobs: from the plain line of a queue, or from lanes that the fetcher has chosen.

use std::sync::Arc;

use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgConnection, Row};

use crate::lanes::Turn;
use crate::line::Line;
use crate::tally::Held;

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
    pub(crate) lane: Option<i64>,
    /// The hash of the key that limits and rates are counted by.
    pub(crate) key: Option<i64>,
    /// Its place among what counts against a limit, until its end is written.
    pub(crate) held: Option<Arc<Held>>,
}

/// By position: looking fourteen names up for each row is a good part of what a claim costs here.
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
            lane: row.try_get(12)?,
            key: row.try_get(13)?,
            held: None,
        })
    }
}

/// Takes what `next` has found, for worker `$1`; a job of a paused kind is put aside instead, so that no later
/// claim has to step over it. `epoch` makes every lease a new one (see [`Claimer::step`]). Rows are found again by `ctid`, which no
/// index lookup has to serve. What an index holds is changed for jobs put aside only: a claim is a heap-only
/// update.
macro_rules! take {
    ($next:literal, $step:literal, $lane:literal) => {
        concat!(
            "with next as materialized (",
            $next,
            "),
            paused as materialized (
                select coalesce(array_agg(id), '{}') as kinds from queue.kind where paused_at is not null)
            update queue.job as job set
                claimed_by = case when job.kind_id = any (paused.kinds) then null else $1 end,
                claimed_at = clock_timestamp(),
                epoch = job.epoch + ",
            $step,
            ",
                attempt = job.attempt + case when job.kind_id = any (paused.kinds) then 0 else 1 end,
                seq = case when job.kind_id = any (paused.kinds) then null else job.seq end,
                run_at = case when job.kind_id = any (paused.kinds) then null else job.run_at end,
                parked = case when job.kind_id = any (paused.kinds) then job.seq end
            from paused
            where job.ctid = any (array (select ctid from next))
            returning job.id, job.epoch, job.attempt, job.max_attempts, job.kind_id, job.priority, job.seq,
                job.timeout_ms, job.unique_key is not null, job.correlation_id, job.traceparent, job.args::text, ",
            $lane
        )
    };
}

/// From the plain line, range by range (see [`Line`]); `queue.enter_gate` reads it in the same way. The CTE with the
/// limit is materialised: a planner that inlined it could lock more than the limit. A paused queue gives nothing.
const FROM_LINE: &str = take!(
    "select place.ctid
    from unnest($5::smallint[], $6::smallint[], $7::bigint[], $8::bigint[]) as part (low, high, first, before)
    cross join lateral (
        select one.ctid from (
            select job.ctid from queue.job as job
            where part.low = part.high and job.queue_id = $2 and job.priority = part.low
              and job.seq >= part.first and job.seq < part.before and job.seq is not null and job.lane is null
              and job.claimed_by is null and job.kind_id = any($3)
            order by job.seq
            limit $4
            for update skip locked) as one
        union all
        select several.ctid from (
            select job.ctid from queue.job as job
            where part.low < part.high and job.queue_id = $2
              and job.priority >= part.low and job.priority <= part.high
              and job.seq is not null and job.lane is null
              and job.claimed_by is null and job.kind_id = any($3)
            order by job.priority, job.seq
            limit $4
            for update skip locked) as several) as place
    where not exists (select from queue.queue where id = $2 and paused_at is not null)
    limit $4",
    "$9",
    "null::bigint, null::bigint"
);

/// Places that were chosen in the gate, as far as nobody has changed or locked them meanwhile; writes down with them
/// what the worker runs (see `gate.rs`), since all others wait for the end of this.
const FROM_PLACES: &str = take!(
    "select job.ctid from queue.job as job
    where job.ctid = any (array (select place::tid from unnest($2::text[]) as place))
      and job.queue_id = $3 and job.seq is not null and job.claimed_by is null
    for update skip locked),
    unsaid as (delete from queue.held where queue_id = $3 and worker_id = $1),
    said as (insert into queue.held (queue_id, worker_id, running, keys) values ($3, $1, $4, $5)",
    "$6",
    "job.lane, hashtextextended(job.key, 0)"
);

/// Moves jobs that a limit blocks out of the line into their keys' lanes, which have turns only when there is
/// room: they aren't looked at again before.
const TO_LANES: &str = "
with blocked as materialized (
    select ctid from queue.job
    where ctid = any (array (select place::tid from unnest($1::text[]) as place))
      and seq is not null and lane is null and claimed_by is null
    for update skip locked)
update queue.job set lane = queue.lane(tenant, key) where ctid = any (array (select ctid from blocked))";
const HAS_LANES: &str = "update queue.queue set laned = true where id = $1 and not laned";

/// From these lanes, so many of each. Within a lane, by priority and order.
const FROM_LANES: &str = take!(
    "select place.ctid
    from unnest($5::bigint[], $4::bigint[]) as turn (lane, jobs)
    cross join lateral (
        select job.ctid from queue.job as job
        where job.queue_id = $2 and job.lane = turn.lane and job.seq is not null
          and job.claimed_by is null and job.kind_id = any($3)
          and (job.tenant is null
               or job.tenant <> all (array (select tenant from queue.paused_tenant where queue_id = $2)))
        order by job.queue_id, job.lane, job.priority, job.seq
        limit turn.jobs
        for update skip locked) as place
    where not exists (select from queue.queue where id = $2 and paused_at is not null)",
    "$6",
    "job.lane, hashtextextended(job.key, 0)"
);

/// What a claim took.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(crate) jobs: Vec<Claimed>,
    /// Put aside, because their kind is paused.
    pub(crate) parked: usize,
}

impl Taken {
    pub(crate) fn new(rows: &[PgRow]) -> Result<Self, sqlx::Error> {
        let mut taken = Self::default();
        for row in rows {
            // Without a place in line it was put aside.
            if row.try_get::<Option<i64>, _>(6)?.is_some() {
                taken.jobs.push(Claimed::from_row(row)?);
            } else {
                taken.parked += 1;
            }
        }
        Ok(taken)
    }
}

/// Who claims, and what.
#[derive(Debug, Clone)]
pub(crate) struct Claimer {
    pub(crate) worker_id: i32,
    pub(crate) queue_id: i16,
    /// Jobs of other kinds are left for a worker that knows them.
    pub(crate) kinds: Vec<i32>,
    /// How much a claim raises a job's epoch: [`FIRST_STEP`], and more after each lost connection. So the lease of a
    /// claim that the server forgot in a crash is never given again, not to the same worker either.
    pub(crate) step: i32,
}

pub(crate) const FIRST_STEP: i32 = 1;

/// Claims up to `limit` jobs of the queue's plain line, best first; empty when none is ready.
pub(crate) async fn from_line(
    conn: &mut PgConnection,
    who: &Claimer,
    line: &Line,
    limit: i64,
) -> Result<Taken, sqlx::Error> {
    let ranges = line.ranges();
    let rows = sqlx::query(FROM_LINE)
        .bind(who.worker_id)
        .bind(who.queue_id)
        .bind(&who.kinds)
        .bind(limit)
        .bind(ranges.low)
        .bind(ranges.high)
        .bind(ranges.first)
        .bind(ranges.before)
        .bind(who.step)
        .fetch_all(conn)
        .await?;
    Taken::new(&rows)
}

/// Claims the jobs at these places and writes down that the worker runs so
/// many of these keys.
pub(crate) async fn from_places(
    conn: &mut PgConnection,
    who: &Claimer,
    places: &[String],
    running: i32,
    keys: &[i64],
) -> Result<Vec<PgRow>, sqlx::Error> {
    sqlx::query(FROM_PLACES)
        .bind(who.worker_id)
        .bind(places)
        .bind(who.queue_id)
        .bind(running)
        .bind(keys)
        .bind(who.step)
        .fetch_all(conn)
        .await
}

/// Moves the jobs at these places to their keys' lanes.
pub(crate) async fn to_lanes(
    conn: &mut PgConnection,
    who: &Claimer,
    places: &[String],
) -> Result<(), sqlx::Error> {
    sqlx::query(TO_LANES).bind(places).execute(&mut *conn).await?;
    sqlx::query(HAS_LANES).bind(who.queue_id).execute(conn).await?;
    Ok(())
}

/// Claims from these lanes, at most so many jobs of each.
pub(crate) async fn from_lanes(
    conn: &mut PgConnection,
    who: &Claimer,
    turns: &[Turn],
) -> Result<Taken, sqlx::Error> {
    let (lanes, jobs): (Vec<i64>, Vec<i64>) = turns.iter().map(|turn| (turn.lane, turn.jobs)).unzip();
    let rows = sqlx::query(FROM_LANES)
        .bind(who.worker_id)
        .bind(who.queue_id)
        .bind(&who.kinds)
        .bind(jobs)
        .bind(lanes)
        .bind(who.step)
        .fetch_all(conn)
        .await?;
    Taken::new(&rows)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use sqlx::{Connection, PgPool};
    use testkit::postgres::TestDatabase;

    use super::*;
    use crate::session::Session;
    use crate::{NewJob, Queue, migrate};

    /// A line whose first 20,000 jobs have ended, while a snapshot keeps them from being cleaned away.
    async fn line_of_the_dead(pool: &PgPool, queue: &Queue) -> Result<(i16, i64), sqlx::Error> {
        let mut conn = pool.acquire().await?;
        let job = || NewJob::new("mail", "welcome", ().into());
        let first = queue.enqueue(&mut conn, job()).await;
        assert!(first.is_ok());
        sqlx::raw_sql(
            "insert into queue.job (seq, kind_id, queue_id, args)
            select nextval('queue.job_seq'), kind_id, queue_id, args from queue.job, generate_series(1, 20000);
            delete from queue.job;
            insert into queue.job (seq, kind_id, queue_id, args) select nextval('queue.job_seq'), kind.id, queue.id, '{}'
            from queue.kind, queue.queue",
        )
        .execute(&mut *conn)
        .await?;
        let place = sqlx::query_scalar("select seq from queue.job")
            .fetch_one(&mut *conn)
            .await?;
        let queue_id = sqlx::query_scalar("select queue_id from queue.job")
            .fetch_one(&mut *conn)
            .await?;
        Ok((queue_id, place))
    }

    #[tokio::test]
    async fn under_a_long_snapshot_a_claim_reads_nothing_that_the_marks_have_passed()
    -> Result<(), Box<dyn std::error::Error>> {
        let database = TestDatabase::create().await;
        let pool = PgPool::connect(database.url()).await?;
        migrate(&pool).await?;
        let queue = Queue::new(pool.clone());
        let mut pin = sqlx::PgConnection::connect(database.url()).await?;
        let mut pin = pin.begin_with("begin isolation level repeatable read").await?;
        sqlx::query("select").execute(&mut *pin).await?;
        let (queue_id, place) = line_of_the_dead(&pool, &queue).await?;
        let places = |at: usize| format!("${}, ${}, ${}, ${}", at, at + 1, at + 2, at + 3);
        let enter = format!(
            "select * from queue.enter_gate($2, $1, $3, $4, 100, {}) where $9::integer is not null",
            places(5)
        );
        let pages = async |statement: &str, line: Line| {
            let ranges = line.ranges();
            let statement = format!("explain (analyze, buffers, format json) {statement}");
            let mut session = Session::new(&queue.sessions(), "explain");
            let mut plan = Value::Null;
            // What the first one reads of the catalog doesn't count.
            for _ in 0..2 {
                let look = async |conn: &mut PgConnection| {
                    let mut tx = conn.begin().await?;
                    sqlx::query_scalar(sqlx::AssertSqlSafe(statement.clone()))
                        .bind(1_i32)
                        .bind(queue_id)
                        .bind(&[1_i32][..])
                        .bind(10_i64)
                        .bind(&ranges.low)
                        .bind(&ranges.high)
                        .bind(&ranges.first)
                        .bind(&ranges.before)
                        .bind(FIRST_STEP)
                        .fetch_one(&mut *tx)
                        .await
                };
                plan = session.run(look).await?;
            }
            let pages = plan.pointer("/0/Plan/Shared Hit Blocks").and_then(Value::as_u64);
            pages.ok_or(sqlx::Error::RowNotFound)
        };
        for statement in [FROM_LINE, &enter] {
            let (from_the_left, marked) = (
                pages(statement, Line::default()).await?,
                pages(statement, Line::marked(0, place)).await?,
            );
            assert!(
                from_the_left > 200,
                "{from_the_left} pages: nothing dead to step over"
            );
            assert!(marked < 60, "{marked} pages of {from_the_left}: {statement}");
        }
        Ok(())
    }
}
