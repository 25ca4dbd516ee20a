//! A deep history and many scheduled jobs, which a claim should not notice.

use std::time::{Duration, Instant};

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{KIND, QUEUE};
use crate::{Error, Queue};

/// What stands in the database beside the measured jobs.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct History {
    /// Finished jobs.
    pub finished: u64,
    /// Jobs whose time has not come.
    pub scheduled: u64,
}

/// Adds so many finished and scheduled jobs to the measured queue.
pub async fn fill(queue: &Queue, history: History) -> Result<(), Error> {
    let queue_id = queue.names().queue(QUEUE).await?;
    let kind_id = queue.names().kind(KIND).await?;
    let statements = [
        (
            "insert into queue.history (id, created_at, started_at, kind_id, worker_id, attempt, max_attempts,
                queue_id, priority, state, args)
            select nextval('queue.job_id'), now(), now(), $2, 1, 1, 20, $1, 0, 0, '{\"at\": 0}'
            from generate_series(1, $3)",
            history.finished,
        ),
        (
            "insert into queue.job (run_at, kind_id, queue_id, args)
            select now() + interval '1 day' + n * interval '1 millisecond', $2, $1, '{\"at\": 0}'
            from generate_series(1, $3) as n",
            history.scheduled,
        ),
    ];
    for (statement, rows) in statements {
        sqlx::query(statement)
            .bind(queue_id)
            .bind(kind_id)
            .bind(i64::try_from(rows).unwrap_or(i64::MAX))
            .execute(queue.pool())
            .await?;
    }
    // Filling leaves work behind that a history grown over days has had done: visibility, statistics, writing back.
    for settle in [
        "vacuum analyze queue.job",
        "vacuum analyze queue.history",
        "checkpoint",
    ] {
        sqlx::query(settle).execute(queue.pool()).await?;
    }
    Ok(())
}

/// What it took to drop a day.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Dropped {
    /// The statement. What comes after its commit is a part of it: the files are deleted when nobody waits any more.
    pub took_ms: f64,
    /// The longest that anybody else waited meanwhile to read the history.
    pub others_waited_ms: f64,
}

/// Drops the fullest partition of the history as its retention would; with it, the scheduled jobs of [`fill`] are
/// deleted.
pub async fn drop_a_day(queue: &Queue) -> Result<Dropped, Error> {
    let fullest: String = sqlx::query_scalar(
        "select inhrelid::regclass::text from pg_inherits
        where inhparent = 'queue.history'::regclass order by pg_relation_size(inhrelid) desc limit 1",
    )
    .fetch_one(queue.pool())
    .await?;
    let stop = CancellationToken::new();
    let others = tokio::spawn(longest_read(queue.clone(), stop.clone()));
    let start = Instant::now();
    sqlx::query(sqlx::AssertSqlSafe(format!("drop table {fullest}")))
        .execute(queue.pool())
        .await?;
    let took = start.elapsed();
    stop.cancel();
    let others_waited = others
        .await
        .map_err(|error| Error::Invalid(error.to_string()))??;
    sqlx::query("delete from queue.job where seq is null")
        .execute(queue.pool())
        .await?;
    let ms = |time: Duration| time.as_secs_f64() * 1_000.0;
    Ok(Dropped {
        took_ms: ms(took),
        others_waited_ms: ms(others_waited),
    })
}

/// Reads the history again and again; returns how long the longest of these took.
async fn longest_read(queue: Queue, stop: CancellationToken) -> Result<Duration, Error> {
    let mut conn = queue.pool().acquire().await?;
    let mut longest = Duration::ZERO;
    while !stop.is_cancelled() {
        let start = Instant::now();
        sqlx::query("select from queue.history where id = 0")
            .execute(&mut *conn)
            .await?;
        longest = longest.max(start.elapsed());
    }
    Ok(longest)
}
