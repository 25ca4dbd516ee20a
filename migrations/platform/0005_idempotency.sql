-- Requests of the staff API that came with an Idempotency-Key, for a day. No status: it is being carried out.

create table platform.idempotent_request (
    owner        text not null,
    key          text not null check (char_length(key) between 1 and 255),
    fingerprint  bytea not null check (octet_length(fingerprint) = 32),
    begun_at     timestamptz not null default clock_timestamp(),
    status       smallint check (status between 200 and 299),
    content_type text,
    body         bytea,
    primary key (owner, key)
);

create index idempotent_request_begun on platform.idempotent_request (begun_at);
