//! Writes down how attempts ended, many in a statement. Every statement is fenced by worker and epoch: what
//! a stale worker says about a job is refused.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use sqlx::PgConnection;
use sqlx::types::Json;

use crate::outcome::Finish;
use crate::running::Begun;
use crate::tally::Held;

/// One attempt's end.
#[derive(Debug, Clone)]
pub(crate) struct Ack {
    pub(crate) id: i64,
    pub(crate) epoch: i32,
    /// Has a unique key: somebody's open transaction may hold the row.
    pub(crate) keyed: bool,
    /// The handler has completed the job in its own transaction.
    pub(crate) settled: bool,
    /// A write of it has failed, and may have been carried out all the same.
    pub(crate) unsure: bool,
    pub(crate) finish: Finish,
    /// The attempt counts as running until its end is written.
    pub(crate) _attempt: Option<Arc<Begun>>,
    /// And against its limits.
    pub(crate) _held: Option<Arc<Held>>,
}

/// Goes on after `with gone as (...)`: notes the ends that others wait for (see `flow`), and moves the jobs to
/// history, where each stays as long as its queue says when it ends. The queues' days
/// are looked up once a statement, as an array by the queue's number: a join would cost every row.
macro_rules! to_history {
    ($from:literal, $state:literal, $reason:literal, $result:literal) => {
        concat!(
            ", noted as (insert into queue.settled (job_id) select id from gone where awaited)
            insert into queue.history (id, created_at, started_at, kind_id, worker_id, attempt, max_attempts,
                timeout_ms, queue_id, priority, state, unique_key, correlation_id, traceparent, reason, tags,
                args, tenant, key, run_at, result, expires_on)
            select id, created_at, claimed_at, kind_id, claimed_by, attempt, max_attempts, timeout_ms, queue_id,
                priority, ",
            $state,
            ", unique_key, correlation_id, traceparent, ",
            $reason,
            ", tags, args, tenant, key, run_at, ",
            $result,
            ", coalesce((
                select array_agg((clock_timestamp() at time zone 'utc')::date + retention.keep_days order by n)
                from generate_series(1, (select max(retention.id)::integer from queue.queue as retention)) as n
                left join queue.queue as retention on retention.id = n)[queue_id],
                (clock_timestamp() at time zone 'utc')::date + 30)
            from ",
            $from
        )
    };
}
pub(crate) use to_history;

/// The longest wait that can be asked for, ten years: the database's times end somewhere.
pub(crate) const FOREVER: Duration = Duration::from_hours(10 * 365 * 24);

/// The hot path: completed, without a result and without a key. A job with a rerun noted stays.
const COMPLETE: &str = concat!(
    "with gone as (
        delete from queue.job as job using unnest($1::bigint[], $2::integer[]) as ack (id, epoch)
        where job.id = ack.id and job.epoch = ack.epoch and job.claimed_by = $3 and job.rerun_at is null
        returning job.*) ",
    to_history!("gone", "0", "null", "null")
);

/// Any end, one by one or many. Rows that another transaction holds are left for the next time: a caller
/// who enqueues under a key must not keep all acknowledgements waiting.
const END: &str = concat!(
    "with held as materialized (
        select job.ctid, ack.state, ack.reason, ack.result
        from unnest($1::bigint[], $2::integer[], $4::smallint[], $5::text[], $6::jsonb[])
            as ack (id, epoch, state, reason, result)
        join queue.job as job
            on job.id = ack.id and job.epoch = ack.epoch and job.claimed_by = $3 and job.rerun_at is null
        for update of job skip locked),
    gone as (
        delete from queue.job as job using held where job.ctid = held.ctid
        returning job.*, held.state, held.reason, held.result),
    failed as (
        insert into queue.attempt (job_id, attempt, worker_id, error, traceparent)
        select id, attempt, claimed_by, reason, traceparent from gone where state = 2) ",
    to_history!("gone", "state", "reason", "result"),
    " returning id"
);

