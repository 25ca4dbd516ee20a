//! Enqueue, in the caller's transaction.

use std::collections::BTreeSet;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use sqlx::{PgConnection, Row};

use crate::bulk::{self, Numbered};
use crate::finish::FOREVER;
use crate::{Enqueued, Error, NewJob, OnConflict, Queue, Verdict, Wake};

/// One job as most are: ready, with neither tenant nor unique key, and nobody to wake. Each column and each
/// expression that it can do without is time that the server doesn't take to begin.
const INSERT_READY: &str = "
insert into queue.job
    (queue_id, kind_id, priority, max_attempts, timeout_ms, correlation_id, traceparent, tags, seq, args, key)
values ($1, $2, $3, $4, $5, $6, $7, $8, nextval('queue.job_seq'), $9, $10)
returning id";

/// One job without a unique key. `$9` is the delay in milliseconds, 0 for none.
const INSERT: &str = "
insert into queue.job
    (queue_id, kind_id, priority, max_attempts, timeout_ms, correlation_id, traceparent, tags, seq, run_at, args,
     tenant, key, lane)
values ($1, $2, $3, $4, $5, $6, $7, $8,
    case when $9 = 0 then nextval('queue.job_seq') end,
    case when $9 > 0 then clock_timestamp() + $9 * interval '1 millisecond' end, $10, $11, $12,
    case when $11 is not null then queue.lane($11, $12) end)
returning id, case when $9 = 0 and $13 then queue.wake($1) end";

/// As `INSERT`, but `$9` is the time. All that depends on it asks the same clock reading.
const INSERT_AT: &str = "
insert into queue.job
    (queue_id, kind_id, priority, max_attempts, timeout_ms, correlation_id, traceparent, tags, seq, run_at, args,
     tenant, key, lane)
values ($1, $2, $3, $4, $5, $6, $7, $8,
    case when $9 <= statement_timestamp() then nextval('queue.job_seq') end,
    case when $9 > statement_timestamp() then $9 end, $10, $11, $12,
    case when $11 is not null then queue.lane($11, $12) end)
returning id, case when $9 <= statement_timestamp() and $13 then queue.wake($1) end";

/// One job with a unique key `$14`; `$15` is 0 for keep, 1 for replace, 2 for hasten, 3 for debounce with at most
/// `$16` ms; `$17` is the time, where it isn't the delay. A job that runs just now is never changed under its handler: it is noted to be run once more. One that
/// was put aside with its kind stands in line again, until the next claim meets it.
const UPSERT: &str = "
with new as (
    insert into queue.job as old
        (queue_id, kind_id, priority, max_attempts, timeout_ms, correlation_id, traceparent, tags,
         seq, run_at, args, tenant, key, lane, unique_key)
    values ($1, $2, $3, $4, $5, $6, $7, $8,
        case when $9 = 0 and coalesce($17 <= statement_timestamp(), true) then nextval('queue.job_seq') end,
        case when $9 > 0 then clock_timestamp() + $9 * interval '1 millisecond'
            when $17 > statement_timestamp() then $17 end, $10, $11, $12,
        case when $11 is not null then queue.lane($11, $12) end, $14)
    on conflict (unique_key) where unique_key is not null do update set
        args = case when $15 = 0 or old.claimed_by is not null then old.args else excluded.args end,
        seq = case
            when $15 = 0 or old.claimed_by is not null then old.seq
            when $15 = 1 and excluded.seq is null then null
            when $15 = 3 and excluded.seq is null and old.created_at + $16 * interval '1 millisecond' > clock_timestamp()
                then null
            when $15 = 3 and excluded.seq is null then old.seq
            else coalesce(old.seq, excluded.seq, queue.front(old.parked)) end,
        run_at = case
            when $15 = 0 or old.claimed_by is not null then old.run_at
            when $15 = 1 then excluded.run_at
            when $15 = 3 and excluded.seq is null
                then least(excluded.run_at, old.created_at + $16 * interval '1 millisecond')
            when coalesce(old.seq, excluded.seq, old.parked) is not null then null
            else least(old.run_at, excluded.run_at) end,
        parked = case when $15 = 0 or old.claimed_by is not null then old.parked end,
        rerun_args = case
            when $15 > 0 and old.claimed_by is not null then excluded.args else old.rerun_args end,
        rerun_at = case
            when $15 = 0 or old.claimed_by is null then old.rerun_at
            when $15 = 1 then coalesce(excluded.run_at, clock_timestamp())
            when $15 = 3 then least(coalesce(excluded.run_at, clock_timestamp()),
                greatest(old.claimed_at + $16 * interval '1 millisecond', clock_timestamp()))
            else least(old.rerun_at, coalesce(excluded.run_at, clock_timestamp())) end
    returning id, xmax = 0 as inserted)
select id, inserted, case when $9 = 0 and $13 then queue.wake($1) end from new";

pub(crate) fn millis(delay: Duration) -> i64 {
    i64::try_from(delay.min(FOREVER).as_millis()).unwrap_or(0)
}

