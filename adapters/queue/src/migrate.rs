//! Brings the schema `queue` up to date.

use sqlx::migrate::Migrator;
use sqlx::{Connection, PgConnection, PgPool};

use crate::Error;

static MIGRATOR: Migrator = sqlx::migrate!("../../migrations/queue");

/// The version of the schema that this was built with.
pub fn newest_migration() -> i64 {
    MIGRATOR
        .iter()
        .map(|migration| migration.version)
        .max()
        .unwrap_or(0)
}

/// Creates or updates the schema `queue`. Idempotent; concurrent callers wait for each other. All of it is one
/// transaction, so that it holds entirely or not at all, and goes through a pooler in transaction mode too.
/// Its record stands in `queue._migrations`, apart from those of the application around it.
pub async fn migrate(pool: &PgPool) -> Result<(), Error> {
    let mut tx = pool.begin().await?;
    // The migrator's own lock belongs to a session, which a pooler changes underneath.
    sqlx::raw_sql(
        "select pg_advisory_xact_lock(hashtext('queue.migrate')); create schema if not exists queue",
    )
    .execute(&mut *tx)
    .await?;
    let mut migrator = Migrator {
        migrations: MIGRATOR.migrations.clone(),
        locking: false,
        ..Migrator::DEFAULT
    };
    migrator.dangerous_set_table_name("queue._migrations");
    let conn: &mut PgConnection = &mut tx;
    let migrated = migrator.run_direct(None, conn, false).await;
    // The migrator names its statements; behind a pooler the next session would find the names taken.
    tx.clear_cached_statements().await?;
    migrated?;
    tx.commit().await?;
    Ok(())
}
