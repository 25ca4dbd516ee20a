-- What people do to jobs and what they see of them: the audit of every change, counts that stay cheap, and
-- who keeps the database from cleaning up.

-- One row per batch of jobs that somebody changed, written in the change's own transaction.
create table queue.audit (
    id       bigint generated always as identity primary key,
    at       timestamptz not null default clock_timestamp(),
    actor    text not null,
    action   text not null,
    detail   text,
    job_ids  bigint[] not null,
    filter   jsonb,
    affected integer not null,
    reason   text
);

comment on column queue.audit.detail is 'the time or the priority that was given';
comment on column queue.audit.filter is 'how the jobs were chosen, where not by their identifiers';

create index audit_at on queue.audit (at);
create index audit_job on queue.audit using gin (job_ids);

-- The jobs that somebody looks for: of one correlation id, or ended badly. Plain jobs are in none of these.
create index job_correlation on queue.job (correlation_id, id) where correlation_id is not null;
create index history_correlation on queue.history (correlation_id, id) where correlation_id is not null;
create index history_unhappy on queue.history (id) where state <> 0;

-- Attempts that the worker had when it last gave a sign of life.
alter table queue.worker add column held integer;

-- Counts of unfinished jobs, as of queue.gauge_round.at.
create table queue.gauge (
    queue_id       smallint primary key,
    ready          bigint not null,
    scheduled      bigint not null,
    running        bigint not null,
    oldest_ready_s double precision not null
) with (fillfactor = 50);

create table queue.gauge_round (
    single            boolean primary key default true check (single),
    at                timestamptz not null,
    took_ms           double precision not null,
    exact             boolean not null,
    oldest_snapshot_s double precision
) with (fillfactor = 50);

-- How many jobs of the queue a worker could start now, counted no further than `at_most`: those in line and
-- those that are due, but not what is paused. A limit or rate may still keep some of them waiting. Looks at
-- no more than a hundred times as many. For autoscaling.
create function queue.runnable(queue text, at_most integer default 1000) returns bigint
language sql stable set jit = off set enable_seqscan = off set enable_bitmapscan = off as $$
    with asked as (select id from queue.queue where name = $1 and paused_at is null)
    select least(
        (select count(*) from (
            select from (
                (select kind_id, tenant, claimed_by from queue.job
                where queue_id = (select id from asked) and seq is not null and lane is null
                limit $2 * 100::bigint)
                union all
                (select kind_id, tenant, claimed_by from queue.job
                where queue_id = (select id from asked) and seq is not null and lane is not null
                limit $2 * 100::bigint)
            ) as in_line
            where claimed_by is null
                and kind_id <> all (array (select id from queue.kind where paused_at is not null))
                and (tenant is null or tenant <> all (array (
                    select tenant from queue.paused_tenant where queue_id = (select id from asked))))
            limit $2) as free)
        -- Due jobs are put in line by workers, of which there may be none yet.
        + (select count(*) from (
            select queue_id from queue.job
            where seq is null and run_at <= (select clock_timestamp()) order by run_at limit 10000) as due
        where due.queue_id = (select id from asked)),
        $2)
$$;

-- Since how many seconds the queue's oldest runnable job waits; 0 if there is none or the queue is paused.
-- Looks at the first free job of each priority and of each lane, a thousand at most, instead of at all jobs.
create function queue.oldest_ready_seconds(queue text) returns double precision
language sql stable set jit = off set enable_seqscan = off set enable_bitmapscan = off as $$
    with recursive asked as (select id from queue.queue where name = $1 and paused_at is null),
    line (priority) as (
        (select priority from queue.job
        where queue_id = (select id from asked) and seq is not null and lane is null
        order by priority limit 1)
        union all
        (select (select job.priority from queue.job as job
            where job.queue_id = (select id from asked) and job.seq is not null and job.lane is null
                and job.priority > line.priority
            order by job.priority limit 1)
        from line where line.priority is not null)
    ),
    lanes (lane) as (
        (select lane from queue.job
        where queue_id = (select id from asked) and seq is not null and lane is not null order by lane limit 1)
        union all
        (select (select job.lane from queue.job as job
            where job.queue_id = (select id from asked) and job.seq is not null and job.lane > lanes.lane
            order by job.lane limit 1)
        from lanes where lanes.lane is not null)
    ),
    oldest (at) as (
        select front.at from (select priority from line where priority is not null limit 1000) as line
        cross join lateral (
            select coalesce(job.run_at, job.created_at) as at from queue.job as job
            where job.queue_id = (select id from asked) and job.priority = line.priority
                and job.seq is not null and job.lane is null and job.claimed_by is null
            order by job.seq limit 1) as front
        union all
        select front.at from (select lane from lanes where lane is not null limit 1000) as lanes
        cross join lateral (
            select coalesce(job.run_at, job.created_at) as at from queue.job as job
            where job.queue_id = (select id from asked) and job.lane = lanes.lane
                and job.seq is not null and job.claimed_by is null
            order by job.priority, job.seq limit 1) as front
        union all
        (select due.run_at from (
            select queue_id, run_at from queue.job
            where seq is null and run_at <= (select clock_timestamp()) order by run_at limit 10000) as due
        where due.queue_id = (select id from asked) order by due.run_at limit 1)
    )
    select greatest(coalesce(extract(epoch from clock_timestamp() - min(at)), 0), 0)::double precision from oldest
