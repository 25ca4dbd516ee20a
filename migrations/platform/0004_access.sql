-- People, what they may, how they are signed in. Secrets that people hold are kept as SHA-256 only; what must be
-- read back is sealed (AES-256-GCM) under a key that the database doesn't have.

create table platform.user_account (
    id           bigint generated always as identity primary key,
    email        text not null constraint user_account_email unique
        check (email = lower(email) and email ~ '^[!-~]+$' and email like '%_@_%' and octet_length(email) <= 254),
    github_id    bigint unique,
    login        text,
    role         text not null default 'none' check (role in ('owner', 'admin', 'none')),
    active       boolean not null default true,
    created_at   timestamptz not null default clock_timestamp(),
    signed_in_at timestamptz,
    check (active or role <> 'owner')
);

-- One owner at most; and whoever is it, stays it.
create unique index user_account_owner on platform.user_account (role) where role = 'owner';

create function platform.keep_owner() returns trigger
language plpgsql as $$
begin
    if old.role = 'owner' and (tg_op = 'DELETE' or new.role <> 'owner') then
        raise exception 'the owner stays the owner' using errcode = 'insufficient_privilege';
    end if;
    return coalesce(new, old);
end $$;

create trigger keep_owner before update or delete on platform.user_account
    for each row execute function platform.keep_owner();

create table platform.project_member (
    user_id    bigint not null references platform.user_account (id) on delete cascade,
    project_id bigint not null references platform.project (id) on delete cascade,
    role       text not null check (role in ('read', 'read_write', 'admin')),
    created_at timestamptz not null default clock_timestamp(),
    primary key (user_id, project_id)
);

create index project_member_project on platform.project_member (project_id);

create table platform.session (
    id           bigint generated always as identity primary key,
    user_id      bigint not null references platform.user_account (id) on delete cascade,
    user_agent   text,
    created_at   timestamptz not null default clock_timestamp(),
    refreshed_at timestamptz not null default clock_timestamp(),
    expires_at   timestamptz not null,
    ended_at     timestamptz,
    end_reason   text check (end_reason in ('signed_out', 'signed_out_everywhere', 'token_reused', 'deactivated')),
    check ((ended_at is null) = (end_reason is null))
);

create index session_of_user on platform.session (user_id, id);

-- A session's family: each is used once, and one that is used twice is in two hands.
create table platform.refresh_token (
    digest     bytea primary key check (octet_length(digest) = 32),
    session_id bigint not null references platform.session (id) on delete cascade,
    expires_at timestamptz not null,
    used_at    timestamptz
);

create index refresh_token_session on platform.refresh_token (session_id);

create table platform.api_token (
    id           bigint generated always as identity primary key,
    user_id      bigint not null references platform.user_account (id) on delete cascade,
    name         text not null check (char_length(name) between 1 and 100),
    digest       bytea not null unique check (octet_length(digest) = 32),
    scopes       text[] not null check (scopes <@ array['read', 'write', 'admin'] and cardinality(scopes) > 0),
    created_at   timestamptz not null default clock_timestamp(),
    expires_at   timestamptz not null,
    last_used_at timestamptz,
    revoked_at   timestamptz
);

create index api_token_user on platform.api_token (user_id, id);

-- Ed25519. `sealed_private` is bound to this row: it opens nowhere else.
create table platform.signing_key (
    id             text primary key check (id ~ '^[A-Za-z0-9_-]{16,43}$'),
    public_key     bytea not null check (octet_length(public_key) = 32),
    sealed_private bytea not null,
    sealed_with    text not null,
    created_at     timestamptz not null default clock_timestamp(),
    signs_from     timestamptz not null,
    retires_at     timestamptz
);
