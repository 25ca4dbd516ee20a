//! `codex-k8s deliveries`.

use anyhow::Result;
use clap::Subcommand;
use domain::DeliveryId;
use serde_json::Value;

use super::{Client, Output, Paging, table};

/// Arguments of `deliveries`.
#[derive(Debug, clap::Args)]
pub(crate) struct Deliveries {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists webhook deliveries, newest first
    List {
        /// accepted, processed or ignored
        #[arg(long)]
        status: Option<String>,
        /// Only of this event, for example issues
        #[arg(long)]
        event: Option<String>,
        #[command(flatten)]
        paging: Paging,
    },
    /// Shows a delivery with its payload
    Show { id: DeliveryId },
    /// Processes a stored delivery again
    Replay {
        id: DeliveryId,
        /// Only says what would happen
        #[arg(long)]
        dry_run: bool,
    },
}

const COLUMNS: [(&str, &str); 8] = [
    ("ID", "id"),
    ("EVENT", "event"),
    ("ACTION", "action"),
    ("REPOSITORY", "repository"),
    ("STATUS", "status"),
    ("REASON", "reason"),
    ("RUN", "run_id"),
    ("RECEIVED (UTC)", "received_at"),
];

/// Does what was asked.
pub(crate) async fn run(client: &Client, deliveries: Deliveries) -> Result<()> {
    let output = deliveries.output;
    match deliveries.command {
        Command::List {
            status,
            event,
            paging,
        } => {
            let limit = Some(paging.limit.to_string());
            let query = [
                ("status", status),
                ("event", event),
                ("before", paging.before),
                ("limit", limit),
            ];
            output.print(&client.get("deliveries", &query).await?, |answer| {
                table::page(answer, &COLUMNS)
            })
        }
        Command::Show { id } => {
            output.print(&client.get(&format!("deliveries/{id}"), &[]).await?, |delivery| {
                let payload = delivery.get("payload").filter(|payload| !payload.is_null());
                let payload = payload.map(|payload| format!("\n{payload:#}\n"));
                table::members(delivery, &["payload"])
                    + &payload.unwrap_or_else(|| "\nthe payload isn't kept any more\n".into())
            })
        }
        Command::Replay { id, dry_run } => {
            let query = [("dry_run", Some(dry_run.to_string()))];
            let answer = client.post(&format!("deliveries/{id}/replay"), &query).await?;
            output.print(&answer, |answer| {
                match answer.get("job_id").and_then(Value::as_i64) {
                    Some(job) => format!("job {job} processes it again: codex-k8s jobs show {job}\n"),
                    None => "it can be replayed; nothing was done\n".to_owned(),
                }
            })
        }
    }
}
