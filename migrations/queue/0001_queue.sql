-- The job queue. Unfinished jobs stand in queue.job, which is all that a claim reads; a finished job
-- moves to queue.history in the statement that finishes it. See docs/queue.md and docs/adr.

create table queue.queue (
    id         smallint generated always as identity primary key,
    name       text not null unique check (name ~ '^[a-z0-9][a-z0-9_.-]{0,62}$'),
    created_at timestamptz not null default now()
);

create table queue.kind (
    id         integer generated always as identity primary key,
    name       text not null unique check (length(name) between 1 and 128),
    created_at timestamptz not null default now()
);

-- One row per worker process. `stopped_at` is set by a worker that leaves in order and by the rescue of
-- one that did not, `swept` when nothing can be left with it; the row stays a while, since history names it.
create table queue.worker (
    id           integer generated always as identity primary key,
    name         text not null,
    queues       smallint[] not null,
    kinds        integer[] not null,
    concurrency  integer not null,
    lease_ms     integer not null check (lease_ms > 0),
    started_at   timestamptz not null default now(),
    heartbeat_at timestamptz not null default clock_timestamp(),
    stopped_at   timestamptz,
    swept        boolean not null default false
) with (fillfactor = 50);

create sequence queue.job_id;
create sequence queue.job_seq;

