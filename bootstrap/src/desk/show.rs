//! What there is, as tables or JSON.

use std::fmt::Write;
use std::process::ExitCode;

use anyhow::Result;
use queue::{AuditFilter, Queue};
use serde_json::{Value, json};

use super::choice::Listed;
use super::print;
use crate::staff::table;

const COUNTS: [(&str, &str); 8] = [
    ("QUEUE", "queue"),
    ("READY", "ready"),
    ("SCHEDULED", "scheduled"),
    ("WAITING", "waiting"),
    ("RUNNING", "running"),
    ("OLDEST READY (MS)", "oldest_ready_ms"),
    ("AS OF (UTC)", "as_of"),
    ("EXACT", "exact"),
];
const WORKERS: [(&str, &str); 9] = [
    ("ID", "id"),
    ("NAME", "name"),
    ("QUEUES", "queues"),
    ("CONCURRENCY", "concurrency"),
    ("HELD", "held"),
    ("HEARTBEAT (MS AGO)", "heartbeat_age_ms"),
    ("LATE", "is_late"),
    ("DRAINS SINCE (UTC)", "draining_at"),
    ("SINCE (UTC)", "started_at"),
];
const JOBS: [(&str, &str); 8] = [
    ("ID", "id"),
    ("KIND", "kind"),
    ("QUEUE", "queue"),
    ("STATE", "state"),
    ("PRIORITY", "priority"),
    ("ATTEMPT", "attempt"),
    ("CREATED (UTC)", "created_at"),
    ("LAST ERROR", "last_error"),
];
const AUDIT: [(&str, &str); 11] = [
    ("ID", "id"),
    ("AT (UTC)", "at"),
    ("ACTOR", "actor"),
    ("ACTION", "action"),
    ("OF", "subject"),
    ("BEFORE", "before"),
    ("AFTER", "after"),
    ("TO", "detail"),
    ("JOBS", "affected"),
    ("FILTER", "filter"),
    ("REASON", "reason"),
];

/// Arguments of `queue audit`.
#[derive(Debug, clap::Args)]
pub(super) struct Audited {
    /// Only by this actor
    #[arg(long)]
    actor: Option<String>,
    /// Only retry, cancel, delete, reschedule, priority, pause, resume, limits, trigger or remove
    #[arg(long)]
    action: Option<String>,
    /// Only what changed this job
    #[arg(long)]
    job: Option<i64>,
    /// Only what changed this, such as "queue mail", "kind user.welcome" or "schedule nightly"
    #[arg(long)]
    subject: Option<String>,
    /// Only older than this entry
    #[arg(long, value_name = "ID")]
    before: Option<i64>,
    /// At most so many (1 to 1000)
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=1000))]
    limit: i64,
}

pub(super) async fn counts(queue: &Queue, json: bool) -> Result<()> {
    let counts: Vec<Value> = queue.counts().await?.into_iter().map(|count| {
        json!({
            "queue": count.queue, "ready": count.ready, "scheduled": count.scheduled, "waiting": count.waiting,
            "running": count.running,
            "oldest_ready_ms": count.oldest_ready_ms, "as_of": count.as_of, "exact": count.exact,
        })
    }).collect();
    print(&Value::Array(counts.clone()), json, |_| {
        table::rows(&counts, &COUNTS)
    })
}

pub(super) async fn workers(queue: &Queue, json: bool) -> Result<()> {
    let workers: Vec<Value> = queue
        .workers()
        .await?
        .into_iter()
        .map(|worker| {
            json!({
                "id": worker.id, "name": worker.name, "queues": worker.queues, "kinds": worker.kinds,
                "concurrency": worker.concurrency, "held": worker.held, "is_late": worker.is_late,
                "heartbeat_age_ms": worker.heartbeat_age_ms, "started_at": worker.started_at,
                "draining_at": worker.draining_at,
            })
        })
        .collect();
    print(&Value::Array(workers.clone()), json, |_| {
        table::rows(&workers, &WORKERS)
    })
}

pub(super) async fn list(queue: &Queue, listed: &Listed, json: bool) -> Result<()> {
    let page = queue.list(&listed.filter()).await?;
    let jobs: Vec<Value> = page.jobs.into_iter().map(|row| {
        json!({
            "id": row.id, "kind": row.kind, "queue": row.queue, "state": row.state(), "priority": row.priority,
            "attempt": row.attempt, "max_attempts": row.max_attempts, "unique_key": row.unique_key,
            "correlation_id": row.correlation_id, "tenant": row.tenant, "key": row.key, "tags": row.tags,
            "worker": row.worker, "last_error": row.last_error, "created_at": row.created_at,
            "run_at": row.run_at, "started_at": row.started_at, "finished_at": row.finished_at, "args": row.args,
        })
    }).collect();
    let next = page.next.map(|next| next.to_string());
    print(&json!({ "items": jobs, "next": next }), json, |answer| {
        table::page(answer, &JOBS)
    })
}

/// Exits 1 if there is no such job.
pub(super) async fn why(queue: &Queue, id: i64, json: bool) -> Result<ExitCode> {
    let Some(explanation) = queue.explain(id).await? else {
        let answer = json!({ "id": id, "error": "there is no such job" });
        print(&answer, json, |_| format!("there is no job {id}\n"))?;
        return Ok(ExitCode::FAILURE);
    };
    let texts: Vec<String> = explanation.reasons.iter().map(ToString::to_string).collect();
    let mut answer = serde_json::to_value(&explanation)?;
    answer["texts"] = json!(texts);
    print(&answer, json, |_| {
        let mut text = format!(
            "job {id} ({}) in the queue {} is {}\n",
            explanation.kind,
            explanation.queue,
            explanation.state.as_str()
        );
        for reason in &texts {
            let _ = writeln!(text, "- {reason}");
        }
        text
    })?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn audit(queue: &Queue, audited: &Audited, json: bool) -> Result<()> {
    let filter = AuditFilter {
        actor: audited.actor.clone(),
        action: audited.action.clone(),
        job_id: audited.job,
        subject: audited.subject.clone(),
        ..AuditFilter::default()
    };
    let entries = queue.audit(&filter, audited.before, audited.limit).await?;
    let entries: Vec<Value> = entries.into_iter().map(|entry| {
        json!({
            "id": entry.id, "at": entry.at, "actor": entry.actor, "action": entry.action, "detail": entry.detail,
            "subject": entry.subject, "before": entry.before, "after": entry.after,
            "job_ids": entry.job_ids, "filter": entry.filter, "affected": entry.affected, "reason": entry.reason,
        })
    }).collect();
    print(&Value::Array(entries.clone()), json, |_| {
        table::rows(&entries, &AUDIT)
    })
}
