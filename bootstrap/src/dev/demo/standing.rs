//! What operators have set up: schedules, limits, a tenant that is paused with jobs waiting, a job for tomorrow
//! and one that was taken back. Every job is of a kind that the worker knows, and does its work once it may.

use anyhow::Result;
use domain::job::{DELIVERIES, IssueComment, JobArgs, RUNS};
use postgres::Store;
use queue::{By, CatchUp, Limits, NewJob, OnConflict, Rate, Schedule};
use serde_json::{Value, json};
use std::time::Duration;

use crate::dev::DEMO_REPOSITORY;

/// Whose jobs are paused at first.
const PAUSED_TENANT: &str = "housekeeping";

const A_DAY: Duration = Duration::from_hours(24);

/// Sets it up. Idempotent, but at a later time it would take back what people have changed since.
pub(super) async fn set_up(store: &Store) -> Result<()> {
    let queue = store.queue();
    let by = &By::new("demo").because("so that there is something to see");
    let mut conn = queue.pool().acquire().await?;

    queue.pause_tenant(&mut conn, RUNS, PAUSED_TENANT, by).await?;
    for (issue, text) in [
        (20, "Old branches were removed."),
        (21, "The changelog was checked."),
    ] {
        let job: NewJob = comment(issue, PAUSED_TENANT, text).into();
        queue.enqueue(&mut conn, job.tenant(PAUSED_TENANT)).await?;
    }

    let reminder: NewJob = comment(22, "reminder", "A day has passed without an answer.").into();
    queue
        .enqueue(&mut conn, reminder.delay(A_DAY).tag("reminder"))
        .await?;
    let mistaken: NewJob = comment(23, "mistake", "This was meant for another issue.").into();
    let mistaken = queue.enqueue(&mut conn, mistaken.delay(A_DAY)).await?;
    queue.cancel(&mut conn, mistaken.id, by).await?;

    let limits = Limits {
        max_running: Some(16),
        rate: Some(Rate {
            jobs: 600,
            period: Duration::from_mins(1),
        }),
        ..Limits::default()
    };
    queue.set_limits(&mut conn, RUNS, limits, by).await?;
    queue
        .set_limits(
            &mut conn,
            DELIVERIES,
            Limits {
                max_running: Some(24),
                ..Limits::default()
            },
            by,
        )
        .await?;

    for schedule in schedules() {
        queue.put_schedule(&mut conn, schedule).await?;
    }
    queue
        .pause_schedule(&mut conn, "monthly-licence-report", by)
        .await?;
    Ok(())
}

fn schedules() -> [Schedule; 3] {
    let args = |issue, name: &str, text: &str| comment(issue, name, text).args;
    let schedule = |name: &'static str, cron: &'static str, args| {
        Schedule::new(name, cron, RUNS, IssueComment::KIND, args)
    };
    [
        schedule(
            "triage-reminder",
            "*/5 * * * *",
            args(24, "triage", "Open questions were looked through."),
        )
        .tag("triage")
        .single(),
        schedule(
            "weekly-digest",
            "0 9 * * 1",
            args(25, "digest", "What happened in this week."),
        )
        .time_zone("Europe/Berlin")
        .catch_up(CatchUp::Once),
        schedule(
            "monthly-licence-report",
            "30 6 1 * *",
            args(26, "licences", "All licences are known."),
        ),
    ]
}

/// A comment that is written once and edited afterwards.
struct Comment {
    args: Value,
    marker: String,
}

fn comment(issue: i64, name: &str, text: &str) -> Comment {
    let marker = format!("codex-k8s:demo:{name}:{issue}");
    let args = json!({ "repository": DEMO_REPOSITORY, "issue": issue, "marker": marker, "body": text });
    Comment { args, marker }
}

impl From<Comment> for NewJob {
    fn from(comment: Comment) -> Self {
        NewJob::new(RUNS, IssueComment::KIND, comment.args)
            .unique(format!("issue.comment:{}", comment.marker), OnConflict::Keep)
            .tag("demo")
    }
}
