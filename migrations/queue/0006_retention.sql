-- Retention per queue: history is partitioned by the last day that a job is kept, which its queue says when the
-- job ends. So each queue has its own retention, and a day is still dropped whole.

-- Nobody may write to history while it changes its shape. The locks are asked for in short tries, so that a
-- running workload waits behind none of them for long and none can close a ring of waiters.
do $$
begin
    perform pg_advisory_xact_lock(hashtext('queue.maintain_partitions'));
    for try in 1..600 loop
        begin
            set local lock_timeout = '200ms';
            lock table queue.queue, queue.history in access exclusive mode;
            set local lock_timeout = 0;
            return;
        exception when lock_not_available then
            perform pg_sleep(0.1);
        end;
    end loop;
    raise exception 'queue.history is in use without a break: try again';
end $$;

alter table queue.queue
    add column keep_days smallint not null default 30 check (keep_days between 1 and 3650);
comment on column queue.queue.keep_days is 'for how many days after its end a finished job is kept';

-- The default is for the previous version, which doesn't name the column.
create table queue.history_by_expiry (
    like queue.history including all,
    expires_on date not null default (clock_timestamp() at time zone 'utc')::date + 30
) partition by range (expires_on);
comment on column queue.history_by_expiry.expires_on is 'the last day (UTC) on which the job is kept';

-- The old partitions are carried over as they are: the day of the end plus the 30 days that held for all. Their
-- rows aren't written anew, only read once by `attach`. From the youngest, so that each new name is free.
do $$
declare
    part record;
    expires date;
begin
    for part in
        select c.relname::text as name, to_date(right(c.relname, 8), 'YYYYMMDD') as day
        from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = 'queue.history'::regclass
        order by day desc
    loop
        expires := part.day + 30;
        execute format('alter table queue.history detach partition queue.%I', part.name);
        execute format('alter table queue.%I add column expires_on date not null default %L', part.name, expires);
        execute format('alter table queue.%I rename to %I', part.name, to_char(expires, '"history_"YYYYMMDD'));
        execute format('alter table queue.history_by_expiry attach partition queue.%I for values from (%L) to (%L)',
            to_char(expires, '"history_"YYYYMMDD'), expires, expires + 1);
    end loop;
end $$;

drop table queue.history;
alter table queue.history_by_expiry rename to history;
alter index queue.history_by_expiry_id_idx rename to history_id;

-- Makes one day's partition of `queue.history` or `queue.attempt`; false if it is there. It is attached, which
-- lets inserts go on, where `create table ... partition of` would lock them all out.
create function queue.make_partition(parent text, day date) returns boolean
language plpgsql as $$
declare
    part text := parent || to_char(day, '_YYYYMMDD');
begin
    if to_regclass(format('queue.%I', part)) is not null then
        return false;
    end if;
    execute format('create table queue.%I (like queue.%I including all)', part, parent);
    if parent = 'history' then
        execute format('alter table queue.history attach partition queue.%I for values from (%L) to (%L)',
            part, day, day + 1);
    else
        execute format('alter table queue.%I attach partition queue.%I for values from (%L) to (%L)',
            parent, part, day::timestamp at time zone 'utc', (day + 1)::timestamp at time zone 'utc');
    end if;
    return true;
end $$;

-- Makes the partitions of today and the days ahead, for every retention in use, and drops those whose day is
-- over. Failed attempts are kept as long as the longest retention. What can't be locked at once is left for
-- the next time: returns how many partitions it made and dropped, and whether it left any. There is no
-- default partition: it would block detaching.
create function queue.keep_partitions(ahead_days integer)
returns table (made integer, dropped integer, is_left boolean)
language plpgsql set lock_timeout = '100ms' as $$
declare
    wanted record;
    part record;
    today date := (clock_timestamp() at time zone 'utc')::date;
    longest integer := (select coalesce(max(keep_days), 30) from queue.queue);
begin
    made := 0;
    dropped := 0;
    is_left := false;
    -- Two workers may come at once; the other one does it all.
    if not pg_try_advisory_xact_lock(hashtext('queue.maintain_partitions')) then
        return next;
        return;
    end if;
    begin
        for wanted in
            -- Yesterday too: a transaction that began before midnight may still write there. The 30 days are
            -- those of queues to come.
            select 'history' as parent, n.day + keep.days as day
            from generate_series(today - 1, today + ahead_days, interval '1 day') as s (at)
            cross join lateral (select s.at::date as day) as n
            cross join (select keep_days::integer as days from queue.queue union select 30) as keep
            union
            select 'attempt', s.at::date
            from generate_series(today - 1, today + ahead_days, interval '1 day') as s (at)
            order by 2
        loop
            if queue.make_partition(wanted.parent, wanted.day) then
                made := made + 1;
            end if;
        end loop;
    exception when lock_not_available then
        made := 0;
        is_left := true;
    end;
    for part in
        select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = 'queue.history'::regclass and c.relname < to_char(today, '"history_"YYYYMMDD')
           or i.inhparent = 'queue.attempt'::regclass and c.relname < to_char(today - longest, '"attempt_"YYYYMMDD')
        order by c.relname
    loop
        begin
            execute format('drop table queue.%I', part.relname);
            dropped := dropped + 1;
        exception when lock_not_available then
            is_left := true;
        end;
    end loop;
    return next;
end $$;

-- As the previous version calls it. Each queue's own retention counts, not `keep_days`.
create or replace function queue.maintain_partitions(ahead_days integer, keep_days integer)
returns table (made integer, dropped integer)
language sql as $$
    select made, dropped from queue.keep_partitions(ahead_days)
$$;

-- Makes the partitions of jobs that are kept for so many days and end from yesterday to a week from now.
create function queue.make_history(p_days integer) returns void
language plpgsql as $$
begin
    perform pg_advisory_xact_lock(hashtext('queue.maintain_partitions'));
    perform queue.make_partition('history', (clock_timestamp() at time zone 'utc')::date + ahead + p_days)
    from generate_series(-1, 7) as ahead;
end $$;

-- For how many days (1 to 3650) the queue's jobs are kept after their end: those that end from now on. Their
-- partitions are there when it takes effect.
create function queue.set_retention(p_queue text, p_days integer) returns void
language plpgsql as $$
declare
    target smallint := queue.queue_id(p_queue);
begin
    perform queue.make_history(p_days);
    update queue.queue set keep_days = p_days where id = target and keep_days <> p_days;
end $$;

select queue.keep_partitions(7);
