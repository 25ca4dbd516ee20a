//! Whether the queue is well, and what to do if it isn't. Exits 1 over a threshold, for monitors.

use std::fmt::Write;
use std::process::ExitCode;

use anyhow::Result;
use queue::{Queue, SnapshotHolders};
use serde_json::{Value, json};

use super::print;
use crate::staff::table;

/// What is too much.
#[derive(Debug, clap::Args)]
pub(super) struct Thresholds {
    /// Seconds that a snapshot may be old
    #[arg(long = "max-snapshot-age", default_value_t = 300, value_name = "SECONDS")]
    snapshot_age_s: u32,
    /// Transactions that a snapshot may be old; a replication slot's age is known in these only
    #[arg(
        long = "max-snapshot-transactions",
        default_value_t = 1_000_000,
        value_name = "TRANSACTIONS"
    )]
    snapshot_transactions: i64,
    /// Seconds that a ready job may wait; 0 for any time
    #[arg(long, default_value_t = 0, value_name = "SECONDS")]
    max_wait: u32,
}

const HOLDERS: [(&str, &str); 7] = [
    ("SNAPSHOT OF", "sort"),
    ("PID", "pid"),
    ("NAME", "name"),
    ("USER", "owner"),
    ("STATE", "state"),
    ("TRANSACTIONS", "transactions"),
    ("SECONDS", "seconds"),
];

/// Says it.
pub(super) async fn run(queue: &Queue, thresholds: &Thresholds, json: bool) -> Result<ExitCode> {
    let seen = queue.oldest_snapshot().await?;
    let mut problems = old_snapshots(&seen, thresholds);
    for count in queue.counts().await? {
        let wait_s = count.oldest_ready_ms.unwrap_or(0) / 1_000;
        if thresholds.max_wait > 0 && wait_s > i64::from(thresholds.max_wait) {
            problems.push(format!(
                "queue {}: a job has been ready for {wait_s} s: start workers that know its kind",
                count.queue
            ));
        }
    }
    for worker in queue.workers().await?.into_iter().filter(|worker| worker.is_late) {
        problems.push(format!(
            "worker {} gave no sign of life for {} s, beyond its lease",
            worker.name,
            worker.heartbeat_age_ms / 1_000
        ));
    }
    let holders: Vec<Value> = seen
        .holders
        .iter()
        .map(|holder| {
            json!({
                "sort": holder.sort, "pid": holder.pid, "name": holder.name, "owner": holder.owner,
                "state": holder.state, "transactions": holder.transactions,
                "seconds": holder.seconds.map(f64::round), "catalog_only": holder.catalog_only,
                "remedy": holder.remedy(),
            })
        })
        .collect();
    let answer = json!({
        "ok": problems.is_empty(), "problems": problems, "snapshots": holders,
        "hidden_sessions": seen.hidden_sessions,
    });
    print(&answer, json, |_| {
        let mut text = if holders.is_empty() {
            "nobody pins a snapshot\n".to_owned()
        } else {
            table::rows(&holders, &HOLDERS)
        };
        if seen.hidden_sessions > 0 {
            let _ = writeln!(
                text,
                "{} sessions of other users hide their state: grant pg_read_all_stats to see it",
                seen.hidden_sessions
            );
        }
        for problem in &problems {
            let _ = writeln!(text, "PROBLEM {}", table::printable(problem));
        }
        text + if problems.is_empty() { "ok\n" } else { "" }
    })?;
    Ok(if problems.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn old_snapshots(seen: &SnapshotHolders, thresholds: &Thresholds) -> Vec<String> {
    let is_old = |holder: &&queue::Holder| {
        !holder.catalog_only
            && (holder
                .seconds
                .is_some_and(|seconds| seconds > f64::from(thresholds.snapshot_age_s))
                || holder.transactions > thresholds.snapshot_transactions)
    };
    let describe = |holder: &queue::Holder| {
        let name = holder.name.as_deref().unwrap_or("-");
        let age = match holder.seconds {
            Some(seconds) => format!("{seconds:.0} s, {} transactions", holder.transactions),
            None => format!("{} transactions", holder.transactions),
        };
        format!(
            "{} {name} pins a snapshot that is {age} old; nothing finished since is cleaned up: {}",
            holder.sort,
            holder.remedy()
        )
    };
    seen.holders.iter().filter(is_old).map(describe).collect()
}
