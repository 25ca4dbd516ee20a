//! What a queue allows over the whole fleet.

use std::time::Duration;

use sqlx::PgConnection;

use crate::{Error, Queue};

/// So many jobs may start in so long: all at once, and then evenly as the time passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Jobs, at least 1.
    pub jobs: i32,
    /// In this time, at least 1 ms.
    pub period: Duration,
}

/// Limits of a queue, over all of its workers; none by default. They hold from a second after they were set,
/// for the jobs claimed from then on. A job counts from its claim until its end is written. A worker that was
/// given up (its lease ran out) counts no more, though what it runs may take until its next heartbeat to stop.
///
/// A queue with limits is claimed from by one worker at a time, with large claims; one without isn't.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
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

type LimitsRow = (
    Option<i32>,
    Option<i32>,
    Option<i32>,
    Option<i32>,
    Option<i32>,
    Option<i32>,
);

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

impl Queue {
    /// Sets the queue's limits; those left out are lifted. Idempotent.
    pub async fn set_limits(
        &self,
        conn: &mut PgConnection,
        queue: &str,
        limits: Limits,
    ) -> Result<(), Error> {
        if [limits.max_running, limits.max_running_per_key]
            .iter()
            .flatten()
            .any(|limit| *limit < 1)
        {
            return Err(Error::Invalid(
                "a limit is at least 1; to stop a queue, pause it".into(),
            ));
        }
        let (period, key_period) = (period_ms(limits.rate)?, period_ms(limits.rate_per_key)?);
        let queue_id = self.names().queue(queue).await?;
        let mut unit = self.unit(conn).await?;
        sqlx::query(
            "update queue.queue set max_running = $2, max_running_per_key = $3, rate = $4, rate_period_ms = $5,
                key_rate = $6, key_rate_period_ms = $7
            where id = $1",
        )
        .persistent(false)
        .bind(queue_id)
        .bind(limits.max_running)
        .bind(limits.max_running_per_key)
        .bind(limits.rate.map(|rate| rate.jobs))
        .bind(period)
        .bind(limits.rate_per_key.map(|rate| rate.jobs))
        .bind(key_period)
        .execute(&mut *unit)
        .await?;
        unit.end().await?;
        Ok(())
    }

    /// The queue's limits.
    pub async fn limits(&self, conn: &mut PgConnection, queue: &str) -> Result<Limits, Error> {
        let queue_id = self.names().queue(queue).await?;
        let mut unit = self.unit(conn).await?;
        let row: LimitsRow = sqlx::query_as(
            "select max_running, max_running_per_key, rate, rate_period_ms, key_rate, key_rate_period_ms
            from queue.queue where id = $1",
        )
        .persistent(false)
        .bind(queue_id)
        .fetch_one(&mut *unit)
        .await?;
        unit.end().await?;
        Ok(Limits {
            max_running: row.0,
            max_running_per_key: row.1,
            rate: rate(row.2, row.3),
            rate_per_key: rate(row.4, row.5),
        })
    }
}
