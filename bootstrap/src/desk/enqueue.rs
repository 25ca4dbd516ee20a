//! Enqueues a job by hand.

use std::time::Duration;

use anyhow::Result;
use chrono::{DateTime, Utc};
use queue::{NewJob, OnConflict, Queue, Verdict};
use serde_json::{Value, json};

use super::choice::parse_json;
use super::print;

/// Arguments of `queue enqueue`.
#[derive(Debug, clap::Args)]
pub(super) struct New {
    /// The kind of job
    kind: String,
    /// Its arguments, as JSON
    #[arg(default_value = "null", value_parser = parse_json)]
    args: Value,
    /// The queue
    #[arg(long)]
    queue: String,
    /// Lower runs first
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    priority: i16,
    /// Not before so many seconds have passed
    #[arg(long, default_value_t = 0, value_name = "SECONDS")]
    delay: u64,
    /// Not before this (RFC 3339); a time that has passed is now
    #[arg(long, value_name = "TIME", conflicts_with = "delay")]
    at: Option<DateTime<Utc>>,
    /// Attempts allowed
    #[arg(long, value_parser = clap::value_parser!(i32).range(1..))]
    max_attempts: Option<i32>,
    /// Seconds that an attempt may take
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    timeout: Option<u64>,
    /// Only if no unfinished job has this key
    #[arg(long)]
    unique_key: Option<String>,
    /// What becomes of the job that has the key: keep, replace or hasten
    #[arg(long, default_value = "keep", value_parser = parse_on_conflict)]
    on_conflict: OnConflict,
    /// Whose turn it waits for
    #[arg(long)]
    tenant: Option<String>,
    /// What limits and rates per key count it by
    #[arg(long)]
    key: Option<String>,
    /// What it belongs to
    #[arg(long)]
    correlation_id: Option<String>,
    /// A tag; may be given several times
    #[arg(long)]
    tag: Vec<String>,
}

/// Enqueues it and says its identifier.
pub(super) async fn run(queue: &Queue, new: New, json: bool) -> Result<()> {
    let mut job = NewJob::new(new.queue, new.kind, new.args)
        .priority(new.priority)
        .delay(Duration::from_secs(new.delay));
    if let Some(at) = new.at {
        job = job.run_at(at);
    }
    if let Some(max_attempts) = new.max_attempts {
        job = job.max_attempts(max_attempts);
    }
    if let Some(timeout) = new.timeout {
        job = job.timeout(Duration::from_secs(timeout));
    }
    if let Some(unique_key) = new.unique_key {
        job = job.unique(unique_key, new.on_conflict);
    }
    if let Some(tenant) = new.tenant {
        job = job.tenant(tenant);
    }
    if let Some(key) = new.key {
        job = job.key(key);
    }
    if let Some(correlation_id) = new.correlation_id {
        job = job.correlation_id(correlation_id);
    }
    job = new.tag.into_iter().fold(job, NewJob::tag);
    let mut conn = queue.pool().acquire().await?;
    let enqueued = queue.enqueue(&mut conn, job).await?;
    let verdict = match enqueued.verdict {
        Verdict::Inserted => "inserted",
        Verdict::Kept => "kept",
        Verdict::Replaced => "replaced",
    };
    print(&json!({ "id": enqueued.id, "verdict": verdict }), json, |_| {
        format!("job {} {verdict}\n", enqueued.id)
    })
}

fn parse_on_conflict(text: &str) -> Result<OnConflict, String> {
    match text {
        "keep" => Ok(OnConflict::Keep),
        "replace" => Ok(OnConflict::Replace),
        "hasten" => Ok(OnConflict::Hasten),
        _ => Err("keep, replace or hasten".to_owned()),
    }
}
