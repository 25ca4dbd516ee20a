-- Jobs that wait for others: dependencies, and batches' last jobs.
--
-- A job that waits stands in queue.job with neither a place in line nor a time. Whoever finishes a job that others
-- wait for notes that in queue.settled, in the same statement; maintenance takes the notes up one at a time over
-- the whole fleet, so that of two ends at once none can overlook the other. A waiter that has just been
-- enqueued leaves a note as well: only then, outside of the caller's transaction, are the jobs that it waits for
-- marked. So no caller ever holds a row that an acknowledgement needs.

-- Both columns are null for plain jobs, which costs them nothing. awaited is in no index: to set it is a
-- heap-only update. not_before: the delay that a waiting job was given.
alter table queue.job
    add column awaited boolean,
    add column waiting boolean,
    add column not_before timestamptz;

create index job_waiting on queue.job (id) where waiting;

-- any_end: it need not have been completed, only be over.
create table queue.dependency (
    on_id     bigint not null,
    waiter_id bigint not null,
    any_end   boolean not null,
    primary key (on_id, waiter_id)
);
create index dependency_waiter on queue.dependency (waiter_id);

-- A job that others wait for and that is over, or a waiter that is new.
create table queue.settled (
    id     bigint generated always as identity primary key,
    job_id bigint not null,
    is_new boolean not null default false
);
