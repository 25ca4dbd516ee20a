//! What `codex-k8s bench console` needs of the database: to be filled as four weeks would fill it, a change to be
//! told of, and the server's own counters. The statements write what the product would have written.

use domain::id::UserId;
use domain::port::PortError;
use sqlx::{Connection, PgConnection};

use crate::Store;
use crate::error::{Error, db};

/// How much of everything.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Jobs, of which one in 33 hasn't ended; at least four times the deliveries.
    pub jobs: i64,
    /// Deliveries; every third one made a run.
    pub deliveries: i64,
    /// Lines of the log of the newest run.
    pub log_lines: i64,
}

/// People, the first of them with the role `admin`.
pub const PEOPLE: i32 = 250;
/// Projects; nothing happens in the last three.
pub const PROJECTS: i32 = 40;

const PARTS: [(&str, &str); 3] = [
    (
        "people, projects, workers, schedules",
        include_str!("bench/people.sql"),
    ),
    ("jobs", include_str!("bench/jobs.sql")),
    (
        "deliveries, runs, flow events, audit",
        include_str!("bench/platform.sql"),
    ),
];

/// What the server has counted since it was started.
#[derive(Debug, Clone, Copy, sqlx::FromRow)]
pub struct Counters {
    /// Transactions of this database.
    pub transactions: i64,
    /// Rows read by them.
    pub rows: i64,
    /// Sessions whose last command was `LISTEN`.
    pub listening: i64,
    /// Sessions of processes with the application name `codex-k8s gateway`.
    pub gateway_sessions: i64,
}

/// What there is to ask for.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Landmarks {
    /// The first and the last job.
    pub first_job: i64,
    /// See `first_job`.
    pub last_job: i64,
    /// A job that is ready, one that waits for its time and one that is dead.
    pub ready_job: i64,
    /// See `ready_job`.
    pub dead_job: i64,
    /// The newest run, which has the log.
    pub run: i64,
    /// The newest delivery.
    pub delivery: String,
    /// When the one in the middle was received, in microseconds, and which it is.
    pub middle_delivery_us: i64,
    /// See `middle_delivery_us`.
    pub middle_delivery: String,
}

impl Store {
    /// Fills the database, unless it was filled before; false if so. `say` hears what is being written.
    ///
    /// # Errors
    /// [`PortError::Refused`] where the database holds deliveries of somebody else's.
    pub async fn fill_for_bench(&self, size: Size, say: &(dyn Fn(&str) + Sync)) -> Result<bool, PortError> {
        let filled: bool =
            sqlx::query_scalar("select exists (select from platform.project where slug = 'bench-001')")
                .fetch_one(&self.pool)
                .await
                .map_err(db)?;
        if filled {
            return Ok(false);
        }
        let taken: bool = sqlx::query_scalar("select exists (select from platform.delivery)")
            .fetch_one(&self.pool)
            .await
            .map_err(db)?;
        if taken {
            return Err(crate::error::refused(
                "the database to fill holds deliveries already",
            ));
        }
        // A session of its own: what is set here stays nobody else's.
        let mut session = PgConnection::connect_with(&self.connect_options)
            .await
            .map_err(db)?;
        fill(&mut session, size, say).await.map_err(db)?;
        session.close().await.map_err(db)?;
        Ok(true)
    }

    /// What there is to ask for, once it is filled.
    pub async fn bench_landmarks(&self) -> Result<Landmarks, PortError> {
        sqlx::query_as(
            "select (select min(id) from queue.history) as first_job,
                (select last_value from queue.job_id) as last_job,
                (select max(id) from queue.job where seq is not null and claimed_by is null) as ready_job,
                (select max(id) from queue.history where state = 2) as dead_job,
                (select max(id) from runs.run) as run,
                newest.id as delivery, (extract(epoch from middle.received_at) * 1000000)::bigint as middle_delivery_us,
                middle.id as middle_delivery
            from (select id from platform.delivery order by received_at desc limit 1) as newest,
                (select id, received_at from platform.delivery order by received_at
                    offset (select count(*) / 2 from platform.delivery) limit 1) as middle",
        )
        .fetch_one(&self.pool)
        .await
        .map_err(db)
    }

    /// One of the people, `person-0001@bench.example` for instance.
    pub async fn bench_person(&self, email: &str) -> Result<Option<UserId>, PortError> {
        let id: Option<i64> = sqlx::query_scalar("select id from platform.user_account where email = $1")
            .bind(email)
            .fetch_optional(&self.pool)
            .await
            .map_err(db)?;
        Ok(id.map(UserId))
    }

    /// Enqueues a job that nobody works on; its identifier, once it is committed.
    pub async fn bench_change(&self) -> Result<i64, PortError> {
        sqlx::query_scalar("select queue.enqueue('reports', 'report.build', '{\"report\": \"live\"}')")
            .fetch_one(&self.pool)
            .await
            .map_err(db)
    }

    /// The server's counters, as far as sessions have handed theirs in: that may take them a second.
    pub async fn bench_counters(&self) -> Result<Counters, PortError> {
        sqlx::query_as(
            "select xact_commit + xact_rollback as transactions, tup_returned as rows,
                (select count(*) from pg_stat_activity
                    where datname = current_database() and query ilike 'listen %') as listening,
                (select count(*) from pg_stat_activity
                    where datname = current_database() and application_name = 'codex-k8s gateway') as gateway_sessions
            from pg_stat_database where datname = current_database()",
        )
        .fetch_one(&self.pool)
        .await
        .map_err(db)
    }
}

async fn fill(session: &mut PgConnection, size: Size, say: &(dyn Fn(&str) + Sync)) -> Result<(), Error> {
    sqlx::raw_sql("set synchronous_commit = off; set work_mem = '128MB'; set jit = off")
        .execute(&mut *session)
        .await?;
    // All of it or nothing.
    let mut tx = session.begin().await?;
    sqlx::query(
        "create temporary table bench_size as select $1::bigint as jobs, $2::bigint as deliveries,
            $3::bigint as log_lines, $4::integer as people, $5::integer as projects, clock_timestamp() as at,
            interval '28 days' as span,
            (select case when is_called then last_value else 0 end from queue.job_id) as first_job,
            (select coalesce(max(id), 0) from runs.run) as first_run",
    )
    .bind(size.jobs)
    .bind(size.deliveries)
    .bind(size.log_lines)
    .bind(PEOPLE)
    .bind(PROJECTS)
    .execute(&mut *tx)
    .await?;
    for (what, statements) in PARTS {
        say(what);
        sqlx::raw_sql(statements).execute(&mut *tx).await?;
    }
    tx.commit().await?;
    // As autovacuum and the fleet's upkeep would have left it.
    say("vacuum, throughput");
    sqlx::raw_sql("vacuum (analyze)").execute(&mut *session).await?;
    while sqlx::query_scalar("select queue.roll_up()")
        .fetch_one(&mut *session)
        .await?
    {}
    sqlx::raw_sql("select queue.refresh_gauges(true); checkpoint")
        .execute(&mut *session)
        .await?;
    Ok(())
}
