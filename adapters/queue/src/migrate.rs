//! Brings the schema `queue` up to date.

use sqlx::PgPool;
use sqlx::migrate::Migrator;

use crate::Error;

static MIGRATOR: Migrator = sqlx::migrate!("../../migrations/queue");

/// Creates or updates the schema `queue`. Idempotent; concurrent callers wait for each other. Its record
/// stands in `queue._migrations`, apart from those of the application around it.
pub async fn migrate(pool: &PgPool) -> Result<(), Error> {
    // The migrations table lives in the schema itself, so that has to be there first. Concurrent
    // `create schema if not exists` can still collide on the catalogue: hence the lock.
    let mut tx = pool.begin().await?;
    sqlx::query("select pg_advisory_xact_lock(hashtext('queue.migrate'))")
        .execute(&mut *tx)
        .await?;
    sqlx::query("create schema if not exists queue")
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    let mut migrator = Migrator {
        migrations: MIGRATOR.migrations.clone(),
        ..Migrator::DEFAULT
    };
    migrator.dangerous_set_table_name("queue._migrations");
    migrator.run(pool).await?;
    Ok(())
}
