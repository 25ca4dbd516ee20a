-- The gate looks without locking: one claim at a time is in it, so nobody else takes what it has seen, and what it
-- takes of that is locked then. To lock all that it looked at took longer than everything else in the gate.

-- Enters the gate of a queue with limits until the end of the transaction: one claim at a time. Returns what the other
-- workers run, and the next jobs of the plain line with their keys' hashes: p_limit at most, and no more than p_room,
-- the queue's limit, has left beside the others. In plpgsql, so that the snapshots are younger than the lock.
-- queue.enter, which locks them, is for the previous version while it still runs.
create function queue.enter_gate(
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
                limit wanted) as place
            where not exists (select from queue.queue where id = p_queue and paused_at is not null)
            limit wanted)
        select others, others_keys,
            coalesce((select array_agg(line.place::text) from line), '{}'),
            coalesce((select array_agg(line.key) from line), '{}');
end $$;
