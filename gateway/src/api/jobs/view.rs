//! Jobs as the API shows them.

use chrono::{DateTime, Utc};
use domain::job;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::page::cursor;

/// How a job stands.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum JobState {
    /// Waits for a free worker.
    Ready,
    /// Its time has not come.
    Scheduled,
    /// Waits for other jobs.
    Waiting,
    /// A worker has it.
    Running,
    /// Ended well.
    Completed,
    /// Ended by a person.
    Cancelled,
    /// Ended badly, and won't be tried again by itself.
    Dead,
}

impl From<JobState> for job::JobState {
    fn from(state: JobState) -> Self {
        match state {
            JobState::Ready => Self::Ready,
            JobState::Scheduled => Self::Scheduled,
            JobState::Waiting => Self::Waiting,
            JobState::Running => Self::Running,
            JobState::Completed => Self::Completed,
            JobState::Cancelled => Self::Cancelled,
            JobState::Dead => Self::Dead,
        }
    }
}

impl From<job::JobState> for JobState {
    fn from(state: job::JobState) -> Self {
        match state {
            job::JobState::Ready => Self::Ready,
            job::JobState::Scheduled => Self::Scheduled,
            job::JobState::Waiting => Self::Waiting,
            job::JobState::Running => Self::Running,
            job::JobState::Completed => Self::Completed,
            job::JobState::Cancelled => Self::Cancelled,
            job::JobState::Dead => Self::Dead,
        }
    }
}

/// A line of the list of jobs.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JobLine {
    /// Its identifier.
    id: i64,
    /// The kind's name.
    kind: String,
    /// The queue.
    queue: String,
    /// How it stands.
    state: JobState,
    /// Lower runs first.
    priority: i16,
    /// Attempts begun so far.
    attempt: i32,
    /// Attempts allowed.
    max_attempts: i32,
    /// The delivery that it belongs to.
    correlation_id: Option<String>,
    /// Whose turn it waits for.
    tenant: Option<String>,
    /// What limits and rates per key count it by.
    key: Option<String>,
    /// Words to find it by.
    tags: Vec<String>,
    /// The worker that has or had it.
    worker: Option<String>,
    /// The last error, or why it is dead.
    last_error: Option<String>,
    /// When it was enqueued.
    created_at: DateTime<Utc>,
    /// When it may run next, while it is scheduled.
    run_at: Option<DateTime<Utc>>,
    /// When the present or last attempt began.
    started_at: Option<DateTime<Utc>>,
    /// When it ended.
    finished_at: Option<DateTime<Utc>>,
}

impl From<job::JobSummary> for JobLine {
    fn from(job: job::JobSummary) -> Self {
        Self {
            id: job.id.0,
            kind: job.kind,
            queue: job.queue,
            state: job.state.into(),
            priority: job.priority,
            attempt: job.attempt,
            max_attempts: job.max_attempts,
            correlation_id: job.correlation_id,
            tenant: job.tenant,
            key: job.key,
            tags: job.tags,
            worker: job.worker,
            last_error: job.last_error,
            created_at: job.created_at,
            run_at: job.run_at,
            started_at: job.started_at,
            finished_at: job.finished_at,
        }
    }
}

/// A job whole.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Job {
    #[serde(flatten)]
    line: JobLine,
    /// The arguments.
    args: serde_json::Value,
    /// What its handler returned to keep.
    result: Option<serde_json::Value>,
    /// Its failed attempts, oldest first.
    attempts: Vec<JobAttempt>,
    /// No two unfinished jobs have the same.
    unique_key: Option<String>,
    /// W3C trace context of the one who enqueued it.
    traceparent: Option<String>,
    /// How far it has come, where it said so.
    progress: Option<JobProgress>,
}

/// How far a job has come, by its last report.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JobProgress {
    /// So much is done.
    done: i64,
    /// Of so much; 0 where nobody knows.
    total: i64,
    /// In words.
    note: String,
    /// When it was reported.
    at: DateTime<Utc>,
    /// In which attempt, from 1.
    attempt: i32,
}

/// One failed attempt.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JobAttempt {
    /// Which attempt, from 1.
    attempt: i32,
    /// When it failed.
    at: DateTime<Utc>,
    /// On which worker.
    worker: String,
    /// What went wrong.
    error: String,
    /// W3C trace context that it ran in.
    traceparent: Option<String>,
}

impl From<job::JobDetail> for Job {
    fn from(job: job::JobDetail) -> Self {
        let attempts = job.attempts.into_iter().map(|a| JobAttempt {
            attempt: a.attempt,
            at: a.at,
            worker: a.worker,
            error: a.error,
            traceparent: a.traceparent,
        });
        Self {
            args: job.args,
            result: job.result,
            attempts: attempts.collect(),
            unique_key: job.unique_key,
            traceparent: job.traceparent,
            progress: job.progress.map(|report| JobProgress {
                done: report.done,
                total: report.total,
                note: report.note,
                at: report.at,
                attempt: report.attempt,
            }),
            line: job.summary.into(),
        }
    }
}

/// Unfinished jobs of a queue.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct QueueCounts {
    /// The queue.
    queue: String,
    /// Ready to run.
    ready: i64,
    /// Waiting for their time.
    scheduled: i64,
    /// Waiting for other jobs.
    waiting: i64,
    /// With a worker.
    running: i64,
    /// Age of the oldest ready job, in milliseconds.
    oldest_ready_ms: Option<i64>,
}

impl From<job::QueueCounts> for QueueCounts {
    fn from(counts: job::QueueCounts) -> Self {
        Self {
            queue: counts.queue,
            ready: counts.ready,
            scheduled: counts.scheduled,
            waiting: counts.waiting,
            running: counts.running,
            oldest_ready_ms: counts.oldest_ready_ms,
        }
    }
}

/// How many jobs match.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JobCount {
    /// So many were found.
    count: i64,
    /// There may be more: it was counted no further.
    at_least: bool,
    /// Hand it in as `before` to have the others counted; null where there are none, or too many.
    next: Option<String>,
}

impl From<job::JobCount> for JobCount {
    fn from(found: job::JobCount) -> Self {
        Self {
            count: found.count,
            at_least: found.at_least,
            next: found.next.map(cursor),
        }
    }
}
