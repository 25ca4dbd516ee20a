-- Jobs of four weeks, by their numbers: every `size.jobs / size.deliveries`-th is a delivery's, after every third of
-- those come the three of its run; between them other queues' work, some of it with tenants, keys and tags. One in
-- forty ends badly. Of the newest sixteenth half of the other queues' work hasn't ended.

-- Partitions for what would have been kept since then.
select queue.make_partition('history', (size.at at time zone 'utc')::date - ago + 30),
    queue.make_partition('attempt', (size.at at time zone 'utc')::date - ago)
from bench_size as size cross join generate_series(0, ceil(extract(epoch from size.span) / 86400)::integer) as ago;

create temporary table bench_worker as
select min(id) as first, min(id) filter (where stopped_at is null) as alive
from queue.worker where name like 'bench-worker-%';

create function pg_temp.bench_job(size bench_size, from_n bigint, to_n bigint)
returns table (n bigint, id bigint, d bigint, at timestamptz, kind text, queue text, open boolean, tenant text,
    key text, tags text[], correlation_id text, unique_key text, args jsonb)
language sql stable as $$
select step.n, size.first_job + step.n, step.d, size.at - size.span * (1 - step.n::double precision / size.jobs),
    step.kind, step.queue,
    step.n > size.jobs - size.jobs / 16 and step.n % 2 = 0 and step.queue not in ('deliveries', 'runs'),
    case when step.kind = 'mail.send' then 'tenant-' || step.n * 7919 % 400 end,
    case when step.kind = 'report.build' then 'customer-' || step.n * 31 % 5000 end,
    case when step.kind = 'search.index' and step.n % 5 = 0 then array['nightly', 'shard-' || step.n % 16] end,
    case when step.queue in ('deliveries', 'runs') then md5('delivery ' || step.d)::uuid::text end,
    case when step.queue = 'runs' then step.kind || ':' || size.first_run + step.d / 3 end,
    case step.kind
        when 'github.delivery' then jsonb_build_object('delivery_id', md5('delivery ' || step.d)::uuid)
        when 'mail.send' then jsonb_build_object('to', 'person' || step.n % 90000 || '@example.com', 'template',
            (array['invoice', 'welcome', 'reminder', 'receipt'])[1 + step.n % 4], 'order_id', step.n, 'locale',
            (array['en', 'de', 'ru'])[1 + step.n % 3], 'attachments', jsonb_build_array('terms.pdf', step.n || '.pdf'))
        when 'search.index' then jsonb_build_object('index', 'products', 'ids', jsonb_build_array(step.n, step.n + 1,
            step.n + 2), 'reason', 'price changed')
        when 'report.build' then jsonb_build_object('report', 'turnover', 'customer', step.n * 31 % 5000, 'period',
            jsonb_build_object('from', '2026-01-01', 'to', '2026-01-31'), 'format', 'csv')
        when 'ledger.close' then jsonb_build_object('month', step.n)
        else jsonb_build_object('run_id', size.first_run + step.d / 3)
    end
from (
    select n, n / every as d, n % every as place, case
            when n % every = 0 then 'github.delivery'
            when n / every > 0 and n / every % 3 = 0 and n % every <= 3
                then (array['run.start', 'run.observe', 'run.report'])[n % every]
            when n % 200000 = 99999 then 'ledger.close'
            else (array['mail.send', 'mail.send', 'mail.send', 'search.index', 'search.index', 'report.build',
                'search.index'])[1 + n % 7]
        end as kind, case
            when n % every = 0 then 'deliveries'
            when n / every > 0 and n / every % 3 = 0 and n % every <= 3 then 'runs'
            when n % 7 <= 2 then 'mail'
            when n % 7 = 5 then 'reports'
            else 'search'
        end as queue
    from generate_series(from_n, to_n) as n cross join (select size.jobs / size.deliveries as every) as ratio
) as step
$$;

insert into queue.history (id, created_at, started_at, finished_at, kind_id, worker_id, attempt, max_attempts,
    queue_id, priority, state, unique_key, correlation_id, reason, tags, args, tenant, key, run_at, expires_on)
select job.id, job.at, job.at + waited, job.at + waited + ran, kind.id, worker.first + job.n % 3,
    case state.number when 2 then 3 else 1 end, case job.queue when 'runs' then 20 else 3 end, queue.id, 0, state.number,
    job.unique_key, job.correlation_id, case state.number
        when 2 then 'connection to upstream-' || job.n % 40 || '.example.com timed out after 30 s (attempt 3 of 3)'
        when 1 then 'cancelled by person-0001@bench.example' end,
    job.tags, job.args, job.tenant, job.key, null,
    ((job.at + waited + ran) at time zone 'utc')::date + 30
from bench_size as size cross join bench_worker as worker
cross join lateral pg_temp.bench_job(size, 1, size.jobs) as job
join queue.kind as kind on kind.name = job.kind
join queue.queue as queue on queue.name = job.queue
cross join lateral (select job.n % 97 * interval '3 milliseconds' as waited,
    (20 + job.n * 7919 % 1500) * interval '1 millisecond' as ran) as took
cross join lateral (select (case
    when job.queue in ('deliveries', 'runs') then 0
    when job.n % 41 = 0 then 2
    when job.n % 67 = 0 then 1 else 0 end)::smallint as number) as state
where not job.open
order by job.n;

insert into queue.attempt (job_id, at, attempt, worker_id, error)
select job.id, job.finished_at - (3 - nth) * interval '10 seconds', nth, job.worker_id, job.reason
from queue.history as job cross join generate_series(1, 3) as nth
where job.state = 2 and job.finished_at > (select at - span + interval '1 day' from bench_size)
order by job.id, nth;

-- A third is in line, of which the oldest run; the others wait for their time, mostly for days.
insert into queue.job (id, seq, created_at, run_at, claimed_at, kind_id, claimed_by, epoch, attempt, max_attempts,
    queue_id, tags, args, tenant, key, lane, last_error)
select job.id, case when stands.in_line then nextval('queue.job_seq') end, job.at,
    case when not stands.in_line then size.at + job.n % 5000 * interval '3 minutes' + interval '1 minute' end,
    case when stands.runs then size.at end, kind.id, case when stands.runs then worker.alive end,
    stands.runs::integer, case when stands.runs then 1 when stands.in_line then 0 else 1 end, 3, queue.id, job.tags,
    job.args, job.tenant, job.key, case when job.tenant is not null then queue.lane(job.tenant, job.key) end,
    case when not stands.in_line and job.n % 10 = 0
        then 'connection to upstream-' || job.n % 40 || '.example.com timed out after 30 s' end
from bench_size as size cross join bench_worker as worker
cross join lateral pg_temp.bench_job(size, size.jobs - size.jobs / 16, size.jobs) as job
join queue.kind as kind on kind.name = job.kind
join queue.queue as queue on queue.name = job.queue
cross join lateral (select job.n % 6 < 2 as in_line,
    job.n % 6 < 2 and job.n < size.jobs - size.jobs / 16 + size.jobs / 1000 as runs) as stands
where job.open
order by job.n;

select setval('queue.job_id', first_job + jobs) from bench_size;
