//! How fast jobs go in and out, and what each costs the server.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::floor::BULK as BATCH;
use super::{QUEUE, job, per_second};
use crate::{By, Error, NewJob, Queue};

/// The most that a drain may take.
const PATIENCE: Duration = Duration::from_mins(15);

async fn enqueue(queue: &Queue, jobs: u64, of: impl Fn(u64) -> NewJob) -> Result<f64, Error> {
    let start = Instant::now();
    let mut conn = queue.pool().acquire().await?;
    let mut sent = 0;
    while sent < jobs {
        let next = (sent + BATCH).min(jobs);
        queue
            .enqueue_many(&mut conn, (sent..next).map(&of).collect())
            .await?;
        sent = next;
    }
    Ok(per_second(jobs, start))
}

/// Enqueues `jobs` jobs in batches of 1,000; returns jobs per second.
pub async fn enqueue_bulk(queue: &Queue, jobs: u64) -> Result<f64, Error> {
    enqueue(queue, jobs, |_| job(0)).await
}

/// As [`enqueue_bulk`], the jobs spread evenly over so many keys.
pub async fn enqueue_keyed(queue: &Queue, jobs: u64, keys: u64) -> Result<f64, Error> {
    enqueue(queue, jobs, |n| job(0).key((n % keys).to_string())).await
}

/// Enqueues jobs one at a time from so many clients, each on a connection and in a transaction of its own;
/// returns jobs sent and jobs per second.
pub async fn enqueue_single(
    queue: &Queue,
    clients: usize,
    for_how_long: Duration,
) -> Result<(u64, f64), Error> {
    let client = move |queue: Queue, start: Instant| async move {
        let mut conn = queue.pool().acquire().await?;
        let mut sent = 0_u64;
        while start.elapsed() < for_how_long {
            queue.enqueue(&mut conn, job(0)).await?;
            sent += 1;
        }
        Ok(sent)
    };
    together(queue, clients, client).await
}

/// As [`enqueue_single`], but by [`Queue::send`], where clients share commits.
pub async fn send(queue: &Queue, clients: usize, for_how_long: Duration) -> Result<(u64, f64), Error> {
    let client = move |queue: Queue, start: Instant| async move {
        let mut sent = 0_u64;
        while start.elapsed() < for_how_long {
            queue.send(job(0)).await?;
            sent += 1;
        }
        Ok(sent)
    };
    together(queue, clients, client).await
}

/// Runs so many clients; returns what they sent, and how much per second.
async fn together<F>(
    queue: &Queue,
    clients: usize,
    client: impl Fn(Queue, Instant) -> F,
) -> Result<(u64, f64), Error>
where
    F: Future<Output = Result<u64, Error>> + Send + 'static,
{
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..clients {
        tasks.spawn(client(queue.clone(), start));
    }
    let mut sent = 0;
    while let Some(client) = tasks.join_next().await {
        sent += client.map_err(|error| Error::Invalid(error.to_string()))??;
    }
    Ok((sent, per_second(sent, start)))
}

/// Resumes the measured queue, which was paused while its workers registered, and waits until they have moved
/// all ready jobs to history; returns jobs per second.
pub async fn drain(queue: &Queue, jobs: u64) -> Result<f64, Error> {
    sqlx::query("vacuum analyze queue.job")
        .execute(queue.pool())
        .await?;
    let queue_id = queue.names().queue(QUEUE).await?;
    let mut conn = queue.pool().acquire().await?;
    let start = Instant::now();
    queue.resume(&mut conn, QUEUE, &By::new("bench")).await?;
    let left = "select exists (select from queue.job where queue_id = $1 and seq is not null)";
    while sqlx::query_scalar(left)
        .bind(queue_id)
        .fetch_one(&mut *conn)
        .await?
    {
        if start.elapsed() > PATIENCE {
            return Err(Error::Invalid(format!(
                "the queue was not drained within {} s",
                PATIENCE.as_secs()
            )));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(per_second(jobs, start))
}

/// What a job cost the server.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Cost {
    /// Bytes of write-ahead log.
    pub wal_bytes: f64,
    /// Transactions; but for limits each is one statement.
    pub transactions: f64,
}

/// Reads the server's meters, before and after.
#[derive(Debug, Clone, Copy)]
pub struct Meters {
    wal_bytes: i64,
    transactions: i64,
}

impl Meters {
    /// As they stand once all sessions have reported, which they do every second.
    pub async fn read(queue: &Queue) -> Result<Self, Error> {
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        let (wal_bytes, transactions) = sqlx::query_as(
            "select (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint, xact_commit
            from pg_stat_database where datname = current_database()",
        )
        .fetch_one(queue.pool())
        .await?;
        Ok(Self {
            wal_bytes,
            transactions,
        })
    }

    /// What happened since, per job.
    pub fn cost(self, since: Self, jobs: u64) -> Cost {
        Cost {
            wal_bytes: (self.wal_bytes - since.wal_bytes) as f64 / jobs as f64,
            transactions: (self.transactions - since.transactions) as f64 / jobs as f64,
        }
    }
}
