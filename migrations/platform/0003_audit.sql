-- What happened, append-only, tied together by the correlation id (a delivery's identifier).

create schema audit;

-- The key begins with what events are looked up by, so that an insert writes one index only.
create table audit.flow_event (
    id             bigint generated always as identity,
    at             timestamptz not null default clock_timestamp(),
    correlation_id text not null,
    run_id         bigint,
    kind           text not null,
    actor_kind     text not null default 'system' check (actor_kind in ('human', 'agent', 'system')),
    actor          text,
    data           jsonb not null default '{}',
    primary key (correlation_id, id),
    check ((actor_kind = 'system') = (actor is null))
);

create function audit.refuse_change() returns trigger
language plpgsql as $$
begin
    raise exception 'audit.% is append-only', tg_table_name using errcode = 'insufficient_privilege';
end $$;

create trigger append_only before update or delete or truncate on audit.flow_event
    for each statement execute function audit.refuse_change();
