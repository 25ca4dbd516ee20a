//! The way to the database at the start of a process: it may come up later than we do.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use domain::port::PortError;
use postgres::{Options, Store};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::config::Database;

/// How long to wait for a database that doesn't answer; then the process ends, and who started it decides.
const PATIENCE: Duration = Duration::from_mins(1);
const LONGEST_PAUSE_MS: u64 = 5_000;

/// Connects, and tries again while nobody answers. What the database refuses is an error at once.
pub(crate) async fn connect(database: &Database, name: &str, shutdown: &CancellationToken) -> Result<Store> {
    let options = Options {
        max_connections: database.max_connections,
        application_name: name.to_owned(),
        keyring: database.keyring.clone(),
        wake: database.wake,
        ..Options::new(database.url.clone())
    };
    let began = Instant::now();
    let mut pause_ms = 200;
    loop {
        let error = match Store::connect(&options).await {
            Ok(store) => return Ok(store),
            Err(error @ PortError::Refused { .. }) => {
                return Err(error).context("check CODEX_K8S_DATABASE_URL");
            }
            Err(error) if error.to_string().contains("unsupported startup parameter") => {
                return Err(error).context(
                    "a pooler refuses settings at a connection's start: set CODEX_K8S_QUEUE_WAKE=poll if it is in \
                     transaction mode, else have it ignore them (PgBouncer's ignore_startup_parameters)",
                );
            }
            Err(error) => error,
        };
        if began.elapsed() > PATIENCE {
            return Err(error).context("check CODEX_K8S_DATABASE_URL and whether the database runs");
        }
        // Half of the pause is left to chance, so that many processes don't come back at once.
        let wait = Duration::from_millis(rand::random_range(pause_ms / 2..=pause_ms));
        tracing::warn!(%error, wait_ms = wait.as_millis() as u64, "waiting for the database");
        metrics::counter!("codex_k8s_database_connect_retries_total").increment(1);
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = shutdown.cancelled() => bail!("told to stop while waiting for the database"),
        }
        pause_ms = (pause_ms * 2).min(LONGEST_PAUSE_MS);
    }
}