/// An end with a rerun noted: the old job goes to history, a new one with the noted arguments takes its
/// key. $4 state, $5 reason, $6 result.
macro_rules! end_and_rerun {
    ($which:literal) => {
        concat!(
            "with gone as (
                delete from queue.job where ",
            $which,
            " returning *),
            failed as (
                insert into queue.attempt (job_id, attempt, worker_id, error, traceparent)
                select id, attempt, claimed_by, $5::text, traceparent from gone where $4::smallint = 2),
            again as (
                insert into queue.job (seq, run_at, kind_id, max_attempts, timeout_ms, queue_id, priority,
                    unique_key, correlation_id, traceparent, tags, args, tenant, key, lane)
                select case when rerun_at <= clock_timestamp() then nextval('queue.job_seq') end,
                    case when rerun_at > clock_timestamp() then rerun_at end,
                    kind_id, max_attempts, timeout_ms, queue_id, priority, unique_key, correlation_id,
                    traceparent, tags, coalesce(rerun_args, args), tenant, key, lane
                from gone) ",
            to_history!("gone", "$4::smallint", "$5::text", "$6::jsonb")
        )
    };
}

/// In the handler's own transaction, which waits for a row that another one holds.
const END_AND_RERUN: &str =
    end_and_rerun!("id = $1 and epoch = $2 and claimed_by = $3 and rerun_at is not null");

/// In the acker, which has the ends of others to write and comes back.
const END_AND_RERUN_UNLESS_HELD: &str = end_and_rerun!(
    "ctid = any (array (select ctid from queue.job
        where id = $1 and epoch = $2 and claimed_by = $3 and rerun_at is not null
        for update skip locked))"
);

/// Back into the queue. $4 delay in ms (null: at once, in front of all that wait), $5 the error: only an attempt
/// with an error counts.
const PUT_BACK: &str = "
with held as materialized (
    select job.ctid, ack.delay_ms, ack.error
    from unnest($1::bigint[], $2::integer[], $4::bigint[], $5::text[]) as ack (id, epoch, delay_ms, error)
    join queue.job as job on job.id = ack.id and job.epoch = ack.epoch and job.claimed_by = $3
    for update of job skip locked),
back as (
    update queue.job as job set
        claimed_by = null,
        claimed_at = null,
        epoch = job.epoch + 1,
        attempt = case when held.error is not null then job.attempt else greatest(job.attempt - 1, 0) end,
        seq = case when held.delay_ms is null then queue.front(job.seq) end,
        run_at = case when held.delay_ms is not null
            then least(clock_timestamp() + held.delay_ms * interval '1 millisecond', job.rerun_at) end,
        args = coalesce(job.rerun_args, job.args),
        rerun_at = null,
        rerun_args = null,
        last_error = coalesce(held.error, job.last_error)
    from held
    where job.ctid = held.ctid
    returning job.id, job.attempt, held.error, job.traceparent),
failed as (
    insert into queue.attempt (job_id, attempt, worker_id, error, traceparent)
    select id, attempt, $3, error, traceparent from back where error is not null)
select id from back";

/// Which of these leases still stand, and whether they have a rerun noted.
const STANDING: &str = "
select job.id, job.epoch, job.rerun_at is not null
from unnest($1::bigint[], $2::integer[]) as ack (id, epoch)
join queue.job as job on job.id = ack.id and job.epoch = ack.epoch and job.claimed_by = $3";

/// Of these jobs, those that this worker has finished.
const FINISHED: &str = "select id from queue.history where id = any($1) and worker_id = $2";

