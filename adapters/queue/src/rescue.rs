//! Takes jobs from workers that have died.

use std::time::Duration;

use sqlx::{Connection, PgConnection};

use crate::finish::to_history;

/// A job whose workers died without a word so often is suspected of killing them: from here on every such
/// death burns an attempt.
const SUSPECTED: i16 = 3;
/// And after so many it is dead, however many attempts it has left.
const POISON: i16 = 10;

/// Gives up workers without a heartbeat and those reported gone, and looks again from half a minute after a
/// worker was given up or signed off until nothing is left with it: neither a claim that was under way at
/// that moment nor a job whose row was held must stay with it for ever. `$1` is for how long the rescuer
/// itself has been in contact with the database without a break: after an outage every heartbeat is old, and
/// nobody may be given up before he had as much time to renew his as his lease allows. A worker whose row is
/// locked is at the gate of a queue with limits, or beats just now, and is looked at again a second later.
const DEAD: &str = "
with dead as materialized (
    select id from queue.worker
    where not swept
      and (stopped_at is null or stopped_at < clock_timestamp() - interval '30 seconds' or stopped_at < gone_at)
      and (coalesce(gone_at > coalesce(stopped_at, '-infinity'), false)
           or (heartbeat_at < clock_timestamp() - lease_ms * interval '1 millisecond' and lease_ms < $1))
    for update skip locked)
update queue.worker as worker set
    stopped_at = case when stopped_at >= gone_at or gone_at is null
        then coalesce(stopped_at, clock_timestamp()) else clock_timestamp() end,
    silent = gone_at is null and (silent or stopped_at is null),
    swept = stopped_at is not null and not exists (
        select from queue.job as job where job.claimed_by = worker.id and job.seq is not null)
from dead where worker.id = dead.id
returning worker.id, name, not swept, silent";

/// The jobs go to the front of the line. The attempt doesn't count, since an eviction is not the job's fault;
/// unless the worker died in silence (`$2`) and the job is suspected. Arguments noted for another run are
/// those of another wish, which is suspected of nothing. Rows that another transaction holds are left for
/// the next look: one caller must not keep all rescues waiting.
const RESCUE: &str = "
with left_behind as materialized (
    select ctid, claimed_by as worker_id, claimed_by = any($2) as silent,
        claimed_by = any($2) and rescues >= $3 and rerun_at is null as suspected
    from queue.job where claimed_by = any($1) and seq is not null for update skip locked),
rescued as (
    update queue.job as job set
        claimed_by = null,
        claimed_at = null,
        seq = queue.front(job.seq),
        epoch = job.epoch + 1,
        attempt = case when suspected then job.attempt else greatest(job.attempt - 1, 0) end,
        rescues = case when job.rerun_at is not null then 0 else job.rescues + silent::integer end,
        last_error = case when suspected then 'its worker died without a word' else job.last_error end,
        args = coalesce(job.rerun_args, job.args),
        rerun_at = null,
        rerun_args = null
    from left_behind where job.ctid = left_behind.ctid
    returning job.id, job.queue_id, job.rescues, job.attempt, job.max_attempts, job.last_error, job.traceparent,
        worker_id, suspected),
burned as (
    insert into queue.attempt (job_id, attempt, worker_id, error, traceparent)
    select id, attempt, worker_id, last_error, traceparent from rescued where suspected)
select id, queue_id, suspected and (rescues >= $4 or attempt >= max_attempts) from rescued";

const BURY: &str = concat!(
    "with gone as (
        delete from queue.job where id = any($1) and claimed_by is null returning *) ",
    to_history!(
        "gone",
        "2",
        "'poison: its workers died ' || rescues || ' times while they had it' ||
            case when attempt >= max_attempts then ', and its attempts are used up' else '' end",
        "null"
    )
);

/// Rescues what dead workers held. Its statements are unnamed, since it may run on a connection of the pool.
/// Returns the queues that have jobs again, with how many.
pub(crate) async fn rescue(
    conn: &mut PgConnection,
    in_contact_for: Duration,
) -> Result<Vec<(i16, usize)>, sqlx::Error> {
    let contact_ms = i64::try_from(in_contact_for.as_millis()).unwrap_or(i64::MAX);
    // Together: a worker must not count as given up while its jobs still stand with it.
    let mut tx = conn.begin().await?;
    let dead: Vec<(i32, String, bool, bool)> = sqlx::query_as(DEAD)
        .persistent(false)
        .bind(contact_ms)
        .fetch_all(&mut *tx)
        .await?;
    if dead.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<i32> = dead.iter().map(|(id, ..)| *id).collect();
    let silent: Vec<i32> = dead
        .iter()
        .filter(|(.., silent)| *silent)
        .map(|(id, ..)| *id)
        .collect();
    let rescued: Vec<(i64, i16, bool)> = sqlx::query_as(RESCUE)
        .persistent(false)
        .bind(ids)
        .bind(silent)
        .bind(SUSPECTED)
        .bind(POISON)
        .fetch_all(&mut *tx)
        .await?;
    let poison: Vec<i64> = rescued
        .iter()
        .filter(|(.., poison)| *poison)
        .map(|(id, ..)| *id)
        .collect();
    if !poison.is_empty() {
        sqlx::query(BURY)
            .persistent(false)
            .bind(&poison)
            .execute(&mut *tx)
            .await?;
    }
    tx.commit().await?;
    for (id, name, first, silent) in dead {
        if first {
            tracing::warn!(
                worker.id = id,
                worker.name = name,
                worker.silent = silent,
                "worker is gone, rescuing its jobs"
            );
        }
    }
    if !poison.is_empty() {
        tracing::error!(jobs = ?poison, "jobs whose workers kept dying are dead now");
    }
    metrics::counter!("codex_k8s_queue_rescued_total").increment(rescued.len() as u64);
    let mut queues: Vec<(i16, usize)> = Vec::new();
    for (_, queue_id, _) in rescued {
        match queues.iter_mut().find(|(id, _)| *id == queue_id) {
            Some((_, count)) => *count += 1,
            None => queues.push((queue_id, 1)),
        }
    }
    Ok(queues)
}
