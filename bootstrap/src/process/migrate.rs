//! `codex-k8s migrate`: brings the database's schema up to date. Safe to run at any time, by several at once.

use anyhow::{Context, Result};

use super::{database, observe, signals};
use crate::config::{Database, Environment, Log};

/// Migrates and says so.
pub(crate) async fn run(env: &Environment) -> Result<()> {
    observe::log(&Log::read(env)?)?;
    let shutdown = signals::shutdown(false)?;
    let database = Database {
        max_connections: 2,
        ..Database::read(env)?
    };
    let store = database::connect(&database, "codex-k8s migrate", &shutdown).await?;
    store
        .migrate()
        .await
        .context("can't bring the schema up to date")?;
    store.close().await;
    println!("the schema is up to date");
    Ok(())
}
