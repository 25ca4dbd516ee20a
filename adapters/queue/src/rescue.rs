//! Takes jobs from workers that have died.

use std::time::Duration;

use sqlx::{Connection, PgConnection};

use crate::finish::to_history;

/// A job that was rescued so often is suspected of killing its workers: it ends dead.
const POISON: i16 = 10;

/// Gives up workers without a heartbeat, and looks again from half a minute after a worker was given up or
/// signed off until nothing is left with it: neither a claim that was under way at that moment nor a job
/// whose row was held must stay with it for ever. `$1` is for how long the rescuer itself has been in contact
/// with the database without a break: after an outage every heartbeat is old, and nobody may be given up
/// before he had as much time to renew his as his lease allows.
const DEAD: &str = "
update queue.worker as worker set
    stopped_at = coalesce(stopped_at, clock_timestamp()),
    swept = stopped_at is not null and not exists (
        select from queue.job as job where job.claimed_by = worker.id and job.seq is not null)
where heartbeat_at < clock_timestamp() - lease_ms * interval '1 millisecond' and lease_ms < $1
  and (stopped_at is null or (not swept and stopped_at < clock_timestamp() - interval '30 seconds'))
returning id, name, not swept";

/// The jobs go to the front of the line. The attempt doesn't count: an eviction is not the job's fault. Rows
/// that another transaction holds are left for the next look: one caller must not keep all rescues waiting.
const RESCUE: &str = "
with left_behind as materialized (
    select ctid from queue.job where claimed_by = any($1) and seq is not null for update skip locked)
update queue.job set
    claimed_by = null,
    claimed_at = null,
    seq = queue.front(seq),
    epoch = epoch + 1,
    attempt = greatest(attempt - 1, 0),
    rescues = rescues + 1,
    args = coalesce(rerun_args, args),
    rerun_at = null,
    rerun_args = null
where ctid = any (array (select ctid from left_behind))
returning id, queue_id, rescues";

const BURY: &str = concat!(
    "with gone as (
        delete from queue.job where id = any($1) and claimed_by is null returning *) ",
    to_history!(
        "gone",
        "2",
        "'poison: its workers died ' || rescues || ' times while they had it'",
        "null"
    )
);

/// Rescues what dead workers held. Returns the queues that have jobs again, with how many.
pub(crate) async fn rescue(
    conn: &mut PgConnection,
    in_contact_for: Duration,
) -> Result<Vec<(i16, usize)>, sqlx::Error> {
    let contact_ms = i64::try_from(in_contact_for.as_millis()).unwrap_or(i64::MAX);
    // Together: a worker must not count as given up while its jobs still stand with it.
    let mut tx = conn.begin().await?;
    let dead: Vec<(i32, String, bool)> = sqlx::query_as(DEAD).bind(contact_ms).fetch_all(&mut *tx).await?;
    if dead.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<i32> = dead.iter().map(|(id, ..)| *id).collect();
    let rescued: Vec<(i64, i16, i16)> = sqlx::query_as(RESCUE).bind(ids).fetch_all(&mut *tx).await?;
    tx.commit().await?;
    for (id, name, first) in dead {
        if first {
            tracing::warn!(
                worker.id = id,
                worker.name = name,
                "worker is gone, rescuing its jobs"
            );
        }
    }
    let poison: Vec<i64> = rescued
        .iter()
        .filter(|(.., rescues)| *rescues >= POISON)
        .map(|(id, ..)| *id)
        .collect();
    if !poison.is_empty() {
        tracing::error!(jobs = ?poison, "jobs whose workers kept dying are dead now");
        sqlx::query(BURY).bind(poison).execute(&mut *conn).await?;
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
