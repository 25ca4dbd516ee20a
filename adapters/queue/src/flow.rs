//! Jobs that wait for others: dependencies and batches.
//!
//! A waiter's dependencies are rows of `queue.dependency`. Finishing an awaited job, like enqueueing a waiter, leaves
//! a note in `queue.settled` (see `to_history!`); [`settle`] takes the notes up and releases the waiters that have
//! no dependency left.

use std::collections::BTreeSet;

use sqlx::{Connection, PgConnection};

use crate::enqueue::{millis, timeout_ms};
use crate::{Enqueued, Error, NewJob, Queue, Verdict};

/// The most notes taken up at once.
const NOTES: i64 = 5_000;

/// A job that waits. `$13` the jobs that it waits for, `$14` whether any end will do, `$15` the time where
/// it isn't the delay `$9`. Nothing is inserted where one
/// of them is unknown: it is named instead.
const INSERT: &str = "
with given as materialized (select distinct id from unnest($13::bigint[]) as given (id)),
unknown as materialized (
    select given.id from given
    where not exists (select from queue.job as job where job.id = given.id)
      and not exists (select from queue.history as job where job.id = given.id)),
new as (
    insert into queue.job
        (queue_id, kind_id, priority, max_attempts, timeout_ms, correlation_id, traceparent, tags, args, tenant, key,
         lane, waiting, not_before)
    select $1::smallint, $2::integer, $3::smallint, $4::integer, $5::integer, $6::text, $7::text, $8::text[],
        $10::jsonb, $11::text, $12::text, case when $11::text is not null then queue.lane($11::text, $12::text) end, true,
        case when $9::bigint > 0 then clock_timestamp() + $9::bigint * interval '1 millisecond' else $15::timestamptz end
    where not exists (select from unknown)
    returning id),
edges as (
    insert into queue.dependency (on_id, waiter_id, any_end)
    select given.id, new.id, $14::boolean from given cross join new),
note as (insert into queue.settled (job_id, is_new) select id, true from new)
select (select id from new), (select min(id) from unknown)";

/// Only one process at a time: two that each took up one of a waiter's last two ends would both see the other's
/// dependency still there.
const ENTER: &str = "select pg_try_advisory_xact_lock(hashtext('queue.settle'))";

const TAKE: &str = "
delete from queue.settled where id = any (array (select id from queue.settled order by id limit $1))
returning job_id, is_new";

/// From now on the end of these is noted. Until then it was not, so what has ended meanwhile is looked up after.
const MARK: &str = "
with held as materialized (
    select job.ctid from queue.dependency as dependency
    join queue.job as job on job.id = dependency.on_id and job.awaited is not true
    where dependency.waiter_id = any($1)
    for no key update of job skip locked)
update queue.job set awaited = true where ctid = any (array (select ctid from held))";

/// Those with a dependency that somebody held when it was to be marked come again.
const AGAIN: &str = "
insert into queue.settled (job_id, is_new)
select distinct dependency.waiter_id, true from queue.dependency as dependency
join queue.job as job on job.id = dependency.on_id and job.awaited is not true
where dependency.waiter_id = any($1)";

/// `$1` jobs that are over, `$2` waiters to look at. A job that was run again stands in queue.job only.
const RESOLVE: &str = "
delete from queue.dependency as dependency
where (on_id = any($1) or waiter_id = any($2))
  and not exists (select from queue.job as job where job.id = dependency.on_id)
  and (any_end or exists (
    select from queue.history as job where job.id = dependency.on_id and job.state = 0))
returning waiter_id";

const RELEASE: &str = "
with held as materialized (
    select ctid from queue.job as job
    where id = any($1) and waiting
      and not exists (select from queue.dependency as dependency where dependency.waiter_id = job.id)
    for update skip locked)
update queue.job set
    seq = case when not_before > clock_timestamp() then null else nextval('queue.job_seq') end,
    run_at = greatest(not_before, clock_timestamp()),
    waiting = null,
    not_before = null
where ctid = any (array (select ctid from held))
returning queue_id";

/// Waiters that are free, but somebody holds their row: they come again.
const RELEASE_AGAIN: &str = "
insert into queue.settled (job_id, is_new)
select id, true from queue.job as job
where id = any($1) and waiting
  and not exists (select from queue.dependency as dependency where dependency.waiter_id = job.id)";

/// What the notes don't tell: ends written by the previous version, and jobs that somebody deleted. Waiters for a
/// job whose end would not be noted are looked at again; dependencies of what doesn't wait any more go.
const RECHECK: &str = "
with gone as (
    delete from queue.dependency as dependency where not exists (
        select from queue.job as job where job.id = dependency.waiter_id and job.waiting))
insert into queue.settled (job_id, is_new)
select distinct dependency.waiter_id, true from queue.dependency as dependency
where not exists (select from queue.job as job where job.id = dependency.on_id and job.awaited)";

/// What one round of [`settle`] did.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    /// Queues that have jobs again.
    pub(crate) queues: BTreeSet<i16>,
    /// There may be more.
    pub(crate) more: bool,
}

