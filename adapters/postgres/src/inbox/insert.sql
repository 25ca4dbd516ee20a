-- A batch of deliveries. What is known already is left out before its job is enqueued; a rival that commits
-- one of them after our snapshot makes the whole statement fail on delivery_pkey, jobs included.
with offer as materialized (
    select * from unnest(
        $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bytea[], $9::smallint[], $10::bytea[],
        $11::text[], $12::jsonb[])
        as o (id, event, action, repository, sender, body_sha256, encoding, payload, traceparent, args)
    -- A sub-select that the planner keeps as an index look-up per row; a join it might once turn into a scan of
    -- the whole ledger, and keep that plan while the ledger grows.
    where (select true from platform.delivery known where known.id = o.id) is null
), job as materialized (
    select job_id, job_correlation_id as id from queue.enqueue_many($1, $2,
        (select array_agg(args order by id) from offer), (select array_agg(id order by id) from offer),
        (select array_agg(traceparent order by id) from offer))
), delivery as (
    insert into platform.delivery (id, event, action, repository, sender, body_sha256, job_id)
    select id, event, action, repository, sender, body_sha256, job_id
    from offer join job using (id)
    returning id, received_at, job_id
), payload as (
    insert into platform.delivery_payload (received_on, delivery_id, encoding, payload)
    select (delivery.received_at at time zone 'UTC')::date, id, encoding, payload
    from delivery join offer using (id)
), event as (
    insert into audit.flow_event (correlation_id, kind, data)
    select id, 'webhook.accepted', jsonb_build_object('event', event, 'action', action,
        'repository', repository, 'sender', sender, 'job_id', job_id)
    from delivery join offer using (id)
)
select id as "id!", job_id as "job_id!" from delivery
