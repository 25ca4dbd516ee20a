//! Who keeps the database from cleaning up. Finished jobs leave dead rows behind; while somebody has an old
//! snapshot none of them goes away, and everything that looks at the table becomes slower.

use sqlx::FromRow;

use crate::{Error, Queue};

/// One who holds a snapshot.
#[derive(Debug, Clone, FromRow)]
pub struct Holder {
    /// `session`, `slot` (of a replication) or `prepared` (a transaction).
    pub sort: String,
    /// The server process, if one is connected.
    pub pid: Option<i32>,
    /// The session's application, the slot's name or the prepared transaction's.
    pub name: Option<String>,
    /// The user.
    pub owner: Option<String>,
    /// What it does: `active`, `idle in transaction`, …
    pub state: Option<String>,
    /// Age in transactions that began since.
    pub transactions: i64,
    /// Age in seconds; unknown of slots, and of sessions that this role may not look into.
    pub seconds: Option<f64>,
    /// A logical slot holds the system's catalogs back, not jobs.
    pub catalog_only: bool,
}

impl Holder {
    /// What an operator does to end it.
    pub fn remedy(&self) -> String {
        let name = self.name.as_deref().unwrap_or_default().replace('\'', "''");
        match (self.sort.as_str(), self.pid) {
            ("prepared", _) => format!("commit it, or: rollback prepared '{name}'"),
            ("slot", None) => {
                format!("start its consumer again, or: select pg_drop_replication_slot('{name}')")
            }
            ("slot", Some(_)) => "its consumer lags: see to it".to_owned(),
            (_, Some(pid)) => format!("end its transaction, or: select pg_terminate_backend({pid})"),
            _ => "end its transaction".to_owned(),
        }
    }
}

/// Who holds snapshots.
#[derive(Debug, Clone)]
pub struct SnapshotHolders {
    /// The oldest first, ten at most; those that hold only catalogs back come last.
    pub holders: Vec<Holder>,
    /// Other users' sessions that this role may not look into (it isn't a member of `pg_read_all_stats`): their
    /// age is known in transactions, not in seconds.
    pub hidden_sessions: i64,
}

impl SnapshotHolders {
    /// The age of the oldest snapshot in seconds, as far as it can be seen; 0 if there is none.
    pub fn oldest_seconds(&self) -> f64 {
        self.holders
            .iter()
            .filter_map(|holder| holder.seconds)
            .fold(0.0, f64::max)
    }
}

const HOLDERS: &str = "
select sort, pid, name, owner, state, transactions, seconds, catalog_only from queue.snapshot_holder
order by catalog_only, transactions desc, seconds desc nulls last limit 10";

const HIDDEN: &str = "
select count(*) from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid() and query = '<insufficient privilege>'";

impl Queue {
    /// Who has the oldest snapshot of this database.
    pub async fn oldest_snapshot(&self) -> Result<SnapshotHolders, Error> {
        let mut unit = self.own_unit().await?;
        let found = SnapshotHolders {
            holders: sqlx::query_as(HOLDERS)
                .persistent(false)
                .fetch_all(&mut *unit)
                .await?,
            hidden_sessions: sqlx::query_scalar(HIDDEN)
                .persistent(false)
                .fetch_one(&mut *unit)
                .await?,
        };
        unit.end().await?;
        Ok(found)
    }
}