-- seq: the place in line; null while the job isn't due. claimed_by: the worker that has it; null while
-- none has. No index holds what a claim changes (claimed_by, claimed_at, epoch, attempt), so that a
-- claim is a heap-only update; the fill factor leaves it room on the page.
create table queue.job (
    id               bigint primary key default nextval('queue.job_id'),
    seq              bigint,
    created_at       timestamptz not null default clock_timestamp(),
    run_at           timestamptz,
    claimed_at       timestamptz,
    kind_id          integer not null,
    claimed_by       integer,
    epoch            integer not null default 0,
    attempt          integer not null default 0,
    max_attempts     integer not null default 20 check (max_attempts > 0),
    timeout_ms       integer check (timeout_ms > 0),
    queue_id         smallint not null,
    priority         smallint not null default 0,
    rescues          smallint not null default 0,
    unique_key       text check (length(unique_key) between 1 and 512),
    correlation_id   text,
    traceparent      text,
    last_error       text,
    tags             text[],
    args             jsonb not null,
    rerun_at         timestamptz,
    rerun_args       jsonb,
    check (claimed_by is null or seq is not null)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

create index job_ready on queue.job (queue_id, priority, seq) where seq is not null;
create index job_due on queue.job (run_at) where seq is null;
create unique index job_unique on queue.job (unique_key) where unique_key is not null;

-- A wish to end a running job; the worker that has it reads it with its heartbeat.
create table queue.cancel_request (
    job_id       bigint primary key,
    requested_at timestamptz not null default clock_timestamp()
);

-- Finished jobs, by day of their end. Partitions are made ahead and dropped whole.
create table queue.history (
    id             bigint not null,
    created_at     timestamptz not null,
    started_at     timestamptz,
    finished_at    timestamptz not null default clock_timestamp(),
    kind_id        integer not null,
    worker_id      integer,
    attempt        integer not null,
    max_attempts   integer not null,
    timeout_ms     integer,
    queue_id       smallint not null,
    priority       smallint not null,
    state          smallint not null check (state between 0 and 2),
    unique_key     text,
    correlation_id text,
    traceparent    text,
    reason         text,
    tags           text[],
    args           jsonb not null,
    result         jsonb
) partition by range (finished_at);

comment on column queue.history.state is '0 completed, 1 cancelled, 2 dead';

create index history_id on queue.history (id);

-- Failed attempts, of jobs finished or not. Only failures write here.
create table queue.attempt (
    job_id    bigint not null,
    at        timestamptz not null default clock_timestamp(),
    attempt   integer not null,
    worker_id integer not null,
    error     text not null
) partition by range (at);

create index attempt_job on queue.attempt (job_id);

-- Makes the partitions of today and the days ahead, and drops those older than `keep_days`. There is no
-- default partition: it would block detaching. Returns how many it made and dropped.
create function queue.maintain_partitions(ahead_days integer, keep_days integer)
returns table (made integer, dropped integer)
language plpgsql as $$
declare
    parent text;
    day date;
    part record;
    today date := (clock_timestamp() at time zone 'utc')::date;
begin
    made := 0;
    dropped := 0;
    -- Two workers may come at once; the second finds everything done.
    perform pg_advisory_xact_lock(hashtext('queue.maintain_partitions'));
    foreach parent in array array['history', 'attempt'] loop
        -- Yesterday too: a transaction that began before midnight may still write there.
        for day in select generate_series(today - 1, today + ahead_days, interval '1 day')::date loop
            if to_regclass(format('queue.%I', parent || to_char(day, '_YYYYMMDD'))) is null then
                execute format(
                    'create table queue.%I partition of queue.%I for values from (%L) to (%L)',
                    parent || to_char(day, '_YYYYMMDD'), parent,
                    day::timestamp at time zone 'utc', (day + 1)::timestamp at time zone 'utc');
                made := made + 1;
            end if;
        end loop;
        for part in
            select c.relname from pg_inherits i
            join pg_class c on c.oid = i.inhrelid
            where i.inhparent = format('queue.%I', parent)::regclass
              and c.relname < parent || to_char(today - keep_days, '_YYYYMMDD')
        loop
            execute format('drop table queue.%I', part.relname);
            dropped := dropped + 1;
        end loop;
    end loop;
    return next;
end $$;

-- A queue's number, made at first use. Each queue has a sequence that remembers, outside of any
-- transaction, when its workers were last woken.
create function queue.queue_id(p_name text) returns smallint
language plpgsql as $$
declare
    found_id smallint;
begin
    select id into found_id from queue.queue where name = p_name;
    if found_id is null then
        insert into queue.queue (name) values (p_name) on conflict (name) do nothing returning id into found_id;
        if found_id is null then
            select id into found_id from queue.queue where name = p_name;
        else
            execute format('create sequence if not exists queue.wake_%s', found_id);
        end if;
    end if;
    return found_id;
end $$;

-- A kind's number, made at first use.
create function queue.kind_id(p_name text) returns integer
language plpgsql as $$
declare
    found_id integer;
begin
    select id into found_id from queue.kind where name = p_name;
    if found_id is null then
        insert into queue.kind (name) values (p_name) on conflict (name) do nothing returning id into found_id;
        if found_id is null then
            select id into found_id from queue.kind where name = p_name;
        end if;
    end if;
    return found_id;
end $$;

-- Wakes the queue's workers, at most once in 10 ms over all sessions: NOTIFY takes a global lock at commit.
-- The time of the last wake stands in a sequence, because a sequence is shared at once and is not rolled
-- back. A wake that is left out is no loss: a worker that was woken looks again several times in the
-- milliseconds after, and there is a poll beneath.
create function queue.wake(p_queue smallint) returns void
language plpgsql as $$
declare
    gate regclass := 'queue.wake_' || p_queue;
    now_ms bigint := (extract(epoch from clock_timestamp()) * 1000)::bigint;
begin
    if now_ms - coalesce(pg_sequence_last_value(gate), 0) < 10 then
        return;
    end if;
    if pg_try_advisory_lock(1903520883, p_queue) then
        if now_ms - coalesce(pg_sequence_last_value(gate), 0) >= 10 then
            perform setval(gate, now_ms);
            perform pg_notify('codex_k8s_queue', p_queue::text);
        end if;
        perform pg_advisory_unlock(1903520883, p_queue);
    end if;
end $$;

-- Enqueue from SQL: in the caller's transaction, ready at once or after a delay. Returns the job's id.
create function queue.enqueue(
    p_queue text,
    p_kind text,
    p_args jsonb,
    p_correlation_id text default null,
    p_traceparent text default null,
    p_delay_ms bigint default 0,
    p_priority smallint default 0
) returns bigint
language plpgsql as $$
declare
    target smallint := queue.queue_id(p_queue);
    new_id bigint;
begin
    insert into queue.job (seq, run_at, kind_id, queue_id, priority, correlation_id, traceparent, args)
    values (
        case when p_delay_ms <= 0 then nextval('queue.job_seq') end,
        case when p_delay_ms > 0 then clock_timestamp() + p_delay_ms * interval '1 millisecond' end,
        queue.kind_id(p_kind), target, p_priority, p_correlation_id, p_traceparent, p_args)
    returning id into new_id;
    if p_delay_ms <= 0 then
        perform queue.wake(target);
    end if;
    return new_id;
end $$;

-- Many at once, for a statement that writes what they belong to: each is told apart by its correlation id.
create function queue.enqueue_many(
    p_queue text,
    p_kind text,
    p_args jsonb[],
    p_correlation_ids text[],
    p_traceparents text[]
) returns table (job_id bigint, job_correlation_id text)
language plpgsql as $$
declare
    target smallint := queue.queue_id(p_queue);
    target_kind integer := queue.kind_id(p_kind);
begin
    return query
        insert into queue.job as job (seq, kind_id, queue_id, correlation_id, traceparent, args)
        select nextval('queue.job_seq'), target_kind, target, new.correlation_id, new.traceparent, new.args
        from unnest(p_args, p_correlation_ids, p_traceparents) as new (args, correlation_id, traceparent)
        returning job.id, job.correlation_id;
    if found then
        perform queue.wake(target);
    end if;
end $$;

select queue.maintain_partitions(7, 30);