pub(crate) fn timeout_ms(job: &NewJob) -> Option<i32> {
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
        if !job.after.is_empty() {
            let on = job.after.clone();
            return self.enqueue_waiting(conn, job, &on, false).await;
        }
        job.check()?;
        let queue_id = self.names().queue(&job.queue).await?;
        let kind_id = self.names().kind(&job.kind).await?;
        if job.is_in_lane() {
            self.names().lanes_of(queue_id).await?;
        }
        let wakes = job.delay.is_zero() && self.may_wake(queue_id);
        let is_plain = job.unique.is_none()
            && job.delay.is_zero()
            && job.run_at.is_none()
            && !job.is_in_lane()
            && !wakes;
        let mut unit = self.unit(conn).await?;
        let query = sqlx::query(match job.unique {
            Some(_) => UPSERT,
            None if is_plain => INSERT_READY,
            None if job.run_at.is_some() => INSERT_AT,
            None => INSERT,
        });
        let mut query = query
            .persistent(self.named())
            .bind(queue_id)
            .bind(kind_id)
            .bind(job.priority)
            .bind(job.max_attempts)
            .bind(timeout_ms(&job))
            .bind(job.correlation_id)
            .bind(job.traceparent)
            .bind((!job.tags.is_empty()).then_some(job.tags));
        if is_plain {
            query = query.bind(job.args).bind(job.key);
        } else {
            query = match job.run_at {
                Some(run_at) if job.unique.is_none() => query.bind(run_at),
                _ => query.bind(millis(job.delay)),
            };
            query = query.bind(job.args).bind(job.tenant).bind(job.key).bind(wakes);
        }
        let Some((key, on_conflict)) = job.unique else {
            let row = query.fetch_one(&mut *unit).await?;
            unit.end().await?;
            return Ok(Enqueued {
                id: row.try_get(0)?,
                verdict: Verdict::Inserted,
            });
        };
        let mode: i32 = match on_conflict {
            OnConflict::Keep => 0,
            OnConflict::Replace => 1,
            OnConflict::Hasten => 2,
            OnConflict::Debounce { .. } => 3,
        };
        let max_wait = match on_conflict {
            OnConflict::Debounce { max_wait } => millis(max_wait),
            _ => 0,
        };
        query = query.bind(key).bind(mode).bind(max_wait).bind(job.run_at);
        let row = query.fetch_one(&mut *unit).await?;
        unit.end().await?;
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

    /// Enqueues many jobs in the caller's transaction: those that have a unique key or a point in time or wait for
    /// others singly, all the rest by one statement. The answers stand in the order of the jobs.
    pub async fn enqueue_many(
        &self,
        conn: &mut PgConnection,
        mut jobs: Vec<NewJob>,
    ) -> Result<Vec<Enqueued>, Error> {
        if jobs.len() == 1
            && let Some(job) = jobs.pop()
        {
            return Ok(vec![self.enqueue(conn, job).await?]);
        }
        let mut answers = vec![None; jobs.len()];
        let (mut single, mut places, mut plain) = (Vec::new(), Vec::new(), Vec::new());
        for (place, job) in jobs.into_iter().enumerate() {
            if job.unique.is_some() || !job.after.is_empty() || job.run_at.is_some() {
                single.push((place, job));
            } else {
                places.push(place);
                plain.push(self.numbered(job).await?);
            }
        }
        let ready = plain.iter().filter(|numbered| numbered.job.delay.is_zero());
        let ready: BTreeSet<i16> = ready.map(|numbered| numbered.queue_id).collect();
        let wakes: Vec<i16> = ready.into_iter().filter(|queue| self.may_wake(*queue)).collect();
        let is_one_statement = single.is_empty() && wakes.is_empty() && bulk::is_one_statement(&plain);
        let mut unit = if is_one_statement {
            self.unit(conn).await?
        } else {
            self.transaction(conn).await?
        };
        let conn: &mut PgConnection = &mut unit;
        for (place, job) in single {
            answers[place] = Some(self.enqueue(&mut *conn, job).await?);
        }
        if !plain.is_empty() {
            let ids = bulk::insert(&mut *conn, &plain, self.named()).await?;
            for (place, id) in places.into_iter().zip(ids) {
                let verdict = Verdict::Inserted;
                answers[place] = Some(Enqueued { id, verdict });
            }
        }
        for queue_id in wakes {
            sqlx::query("select queue.wake($1)")
                .persistent(self.named())
                .bind(queue_id)
                .execute(&mut *conn)
                .await?;
        }
        unit.end().await?;
        answers
            .into_iter()
            .map(|answer| {
                answer.ok_or_else(|| Error::Invalid("the database returned fewer jobs than given".into()))
            })
            .collect()
    }

    async fn numbered(&self, job: NewJob) -> Result<Numbered, Error> {
        job.check()?;
        let queue_id = self.names().queue(&job.queue).await?;
        let kind_id = self.names().kind(&job.kind).await?;
        if job.is_in_lane() {
            self.names().lanes_of(queue_id).await?;
        }
        Ok(Numbered {
            queue_id,
            kind_id,
            args: serde_json::to_string(&job.args).map_err(|error| bulk::invalid(&error))?,
            job,
        })
    }

    /// Whether to call `queue.wake`, which lets one call in 10 ms through: a process that has just called spares
    /// itself the next calls.
    fn may_wake(&self, queue_id: i16) -> bool {
        if self.wake_mode() == Wake::Poll {
            return false;
        }
        let now = Instant::now();
        let mut woken = self.inner.woken.lock().unwrap_or_else(PoisonError::into_inner);
        match woken.get_mut(&queue_id) {
            Some(last) if now.duration_since(*last) < WAKE_AGAIN => false,
            Some(last) => {
                *last = now;
                true
            }
            None => {
                woken.insert(queue_id, now);
                true
            }
        }
    }
}

/// Shorter than the gate's 10 ms, so that no wake comes later for it.
const WAKE_AGAIN: Duration = Duration::from_millis(5);