$$;

-- Who keeps this database from cleaning up after finished jobs: whoever has the oldest snapshot. A role that
-- isn't a member of pg_read_all_stats sees neither the seconds nor the state of others' sessions.
create view queue.snapshot_holder as
select 'session' as sort, activity.pid, activity.application_name as name, activity.usename::text as owner,
    coalesce(activity.state, activity.backend_type) as state,
    greatest(age(activity.backend_xmin), age(activity.backend_xid))::bigint as transactions,
    extract(epoch from clock_timestamp() - activity.xact_start)::double precision as seconds,
    false as catalog_only
from pg_stat_activity as activity
where (activity.backend_xmin is not null or activity.backend_xid is not null)
    and activity.pid <> pg_backend_pid()
    and (activity.datid is null or activity.datname = current_database())
    -- A vacuum's own snapshot holds nobody back.
    and not (activity.backend_type = 'autovacuum worker' and activity.query like 'autovacuum: VACUUM%')
union all
select 'slot', slot.active_pid, slot.slot_name, null, case when slot.active then 'active' else 'inactive' end,
    greatest(age(slot.xmin), age(slot.catalog_xmin))::bigint, null, slot.xmin is null
from pg_replication_slots as slot
where (slot.xmin is not null or slot.catalog_xmin is not null)
    and (slot.database is null or slot.database = current_database())
union all
select 'prepared', null, prepared.gid, prepared.owner::text, 'prepared',
    age(prepared.transaction)::bigint,
    extract(epoch from clock_timestamp() - prepared.prepared)::double precision, false
from pg_prepared_xacts as prepared
where prepared.database = current_database();

-- Counts unfinished jobs into queue.gauge. One caller does it at a time, at most every three seconds and at most
-- a twentieth of the time (unless forced); the others return false at once. Of a table beyond 512 MB a random
-- sample of so much is read, and `exact` is false.
create function queue.refresh_gauges(p_force boolean default false) returns boolean
language plpgsql as $$
declare
    began timestamptz := clock_timestamp();
    share double precision;
    last record;
begin
    if not pg_try_advisory_xact_lock(hashtext('queue.refresh_gauges')) then
        return false;
    end if;
    select at, took_ms into last from queue.gauge_round;
    if not p_force
        and last.at + greatest(3000, last.took_ms * 20) * interval '1 millisecond' > began then
        return false;
    end if;
    share := least(100, 100 * 512.0 * 1024 * 1024 / greatest(pg_relation_size('queue.job'), 1));
    insert into queue.gauge as gauge (queue_id, ready, scheduled, running, oldest_ready_s)
    select queue.id,
        round(coalesce(counted.ready, 0) * 100 / share),
        round(coalesce(counted.scheduled, 0) * 100 / share),
        round(coalesce(counted.running, 0) * 100 / share),
        queue.oldest_ready_seconds(queue.name)
    from queue.queue as queue
    left join (
        select queue_id,
            count(*) filter (where seq is not null and claimed_by is null) as ready,
            count(*) filter (where seq is null) as scheduled,
            count(*) filter (where claimed_by is not null) as running
        from queue.job tablesample system (share)
        group by queue_id) as counted on counted.queue_id = queue.id
    on conflict (queue_id) do update set ready = excluded.ready, scheduled = excluded.scheduled,
        running = excluded.running, oldest_ready_s = excluded.oldest_ready_s;
    insert into queue.gauge_round as round (at, took_ms, exact, oldest_snapshot_s)
    values (began, extract(epoch from clock_timestamp() - began) * 1000, share >= 100,
        (select max(seconds) from queue.snapshot_holder))
    on conflict (single) do update set at = excluded.at, took_ms = excluded.took_ms, exact = excluded.exact,
        oldest_snapshot_s = excluded.oldest_snapshot_s;
    return true;
end $$;
