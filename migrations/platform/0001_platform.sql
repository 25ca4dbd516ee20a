-- Projects, their repositories, and the ledger of webhook deliveries.

create table platform.project (
    id         bigint generated always as identity primary key,
    slug       text not null unique check (slug ~ '^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$'),
    slots      integer not null check (slots >= 0),
    created_at timestamptz not null default now()
);

create table platform.repository (
    id         bigint generated always as identity primary key,
    project_id bigint not null references platform.project (id),
    name       text not null check (name like '%_/_%'),
    created_at timestamptz not null default now()
);

-- The forge tells names apart without case, and so do we.
create unique index repository_name on platform.repository (lower(name));

-- One row per delivery identifier, for ever: it is what makes a delivery that comes again a duplicate. No
-- index holds a column that changes, so that settling a delivery is a heap-only update. `run_id` and
-- `job_id` have no foreign keys: other contexts own those rows, and the way of a webhook must be short.
create table platform.delivery (
    id           text not null,
    event        text not null,
    action       text,
    repository   text,
    sender       text,
    status       text not null default 'accepted' check (status in ('accepted', 'processed', 'ignored')),
    reason       text,
    body_sha256  bytea not null check (octet_length(body_sha256) = 32),
    run_id       bigint,
    job_id       bigint,
    duplicates   integer not null default 0,
    replays      integer not null default 0,
    received_at  timestamptz not null default clock_timestamp(),
    processed_at timestamptz,
    constraint delivery_pkey primary key (id)
) with (fillfactor = 85);

create index delivery_received on platform.delivery (received_at, id);

-- The bodies, byte for byte, in partitions by day (UTC) that are dropped whole. There is no default
-- partition: it would have to be scanned and locked for each new one. The writer packs a body before it
-- sends it: less on the wire and in the log than what the server would pack, and no work for it.
create table platform.delivery_payload (
    received_on date not null,
    delivery_id text not null,
    encoding    smallint not null check (encoding in (0, 1)),
    payload     bytea not null,
    primary key (received_on, delivery_id)
) partition by range (received_on);

comment on column platform.delivery_payload.encoding is '0 as received, 1 LZ4 block after its size (4 bytes, LE)';
alter table platform.delivery_payload alter column payload set storage external;

-- Makes the partitions from yesterday (a transaction that began before midnight may still write there) to
-- `ahead_days` from now, and returns how many it made. A table is made by itself and then attached, because
-- that doesn't lock writers out.
create function platform.make_payload_partitions(ahead_days integer) returns integer
language plpgsql as $$
declare
    day date;
    today date := (clock_timestamp() at time zone 'UTC')::date;
    part text;
    made integer := 0;
begin
    perform pg_advisory_xact_lock(hashtext('platform.delivery_payload'));
    for day in select generate_series(today - 1, today + ahead_days, interval '1 day')::date loop
        part := to_char(day, '"delivery_payload_"YYYYMMDD');
        if to_regclass('platform.' || part) is null then
            -- A packed body mostly fits into the row; no detour through TOAST then.
            execute format('create table platform.%I (like platform.delivery_payload including all) '
                'with (toast_tuple_target = 8160)', part);
            execute format('alter table platform.delivery_payload attach partition platform.%I '
                'for values from (%L) to (%L)', part, day, day + 1);
            made := made + 1;
        end if;
    end loop;
    return made;
end $$;

-- The partitions whose day is more than `keep_days` ago, oldest first. Names are compared, not dates read out of
-- them: a planner that tests the condition before the join would read dates out of other tables' names.
create function platform.expired_payload_partitions(keep_days integer) returns setof text
language sql stable as $$
    select c.relname::text
    from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'platform.delivery_payload'::regclass
      and c.relname::text < to_char((clock_timestamp() at time zone 'UTC')::date - keep_days,
          '"delivery_payload_"YYYYMMDD')
    order by 1
$$;

select platform.make_payload_partitions(7);
