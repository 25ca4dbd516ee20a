//! What a queue allows over the whole fleet.

use std::time::Duration;

use serde::{Serialize, Serializer};
use sqlx::{Connection, FromRow, PgConnection};

use crate::desk::{Subject, record_subject};
use crate::{By, Error, Queue};

/// So many jobs may start in so long: all at once, and then evenly as the time passes.
/// Serialized as `{"jobs": 10, "period_ms": 60000}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Rate {
    /// Jobs, at least 1.
    pub jobs: i32,
    /// In this time, at least 1 ms.
    #[serde(rename = "period_ms", serialize_with = "as_millis")]
    pub period: Duration,
}

/// Limits of a queue, over all of its workers; none by default. They hold from a second after they were set,
/// for the jobs claimed from then on. A job counts from its claim until its end is written, as long as its lease
/// stands. What a worker held that was given up counts no more, though its fenced attempts may go on until
/// its next heartbeat; before that it claims nothing of such a queue.
///
/// A queue with limits is claimed from by one worker at a time, with large claims; one without isn't.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Limits {
    /// Jobs that run at once.
    pub max_running: Option<i32>,
    /// Jobs of one key that run at once.
    pub max_running_per_key: Option<i32>,
    /// Jobs that start in a time.
    pub rate: Option<Rate>,
    /// Jobs of one key that start in a time.
    pub rate_per_key: Option<Rate>,
}

/// The columns of `queue.queue` that hold them.
#[derive(Debug, FromRow)]
pub(crate) struct LimitsRow {
    max_running: Option<i32>,
    max_running_per_key: Option<i32>,
    rate: Option<i32>,
    rate_period_ms: Option<i32>,
    key_rate: Option<i32>,
    key_rate_period_ms: Option<i32>,
}

const READ: &str = "
select max_running, max_running_per_key, rate, rate_period_ms, key_rate, key_rate_period_ms
from queue.queue where id = $1";

const WRITE: &str = "
update queue.queue set max_running = $2, max_running_per_key = $3, rate = $4, rate_period_ms = $5,
    key_rate = $6, key_rate_period_ms = $7
where id = $1";

fn as_millis<S: Serializer>(period: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u128(period.as_millis())
}

fn period_ms(rate: Option<Rate>) -> Result<Option<i32>, Error> {
    let Some(rate) = rate else {
        return Ok(None);
    };
    let ms = i32::try_from(rate.period.as_millis()).unwrap_or(0);
    if rate.jobs < 1 || ms < 1 {
        return Err(Error::Invalid(
            "a rate is at least 1 job in 1 ms to 24 days".into(),
        ));
    }
    Ok(Some(ms))
}

fn rate(jobs: Option<i32>, period_ms: Option<i32>) -> Option<Rate> {
    Some(Rate {
        jobs: jobs?,
        period: Duration::from_millis(u64::try_from(period_ms?).unwrap_or(0)),
    })
}

impl From<LimitsRow> for Limits {
    fn from(row: LimitsRow) -> Self {
        Self {
            max_running: row.max_running,
            max_running_per_key: row.max_running_per_key,
            rate: rate(row.rate, row.rate_period_ms),
            rate_per_key: rate(row.key_rate, row.key_rate_period_ms),
        }
    }
}

impl Queue {
    /// Sets the queue's limits; those left out are lifted. Audited in the caller's transaction. The same ones
    /// again change nothing.
    pub async fn set_limits(
        &self,
        conn: &mut PgConnection,
        queue: &str,
        limits: Limits,
        by: &By,
    ) -> Result<(), Error> {
        self.change_limits(conn, queue, |_| limits, by).await.map(|_| ())
    }

    /// As [`Queue::set_limits`], with limits that follow from the present ones; nobody else changes them
    /// meanwhile. Returns how they were and how they are now.
    pub async fn change_limits(
        &self,
        conn: &mut PgConnection,
        queue: &str,
        change: impl FnOnce(Limits) -> Limits + Send,
        by: &By,
    ) -> Result<(Limits, Limits), Error> {
        let queue_id = self.names().queue(queue).await?;
        let mut tx = conn.begin().await?;
        let held = sqlx::query("select from queue.queue where id = $1 for no key update").persistent(false);
        held.bind(queue_id).execute(&mut *tx).await?;
        let before = read(&mut tx, queue_id).await?;
        let after = change(before);
        if [after.max_running, after.max_running_per_key]
            .iter()
            .flatten()
            .any(|limit| *limit < 1)
        {
            return Err(Error::Invalid(
                "a limit is at least 1; to stop a queue, pause it".into(),
            ));
        }
        let (period, key_period) = (period_ms(after.rate)?, period_ms(after.rate_per_key)?);
        if before != after {
            sqlx::query(WRITE)
                .persistent(false)
                .bind(queue_id)
                .bind(after.max_running)
                .bind(after.max_running_per_key)
                .bind(after.rate.map(|rate| rate.jobs))
                .bind(period)
                .bind(after.rate_per_key.map(|rate| rate.jobs))
                .bind(key_period)
                .execute(&mut *tx)
                .await?;
            let json = |limits| serde_json::to_value(limits).ok();
            let change = (json(before), json(after));
            record_subject(&mut tx, "limits", &Subject::Queue(queue), change, &[], by).await?;
        }
        tx.commit().await?;
        Ok((before, after))
    }

    /// The queue's limits.
    pub async fn limits(&self, conn: &mut PgConnection, queue: &str) -> Result<Limits, Error> {
        let queue_id = self.names().queue(queue).await?;
        let mut unit = self.unit(conn).await?;
        let limits = read(&mut unit, queue_id).await?;
        unit.end().await?;
        Ok(limits)
    }
}

async fn read(conn: &mut PgConnection, queue_id: i16) -> Result<Limits, sqlx::Error> {
    let row: LimitsRow = sqlx::query_as(READ)
        .persistent(false)
        .bind(queue_id)
        .fetch_one(conn)
        .await?;
    Ok(row.into())
}
