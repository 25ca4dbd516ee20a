-- Programs that sign in by a code which a person confirms. A row lives for minutes: it is deleted when its token is
-- collected, and by the next one that begins once its time is over.

create table platform.device_sign_in (
    device     bytea primary key check (octet_length(device) = 32),
    code       text not null unique check (code ~ '^[BCDFGHJKLMNPQRSTVWXZ]{8}$'),
    name       text not null check (char_length(name) between 1 and 100),
    scopes     text[] not null check (scopes <@ array['read', 'write', 'admin'] and cardinality(scopes) > 0),
    days       integer not null check (days between 1 and 366),
    source     text,
    user_id    bigint references platform.user_account (id) on delete cascade,
    approved   boolean,
    created_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz not null,
    check ((user_id is null) = (approved is null))
);

create index device_sign_in_expires on platform.device_sign_in (expires_at);
