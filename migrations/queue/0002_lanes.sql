-- Lanes, limits, rates, pauses and the front of the line.
--
-- A job with a tenant stands in the lane of its tenant and key instead of the queue's plain line: claims go
-- round the tenants. A job with a key alone stands in the line, until a claim finds it blocked by a limit and
-- moves it to its key's lane: lanes that a limit blocks are left out without looking at their jobs. The previous
-- version goes on claiming while it still runs, without an index of its own and without regard to limits,
-- which none had before.

-- A lane's number: the tenant's hash above, the key's below, so that a tenant's lanes stand together. Two
-- lanes with one number share their turns and nothing else: limits are counted by whole keys.
create function queue.lane(p_tenant text, p_key text) returns bigint
language sql immutable parallel safe as $$
    select (hashtext(coalesce(p_tenant, ''))::bigint << 32) | (hashtext(coalesce(p_key, ''))::bigint & 4294967295)
$$;

-- Whoever enqueues checks what it is given: here each constraint would be prepared anew by every statement,
-- which took an eighth of an insert's time apiece, and a generated column four times the insert's.
alter table queue.job
    drop constraint job_check,
    drop constraint job_max_attempts_check,
    drop constraint job_timeout_ms_check,
    drop constraint job_unique_key_check,
    add column tenant text,
    add column key text,
    add column lane bigint,
    add column parked bigint;
alter table queue.history
    add column tenant text,
    add column key text;

create index job_line on queue.job (queue_id, priority, seq) where seq is not null and lane is null;
create index job_lane on queue.job (queue_id, lane, priority, seq) where seq is not null and lane is not null;
drop index queue.job_ready;
-- parked: the place that a job of a paused kind had, while it is put aside.
create index job_parked on queue.job (kind_id, parked) where parked is not null;

-- The place of a job that is given back: in front of all that wait, in the order of before. Claims begin at
-- the smallest place that is still to be claimed, so an old place could be passed over.
create function queue.front(p_seq bigint) returns bigint
language sql immutable parallel safe as $$
    select case when p_seq > 0 then p_seq - 4611686018427387904 else p_seq end
$$;

-- What a queue allows over the whole fleet. A rate is so many claims in so many milliseconds.
alter table queue.queue
    add column laned boolean not null default false,
    add column paused_at timestamptz,
    add column max_running integer check (max_running > 0),
    add column max_running_per_key integer check (max_running_per_key > 0),
    add column rate integer check (rate > 0),
    add column rate_period_ms integer check (rate_period_ms > 0),
    add column key_rate integer check (key_rate > 0),
    add column key_rate_period_ms integer check (key_rate_period_ms > 0),
    add check ((rate is null) = (rate_period_ms is null)),
    add check ((key_rate is null) = (key_rate_period_ms is null));
alter table queue.kind add column paused_at timestamptz;
create table queue.paused_tenant (
    queue_id  smallint not null,
    tenant    text not null,
    paused_at timestamptz not null default clock_timestamp(),
    primary key (queue_id, tenant)
);

create index worker_live on queue.worker (id) where stopped_at is null;

-- What each worker runs of a queue with limits: at least that, never less. Written with every claim of such
-- a queue, and only the newest version counts. A new row each time, and the newest read from the index's
-- end: an updated row would grow a chain of dead versions under a long snapshot.
create table queue.held (
    queue_id  smallint not null,
    worker_id integer not null,
    version   bigint generated always as identity,
    running   integer not null,
    keys      bigint[] not null,
    primary key (queue_id, worker_id, version)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- When a rate's bucket is full again (the theoretical arrival time of GCRA). Key 0 is the queue itself.
create table queue.bucket (
    queue_id smallint not null,
    key      bigint not null,
    full_at  timestamptz not null,
    primary key (queue_id, key)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);

-- Enters the gate of a queue with limits until the end of the transaction: one claim at a time. Returns what
-- the other workers run, and the next jobs of the plain line, locked, with their keys' hashes: p_limit at most,
-- and no more than p_room, what the limit leaves for all others and this claim, has left. One call, because all
-- others wait meanwhile; in plpgsql, so that the snapshots are younger than the lock.
create function queue.enter(
    p_queue smallint,
    p_worker integer,
    p_kinds integer[],
    p_limit bigint,
    p_room bigint,
    p_low smallint[],
    p_high smallint[],
    p_first bigint[],
    p_before bigint[]
) returns table (running bigint, keys bigint[], places text[], place_keys bigint[])
language plpgsql as $$
declare
    others bigint;
    others_keys bigint[];
    wanted bigint;
begin
    perform pg_advisory_xact_lock(1903520884, p_queue);
    with latest as materialized (
        select held.running, held.keys
        from queue.worker as worker
        cross join lateral (select h.running, h.keys from queue.held as h
            where h.queue_id = p_queue and h.worker_id = worker.id order by h.version desc limit 1) as held
        where worker.stopped_at is null and worker.id <> p_worker)
    select coalesce((select sum(latest.running) from latest), 0),
        coalesce((select array_agg(key) from latest cross join lateral unnest(latest.keys) as key), '{}')
    into others, others_keys;
    wanted := greatest(least(p_limit, p_room - others), 0);
    return query
        with line as materialized (
            select place.* from unnest(p_low, p_high, p_first, p_before) as part (low, high, first, before)
            cross join lateral (
                select job.ctid as place, hashtextextended(job.key, 0) as key from queue.job as job
                where job.queue_id = p_queue and job.priority >= part.low and job.priority <= part.high
                  and job.seq >= part.first and job.seq < part.before and job.seq is not null
                  and job.lane is null and job.claimed_by is null and job.kind_id = any(p_kinds)
                order by job.priority, job.seq
                limit wanted
                for update skip locked) as place
            where not exists (select from queue.queue where id = p_queue and paused_at is not null)
            limit wanted)
        select others, others_keys,
            coalesce((select array_agg(line.place::text) from line), '{}'),
            coalesce((select array_agg(line.key) from line), '{}');
end $$;

-- Enqueue from SQL, now also for a tenant or under a key.
drop function queue.enqueue(text, text, jsonb, text, text, bigint, smallint);
create function queue.enqueue(
    p_queue text,
    p_kind text,
    p_args jsonb,
    p_correlation_id text default null,
    p_traceparent text default null,
    p_delay_ms bigint default 0,
    p_priority smallint default 0,
    p_tenant text default null,
    p_key text default null
) returns bigint
language plpgsql as $$
declare
    target smallint := queue.queue_id(p_queue);
    new_id bigint;
begin
    if length(p_tenant) not between 1 and 256 or length(p_key) not between 1 and 256 then
        raise exception 'a tenant and a key have 1 to 256 characters' using errcode = 'check_violation';
    end if;
    insert into queue.job
        (seq, run_at, kind_id, queue_id, priority, correlation_id, traceparent, args, tenant, key, lane)
    values (
        case when p_delay_ms <= 0 then nextval('queue.job_seq') end,
        case when p_delay_ms > 0 then clock_timestamp() + p_delay_ms * interval '1 millisecond' end,
        queue.kind_id(p_kind), target, p_priority, p_correlation_id, p_traceparent, p_args,
        p_tenant, p_key, case when p_tenant is not null then queue.lane(p_tenant, p_key) end)
    returning id into new_id;
    if p_tenant is not null then
        update queue.queue set laned = true where id = target and not laned;
    end if;
    if p_delay_ms <= 0 then
        perform queue.wake(target);
    end if;
    return new_id;
end $$;
