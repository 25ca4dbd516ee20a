//! Partitions of the stored payloads: made ahead, dropped whole.

use domain::port::PortError;
use sqlx::{AssertSqlSafe, PgPool};

use crate::Store;
use crate::error::{db, refused};
use crate::migrate::PARTITIONS_AHEAD_DAYS;

/// What a round of maintenance did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Maintained {
    /// Partitions made, for the days ahead.
    pub made: i32,
    /// Partitions dropped, their retention over.
    pub dropped: i32,
    /// Partitions to drop that were in use just now; the next round tries again.
    pub postponed: i32,
}

impl Store {
    /// Makes the payloads' partitions of today and the 7 days ahead and drops those whose day is more than
    /// `retention_days` ago, days in UTC by the database's clock. Idempotent; call it at least daily.
    pub async fn maintain_partitions(&self, retention_days: u16) -> Result<Maintained, PortError> {
        let made = make(&self.pool).await?;
        let expired = sqlx::query_scalar!(
            r#"select name as "name!" from platform.expired_payload_partitions($1) as name"#,
            i32::from(retention_days),
        )
        .fetch_all(&self.pool)
        .await
        .map_err(db)?;
        let mut maintained = Maintained {
            made,
            dropped: 0,
            postponed: 0,
        };
        for name in expired {
            if drop_partition(&self.pool, &name).await? {
                maintained.dropped += 1;
            } else {
                maintained.postponed += 1;
            }
        }
        Ok(maintained)
    }
}

/// Makes the partitions of the days ahead; returns how many were missing.
pub(crate) async fn make(pool: &PgPool) -> Result<i32, PortError> {
    sqlx::query_scalar!(
        r#"select platform.make_payload_partitions($1) as "made!""#,
        PARTITIONS_AHEAD_DAYS
    )
    .fetch_one(pool)
    .await
    .map_err(db)
}

/// Drops a partition unless somebody holds on to the table: dropping locks it, and whoever comes after
/// would wait in line behind us. `false` if it is in use.
async fn drop_partition(pool: &PgPool, name: &str) -> Result<bool, PortError> {
    if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Err(refused(format!("`{name}` is no payload partition of ours")));
    }
    let mut tx = pool.begin().await.map_err(db)?;
    sqlx::query("set local lock_timeout = '500ms'")
        .execute(&mut *tx)
        .await
        .map_err(db)?;
    let drop = AssertSqlSafe(format!("drop table if exists platform.{name}"));
    match sqlx::query(drop).execute(&mut *tx).await {
        Ok(_) => tx.commit().await.map(|()| true).map_err(db),
        Err(sqlx::Error::Database(e)) if e.code().as_deref() == Some("55P03") => Ok(false),
        Err(e) => Err(db(e)),
    }
}
