-- Deliveries, the runs of every third of them, what was recorded of both and what people did meanwhile.

create temporary table bench_delivery as
select d, md5('delivery ' || d)::uuid::text as id,
    size.at - size.span * (1 - (d * (size.jobs / size.deliveries))::double precision / size.jobs) as at,
    d % 3 = 0 as has_run, size.first_run + d / 3 as run_id, repository.id as repository_id, repository.project_id,
    repository.name as repository, size.first_job + d * (size.jobs / size.deliveries) as job_id,
    'person-' || to_char(1 + d % size.people, 'FM0000') || '@bench.example' as person,
    jsonb_build_object('action', 'labeled', 'delivery', d, 'repository',
        jsonb_build_object('full_name', repository.name), 'comment', repeat('It happens on slow machines only. ', 30)) as body
from bench_size as size cross join generate_series(1, size.deliveries) as d
-- Not in the last three projects.
join platform.repository as repository on repository.name = 'bench/service-' || d * 31 % ((size.projects - 3) * 5) + 1;

insert into platform.delivery (id, event, action, repository, sender, status, reason, body_sha256, run_id, job_id,
    received_at, processed_at)
select id, case when has_run then 'issues'
        else (array['push', 'issue_comment', 'pull_request', 'check_run', 'workflow_run', 'star'])[1 + d % 6] end,
    case when has_run then 'labeled' when d % 6 > 0 then 'created' end, repository, 'bench-person-' || d % 250,
    case when has_run then 'processed' else 'ignored' end,
    case when not has_run then 'nothing to do for this event' end, sha256(convert_to(body::text, 'UTF8')),
    case when has_run then run_id end, job_id, at, at + interval '2 seconds'
from bench_delivery order by d;

insert into platform.delivery_payload (received_on, delivery_id, encoding, payload)
select (at at time zone 'UTC')::date, id, 0, convert_to(body::text, 'UTF8') from bench_delivery
where (at at time zone 'UTC')::date >= (clock_timestamp() at time zone 'UTC')::date - 1
order by d;

-- The last forty haven't ended, the very last one writes.
insert into runs.run (id, project_id, repository_id, issue, stage, revise, status, reason, exit_code, correlation_id,
    requested_by, namespace, comment_id, created_at, started_at, finished_at)
overriding system value
select delivery.run_id, delivery.project_id, delivery.repository_id, 1 + delivery.d % 5000, 'dev', delivery.d % 11 = 0,
    state.status, case state.status when 'failed' then 'the agent ended with exit code 1' when 'canceled'
        then 'canceled by person-0001@bench.example' end,
    case state.status when 'failed' then 1 end, delivery.id, 'bench-person-' || delivery.d % 250,
    'codex-issue-' || delivery.d % 5000 || '-r' || delivery.run_id, delivery.d, delivery.at + interval '1 second',
    case when state.status <> 'waiting_slot' then delivery.at + interval '9 seconds' end,
    case when not state.is_open then delivery.at + (60 + delivery.d % 600) * interval '1 second' end
from bench_size as size cross join bench_delivery as delivery
cross join lateral (select delivery.d > size.deliveries - 120 as is_open) as open
cross join lateral (select open.is_open, case
    when open.is_open then case when delivery.d > size.deliveries - 60 then 'running' else 'waiting_slot' end
    when delivery.d % 17 = 0 then 'failed' when delivery.d % 41 = 0 then 'canceled'
    when delivery.d % 101 = 0 then 'timed_out' else 'succeeded' end as status) as state
where delivery.has_run order by delivery.d;
select setval(pg_get_serial_sequence('runs.run', 'id'), (select max(id) from runs.run));

insert into audit.flow_event (at, correlation_id, run_id, kind, actor_kind, actor, data)
select delivery.at + event.nth * interval '1 second', coalesce(event.about, delivery.id),
    case when event.of_run then delivery.run_id end, event.kind, event.actor_kind, event.actor, event.data
from bench_delivery as delivery
cross join lateral (
    select 0, false, 'webhook.accepted', 'system', null::text, null::text, jsonb_build_object('job_id', delivery.job_id)
    union all select 1, false, case when delivery.has_run then 'webhook.processed' else 'webhook.ignored' end, 'system',
        null, null, '{}'
    union all select 2 + nth, true, kind, 'system', null, null, '{}'
    from unnest(array['run.pending', 'run.preparing', 'namespace.prepared', 'run.running', 'run.succeeded',
        'run.reported']) with ordinality as of_run (kind, nth) where delivery.has_run
    union all select 9, false, (array['project.updated', 'access.role_changed', 'repository.token_set'])[1 + delivery.d % 3],
        'human', delivery.person, (array['project-', 'user-', 'repository-'])[1 + delivery.d % 3] || 1 + delivery.d % 30,
        jsonb_build_object('before', jsonb_build_object('slots', delivery.d % 5), 'after',
            jsonb_build_object('slots', delivery.d % 5 + 1)) where delivery.d % 5 = 0
) as event (nth, of_run, kind, actor_kind, actor, about, data)
order by delivery.d, event.nth;

insert into queue.audit (at, actor, action, job_ids, affected, reason)
select at, person, (array['retry', 'cancel', 'reschedule', 'priority'])[1 + d % 4], array[job_id + 1, job_id + 2], 2,
    case when d % 3 = 0 then 'the upstream is back' end
from bench_delivery where d % 4 = 0 order by d;

insert into runs.log_line (run_id, number, text, written_at)
select (select max(run_id) from bench_delivery where has_run), n,
    to_char(n, 'FM000000') || ' [build] compiling module ' || n % 977 || ' of the service: ' || md5(n::text)
        || case when n % 5000 = 0 then ' warning: deprecated' else '' end,
    size.at
from bench_size as size cross join generate_series(1, size.log_lines) as n;