/// Writes the ends down, a statement per sort of end. Takes out of `acks` what is settled; what stays waits
/// for a row that another transaction holds. Returns how many were refused as stale.
pub(crate) async fn write(
    conn: &mut PgConnection,
    worker_id: i32,
    acks: &mut Vec<Ack>,
) -> Result<usize, sqlx::Error> {
    let (ids, epochs) = leases(acks.iter().filter(|ack| is_hot(ack)));
    if !ids.is_empty() {
        let done = sqlx::query(COMPLETE)
            .bind(&ids)
            .bind(&epochs)
            .bind(worker_id)
            .execute(&mut *conn)
            .await?;
        if done.rows_affected() == ids.len() as u64 {
            acks.retain(|ack| !is_hot(ack));
        }
    }
    let ended = end(conn, worker_id, acks).await?;
    acks.retain(|ack| !ended.contains(&ack.id));
    let back = put_back(conn, worker_id, acks).await?;
    acks.retain(|ack| !back.contains(&ack.id));
    if acks.is_empty() {
        Ok(0)
    } else {
        settle_rest(conn, worker_id, acks).await
    }
}

fn is_hot(ack: &Ack) -> bool {
    !ack.keyed && matches!(ack.finish, Finish::Completed(None))
}

fn leases<'a>(acks: impl Iterator<Item = &'a Ack>) -> (Vec<i64>, Vec<i32>) {
    acks.map(|ack| (ack.id, ack.epoch)).unzip()
}

type End<'a> = (i16, Option<&'a str>, Option<Json<&'a serde_json::Value>>);

/// State, reason and result of an end; `None` where the job goes back.
fn end_of(finish: &Finish) -> Option<End<'_>> {
    match finish {
        Finish::Completed(result) => Some((0, None, result.as_ref().map(Json))),
        Finish::Cancelled(reason) => Some((1, Some(reason), None)),
        Finish::Dead(reason) => Some((2, Some(reason), None)),
        Finish::Retry { .. } | Finish::Snooze(_) | Finish::Release => None,
    }
}

async fn end(conn: &mut PgConnection, worker_id: i32, acks: &[Ack]) -> Result<HashSet<i64>, sqlx::Error> {
    let ends = || {
        acks.iter()
            .filter(|ack| !is_hot(ack))
            .filter_map(|ack| Some((ack, end_of(&ack.finish)?)))
    };
    let (ids, epochs) = leases(ends().map(|(ack, _)| ack));
    if ids.is_empty() {
        return Ok(HashSet::new());
    }
    let states: Vec<i16> = ends().map(|(_, (state, _, _))| state).collect();
    let reasons: Vec<Option<&str>> = ends().map(|(_, (_, reason, _))| reason).collect();
    let results: Vec<Option<Json<&serde_json::Value>>> = ends().map(|(_, (_, _, result))| result).collect();
    let query = sqlx::query_scalar(END)
        .bind(ids)
        .bind(epochs)
        .bind(worker_id)
        .bind(states)
        .bind(reasons);
    Ok(query.bind(results).fetch_all(conn).await?.into_iter().collect())
}

async fn put_back(
    conn: &mut PgConnection,
    worker_id: i32,
    acks: &[Ack],
) -> Result<HashSet<i64>, sqlx::Error> {
    let back = || acks.iter().filter(|ack| end_of(&ack.finish).is_none());
    let (ids, epochs) = leases(back());
    if ids.is_empty() {
        return Ok(HashSet::new());
    }
    let millis = |delay: &Duration| i64::try_from((*delay).min(FOREVER).as_millis()).unwrap_or(0);
    let mut delays: Vec<Option<i64>> = Vec::with_capacity(ids.len());
    let mut errors: Vec<Option<&str>> = Vec::with_capacity(ids.len());
    for ack in back() {
        let (delay, error) = match &ack.finish {
            Finish::Retry { error, delay } => (Some(millis(delay)), Some(error.as_str())),
            Finish::Snooze(delay) => (Some(millis(delay)), None),
            _ => (None, None),
        };
        delays.push(delay);
        errors.push(error);
    }
    let query = sqlx::query_scalar(PUT_BACK)
        .bind(ids)
        .bind(epochs)
        .bind(worker_id);
    Ok(query
        .bind(delays)
        .bind(errors)
        .fetch_all(conn)
        .await?
        .into_iter()
        .collect())
}

