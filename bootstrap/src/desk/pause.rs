//! Pauses and their ends, of a queue, a kind or a tenant.

use anyhow::{Result, bail};
use queue::Queue;
use serde_json::{Value, json};

use super::author::Author;
use super::print;
use crate::staff::table;

/// What to pause or to resume.
#[derive(Debug, clap::Args)]
pub(super) struct Paused {
    /// The queue
    #[arg(required_unless_present = "kind", conflicts_with = "kind")]
    queue: Option<String>,
    /// A kind of job, in all queues
    #[arg(long)]
    kind: Option<String>,
    /// Only this tenant's jobs in the queue
    #[arg(long, requires = "queue")]
    tenant: Option<String>,
    #[command(flatten)]
    author: Author,
}

const COLUMNS: [(&str, &str); 4] = [
    ("QUEUE", "queue"),
    ("KIND", "kind"),
    ("TENANT", "tenant"),
    ("PAUSED SINCE (UTC)", "paused_at"),
];

/// Pauses it, or ends that. A name that nobody has used is refused: it is a slip of the pen.
pub(super) async fn run(queue: &Queue, paused: Paused, pause: bool, json: bool) -> Result<()> {
    let by = paused.author.by();
    let mut conn = queue.pool().acquire().await?;
    let (subject, changed) = match (&paused.queue, &paused.kind, &paused.tenant) {
        (_, Some(kind), _) => {
            if !queue.knows_kind(kind).await? {
                bail!("there is no kind {kind}: no job and no worker has named it");
            }
            let changed = if pause {
                queue.pause_kind(&mut conn, kind, &by).await?
            } else {
                queue.resume_kind(&mut conn, kind, &by).await?
            };
            (format!("the kind {kind}"), changed)
        }
        (Some(name), _, Some(tenant)) => {
            known(queue, name).await?;
            let changed = if pause {
                queue.pause_tenant(&mut conn, name, tenant, &by).await?
            } else {
                queue.resume_tenant(&mut conn, name, tenant, &by).await?
            };
            (format!("the tenant {tenant} in the queue {name}"), changed)
        }
        (Some(name), ..) => {
            known(queue, name).await?;
            let changed = if pause {
                queue.pause(&mut conn, name, &by).await?
            } else {
                queue.resume(&mut conn, name, &by).await?
            };
            (format!("the queue {name}"), changed)
        }
        _ => bail!("which queue?"),
    };
    let answer = json!({
        "queue": paused.queue, "kind": paused.kind, "tenant": paused.tenant, "paused": pause, "changed": changed,
    });
    print(&answer, json, |_| match (changed, pause) {
        (true, true) => format!("{subject} is paused: nothing more is started, what runs goes on\n"),
        (true, false) => format!("{subject} goes on\n"),
        (false, true) => format!("{subject} was paused already\n"),
        (false, false) => format!("{subject} was not paused\n"),
    })
}

/// Lists them, the latest first.
pub(super) async fn list(queue: &Queue, json: bool) -> Result<()> {
    const MOST: i64 = 1_000;
    let pauses: Vec<Value> = queue
        .pauses(MOST)
        .await?
        .into_iter()
        .map(|pause| json!(pause))
        .collect();
    print(&Value::Array(pauses.clone()), json, |_| {
        if pauses.is_empty() {
            "nothing is paused\n".to_owned()
        } else {
            table::rows(&pauses, &COLUMNS)
        }
    })
}

/// Fails, and names the queues, where there is none of this name.
pub(super) async fn known(queue: &Queue, name: &str) -> Result<()> {
    if queue.knows_queue(name).await? {
        return Ok(());
    }
    let rows = queue.queues().await?;
    let names: Vec<String> = rows.into_iter().map(|row| row.name).collect();
    bail!("there is no queue {name}; there are: {}", names.join(", "))
}
