-- The audit also has what is done to queues, kinds, tenants and schedules, failed attempts keep their trace, and a
-- job can be enqueued from SQL for a point in time.

-- An acknowledgement may be writing there: the lock is asked for in short tries, as in 0006.
do $$
begin
    for try in 1..600 loop
        begin
            set local lock_timeout = '200ms';
            lock table queue.attempt, queue.audit in access exclusive mode;
            set local lock_timeout = 0;
            return;
        exception when lock_not_available then
            perform pg_sleep(0.1);
        end;
    end loop;
    raise exception 'queue.attempt is in use without a break: try again';
end $$;

alter table queue.attempt add column traceparent text;
comment on column queue.attempt.traceparent is 'W3C trace context that the attempt ran in';

alter table queue.audit
    add column subject text,
    add column before jsonb,
    add column after jsonb;
comment on column queue.audit.subject is 'what was changed where it is no job: a queue, kind, tenant or schedule';
comment on column queue.audit.before is 'how the subject stood; null where it was not there';
comment on column queue.audit.after is 'how it stands since; null where it is gone';

create index audit_subject on queue.audit (subject, id) where subject is not null;

-- As `queue.enqueue`, for a point in time; one that has passed is now.
create function queue.enqueue_at(
    p_run_at timestamptz,
    p_queue text,
    p_kind text,
    p_args jsonb,
    p_correlation_id text default null,
    p_traceparent text default null,
    p_priority smallint default 0,
    p_tenant text default null,
    p_key text default null
) returns bigint
language plpgsql as $$
declare
    wait_ms bigint := ceil(extract(epoch from p_run_at - clock_timestamp()) * 1000);
    new_id bigint;
begin
    new_id := queue.enqueue(p_queue, p_kind, p_args, p_correlation_id, p_traceparent, greatest(wait_ms, 0),
        p_priority, p_tenant, p_key);
    if wait_ms > 0 then
        update queue.job set run_at = p_run_at where id = new_id;
    end if;
    return new_id;
end $$;
