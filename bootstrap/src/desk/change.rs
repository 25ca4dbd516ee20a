//! Changes of jobs, with a look ahead.

use std::fmt::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use chrono::{DateTime, Utc};
use queue::{Change, Queue, Selection, When};
use serde_json::json;

use super::author::Author;
use super::choice::Chosen;
use super::print;

/// Which jobs, by whom and why.
#[derive(Debug, clap::Args)]
pub(super) struct Wish {
    #[command(flatten)]
    chosen: Chosen,
    /// Only says how many it would be
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    author: Author,
}

/// Arguments of `queue reschedule`.
#[derive(Debug, clap::Args)]
pub(super) struct Reschedule {
    #[command(flatten)]
    pub(super) wish: Wish,
    /// As soon as a worker is free
    #[arg(long, conflicts_with_all = ["at", "after"])]
    now: bool,
    /// At this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    at: Option<DateTime<Utc>>,
    /// In so many seconds
    #[arg(long, value_name = "SECONDS", conflicts_with = "at")]
    after: Option<u64>,
}

/// Arguments of `queue priority`.
#[derive(Debug, clap::Args)]
pub(super) struct Priority {
    #[command(flatten)]
    pub(super) wish: Wish,
    /// The new priority; lower runs first
    #[arg(long, allow_negative_numbers = true)]
    pub(super) to: i16,
}

impl Reschedule {
    pub(super) fn when(&self) -> Result<When> {
        match (self.now, self.at, self.after) {
            (true, ..) => Ok(When::Now),
            (_, Some(at), _) => Ok(When::At(at)),
            (.., Some(seconds)) => Ok(When::In(Duration::from_secs(seconds))),
            _ => anyhow::bail!("when? --now, --at or --after"),
        }
    }
}

/// Changes them, or says how many it would be. Fails if it stopped early.
pub(super) async fn run(queue: &Queue, wish: Wish, change: Change, json: bool) -> Result<ExitCode> {
    let selection = wish.chosen.selection()?;
    let name = change.name();
    if wish.dry_run {
        let (count, at_least) = match &selection {
            Selection::Ids(ids) => (ids.len() as i64, false),
            Selection::Matching(filter) => {
                let preview = queue.preview(filter, &change).await?;
                (preview.count, preview.at_least)
            }
        };
        let answer = json!({ "action": name, "count": count, "at_least": at_least });
        print(&answer, json, |_| {
            let or_more = if at_least { " or more" } else { "" };
            format!("{name} would find {count}{or_more} jobs\n")
        })?;
        return Ok(ExitCode::SUCCESS);
    }
    let by = wish.author.by();
    let applied = queue.apply(&selection, &change, &by).await?;
    let stopped = applied
        .stopped
        .as_ref()
        .map(|(before, error)| (before, error.to_string()));
    let answer = json!({
        "action": name,
        "done": applied.done,
        "requested": applied.requested,
        "refused": applied.refused,
        "stopped": stopped.as_ref().map(|(before, error)| json!({ "before": before, "error": error })),
    });
    print(&answer, json, |_| {
        let mut text = format!("{name}: {} done\n", applied.done);
        if applied.requested > 0 {
            let _ = writeln!(text, "{} run and were asked to stop", applied.requested);
        }
        for (reason, count) in &applied.refused {
            let _ = writeln!(text, "{count} refused: {reason}");
        }
        if let Some((before, error)) = &stopped {
            let _ = writeln!(
                text,
                "stopped: {error}; run it again, with --before {before} to go on from there"
            );
        }
        text
    })?;
    Ok(if stopped.is_some() {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}
