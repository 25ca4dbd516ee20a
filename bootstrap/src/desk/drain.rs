//! Draining a worker as an operator's wish, audited.

use anyhow::{Result, bail};
use queue::Queue;
use serde_json::json;

use super::author::Author;
use super::print;

/// Which worker.
#[derive(Debug, clap::Args)]
pub(super) struct Drained {
    /// Its name; all that live under it are asked
    worker: String,
    #[command(flatten)]
    author: Author,
}

/// Asks it, and does not wait: `queue workers` shows it until it has left.
pub(super) async fn run(queue: &Queue, drained: Drained, json: bool) -> Result<()> {
    let (name, by) = (drained.worker, drained.author.by());
    let mut conn = queue.pool().acquire().await?;
    let Some(changed) = queue.drain_worker_by(&mut conn, &name, &by).await? else {
        bail!("no worker named {name} lives: `codex-k8s queue workers` lists those that do");
    };
    print(&json!({ "worker": name, "changed": changed }), json, |_| {
        if changed {
            format!("{name} drains: it starts nothing more, finishes what it runs, and ends\n")
        } else {
            format!("{name} was asked to drain already\n")
        }
    })
}
