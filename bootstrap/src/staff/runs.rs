//! `codex-k8s runs`.

use std::io::Write;
use std::time::Duration;

use anyhow::Result;
use clap::Subcommand;
use domain::RunId;
use serde_json::Value;

use super::{Client, Output, Paging, table};

/// Arguments of `runs`.
#[derive(Debug, clap::Args)]
pub(crate) struct Runs {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists runs, newest first
    List {
        /// Only with this status, for example running
        #[arg(long)]
        status: Option<String>,
        /// Only of this project (its slug)
        #[arg(long)]
        project: Option<String>,
        #[command(flatten)]
        paging: Paging,
    },
    /// Shows a run and everything that happened
    Show { id: RunId },
    /// Ends a run that has not ended
    Cancel {
        id: RunId,
        /// Why, for the audit and the status comment
        #[arg(long)]
        reason: Option<String>,
    },
    /// Runs again what failed, was canceled or took too long
    Retry {
        id: RunId,
        /// Why, for the audit
        #[arg(long)]
        reason: Option<String>,
    },
    /// Prints what the agent wrote
    Logs {
        id: RunId,
        /// Goes on until the run has ended
        #[arg(long, short)]
        follow: bool,
        /// Only lines after this one
        #[arg(long, default_value_t = 0)]
        after: i64,
    },
}

const COLUMNS: [(&str, &str); 8] = [
    ("ID", "id"),
    ("PROJECT", "project"),
    ("REPOSITORY", "repository"),
    ("ISSUE", "issue"),
    ("STAGE", "stage"),
    ("STATUS", "status"),
    ("CREATED (UTC)", "created_at"),
    ("CORRELATION", "correlation_id"),
];
const EVENTS: [(&str, &str); 5] = [
    ("AT (UTC)", "at"),
    ("EVENT", "kind"),
    ("BY", "actor_kind"),
    ("WHO", "actor"),
    ("DATA", "data"),
];
const LINES_AT_ONCE: u16 = 1000;
const FOLLOW_EVERY: Duration = Duration::from_millis(500);

/// Does what was asked.
pub(crate) async fn run(client: &Client, runs: Runs) -> Result<()> {
    let output = runs.output;
    match runs.command {
        Command::List {
            status,
            project,
            paging,
        } => {
            let limit = Some(paging.limit.to_string());
            let query = [
                ("status", status),
                ("project", project),
                ("before", paging.before),
                ("limit", limit),
            ];
            output.print(&client.get("runs", &query).await?, |answer| {
                table::page(answer, &COLUMNS)
            })
        }
        Command::Show { id } => output.print(&client.get(&format!("runs/{id}"), &[]).await?, |run| {
            let events = run
                .get("events")
                .and_then(Value::as_array)
                .map_or(&[][..], Vec::as_slice);
            format!(
                "{}\n{}",
                table::members(run, &["events"]),
                table::rows(events, &EVENTS)
            )
        }),
        Command::Cancel { id, reason } => change(client, output, &format!("runs/{id}/cancel"), reason).await,
        Command::Retry { id, reason } => change(client, output, &format!("runs/{id}/retry"), reason).await,
        Command::Logs { id, follow, after } => logs(client, output, id, follow, after).await,
    }
}

async fn change(client: &Client, output: Output, path: &str, reason: Option<String>) -> Result<()> {
    let done = client.post(path, &[("reason", reason)]).await?;
    output.print(&done, |done| table::members(done, &[]))
}

/// Prints page after page. The end is asked for before the lines, so that the last lines aren't missed.
async fn logs(client: &Client, output: Output, id: RunId, follow: bool, mut after: i64) -> Result<()> {
    loop {
        let ended = !follow || has_ended(&client.get(&format!("runs/{id}"), &[]).await?);
        loop {
            let query = [
                ("after", Some(after.to_string())),
                ("limit", Some(LINES_AT_ONCE.to_string())),
            ];
            let page = client.get(&format!("runs/{id}/log"), &query).await?;
            let lines = page
                .get("items")
                .and_then(Value::as_array)
                .map_or(&[][..], Vec::as_slice);
            let mut out = std::io::stdout().lock();
            for line in lines {
                if output.json {
                    writeln!(out, "{line}")?;
                } else {
                    let text = line.get("text").and_then(Value::as_str).unwrap_or_default();
                    writeln!(out, "{}", table::printable(text))?;
                }
                after = line.get("number").and_then(Value::as_i64).unwrap_or(after);
            }
            out.flush()?;
            if lines.len() < usize::from(LINES_AT_ONCE) {
                break;
            }
        }
        if ended {
            return Ok(());
        }
        tokio::time::sleep(FOLLOW_EVERY).await;
    }
}

fn has_ended(run: &Value) -> bool {
    run.get("finished_at").is_some_and(|at| !at.is_null())
}
