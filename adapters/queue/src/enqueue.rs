//! Enqueue, in the caller's transaction.

use sqlx::{PgConnection, Row};

use crate::finish::FOREVER;
use crate::{Enqueued, Error, NewJob, OnConflict, Queue, Verdict, Wake};

/// One job without a key. `$9` is the delay in milliseconds, 0 for none.
const INSERT: &str = "
insert into queue.job
    (queue_id, kind_id, priority, max_attempts, timeout_ms, correlation_id, traceparent, tags, seq, run_at, args)
values ($1, $2, $3, $4, $5, $6, $7, $8,
    case when $9 = 0 then nextval('queue.job_seq') end,
    case when $9 > 0 then clock_timestamp() + $9 * interval '1 millisecond' end, $10)
returning id, case when $9 = 0 and $11 then queue.wake($1) end";

/// One job with a key `$11`; `$12` is 0 for keep, 1 for replace, 2 for hasten. A job that runs just now is
/// never changed under its handler: it is noted to be run once more.
const UPSERT: &str = "
with new as (
    insert into queue.job as old
        (queue_id, kind_id, priority, max_attempts, timeout_ms, correlation_id, traceparent, tags,
         seq, run_at, args, unique_key)
    values ($1, $2, $3, $4, $5, $6, $7, $8,
        case when $9 = 0 then nextval('queue.job_seq') end,
        case when $9 > 0 then clock_timestamp() + $9 * interval '1 millisecond' end, $10, $11)
    on conflict (unique_key) where unique_key is not null do update set
        args = case when $12 = 0 or old.claimed_by is not null then old.args else excluded.args end,
        seq = case
            when $12 = 0 or old.claimed_by is not null then old.seq
            when $12 = 1 and excluded.seq is null then null
            else coalesce(old.seq, excluded.seq) end,
        run_at = case
            when $12 = 0 or old.claimed_by is not null then old.run_at
            when $12 = 1 then excluded.run_at
            when coalesce(old.seq, excluded.seq) is not null then null
            else least(old.run_at, excluded.run_at) end,
        rerun_args = case
            when $12 > 0 and old.claimed_by is not null then excluded.args else old.rerun_args end,
        rerun_at = case
            when $12 = 0 or old.claimed_by is null then old.rerun_at
            when $12 = 1 then coalesce(excluded.run_at, clock_timestamp())
            else least(old.rerun_at, coalesce(excluded.run_at, clock_timestamp())) end
    returning id, xmax = 0 as inserted)
select id, inserted, case when $9 = 0 and $13 then queue.wake($1) end from new";

/// Many jobs without keys, by array; the wake is a statement of its own.
const INSERT_MANY: &str = "
insert into queue.job
    (queue_id, kind_id, priority, max_attempts, timeout_ms, correlation_id, traceparent, seq, run_at, args)
select queue_id, kind_id, priority, max_attempts, timeout_ms, correlation_id, traceparent,
    case when delay_ms = 0 then nextval('queue.job_seq') end,
    case when delay_ms > 0 then clock_timestamp() + delay_ms * interval '1 millisecond' end, args
from unnest($1::smallint[], $2::integer[], $3::smallint[], $4::integer[], $5::integer[], $6::text[],
    $7::text[], $8::bigint[], $9::jsonb[])
    as new (queue_id, kind_id, priority, max_attempts, timeout_ms, correlation_id, traceparent, delay_ms, args)
returning id";

fn millis(delay: std::time::Duration) -> i64 {
    i64::try_from(delay.min(FOREVER).as_millis()).unwrap_or(0)
}

fn timeout_ms(job: &NewJob) -> Option<i32> {
    job.timeout
        .map(|timeout| i32::try_from(timeout.as_millis().max(1)).unwrap_or(i32::MAX))
}

impl Queue {
    /// Makes this queue and this kind known to the process. A name met for the first time is looked up on
    /// another connection of the pool; a program that enqueues from many transactions at once does that
    /// ahead, because transactions that hold every connection would wait for one that none of them gives back.
    pub async fn prepare(&self, queue: &str, kind: &str) -> Result<(), Error> {
        self.names().queue(queue).await?;
        self.names().kind(kind).await?;
        Ok(())
    }

