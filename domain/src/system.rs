//! What runs where, and on which schema.

use chrono::{DateTime, Utc};

/// The database's server.
#[derive(Debug, Clone, PartialEq)]
pub struct DatabaseServer {
    /// As it names itself.
    pub version: String,
    /// Since when it runs.
    pub started_at: DateTime<Utc>,
    /// Bytes that the database takes on disk.
    pub size_bytes: i64,
    /// Connections to it now.
    pub connections: i64,
    /// The most that it allows.
    pub max_connections: i64,
}

/// A migration that was carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// Whose it is: `queue` or `platform`.
    pub owner: String,
    /// Its number.
    pub version: i64,
    /// What it does.
    pub description: String,
    /// When.
    pub installed_at: DateTime<Utc>,
}

/// The schema of one owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    /// `queue` or `platform`.
    pub owner: String,
    /// The version that is there.
    pub present: i64,
    /// The version that this program was built with.
    pub needed: i64,
}

/// A process of ours with connections to the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// `codex-k8s gateway`, `codex-k8s worker` and so on.
    pub name: String,
    /// The address that it comes from; none over a local socket.
    pub address: Option<String>,
    /// Its connections now.
    pub connections: i64,
    /// When the oldest of them began.
    pub since: DateTime<Utc>,
}

/// Who keeps the database from cleaning up.
#[derive(Debug, Clone, PartialEq)]
pub struct SnapshotHolder {
    /// `session`, `slot` or `prepared`.
    pub sort: String,
    /// The server process, if one is connected.
    pub pid: Option<i32>,
    /// The session's application, the slot's name or the prepared transaction's.
    pub name: Option<String>,
    /// What it does.
    pub state: Option<String>,
    /// Its age in seconds, as far as this role may see.
    pub seconds: Option<f64>,
    /// What an operator does to end it.
    pub remedy: String,
}

/// What runs where.
#[derive(Debug, Clone, PartialEq)]
pub struct System {
    /// The database.
    pub database: DatabaseServer,
    /// The schemas, each with its versions.
    pub schemas: Vec<Schema>,
    /// The migrations, the latest first.
    pub migrations: Vec<Migration>,
    /// Processes with connections to the database, by name.
    pub processes: Vec<Process>,
    /// The oldest snapshots.
    pub snapshots: Vec<SnapshotHolder>,
}
