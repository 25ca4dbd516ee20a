-- Under a long snapshot nothing dead can be cleaned away. What follows no longer reads it.

-- A claim's range within one priority asks for that priority by equality. When it asked for `priority >= x and
-- priority <= x` the index was read over every entry of the priority, whatever was asked of the places: those of
-- all jobs that have ended since the oldest snapshot was taken.

-- Enters the gate of a queue with limits until the end of the transaction: one claim at a time. Returns what the other
-- workers run, and the next jobs of the plain line with their keys' hashes: p_limit at most, and no more than p_room,
-- the queue's limit, has left beside the others. In plpgsql, so that the snapshots are younger than the lock.
-- queue.enter, which locks them, is for the previous version while it still runs.
create or replace function queue.enter_gate(
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
                select one.* from (
                    select job.ctid as place, hashtextextended(job.key, 0) as key from queue.job as job
                    where part.low = part.high and job.queue_id = p_queue and job.priority = part.low
                      and job.seq >= part.first and job.seq < part.before and job.seq is not null and job.lane is null
                      and job.claimed_by is null and job.kind_id = any(p_kinds)
                    order by job.seq
                    limit wanted) as one
                union all
                select several.* from (
                    select job.ctid as place, hashtextextended(job.key, 0) as key from queue.job as job
                    where part.low < part.high and job.queue_id = p_queue
                      and job.priority >= part.low and job.priority <= part.high
                      and job.seq is not null and job.lane is null
                      and job.claimed_by is null and job.kind_id = any(p_kinds)
                    order by job.priority, job.seq
                    limit wanted) as several) as place
            where not exists (select from queue.queue where id = p_queue and paused_at is not null)
            limit wanted)
        select others, others_keys,
            coalesce((select array_agg(line.place::text) from line), '{}'),
            coalesce((select array_agg(line.key) from line), '{}');
end $$;

-- The oldest runnable job comes out of the same pass over the table as the counts. Finding it by the index steps
-- over the entries of every job that has ended since the oldest snapshot was taken: half a million of them after
-- ten minutes, at each round, while workers claim.

-- Counts unfinished jobs into queue.gauge. One caller does it at a time, at most every three seconds and at most
-- a fortieth of the time (unless forced); the others return false at once. Of a table beyond 512 MB a random
-- sample of so much is read, and `exact` is false.
create or replace function queue.refresh_gauges(p_force boolean default false) returns boolean
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
        and last.at + greatest(3000, last.took_ms * 40) * interval '1 millisecond' > began then
        return false;
    end if;
    share := least(100, 100 * 512.0 * 1024 * 1024 / greatest(pg_relation_size('queue.job'), 1));
    insert into queue.gauge as gauge (queue_id, ready, scheduled, running, oldest_ready_s)
    select queue.id,
        round(coalesce(counted.ready, 0) * 100 / share),
        round(coalesce(counted.scheduled, 0) * 100 / share),
        round(coalesce(counted.running, 0) * 100 / share),
        case
            when queue.paused_at is not null then 0
            -- A sample may miss the oldest.
            when share < 100 then queue.oldest_ready_seconds(queue.name)
            else greatest(coalesce(extract(epoch from clock_timestamp() - counted.oldest), 0), 0)
        end
    from queue.queue as queue
    left join (
        select queue_id,
            count(*) filter (where seq is not null and claimed_by is null) as ready,
            count(*) filter (where seq is null) as scheduled,
            count(*) filter (where claimed_by is not null) as running,
            min(case
                when seq is null then case when run_at <= began then run_at end
                when claimed_by is null then coalesce(run_at, created_at)
            end) as oldest
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
