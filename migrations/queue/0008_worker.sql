-- Workers as an orchestrator knows them: told to drain, reported gone, or lost without a word.
--
-- draining_at: somebody asked the worker to finish what it runs and to leave; it reads that with its
-- heartbeat. gone_at: somebody who knows reported that the process is no more: its jobs are rescued at the
-- next look, and that is an eviction. silent: the worker was given up because its heartbeat stopped,
-- without a report; only such a death makes the jobs that it held suspected.
alter table queue.worker
    add column draining_at timestamptz,
    add column gone_at timestamptz,
    add column silent boolean not null default false;

-- Reports workers of this name gone that were started before the given time; a younger one of the same name
-- is left alone. Their jobs are free again within a second, when any living worker looks. Returns how many
-- workers it was true of; said twice it is true of them once.
create function queue.worker_gone(p_name text, p_before timestamptz) returns integer
language plpgsql as $$
declare
    reported integer;
begin
    update queue.worker set gone_at = clock_timestamp()
    where name = p_name and started_at < p_before and not swept and gone_at is null;
    get diagnostics reported = row_count;
    return reported;
end $$;
