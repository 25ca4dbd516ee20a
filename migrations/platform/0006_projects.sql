-- Projects and repositories as people keep them: titles, archiving, a sealed token per repository; the audit found by
-- its newest; and an owner who can hand that over.

alter table platform.project
    add column title text check (char_length(title) between 1 and 100),
    add column archived_at timestamptz,
    add column version integer not null default 1;
comment on column platform.project.archived_at is 'since when its labels start no runs';
comment on column platform.project.version is 'grows with each change: what somebody edits must be what they saw';

-- A repository that was taken out stays, since runs name it; put in again it is the same one.
alter table platform.repository
    add column removed_at timestamptz,
    add column sealed_token bytea,
    add column sealed_with text,
    add column token_login text,
    add column token_set_at timestamptz,
    add column token_expires_at timestamptz,
    add column preflight jsonb,
    add column preflight_at timestamptz,
    add check ((sealed_token is null) = (sealed_with is null) and (sealed_token is null) = (token_set_at is null));
comment on column platform.repository.sealed_token is 'bound to this row: it opens nowhere else';
comment on column platform.repository.preflight is 'what was found when it was last looked whether it is set up';

create index repository_project on platform.repository (project_id);

-- What people did, the newest first. The events of webhooks are the system's and aren't in it.
create index flow_event_by_people on audit.flow_event (id) where actor_kind <> 'system';

-- The owner stays the owner, unless it is handed over: whoever does that says so for the transaction, with the
-- person's number.
create or replace function platform.keep_owner() returns trigger
language plpgsql as $$
begin
    if old.role = 'owner' and (tg_op = 'DELETE' or new.role <> 'owner')
        and (tg_op = 'DELETE' or current_setting('platform.owner_hands_over', true) is distinct from old.id::text)
    then
        raise exception 'the owner stays the owner' using errcode = 'insufficient_privilege';
    end if;
    return coalesce(new, old);
end $$;
