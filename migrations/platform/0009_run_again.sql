-- A run that ended badly can be run again: another run of the same delivery. And what the platform itself recorded about
-- access is read together with what people did.

alter table runs.run add column retry_of bigint;
comment on column runs.run.retry_of is 'the run that ended badly and is done again by this one';

drop index runs.run_correlation;
-- At most one run per delivery that nobody asked for again.
create unique index run_correlation on runs.run (correlation_id) where retry_of is null;
create index run_of_correlation on runs.run (correlation_id);

create index flow_event_audited on audit.flow_event (id) where actor_kind <> 'system' or kind like 'access.%';
drop index audit.flow_event_by_people;
