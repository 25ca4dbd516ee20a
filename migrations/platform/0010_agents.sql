-- How each worker runs agents, as it says when it starts: what staff see of agents is what is really used.

create table platform.agent_settings (
    worker       text primary key,
    settings     jsonb not null,
    announced_at timestamptz not null default clock_timestamp()
);
comment on column platform.agent_settings.worker is 'the worker''s name, as in queue.worker';