/// Takes up what has been noted and releases the waiters that wait for nothing more. Locks only what nobody
/// holds, and only for its own short transaction.
pub(crate) async fn settle(conn: &mut PgConnection) -> Result<Settled, sqlx::Error> {
    let any: bool = sqlx::query_scalar("select exists (select from queue.settled)")
        .fetch_one(&mut *conn)
        .await?;
    if !any {
        return Ok(Settled::default());
    }
    let mut tx = conn.begin().await?;
    if !sqlx::query_scalar::<_, bool>(ENTER).fetch_one(&mut *tx).await? {
        return Ok(Settled::default());
    }
    let notes: Vec<(i64, bool)> = sqlx::query_as(TAKE).bind(NOTES).fetch_all(&mut *tx).await?;
    let over: Vec<i64> = notes.iter().filter(|(_, new)| !new).map(|(id, _)| *id).collect();
    let mut waiters: Vec<i64> = notes.iter().filter(|(_, new)| *new).map(|(id, _)| *id).collect();
    if !waiters.is_empty() {
        for statement in [MARK, AGAIN] {
            sqlx::query(statement).bind(&waiters).execute(&mut *tx).await?;
        }
    }
    let resolved: Vec<i64> = sqlx::query_scalar(RESOLVE)
        .bind(over)
        .bind(&waiters)
        .fetch_all(&mut *tx)
        .await?;
    waiters.extend(resolved);
    waiters.sort_unstable();
    waiters.dedup();
    let released: Vec<i16> = sqlx::query_scalar(RELEASE)
        .bind(&waiters)
        .fetch_all(&mut *tx)
        .await?;
    sqlx::query(RELEASE_AGAIN)
        .bind(&waiters)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(Settled {
        queues: released.into_iter().collect(),
        more: notes.len() as i64 == NOTES,
    })
}

/// Looks again at what may have ended without a note.
pub(crate) async fn recheck(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query(RECHECK).execute(conn).await.map(|_| ())
}

/// These don't wait any more, whatever for.
pub(crate) async fn forget(conn: &mut PgConnection, ids: &[i64]) -> Result<(), sqlx::Error> {
    sqlx::query("delete from queue.dependency where waiter_id = any($1)")
        .persistent(false)
        .bind(ids)
        .execute(conn)
        .await
        .map(|_| ())
}

impl Queue {
    /// Enqueues jobs and one more that runs when all of them have ended, in whatever state; with none it runs
    /// at once. Returns what became of the jobs, in their order, and of the last one. For all or nothing call
    /// it in a transaction; on a plain connection a crash may leave the jobs without the last one.
    pub async fn enqueue_batch(
        &self,
        conn: &mut PgConnection,
        jobs: Vec<NewJob>,
        when_all_done: NewJob,
    ) -> Result<(Vec<Enqueued>, Enqueued), Error> {
        // Refused before anything is enqueued.
        let probe = NewJob {
            after: vec![0],
            ..when_all_done.clone()
        };
        probe.check()?;
        let jobs = self.enqueue_many(&mut *conn, jobs).await?;
        let ids: Vec<i64> = jobs.iter().map(|job| job.id).collect();
        let last = if ids.is_empty() {
            self.enqueue(conn, when_all_done).await?
        } else {
            self.enqueue_waiting(conn, when_all_done, &ids, true).await?
        };
        Ok((jobs, last))
    }

    /// The unfinished or failed jobs that this one waits for, in the order of their identifiers.
    pub async fn waits_for(&self, id: i64) -> Result<Vec<i64>, Error> {
        let ids =
            sqlx::query_scalar("select on_id from queue.dependency where waiter_id = $1 order by on_id");
        let mut unit = self.own_unit().await?;
        let ids = ids
            .persistent(self.named())
            .bind(id)
            .fetch_all(&mut *unit)
            .await?;
        unit.end().await?;
        Ok(ids)
    }

    /// Enqueues a job that waits for these.
    pub(crate) async fn enqueue_waiting(
        &self,
        conn: &mut PgConnection,
        job: NewJob,
        on: &[i64],
        any_end: bool,
    ) -> Result<Enqueued, Error> {
        job.check()?;
        let queue_id = self.names().queue(&job.queue).await?;
        let kind_id = self.names().kind(&job.kind).await?;
        if job.is_in_lane() {
            self.names().lanes_of(queue_id).await?;
        }
        let mut unit = self.unit(conn).await?;
        let query = sqlx::query_as(INSERT)
            .persistent(self.named())
            .bind(queue_id)
            .bind(kind_id)
            .bind(job.priority)
            .bind(job.max_attempts)
            .bind(timeout_ms(&job))
            .bind(job.correlation_id)
            .bind(job.traceparent)
            .bind((!job.tags.is_empty()).then_some(job.tags))
            .bind(millis(job.delay))
            .bind(job.args)
            .bind(job.tenant)
            .bind(job.key)
            .bind(on)
            .bind(any_end)
            .bind(job.run_at);
        let answer: (Option<i64>, Option<i64>) = query.fetch_one(&mut *unit).await?;
        unit.end().await?;
        match answer {
            (Some(id), _) => Ok(Enqueued {
                id,
                verdict: Verdict::Inserted,
            }),
            (None, unknown) => Err(Error::Invalid(format!(
                "there is no job {} to wait for",
                unknown.unwrap_or(0)
            ))),
        }
    }
}
