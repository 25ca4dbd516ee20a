//! `codex-k8s jobs`.

use anyhow::Result;
use clap::Subcommand;
use domain::JobId;
use serde_json::Value;

use super::{Client, Output, Paging, table};

/// Arguments of `jobs`.
#[derive(Debug, clap::Args)]
pub(crate) struct Jobs {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists jobs, newest first
    List {
        /// ready, scheduled, waiting, running, completed, cancelled or dead
        #[arg(long)]
        state: Option<String>,
        /// Only of this queue
        #[arg(long)]
        queue: Option<String>,
        /// Only of this kind
        #[arg(long)]
        kind: Option<String>,
        #[command(flatten)]
        paging: Paging,
    },
    /// Counts unfinished jobs per queue
    Counts,
    /// Shows a job with its failed attempts
    Show { id: JobId },
    /// Says why a job is not running, and what to do
    Why { id: JobId },
    /// Runs a dead, cancelled, scheduled or waiting job now
    Retry { id: JobId },
    /// Ends a job; a running one is asked to stop
    Cancel { id: JobId },
}

const COLUMNS: [(&str, &str); 8] = [
    ("ID", "id"),
    ("KIND", "kind"),
    ("QUEUE", "queue"),
    ("STATE", "state"),
    ("ATTEMPT", "attempt"),
    ("CREATED (UTC)", "created_at"),
    ("CORRELATION", "correlation_id"),
    ("LAST ERROR", "last_error"),
];
const ATTEMPTS: [(&str, &str); 5] = [
    ("ATTEMPT", "attempt"),
    ("FAILED AT (UTC)", "at"),
    ("WORKER", "worker"),
    ("ERROR", "error"),
    ("TRACE", "traceparent"),
];
const COUNTS: [(&str, &str); 6] = [
    ("QUEUE", "queue"),
    ("READY", "ready"),
    ("SCHEDULED", "scheduled"),
    ("WAITING", "waiting"),
    ("RUNNING", "running"),
    ("OLDEST READY (MS)", "oldest_ready_ms"),
];

/// Does what was asked.
pub(crate) async fn run(client: &Client, jobs: Jobs) -> Result<()> {
    let output = jobs.output;
    match jobs.command {
        Command::List {
            state,
            queue,
            kind,
            paging,
        } => {
            let limit = Some(paging.limit.to_string());
            let query = [
                ("state", state),
                ("queue", queue),
                ("kind", kind),
                ("before", paging.before),
                ("limit", limit),
            ];
            output.print(&client.get("jobs", &query).await?, |answer| {
                table::page(answer, &COLUMNS)
            })
        }
        Command::Counts => output.print(&client.get("jobs/counts", &[]).await?, |answer| {
            table::rows(answer.as_array().map_or(&[][..], Vec::as_slice), &COUNTS)
        }),
        Command::Show { id } => output.print(&client.get(&format!("jobs/{id}"), &[]).await?, |job| {
            let attempts = job
                .get("attempts")
                .and_then(Value::as_array)
                .filter(|attempts| !attempts.is_empty());
            let attempts = attempts.map(|attempts| format!("\n{}", table::rows(attempts, &ATTEMPTS)));
            table::members(job, &["attempts"]) + &attempts.unwrap_or_default()
        }),
        Command::Why { id } => output.print(&client.get(&format!("jobs/{id}/why"), &[]).await?, |answer| {
            let state = table::cell(answer.get("state").unwrap_or(&Value::Null));
            let reasons = answer.get("reasons").and_then(Value::as_array);
            let reasons = reasons.map_or(&[][..], Vec::as_slice).iter();
            let lines = reasons.map(|reason| format!("- {}\n", table::cell(&reason["text"])));
            format!("job {id} is {state}\n{}", lines.collect::<String>())
        }),
        Command::Retry { id } => {
            let answer = client.post(&format!("jobs/{id}/retry"), &[]).await?;
            output.print(&answer, |_| {
                format!("job {id} will run again: codex-k8s jobs show {id}\n")
            })
        }
        Command::Cancel { id } => {
            let answer = client.post(&format!("jobs/{id}/cancel"), &[]).await?;
            output.print(&answer, |answer| {
                match answer.get("result").and_then(Value::as_str) {
                    Some("requested") => {
                        format!("job {id} runs and was asked to stop: codex-k8s jobs show {id}\n")
                    }
                    _ => format!("job {id} is cancelled\n"),
                }
            })
        }
    }
}
