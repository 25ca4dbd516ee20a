-- Schedules: which job to enqueue at which ticks of a cron expression. See docs/queue.md.

-- One row per schedule. `next_at` is the next tick, null once there is none any more. `retry_at` and `error`:
-- its last tick failed (a hand's edit, an enqueue that the database refused) and is tried again then.
create table queue.schedule (
    id           integer generated always as identity primary key,
    name         text not null unique check (length(name) between 1 and 128),
    cron         text not null,
    time_zone    text not null default 'UTC',
    queue        text not null,
    kind         text not null,
    args         jsonb not null,
    priority     smallint not null default 0,
    max_attempts integer not null default 20 check (max_attempts > 0),
    timeout_ms   integer check (timeout_ms > 0),
    tags         text[] not null default '{}',
    tenant       text,
    key          text,
    tick_field   text,
    single       boolean not null default false,
    -- 0: missed ticks are left out; 1: one job for them all; n + 1: the last n get one each.
    catch_up     integer not null default 0 check (catch_up >= 0),
    paused_at    timestamptz,
    next_at      timestamptz,
    retry_at     timestamptz,
    error        text,
    last_tick    timestamptz,
    last_job_id  bigint,
    created_at   timestamptz not null default clock_timestamp(),
    updated_at   timestamptz not null default clock_timestamp()
);

create index schedule_due on queue.schedule (next_at) where paused_at is null;

-- The guard: a tick stands here once, with the job that it enqueued. `manual`: a person asked for it.
create table queue.schedule_tick (
    schedule_id integer not null references queue.schedule (id) on delete cascade,
    tick        timestamptz not null,
    manual      boolean not null default false,
    job_id      bigint,
    primary key (schedule_id, tick, manual)
);
