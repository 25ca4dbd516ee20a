//! What is sent for each sort of change.
//!
//! Rows that another transaction holds are left alone by all of these: one caller must not keep a bulk waiting.

use super::super::standing;
use crate::finish::to_history;

pub(super) const HASTEN: &str = "
with held as materialized (
    select ctid from queue.job where id = any($1) and seq is null and parked is null for update skip locked)
update queue.job set seq = nextval('queue.job_seq'), run_at = clock_timestamp(), attempt = 0,
    waiting = null, not_before = null
where ctid = any (array (select ctid from held)) returning id, queue_id";

/// A key that is taken, by an unfinished job or by another of these, leaves its job where it is. Its epochs
/// begin anywhere: an acknowledgement of an earlier life that comes late must fit none of its new leases. Others
/// may wait for it, as they did.
pub(super) const REVIVE: &str = "
with held as materialized (
    select * from queue.history where id = any($1) and state in (1, 2) for update skip locked),
back as (
    insert into queue.job (id, seq, run_at, epoch, created_at, kind_id, max_attempts, timeout_ms, queue_id,
        priority, unique_key, correlation_id, traceparent, last_error, tags, args, tenant, key, lane, awaited)
    select id, nextval('queue.job_seq'), clock_timestamp(),
        (random() * 2000000000)::integer,
        created_at, kind_id, max_attempts, timeout_ms, queue_id, priority, unique_key, correlation_id,
        traceparent, reason, tags, args, tenant, key,
        case when tenant is not null then queue.lane(tenant, key) end, true
    from held order by id
    on conflict do nothing
    returning id, queue_id),
gone as (
    delete from queue.history as history using back where history.id = back.id and history.state in (1, 2))
select id, queue_id from back";

pub(super) const FORGET_REQUESTS: &str = "delete from queue.cancel_request where job_id = any($1)";

pub(super) const CANCEL: &str = concat!(
    "with held as materialized (
        select ctid from queue.job where id = any($1) and claimed_by is null for update skip locked),
    gone as (
        delete from queue.job where ctid = any (array (select ctid from held)) returning *) ",
    to_history!("gone", "1", "$2::text", "null"),
    " returning id"
);

pub(super) const REQUEST: &str = "
with running as (select id from queue.job where id = any($1) and claimed_by is not null),
asked as (
    insert into queue.cancel_request (job_id) select id from running on conflict do nothing)
select id from running";

pub(super) const DELETE_WAITING: &str = "
with held as materialized (
    select ctid from queue.job where id = any($1) and claimed_by is null for update skip locked)
delete from queue.job where ctid = any (array (select ctid from held)) returning id";

pub(super) const DELETE_FINISHED: &str = "delete from queue.history where id = any($1) returning id";

pub(super) const DELETE_ATTEMPTS: &str = "delete from queue.attempt where job_id = any($1)";

/// $2 the delay in ms, else $3 the time, else now.
pub(super) const RESCHEDULE: &str = "
with wish as materialized (
    select coalesce(clock_timestamp() + $2::bigint * interval '1 millisecond', $3::timestamptz, '-infinity') as at),
held as materialized (
    select ctid from queue.job where id = any($1) and claimed_by is null and waiting is not true
    for update skip locked)
update queue.job as job set
    seq = case
        when wish.at <= clock_timestamp() and (job.seq is not null or job.parked is null)
        then coalesce(job.seq, nextval('queue.job_seq')) end,
    parked = case when wish.at <= clock_timestamp() then job.parked end,
    run_at = case
        when wish.at > clock_timestamp() then wish.at
        when job.seq is null and job.parked is null then clock_timestamp()
        else job.run_at end
from wish where job.ctid = any (array (select ctid from held))
returning job.id, case when job.seq is not null then job.queue_id end";

/// A new place: the old one may lie before what workers of that line still look at.
pub(super) const PRIORITY: &str = "
with held as materialized (
    select ctid from queue.job where id = any($1) and claimed_by is null for update skip locked)
update queue.job set
    seq = case when seq is null or priority = $2 then seq else nextval('queue.job_seq') end,
    priority = $2
where ctid = any (array (select ctid from held))
returning id, case when seq is not null then queue_id end";

/// How these stand, and which unfinished job has their key.
pub(super) const STATES: &str = concat!(
    "
select job.id, ",
    standing!(),
    ",
    null::bigint
from queue.job as job where job.id = any($1)
union all
select job.id, job.state, (select rival.id from queue.job as rival where rival.unique_key = job.unique_key)
from queue.history as job where job.id = any($1)"
);
