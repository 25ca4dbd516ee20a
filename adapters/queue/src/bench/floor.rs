//! The floor: plain statements that do as little as a durable queue can do. Two sessions claim and archive
//! in batches of 500; ten insert one row at a time.

use std::time::{Duration, Instant};

use sqlx::PgPool;
use tokio::task::JoinSet;

use super::per_second;
use crate::Error;

const BATCH: u64 = 500;
/// Rows of one bulk insert, the queue's too.
pub(super) const BULK: u64 = 1_000;

const TABLES: [&str; 4] = [
    "drop schema if exists queue_bench_floor cascade",
    "create schema queue_bench_floor",
    "create table queue_bench_floor.job (
        id bigint generated always as identity primary key, seq bigint not null,
        queue smallint not null default 1, priority smallint not null default 0, kind integer not null default 1,
        claimed_by integer, args jsonb not null) with (fillfactor = 70)",
    "create table queue_bench_floor.done (
        id bigint, kind integer, args jsonb, finished_at timestamptz default now())",
];

const INDEX: [&str; 2] = [
    "create index on queue_bench_floor.job (queue, priority, seq)",
    "create sequence queue_bench_floor.seq",
];

const INSERT: &str = "
insert into queue_bench_floor.job (seq, args) values (nextval('queue_bench_floor.seq'), '{\"at\":0}')";

const INSERT_BULK: &str = "
insert into queue_bench_floor.job (seq, args)
select nextval('queue_bench_floor.seq'), '{\"at\":0}' from generate_series(1, $1)";

const CLAIM: &str = "
with next as materialized (
    select id from queue_bench_floor.job where queue = 1 and priority = 0 and claimed_by is null
    order by seq limit 500 for update skip locked)
update queue_bench_floor.job as job set claimed_by = $1 from next where job.id = next.id returning job.id";

const ARCHIVE: &str = "
with gone as (delete from queue_bench_floor.job where id = any($1) returning id, kind, args)
insert into queue_bench_floor.done (id, kind, args) select * from gone";

/// What bare SQL reached.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Floor {
    /// Single-row inserts from ten clients, per second.
    pub enqueue_single_per_s: f64,
    /// Rows inserted a thousand at a time, per second.
    pub enqueue_bulk_per_s: f64,
    /// Rows claimed and archived by two sessions, per second.
    pub drain_per_s: f64,
}

/// Measures the floor with so many rows; its tables are dropped afterwards.
pub async fn measure(
    pool: &PgPool,
    rows: u64,
    clients: usize,
    for_how_long: Duration,
) -> Result<Floor, Error> {
    for statement in TABLES.into_iter().chain(INDEX) {
        sqlx::query(statement).execute(pool).await?;
    }
    let enqueue_single_per_s = insert(pool, clients, for_how_long).await?;
    sqlx::query("truncate queue_bench_floor.job")
        .execute(pool)
        .await?;
    let start = Instant::now();
    let mut conn = pool.acquire().await?;
    let batches = rows.div_ceil(BULK);
    for _ in 0..batches {
        sqlx::query(INSERT_BULK)
            .bind(BULK as i64)
            .execute(&mut *conn)
            .await?;
    }
    let enqueue_bulk_per_s = per_second(batches * BULK, start);
    drop(conn);
    sqlx::query("vacuum analyze queue_bench_floor.job")
        .execute(pool)
        .await?;
    let drain_per_s = drain(pool, batches * BULK).await?;
    sqlx::query("drop schema queue_bench_floor cascade")
        .execute(pool)
        .await?;
    Ok(Floor {
        enqueue_single_per_s,
        enqueue_bulk_per_s,
        drain_per_s,
    })
}

/// Single-row inserts per second from so many clients; its tables are dropped afterwards.
pub async fn single_insert(pool: &PgPool, clients: usize, for_how_long: Duration) -> Result<f64, Error> {
    for statement in TABLES.into_iter().chain(INDEX) {
        sqlx::query(statement).execute(pool).await?;
    }
    let rate = insert(pool, clients, for_how_long).await?;
    sqlx::query("drop schema queue_bench_floor cascade")
        .execute(pool)
        .await?;
    Ok(rate)
}

async fn insert(pool: &PgPool, clients: usize, for_how_long: Duration) -> Result<f64, Error> {
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..clients {
        let pool = pool.clone();
        tasks.spawn(async move {
            let mut conn = pool.acquire().await?;
            let mut sent = 0_u64;
            while start.elapsed() < for_how_long {
                sqlx::query(INSERT).execute(&mut *conn).await?;
                sent += 1;
            }
            Ok::<_, Error>(sent)
        });
    }
    let sent = sum(tasks).await?;
    Ok(per_second(sent, start))
}

async fn drain(pool: &PgPool, rows: u64) -> Result<f64, Error> {
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for session in 1..=2_i32 {
        let pool = pool.clone();
        tasks.spawn(async move {
            let mut conn = pool.acquire().await?;
            let mut moved = 0;
            while moved < rows {
                let ids: Vec<i64> = sqlx::query_scalar(CLAIM)
                    .bind(session)
                    .fetch_all(&mut *conn)
                    .await?;
                if ids.is_empty() {
                    break;
                }
                moved += (ids.len() as u64).min(BATCH);
                sqlx::query(ARCHIVE).bind(ids).execute(&mut *conn).await?;
            }
            Ok::<_, Error>(moved)
        });
    }
    let moved = sum(tasks).await?;
    Ok(per_second(moved, start))
}

async fn sum(mut tasks: JoinSet<Result<u64, Error>>) -> Result<u64, Error> {
    let mut total = 0;
    while let Some(task) = tasks.join_next().await {
        total += task.map_err(|error| Error::Invalid(error.to_string()))??;
    }
    Ok(total)
}
