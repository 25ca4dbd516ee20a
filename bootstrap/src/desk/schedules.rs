//! Schedules: which there are, their ticks, and what an operator does to them.

use anyhow::{Result, bail};
use chrono::{DateTime, Utc};
use clap::Subcommand;
use queue::{Queue, ScheduleRow};
use serde_json::{Value, json};

use super::author::Author;
use super::print;
use crate::staff::table;

/// Arguments of `queue schedules`.
#[derive(Debug, clap::Args)]
pub(super) struct Schedules {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists them with their next and last ticks
    List {
        /// Only names after this one
        #[arg(long, value_name = "NAME")]
        after: Option<String>,
        /// At most so many (1 to 1000)
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..=1000))]
        limit: i64,
    },
    /// Lists the ticks that enqueued a job, newest first
    Ticks {
        /// The schedule
        name: String,
        /// Only ticks before this (RFC 3339)
        #[arg(long, value_name = "TIME")]
        before: Option<DateTime<Utc>>,
        /// At most so many (1 to 1000)
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=1000))]
        limit: i64,
    },
    /// Stops its ticks; those of the pause are not caught up
    Pause(Named),
    /// Lets it tick again from now on
    Resume(Named),
    /// Enqueues its job now, paused or not
    RunNow(Named),
    /// Removes it; its jobs stay
    Remove(Named),
}

#[derive(Debug, clap::Args)]
struct Named {
    /// The schedule
    name: String,
    #[command(flatten)]
    author: Author,
}

const COLUMNS: [(&str, &str); 8] = [
    ("NAME", "name"),
    ("CRON", "cron"),
    ("ZONE", "time_zone"),
    ("KIND", "kind"),
    ("NEXT (UTC)", "next_at"),
    ("LAST (UTC)", "last_tick"),
    ("PAUSED SINCE (UTC)", "paused_at"),
    ("ERROR", "error"),
];
const TICKS: [(&str, &str); 3] = [("TICK (UTC)", "tick"), ("BY HAND", "manual"), ("JOB", "job_id")];

/// Does what was asked.
pub(super) async fn run(queue: &Queue, schedules: Schedules, json: bool) -> Result<()> {
    match schedules.command {
        Command::List { after, limit } => {
            let rows = queue.schedules(after.as_deref(), limit).await?;
            let rows: Vec<Value> = rows.iter().map(shown).collect();
            print(&Value::Array(rows.clone()), json, |_| {
                table::rows(&rows, &COLUMNS)
            })
        }
        Command::Ticks { name, before, limit } => {
            if queue.schedule(&name).await?.is_none() {
                bail!(unknown(&name));
            }
            let ticks = queue.schedule_ticks(&name, before, limit).await?;
            let ticks: Vec<Value> = ticks
                .into_iter()
                .map(|tick| json!({ "tick": tick.tick, "manual": tick.manual, "job_id": tick.job_id }))
                .collect();
            print(&Value::Array(ticks.clone()), json, |_| {
                table::rows(&ticks, &TICKS)
            })
        }
        Command::Pause(named) => pause(queue, named, true, json).await,
        Command::Resume(named) => pause(queue, named, false, json).await,
        Command::RunNow(Named { name, author }) => {
            let mut conn = queue.pool().acquire().await?;
            let Some(job) = queue.trigger_schedule(&mut conn, &name, &author.by()).await? else {
                bail!(unknown(&name));
            };
            print(&json!({ "name": name, "job_id": job.id }), json, |_| {
                format!(
                    "the schedule {name} enqueued job {}: codex-k8s queue why {0}\n",
                    job.id
                )
            })
        }
        Command::Remove(Named { name, author }) => {
            let mut conn = queue.pool().acquire().await?;
            if !queue.remove_schedule(&mut conn, &name, &author.by()).await? {
                bail!(unknown(&name));
            }
            print(&json!({ "name": name, "removed": true }), json, |_| {
                format!("the schedule {name} is gone; the audit says how it was\n")
            })
        }
    }
}

async fn pause(queue: &Queue, Named { name, author }: Named, pause: bool, json: bool) -> Result<()> {
    let by = author.by();
    let mut conn = queue.pool().acquire().await?;
    let changed = if pause {
        queue.pause_schedule(&mut conn, &name, &by).await?
    } else {
        queue.resume_schedule(&mut conn, &name, &by).await?
    };
    let Some(row) = queue.schedule(&name).await? else {
        bail!(unknown(&name));
    };
    let answer = json!({ "name": name, "paused": pause, "changed": changed, "next_at": row.next_at });
    print(&answer, json, |_| match (changed, pause) {
        (true, true) => format!("the schedule {name} is paused\n"),
        (true, false) => format!(
            "the schedule {name} ticks again, next at {}\n",
            table::cell(&json!(row.next_at))
        ),
        (false, true) => format!("the schedule {name} was paused already\n"),
        (false, false) => format!("the schedule {name} was not paused\n"),
    })
}

fn unknown(name: &str) -> String {
    format!("there is no schedule {name}: codex-k8s queue schedules list")
}

fn shown(row: &ScheduleRow) -> Value {
    json!({
        "name": row.name, "cron": row.cron, "time_zone": row.time_zone, "queue": row.queue, "kind": row.kind,
        "args": row.args, "priority": row.priority, "max_attempts": row.max_attempts, "tags": row.tags,
        "tenant": row.tenant, "key": row.key, "single": row.single, "catch_up": catch_up(row),
        "paused_at": row.paused_at, "next_at": row.next_at, "error": row.error, "last_tick": row.last_tick,
        "last_job_id": row.last_job_id, "created_at": row.created_at, "updated_at": row.updated_at,
    })
}

fn catch_up(row: &ScheduleRow) -> Value {
    match row.catch_up() {
        queue::CatchUp::Skip => json!("skip"),
        queue::CatchUp::Once => json!("once"),
        queue::CatchUp::All(most) => json!(most),
    }
}
