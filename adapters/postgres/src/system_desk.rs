//! What runs where, and on which schema.

use async_trait::async_trait;
use domain::port::PortError;
use domain::port::staff::SystemDesk;
use domain::system::{DatabaseServer, Migration, Process, Schema, SnapshotHolder, System};

use crate::Store;
use crate::error::db;
use crate::migrate;

/// How many migrations are shown.
const MIGRATIONS: i64 = 100;

#[async_trait]
impl SystemDesk for Store {
    async fn system(&self) -> Result<System, PortError> {
        let database = sqlx::query_as!(
            DatabaseServer,
            r#"select version() as "version!", pg_postmaster_start_time() as "started_at!",
                pg_database_size(current_database()) as "size_bytes!",
                (select count(*) from pg_stat_activity where datname = current_database()) as "connections!",
                current_setting('max_connections')::bigint as "max_connections!""#
        )
        .fetch_one(&self.pool)
        .await
        .map_err(db)?;
        let processes = sqlx::query_as!(
            Process,
            r#"select application_name as "name!", host(client_addr) as address, count(*) as "connections!",
                min(backend_start) as "since!"
            from pg_stat_activity
            where datname = current_database() and backend_type = 'client backend' and backend_start is not null
            group by application_name, client_addr order by application_name, client_addr"#
        )
        .fetch_all(&self.pool)
        .await
        .map_err(db)?;
        let migrations = self.migrations().await?;
        let schema = |owner: &str, needed| Schema {
            owner: owner.to_owned(),
            present: migrations
                .iter()
                .filter(|one| one.owner == owner)
                .map(|one| one.version)
                .max()
                .unwrap_or(0),
            needed,
        };
        let schemas = vec![
            schema("queue", queue::newest_migration()),
            schema("platform", migrate::newest()),
        ];
        let snapshots = self.queue.oldest_snapshot().await.map_err(db)?;
        Ok(System {
            database,
            schemas,
            migrations,
            processes,
            snapshots: snapshots
                .holders
                .into_iter()
                .map(|holder| SnapshotHolder {
                    remedy: holder.remedy(),
                    sort: holder.sort,
                    pid: holder.pid,
                    name: holder.name,
                    state: holder.state,
                    seconds: holder.seconds,
                })
                .collect(),
        })
    }
}

impl Store {
    async fn migrations(&self) -> Result<Vec<Migration>, PortError> {
        // Not checked while this is built: the records are the migrator's own.
        let rows: Vec<(String, i64, String, chrono::DateTime<chrono::Utc>)> = sqlx::query_as(
            "select owner, version, description, installed_on from (
                select 'queue' as owner, version, description, installed_on from queue._migrations where success
                union all
                select 'platform', version, description, installed_on from platform._migrations where success
            ) as carried_out order by installed_on desc, owner, version desc limit $1",
        )
        .bind(MIGRATIONS)
        .fetch_all(&self.pool)
        .await
        .map_err(db)?;
        let migration = |(owner, version, description, installed_at)| Migration {
            owner,
            version,
            description,
            installed_at,
        };
        Ok(rows.into_iter().map(migration).collect())
    }
}