    /// Enqueues a job in the caller's transaction (or at once, on a plain connection). Workers see it when
    /// the transaction commits. A key conflict is a verdict, never an error.
    pub async fn enqueue(&self, conn: &mut PgConnection, job: NewJob) -> Result<Enqueued, Error> {
        let queue_id = self.names().queue(&job.queue).await?;
        let kind_id = self.names().kind(&job.kind).await?;
        let statement = if job.unique.is_some() { UPSERT } else { INSERT };
        let mut query = sqlx::query(statement)
            .bind(queue_id)
            .bind(kind_id)
            .bind(job.priority)
            .bind(job.max_attempts)
            .bind(timeout_ms(&job))
            .bind(job.correlation_id)
            .bind(job.traceparent)
            .bind((!job.tags.is_empty()).then_some(job.tags))
            .bind(millis(job.delay))
            .bind(job.args);
        let notify = self.wake_mode() == Wake::Notify;
        let Some((key, on_conflict)) = job.unique else {
            let row = query.bind(notify).fetch_one(conn).await?;
            return Ok(Enqueued {
                id: row.try_get(0)?,
                verdict: Verdict::Inserted,
            });
        };
        if key.is_empty() || key.len() > 512 {
            return Err(Error::Invalid("a unique key has 1 to 512 bytes".into()));
        }
        let mode: i32 = match on_conflict {
            OnConflict::Keep => 0,
            OnConflict::Replace => 1,
            OnConflict::Hasten => 2,
        };
        query = query.bind(key).bind(mode).bind(notify);
        let row = query.fetch_one(conn).await?;
        let verdict = match (row.try_get(1)?, on_conflict) {
            (true, _) => Verdict::Inserted,
            (false, OnConflict::Keep) => Verdict::Kept,
            (false, _) => Verdict::Replaced,
        };
        Ok(Enqueued {
            id: row.try_get(0)?,
            verdict,
        })
    }

    /// Enqueues many jobs in the caller's transaction: those without a key in one statement, those with one
    /// or with tags singly. The answers stand in the order of the jobs.
    pub async fn enqueue_many(
        &self,
        conn: &mut PgConnection,
        jobs: Vec<NewJob>,
    ) -> Result<Vec<Enqueued>, Error> {
        let mut answers = vec![None; jobs.len()];
        let mut plain = Plain::default();
        for (place, job) in jobs.into_iter().enumerate() {
            if job.unique.is_some() || !job.tags.is_empty() {
                answers[place] = Some(self.enqueue(&mut *conn, job).await?);
            } else {
                let queue_id = self.names().queue(&job.queue).await?;
                let kind_id = self.names().kind(&job.kind).await?;
                plain.push(place, queue_id, kind_id, job);
            }
        }
        if !plain.places.is_empty() {
            let mut ready = plain.ready_queues();
            let places = std::mem::take(&mut plain.places);
            for (place, id) in places.into_iter().zip(plain.insert(&mut *conn).await?) {
                answers[place] = Some(Enqueued {
                    id,
                    verdict: Verdict::Inserted,
                });
            }
            if self.wake_mode() == Wake::Poll {
                ready.clear();
            }
            for queue_id in ready {
                sqlx::query("select queue.wake($1)")
                    .bind(queue_id)
                    .execute(&mut *conn)
                    .await?;
            }
        }
        answers
            .into_iter()
            .map(|answer| {
                answer.ok_or_else(|| Error::Invalid("the database returned fewer jobs than given".into()))
            })
            .collect()
    }
}

/// Jobs without keys, column by column.
#[derive(Default)]
struct Plain {
    places: Vec<usize>,
    queue_ids: Vec<i16>,
    kind_ids: Vec<i32>,
    priorities: Vec<i16>,
    max_attempts: Vec<i32>,
    timeouts_ms: Vec<Option<i32>>,
    correlation_ids: Vec<Option<String>>,
    traceparents: Vec<Option<String>>,
    delays_ms: Vec<i64>,
    args: Vec<serde_json::Value>,
}

impl Plain {
    fn push(&mut self, place: usize, queue_id: i16, kind_id: i32, job: NewJob) {
        self.places.push(place);
        self.queue_ids.push(queue_id);
        self.kind_ids.push(kind_id);
        self.priorities.push(job.priority);
        self.max_attempts.push(job.max_attempts);
        self.timeouts_ms.push(timeout_ms(&job));
        self.delays_ms.push(millis(job.delay));
        self.correlation_ids.push(job.correlation_id);
        self.traceparents.push(job.traceparent);
        self.args.push(job.args);
    }

    fn ready_queues(&self) -> Vec<i16> {
        let mut ready: Vec<i16> = self
            .queue_ids
            .iter()
            .zip(&self.delays_ms)
            .filter(|(_, d)| **d == 0)
            .map(|(q, _)| *q)
            .collect();
        ready.sort_unstable();
        ready.dedup();
        ready
    }

    async fn insert(self, conn: &mut PgConnection) -> Result<Vec<i64>, Error> {
        let ids = sqlx::query_scalar(INSERT_MANY)
            .bind(self.queue_ids)
            .bind(self.kind_ids)
            .bind(self.priorities)
            .bind(self.max_attempts)
            .bind(self.timeouts_ms)
            .bind(self.correlation_ids)
            .bind(self.traceparents)
            .bind(self.delays_ms)
            .bind(self.args)
            .fetch_all(conn)
            .await?;
        Ok(ids)
    }
}
