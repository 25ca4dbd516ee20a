-- What handlers report while they run: log lines and progress, by day, dropped whole with the longest history.

create sequence queue.log_line_id;

create table queue.log_line (
    id        bigint not null default nextval('queue.log_line_id'),
    job_id    bigint not null,
    at        timestamptz not null,
    attempt   integer not null,
    epoch     integer not null,
    worker_id integer not null,
    level     smallint not null check (level between 0 and 3),
    line      text not null
) partition by range (at);

comment on column queue.log_line.level is '0 debug, 1 info, 2 warn, 3 error';

create index log_line_job on queue.log_line (job_id, id);

-- One row per job and day, written over in place: no index holds what changes.
create table queue.progress (
    job_id    bigint not null,
    day       timestamptz not null,
    at        timestamptz not null,
    done      bigint not null,
    total     bigint not null,
    attempt   integer not null,
    epoch     integer not null,
    worker_id integer not null,
    note      text not null,
    primary key (job_id, day)
) partition by range (day);

-- As `queue.keep_partitions`, for the tables above.
create function queue.keep_report_partitions(ahead_days integer) returns boolean
language plpgsql set lock_timeout = '100ms' as $$
declare
    part record;
    is_left boolean := false;
    today date := (clock_timestamp() at time zone 'utc')::date;
    longest integer := (select coalesce(max(keep_days), 30) from queue.queue);
begin
    if not pg_try_advisory_xact_lock(hashtext('queue.keep_report_partitions')) then
        return false;
    end if;
    begin
        -- Yesterday too: lines are dated when they were reported, and written a little later.
        perform queue.make_partition(parent, today + ahead)
        from generate_series(-1, ahead_days) as ahead, unnest(array['log_line', 'progress']) as parent;
    exception when lock_not_available then
        is_left := true;
    end;
    for part in
        select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent in ('queue.log_line'::regclass, 'queue.progress'::regclass)
          and right(c.relname, 8) < to_char(today - longest, 'YYYYMMDD')
    loop
        begin
            execute format('drop table queue.%I', part.relname);
        exception when lock_not_available then
            is_left := true;
        end;
    end loop;
    return is_left;
end $$;

select queue.keep_report_partitions(7);