/// What didn't go through or isn't known to have. A lease that still stands has a rerun noted or its row is
/// held. Any other is over: this worker has finished the job (here, before a connection was lost, or in the
/// handler's own transaction), or it is stale and refused.
async fn settle_rest(
    conn: &mut PgConnection,
    worker_id: i32,
    acks: &mut Vec<Ack>,
) -> Result<usize, sqlx::Error> {
    let (ids, epochs) = leases(acks.iter());
    let standing: Vec<(i64, i32, bool)> = sqlx::query_as(STANDING)
        .bind(ids)
        .bind(epochs)
        .bind(worker_id)
        .fetch_all(&mut *conn)
        .await?;
    let standing: HashMap<(i64, i32), bool> = standing
        .into_iter()
        .map(|(id, epoch, rerun)| ((id, epoch), rerun))
        .collect();
    let finished: Vec<i64> = sqlx::query_scalar(FINISHED)
        .bind(acks.iter().map(|ack| ack.id).collect::<Vec<_>>())
        .bind(worker_id)
        .fetch_all(&mut *conn)
        .await?;
    let finished: HashSet<i64> = finished.into_iter().collect();
    let mut rerun = HashSet::new();
    for ack in acks.iter() {
        let noted = standing.get(&(ack.id, ack.epoch)) == Some(&true) && end_of(&ack.finish).is_some();
        if noted && end_and_rerun(conn, END_AND_RERUN_UNLESS_HELD, worker_id, ack, true).await? {
            rerun.insert(ack.id);
        }
    }
    // Nothing may fail from here on: an end that is taken out is settled.
    let mut refused = 0;
    acks.retain(|ack| {
        if standing.contains_key(&(ack.id, ack.epoch)) {
            return !rerun.contains(&ack.id);
        }
        // A give-back of what was taken away already is no lie. A job put back leaves no trace that tells whether
        // this worker did it.
        let was_put_back = ack.finish == Finish::Release || ack.unsure && end_of(&ack.finish).is_none();
        if !ack.settled && !was_put_back && !finished.contains(&ack.id) {
            tracing::warn!(
                job.id = ack.id,
                job.epoch = ack.epoch,
                "stale acknowledgement refused"
            );
            refused += 1;
        }
        false
    });
    Ok(refused)
}

async fn end_and_rerun(
    conn: &mut PgConnection,
    statement: &'static str,
    worker_id: i32,
    ack: &Ack,
    named: bool,
) -> Result<bool, sqlx::Error> {
    let Some((state, reason, result)) = end_of(&ack.finish) else {
        return Ok(false);
    };
    let query = sqlx::query(statement)
        .persistent(named)
        .bind(ack.id)
        .bind(ack.epoch)
        .bind(worker_id);
    let done = query.bind(state).bind(reason).bind(result).execute(conn).await?;
    Ok(done.rows_affected() > 0)
}

/// Completes one job in the caller's transaction; false if the lease is lost.
pub(crate) async fn complete_one(
    conn: &mut PgConnection,
    worker_id: i32,
    id: i64,
    epoch: i32,
    named: bool,
) -> Result<bool, sqlx::Error> {
    let query = sqlx::query(COMPLETE)
        .persistent(named)
        .bind(vec![id])
        .bind(vec![epoch])
        .bind(worker_id);
    if query.execute(&mut *conn).await?.rows_affected() == 1 {
        return Ok(true);
    }
    let ack = Ack {
        id,
        epoch,
        keyed: true,
        settled: true,
        unsure: false,
        finish: Finish::Completed(None),
        _attempt: None,
        _held: None,
    };
    end_and_rerun(conn, END_AND_RERUN, worker_id, &ack, named).await
}
