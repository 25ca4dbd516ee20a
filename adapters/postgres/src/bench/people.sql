-- People, projects, repositories, workers and schedules. `bench_size` says how much of everything.

insert into platform.user_account (email, login, github_id, role, signed_in_at)
select 'person-' || to_char(n, 'FM0000') || '@bench.example', 'bench-person-' || n, 900000000 + n,
    case when n = 1 or n between 10 and 60 then 'admin' else 'none' end, size.at - n * interval '1 hour'
from bench_size as size cross join generate_series(1, size.people) as n
on conflict (email) do nothing;

insert into platform.project (slug, slots, title)
select 'bench-' || to_char(n, 'FM000'), 4, 'Bench project ' || n
from bench_size as size cross join generate_series(1, size.projects) as n;

-- Five each, told apart by their numbers.
insert into platform.repository (project_id, name)
select project.id, 'bench/service-' || ((right(project.slug, 3)::integer - 1) * 5 + n)
from platform.project as project cross join generate_series(1, 5) as n
where project.slug like 'bench-%' order by 1, n;

-- The second person belongs to a busy project and the third to one in which nothing happens.
insert into platform.project_member (user_id, project_id, role)
select person.id, project.id, 'read_write'
from bench_size as size cross join generate_series(2, size.people) as n
join platform.user_account as person on person.email = 'person-' || to_char(n, 'FM0000') || '@bench.example'
join platform.project as project on project.slug = 'bench-'
    || to_char(case n when 2 then 1 when 3 then size.projects else n % size.projects + 1 end, 'FM000');

insert into queue.worker (name, queues, kinds, concurrency, lease_ms, started_at, heartbeat_at, stopped_at, swept)
select 'bench-worker-' || n, '{}', '{}', 32, 86400000, size.at - size.span, clock_timestamp(),
    case when n > 1 then size.at - interval '1 hour' end, n > 1
from bench_size as size cross join generate_series(1, 3) as n;

select queue.queue_id(name) from unnest(array['deliveries', 'runs', 'mail', 'search', 'reports']) as name;
select queue.kind_id(name) from unnest(array['github.delivery', 'run.start', 'run.observe', 'run.report',
    'issue.comment', 'mail.send', 'search.index', 'report.build', 'ledger.close']) as name;
update queue.queue set laned = true where name = 'mail';

insert into queue.schedule (name, cron, queue, kind, args, paused_at, next_at)
select 'bench-' || to_char(n, 'FM00'), '0 * * * * *', 'reports', 'report.build', jsonb_build_object('report', n),
    size.at, size.at
from bench_size as size cross join generate_series(1, 30) as n;
insert into queue.schedule_tick (schedule_id, tick, job_id)
select schedule.id, date_trunc('minute', size.at) - n * interval '1 minute', null
from bench_size as size join queue.schedule as schedule on schedule.name = 'bench-01'
cross join generate_series(1, 5000) as n;
