//! The statements of a look.

use super::super::standing;

pub(super) const NOW: &str = "select clock_timestamp(), (select last_value from queue.job_id)";

macro_rules! print {
    () => {
        "job.id, job.epoch, job.attempt, job.priority, job.run_at, greatest(job.created_at, job.claimed_at) as moved_at"
    };
}

/// Above the identifier `$1`, and these.
pub(super) const STANDING: &str = concat!(
    "(select ",
    print!(),
    ", ",
    standing!(),
    " as state from queue.job as job
    where job.id > $1 order by job.id desc limit 1000)
    union all
    (select ",
    print!(),
    ", ",
    standing!(),
    " as state from queue.job as job
    where job.id = any ($2) and job.id <= $1)"
);

/// What runs, of the first jobs of each priority and each lane.
pub(super) const FRONT: &str = concat!(
    "with recursive line (queue_id, priority) as (
        select queue.id, (select job.priority from queue.job as job
            where job.queue_id = queue.id and job.seq is not null and job.lane is null
            order by job.priority limit 1)
        from queue.queue as queue
        union all
        select line.queue_id, (select job.priority from queue.job as job
            where job.queue_id = line.queue_id and job.seq is not null and job.lane is null
                and job.priority > line.priority
            order by job.priority limit 1)
        from line where line.priority is not null
    ),
    lanes (queue_id, lane) as (
        select queue.id, (select job.lane from queue.job as job
            where job.queue_id = queue.id and job.seq is not null and job.lane is not null
            order by job.lane limit 1)
        from queue.queue as queue
        union all
        select lanes.queue_id, (select job.lane from queue.job as job
            where job.queue_id = lanes.queue_id and job.seq is not null and job.lane > lanes.lane
            order by job.lane limit 1)
        from lanes where lanes.lane is not null
    )
    select front.* from (select * from line where priority is not null limit 100) as line
    cross join lateral (
        select ",
    print!(),
    ", ",
    standing!(),
    " as state, job.claimed_by from queue.job as job
        where job.queue_id = line.queue_id and job.priority = line.priority and job.seq is not null
            and job.lane is null
        order by job.seq limit 100) as front
    where front.claimed_by is not null
    union all
    select front.* from (select * from lanes where lane is not null limit 100) as lanes
    cross join lateral (
        select ",
    print!(),
    ", ",
    standing!(),
    " as state, job.claimed_by from queue.job as job
        where job.queue_id = lanes.queue_id and job.lane = lanes.lane and job.seq is not null
        order by job.priority, job.seq limit 20) as front
    where front.claimed_by is not null"
);

/// The partitions that jobs which end now go to, and how many blocks each has.
pub(super) const ENDING_DAYS: &str = "
select distinct today.day + keep.days,
    coalesce(pg_relation_size(to_regclass('queue.history_' || to_char(today.day + keep.days, 'YYYYMMDD'))), 0)
        / current_setting('block_size')::bigint
from (select ((clock_timestamp() - ago) at time zone 'utc')::date as day
    from unnest(array[interval '0', interval '10 s']) as ago) as today
cross join (select keep_days::integer as days from queue.queue union select 30) as keep";

pub(super) const ENDED: &str = "
select job.id, job.finished_at from queue.history as job
where job.expires_on = $1 and job.ctid >= ('(' || $2::bigint || ',0)')::tid and job.finished_at > $3
order by job.finished_at desc limit $4";

pub(super) const FAILING_BLOCKS: &str = "
select coalesce(pg_relation_size(to_regclass('queue.attempt_'
        || to_char(clock_timestamp() at time zone 'utc', 'YYYYMMDD'))), 0) / current_setting('block_size')::bigint";

/// Of today only: of yesterday's all would have to be read.
pub(super) const FAILED: &str = "
select attempt.job_id, attempt.at from queue.attempt as attempt
where attempt.ctid >= ('(' || $1::bigint || ',0)')::tid
    and attempt.at > greatest($2, date_trunc('day', clock_timestamp() at time zone 'utc') at time zone 'utc')
order by attempt.at desc limit 1000";

pub(super) const ACTED: &str = "
select id, at, action, job_ids[1:200] as job_ids, cardinality(job_ids) as jobs from queue.audit
where at > $1 order by at desc limit 200";
