-- How many jobs ended, how long they had waited and run: by minute, quarter and hour, so that nobody who looks at a
-- day has to read what ended in it. Counted out of history once, by one worker of the fleet at a time.

-- Nobody may write to history while it gets a column; asked for in short tries, as in 0006.
do $$
begin
    for try in 1..600 loop
        begin
            set local lock_timeout = '200ms';
            lock table queue.history in access exclusive mode;
            set local lock_timeout = 0;
            return;
        exception when lock_not_available then
            perform pg_sleep(0.1);
        end;
    end loop;
    raise exception 'queue.history is in use without a break: try again';
end $$;

alter table queue.history add column run_at timestamptz;
comment on column queue.history.run_at is 'the time that the last attempt had to wait for; null if it had none';

-- Jobs stand in the order of their end, so a summary per 32 pages finds those of a minute and costs an end nothing.
create index history_finished on queue.history using brin (finished_at)
    with (pages_per_range = 32, autosummarize = on);

create table queue.throughput (
    minutes   smallint not null check (minutes in (1, 15, 60)),
    at        timestamptz not null,
    queue_id  smallint not null,
    completed bigint not null,
    cancelled bigint not null,
    dead      bigint not null,
    start_ms  jsonb not null,
    run_ms    jsonb not null,
    primary key (minutes, at, queue_id)
) with (fillfactor = 70);

comment on table queue.throughput is 'what ended from `at` on for so many minutes; no row where nothing did';
comment on column queue.throughput.start_ms is
    'jobs by how long they had been ready when their last attempt began: {slot: jobs}, see queue.latency_slot';
comment on column queue.throughput.run_ms is 'jobs by how long their last attempt ran: {slot: jobs}';

create table queue.throughput_round (
    single boolean primary key default true check (single),
    upto   timestamptz not null
) with (fillfactor = 50);
comment on column queue.throughput_round.upto is 'what ended before is counted';

insert into queue.throughput_round (upto) values (date_trunc('hour', clock_timestamp() - interval '7 days'));

-- Slot n holds times from 2^(n/2) ms on to the next slot's: by steps of a factor of 1.4, up to 34 days.
create function queue.latency_slot(p_time interval) returns smallint
language sql immutable parallel safe as $$
    select least(63, floor(2 / ln(2::double precision)
        * ln(greatest(extract(epoch from p_time)::double precision * 1000, 1))))::smallint
$$;

-- Counts what has ended since the last time, up to the last whole minute; for about a second at most, the rest at the
-- next call. False if there was nothing to do or another one does it. A minute is counted ten seconds after it is
-- over: an end is dated when it is written and seen when its transaction commits. What takes longer to commit isn't
-- counted. By one process: this must not take the cores that work is done on.
create function queue.roll_up() returns boolean
language plpgsql
set enable_seqscan = off
set max_parallel_workers_per_gather = 0
set jit = off as $$
declare
    began timestamptz := clock_timestamp();
    last timestamptz := date_trunc('minute', began - interval '10 seconds');
    done timestamptz;
    from_at timestamptz;
    to_at timestamptz;
    coarse record;
begin
    if not pg_try_advisory_xact_lock(hashtext('queue.roll_up')) then
        return false;
    end if;
    select upto into done from queue.throughput_round;
    if done >= last then
        return false;
    end if;
    loop
        from_at := done;
        to_at := least(date_trunc('hour', done) + interval '1 hour', last);
        insert into queue.throughput as counted (minutes, at, queue_id, completed, cancelled, dead, start_ms, run_ms)
        with ended as materialized (
            select date_trunc('minute', finished_at) as at, queue_id, state,
                -- An attempt that followed on another at once had no time of its own to be ready from.
                case when run_at is not null or attempt <= 1
                    then queue.latency_slot(started_at - greatest(created_at, run_at)) end as start_slot,
                queue.latency_slot(finished_at - started_at) as run_slot,
                count(*) as jobs
            from queue.history where finished_at >= from_at and finished_at < to_at
            group by 1, 2, 3, 4, 5)
        select 1, total.at, total.queue_id, total.completed, total.cancelled, total.dead,
            coalesce(start.slots, '{}'), coalesce(run.slots, '{}')
        from (select at, queue_id, coalesce(sum(jobs) filter (where state = 0), 0) as completed,
                coalesce(sum(jobs) filter (where state = 1), 0) as cancelled,
                coalesce(sum(jobs) filter (where state = 2), 0) as dead
            from ended group by at, queue_id) as total
        left join (select at, queue_id, jsonb_object_agg(start_slot, jobs) as slots
            from (select at, queue_id, start_slot, sum(jobs) as jobs from ended
                where start_slot is not null group by 1, 2, 3) as slot
            group by at, queue_id) as start using (at, queue_id)
        left join (select at, queue_id, jsonb_object_agg(run_slot, jobs) as slots
            from (select at, queue_id, run_slot, sum(jobs) as jobs from ended
                where run_slot is not null group by 1, 2, 3) as slot
            group by at, queue_id) as run using (at, queue_id)
        on conflict (minutes, at, queue_id) do update set completed = excluded.completed,
            cancelled = excluded.cancelled, dead = excluded.dead, start_ms = excluded.start_ms,
            run_ms = excluded.run_ms;
        for coarse in
            select * from (values (15::smallint, 1::smallint, interval '15 minutes'),
                (60::smallint, 15::smallint, interval '1 hour')) as level (minutes, lower, width)
            order by minutes
        loop
            insert into queue.throughput as counted
                (minutes, at, queue_id, completed, cancelled, dead, start_ms, run_ms)
            with part as materialized (
                select date_bin(coarse.width, at, timestamptz '2000-01-01 00:00:00Z') as bin, throughput.*
                from queue.throughput
                where minutes = coarse.lower and at < to_at
                    and at >= date_bin(coarse.width, from_at, timestamptz '2000-01-01 00:00:00Z'))
            select coarse.minutes, total.bin, total.queue_id, total.completed, total.cancelled, total.dead,
                coalesce(start.slots, '{}'), coalesce(run.slots, '{}')
            from (select bin, queue_id, sum(completed) as completed, sum(cancelled) as cancelled, sum(dead) as dead
                from part group by bin, queue_id) as total
            left join (select bin, queue_id, jsonb_object_agg(slot, jobs) as slots
                from (select bin, queue_id, slot.key as slot, sum(slot.value::bigint) as jobs
                    from part cross join lateral jsonb_each_text(part.start_ms) as slot group by 1, 2, 3) as merged
                group by bin, queue_id) as start using (bin, queue_id)
            left join (select bin, queue_id, jsonb_object_agg(slot, jobs) as slots
                from (select bin, queue_id, slot.key as slot, sum(slot.value::bigint) as jobs
                    from part cross join lateral jsonb_each_text(part.run_ms) as slot group by 1, 2, 3) as merged
                group by bin, queue_id) as run using (bin, queue_id)
            on conflict (minutes, at, queue_id) do update set completed = excluded.completed,
                cancelled = excluded.cancelled, dead = excluded.dead, start_ms = excluded.start_ms,
                run_ms = excluded.run_ms;
        end loop;
        done := to_at;
        exit when done >= last or clock_timestamp() > began + interval '1 second';
    end loop;
    update queue.throughput_round set upto = done;
    -- Each level for longer than the next one needs it, and than anybody looks back by it.
    delete from queue.throughput where minutes = 1 and at < done - interval '3 hours'
        or minutes = 15 and at < done - interval '2 days'
        or minutes = 60 and at < done - interval '32 days';
    return true;
end $$;
