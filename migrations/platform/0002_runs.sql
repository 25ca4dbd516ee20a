-- Runs of agents and what they wrote.

create schema runs;

-- The state machine stands in domain/src/run.rs; `reason` and `exit_code` belong to the final states that
-- have them.
create table runs.run (
    id             bigint generated always as identity primary key,
    project_id     bigint not null,
    repository_id  bigint not null,
    issue          bigint not null check (issue > 0),
    stage          text not null,
    revise         boolean not null,
    status         text not null default 'pending' check (status in
        ('pending', 'waiting_slot', 'preparing', 'running', 'succeeded', 'failed', 'canceled', 'timed_out')),
    reason         text,
    exit_code      integer,
    correlation_id text not null,
    requested_by   text not null,
    namespace      text,
    comment_id     bigint,
    created_at     timestamptz not null default clock_timestamp(),
    started_at     timestamptz,
    finished_at    timestamptz
);

-- At most one run per delivery, and one unfinished run per issue.
create unique index run_correlation on runs.run (correlation_id);
create unique index run_issue_open on runs.run (repository_id, issue)
    where status not in ('succeeded', 'failed', 'canceled', 'timed_out');

-- Slots taken and runs waiting for one, of a project.
create index run_open on runs.run (project_id, status, id)
    where status not in ('succeeded', 'failed', 'canceled', 'timed_out');

create index run_project on runs.run (project_id, id);

create table runs.log_line (
    run_id     bigint not null,
    number     bigint not null check (number > 0),
    text       text not null,
    written_at timestamptz not null default clock_timestamp(),
    primary key (run_id, number)
);
