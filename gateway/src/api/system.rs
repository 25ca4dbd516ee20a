//! What runs where, on which schema, and how this gateway is configured.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use domain::system;
use serde::Serialize;
use utoipa::ToSchema;

use super::queues::view::LiveWorker;
use crate::app::App;
use crate::problem::ApiError;
use crate::query::NoParams;

/// The database's server.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DatabaseServer {
    /// As it names itself.
    version: String,
    /// Since when it runs.
    started_at: DateTime<Utc>,
    /// Bytes that the database takes on disk.
    size_bytes: i64,
    /// Connections to it now.
    connections: i64,
    /// The most that it allows.
    max_connections: i64,
}

/// The schema of one owner.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Schema {
    /// `queue` or `platform`.
    owner: String,
    /// The version that is there.
    present: i64,
    /// The version that this gateway was built with; a newer one that is there is fine.
    needed: i64,
}

/// A migration that was carried out.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Migration {
    /// `queue` or `platform`.
    owner: String,
    /// Its number.
    version: i64,
    /// What it does.
    description: String,
    /// When.
    installed_at: DateTime<Utc>,
}

/// A process with connections to the database.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Process {
    /// `codex-k8s gateway`, `codex-k8s worker` and so on.
    name: String,
    /// The address that it comes from; null over a local socket.
    address: Option<String>,
    /// Its connections now.
    connections: i64,
    /// When the oldest of them began.
    since: DateTime<Utc>,
}

/// Who keeps the database from cleaning up.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SnapshotHolder {
    /// `session`, `slot` or `prepared`.
    sort: String,
    /// The server process, if one is connected.
    pid: Option<i32>,
    /// The session's application, the slot's name or the prepared transaction's.
    name: Option<String>,
    /// What it does.
    state: Option<String>,
    /// Its age in seconds, as far as we may see.
    seconds: Option<f64>,
    /// What an operator does to end it.
    remedy: String,
}

/// What runs where.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct System {
    /// This gateway's version.
    version: &'static str,
    /// The database.
    database: DatabaseServer,
    /// The schemas.
    schemas: Vec<Schema>,
    /// The migrations, the latest first.
    migrations: Vec<Migration>,
    /// Processes with connections to the database.
    processes: Vec<Process>,
    /// The workers that live.
    workers: Vec<LiveWorker>,
    /// The oldest snapshots.
    snapshots: Vec<SnapshotHolder>,
}

/// What runs where, and on which schema.
#[utoipa::path(
    get,
    path = "/api/v1/staff/system",
    operation_id = "show_system",
    tag = "system",
    extensions(("x-right" = json!("platform_read"))),
    security(("staff" = [])),
    responses(
        (status = 200, description = "As it is now", body = System),
    )
)]
pub(crate) async fn show(State(app): State<Arc<App>>, _: NoParams) -> Result<Json<System>, ApiError> {
    let found = app.ports.staff.system.system().await?;
    let workers = app.ports.queues.workers().await?;
    Ok(Json(System::new(found, workers)))
}

impl System {
    fn new(found: system::System, workers: Vec<domain::queue::LiveWorker>) -> Self {
        let schema = |schema: system::Schema| Schema {
            owner: schema.owner,
            present: schema.present,
            needed: schema.needed,
        };
        let migration = |migration: system::Migration| Migration {
            owner: migration.owner,
            version: migration.version,
            description: migration.description,
            installed_at: migration.installed_at,
        };
        let process = |process: system::Process| Process {
            name: process.name,
            address: process.address,
            connections: process.connections,
            since: process.since,
        };
        let holder = |holder: system::SnapshotHolder| SnapshotHolder {
            sort: holder.sort,
            pid: holder.pid,
            name: holder.name,
            state: holder.state,
            seconds: holder.seconds,
            remedy: holder.remedy,
        };
        Self {
            version: env!("CARGO_PKG_VERSION"),
            database: DatabaseServer {
                version: found.database.version,
                started_at: found.database.started_at,
                size_bytes: found.database.size_bytes,
                connections: found.database.connections,
                max_connections: found.database.max_connections,
            },
            schemas: found.schemas.into_iter().map(schema).collect(),
            migrations: found.migrations.into_iter().map(migration).collect(),
            processes: found.processes.into_iter().map(process).collect(),
            workers: workers.into_iter().map(LiveWorker::from).collect(),
            snapshots: found.snapshots.into_iter().map(holder).collect(),
        }
    }
}

/// A variable of this gateway's configuration.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ConfigurationLine {
    /// Its name.
    name: String,
    /// What it means and what is allowed.
    meaning: String,
    /// What it is when it is not set.
    default: String,
    /// Whether it is set.
    is_set: bool,
    /// Whether it holds a secret, which is never shown.
    is_secret: bool,
    /// Its value, if it is set and no secret.
    value: Option<String>,
}

/// How this gateway is configured. It is set in its environment and read at its start.
#[utoipa::path(
    get,
    path = "/api/v1/staff/settings",
    operation_id = "list_settings",
    tag = "system",
    extensions(("x-right" = json!("platform_read"))),
    security(("staff" = [])),
    responses(
        (status = 200, description = "Variables by name", body = Vec<ConfigurationLine>),
    )
)]
pub(crate) async fn settings(
    State(app): State<Arc<App>>,
    _: NoParams,
) -> Result<Json<Vec<ConfigurationLine>>, ApiError> {
    let line = |line: &crate::settings::ConfigurationLine| ConfigurationLine {
        name: line.name.clone(),
        meaning: line.meaning.clone(),
        default: line.default.clone(),
        is_set: line.is_set,
        is_secret: line.is_secret,
        value: line.value.clone().filter(|_| !line.is_secret),
    };
    Ok(Json(app.settings.configuration.iter().map(line).collect()))
}
