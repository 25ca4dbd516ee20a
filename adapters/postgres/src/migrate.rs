//! Brings the schema up to date, and says whether it is.

use domain::port::PortError;
use sqlx::PgPool;
use sqlx::migrate::Migrator;
use sqlx::postgres::PgPoolOptions;

use crate::Store;
use crate::error::{db, refused};

static MIGRATOR: Migrator = sqlx::migrate!("../../migrations/platform");

/// Days for which payload partitions are made ahead: a worker that maintains them may be away that long.
pub(crate) const PARTITIONS_AHEAD_DAYS: i32 = 7;

impl Store {
    /// Brings the queue's schema and ours up to date, and makes the payloads' partitions of the days ahead.
    /// Idempotent; processes that start at once wait for each other. Each owner keeps a record of its own,
    /// `queue._migrations` and `platform._migrations`.
    pub async fn migrate(&self) -> Result<(), PortError> {
        // A connection without statement timeout: a migration may take long, and so may waiting for one.
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .connect_with(self.connect_options.clone())
            .await
            .map_err(db)?;
        let outcome = migrate(&pool).await;
        pool.close().await;
        outcome
    }
}

async fn migrate(pool: &PgPool) -> Result<(), PortError> {
    queue::migrate(pool).await.map_err(db)?;
    let mut migrator = Migrator {
        migrations: MIGRATOR.migrations.clone(),
        ..Migrator::DEFAULT
    };
    migrator.create_schema("platform");
    migrator.dangerous_set_table_name("platform._migrations");
    migrator.run(pool).await.map_err(db)?;
    sqlx::query!(
        "select platform.make_payload_partitions($1)",
        PARTITIONS_AHEAD_DAYS
    )
    .fetch_one(pool)
    .await
    .map_err(db)?;
    Ok(())
}

/// The version that this program was built with.
pub(crate) fn newest() -> i64 {
    MIGRATOR
        .iter()
        .map(|migration| migration.version)
        .max()
        .unwrap_or(0)
}

/// Whether the database answers, takes writes, and has the schema that this program was built with (or a
/// newer one: migrations only expand, so an older program goes on during an upgrade).
pub(crate) async fn check(pool: &PgPool) -> Result<(), PortError> {
    let row = sqlx::query!(
        r#"select pg_is_in_recovery() as "standby!",
            (to_regclass('platform._migrations') is not null) as "prepared!""#
    )
    .fetch_one(pool)
    .await
    .map_err(db)?;
    if row.standby {
        return Err(PortError::Unavailable {
            part: crate::error::DATABASE,
            reason: "the database is a standby and takes no writes".to_owned(),
            retry_after_ms: None,
        });
    }
    let needed = newest();
    let present = if row.prepared {
        sqlx::query_scalar!("select max(version) from platform._migrations where success")
            .fetch_one(pool)
            .await
            .map_err(db)?
            .unwrap_or(0)
    } else {
        0
    };
    if present < needed {
        return Err(refused(format!(
            "the database's schema is at version {present} and this program needs {needed}: run `codex-k8s migrate`"
        )));
    }
    Ok(())
}
