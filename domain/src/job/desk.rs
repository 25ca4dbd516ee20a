//! Jobs as people see and steer them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::id::JobId;

/// How a job stands, for people and for the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Waits for a free worker.
    Ready,
    /// Its time has not come (delayed, snoozed or to be retried).
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

impl JobState {
    /// Every state, in the order of a job's life.
    pub const ALL: [Self; 7] = [
        Self::Ready,
        Self::Scheduled,
        Self::Waiting,
        Self::Running,
        Self::Completed,
        Self::Cancelled,
        Self::Dead,
    ];

    /// The name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Scheduled => "scheduled",
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
            Self::Dead => "dead",
        }
    }
}

impl std::str::FromStr for JobState {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == s)
            .ok_or_else(|| {
                format!(
                    "unknown job state `{s}`: {}",
                    Self::ALL.map(Self::as_str).join(", ")
                )
            })
    }
}

/// A line of the list of jobs, for people.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct JobSummary {
    /// Its identifier.
    pub id: JobId,
    /// The kind's name.
    pub kind: String,
    /// The queue.
    pub queue: String,
    /// How it stands.
    pub state: JobState,
    /// Lower runs first.
    pub priority: i16,
    /// Attempts begun so far.
    pub attempt: i32,
    /// Attempts allowed.
    pub max_attempts: i32,
    /// What it belongs to.
    pub correlation_id: Option<String>,
    /// Whose turn it waits for.
    pub tenant: Option<String>,
    /// What limits and rates per key count it by.
    pub key: Option<String>,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// The worker that has or had it.
    pub worker: Option<String>,
    /// The last error, or why it is dead.
    pub last_error: Option<String>,
    /// When it was enqueued.
    pub created_at: DateTime<Utc>,
    /// When it may run next, while it is scheduled.
    pub run_at: Option<DateTime<Utc>>,
    /// When the present or last attempt began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

/// One failed attempt.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct JobAttempt {
    /// Which attempt, from 1.
    pub attempt: i32,
    /// When it failed.
    pub at: DateTime<Utc>,
    /// On which worker.
    pub worker: String,
    /// What went wrong.
    pub error: String,
    /// W3C trace context that it ran in.
    pub traceparent: Option<String>,
}

/// A job whole.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct JobDetail {
    /// The list's line.
    #[serde(flatten)]
    pub summary: JobSummary,
    /// The arguments.
    pub args: Value,
    /// What its handler returned to keep.
    pub result: Option<Value>,
    /// Its failed attempts, oldest first.
    pub attempts: Vec<JobAttempt>,
    /// Its unique key.
    pub unique_key: Option<String>,
    /// W3C trace context of the one who enqueued it.
    pub traceparent: Option<String>,
    /// How far it has come, where it said so.
    pub progress: Option<JobProgress>,
}

/// Which jobs; all conditions must hold. Newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobFilter {
    /// Only in one of these states; any, if empty.
    pub states: Vec<JobState>,
    /// Only in this queue.
    pub queue: Option<String>,
    /// Only of this kind.
    pub kind: Option<String>,
    /// Only with this tag.
    pub tag: Option<String>,
    /// Only with this correlation id.
    pub correlation_id: Option<String>,
    /// Only with this unique key.
    pub unique_key: Option<String>,
    /// Only of this tenant.
    pub tenant: Option<String>,
    /// Only with this key of limits and rates.
    pub key: Option<String>,
    /// Only with this text in the last error.
    pub error: Option<String>,
    /// Only with arguments that contain this object's members.
    pub args: Option<Value>,
    /// Only enqueued at or after.
    pub created_after: Option<DateTime<Utc>>,
    /// Only enqueued before.
    pub created_before: Option<DateTime<Utc>>,
    /// Only older than this job (keyset paging).
    pub before: Option<JobId>,
    /// At most so many, in a list.
    pub limit: i64,
}

/// A page of jobs.
#[derive(Debug, Clone)]
pub struct JobPage {
    /// Newest first.
    pub jobs: Vec<JobSummary>,
    /// Where to go on; `None` if there is nothing more. A search that no index serves may have looked at as many
    /// jobs as one page may, and found few or none.
    pub next: Option<JobId>,
}

/// How much a line that a job logged matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// For whoever looks for a fault.
    Debug,
    /// The usual course.
    Info,
    /// Not as it should be.
    Warn,
    /// Wrong.
    Error,
}

/// A line that a job logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobLogLine {
    /// Its place among all lines.
    pub id: i64,
    /// When.
    pub at: DateTime<Utc>,
    /// In which attempt, from 1.
    pub attempt: i32,
    /// On which worker.
    pub worker: String,
    /// How much it matters.
    pub level: LogLevel,
    /// What it says; may hold line breaks.
    pub line: String,
}

/// How far a job has come, by its last report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobProgress {
    /// So much is done.
    pub done: i64,
    /// Of so much; 0 where nobody knows.
    pub total: i64,
    /// In words.
    pub note: String,
    /// When it was reported.
    pub at: DateTime<Utc>,
    /// In which attempt, from 1.
    pub attempt: i32,
}

/// How many jobs of a queue are in a state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueCounts {
    /// The queue.
    pub queue: String,
    /// Ready to run.
    pub ready: i64,
    /// Waiting for their time.
    pub scheduled: i64,
    /// Waiting for other jobs.
    pub waiting: i64,
    /// With a worker.
    pub running: i64,
    /// Age of the oldest ready job, in milliseconds.
    pub oldest_ready_ms: Option<i64>,
}

/// What to do to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobChange {
    /// Run a dead, cancelled, scheduled or waiting job now, with its attempts counted anew.
    Retry,
    /// End one that hasn't ended: at once, or by asking its worker where it runs.
    Cancel,
    /// Remove one that doesn't run.
    Delete,
    /// Give one that is ready or scheduled another time.
    Reschedule(RunTime),
    /// Give one that is ready, scheduled or waiting another priority; lower runs first.
    Priority(i16),
}

impl JobChange {
    /// As the audit has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Cancel => "cancel",
            Self::Delete => "delete",
            Self::Reschedule(_) => "reschedule",
            Self::Priority(_) => "priority",
        }
    }
}

/// When to run, by the database's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunTime {
    /// As soon as a worker is free.
    Now,
    /// Not before so many milliseconds have passed.
    InMs(u64),
    /// Not before this.
    At(DateTime<Utc>),
}

/// What became of a wish about a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobAction {
    /// Done.
    Done,
    /// A running job was asked to stop; it ends when its handler does, or is aborted shortly after.
    Requested,
    /// The job's state doesn't allow it.
    NotAllowed(JobState),
    /// Something else is in the way, such as an unfinished job with the same unique key: for people.
    InTheWay(String),
    /// There is no such job.
    NotFound,
}

/// Jobs to change together.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "there is one at a time")]
pub enum JobSelection {
    /// These.
    Ids(Vec<JobId>),
    /// All that match; with no states asked for, those in which the change is possible.
    Matching(JobFilter),
}

/// How many jobs match, as far as was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobCount {
    /// So many were found.
    pub count: i64,
    /// There may be more.
    pub at_least: bool,
    /// [`JobFilter::before`] of a count that goes on from here, where it was time that ran out.
    pub next: Option<JobId>,
}

/// How many jobs a change would find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobPreview {
    /// So many were found.
    pub count: i64,
    /// There may be more: it was counted no further.
    pub at_least: bool,
}

/// What became of a change of many.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobsChanged {
    /// Jobs changed.
    pub done: u64,
    /// Running jobs that were asked to stop.
    pub requested: u64,
    /// Jobs left as they were, by reason.
    pub refused: BTreeMap<String, u64>,
    /// Why it stopped early. What was done until then stays done, and the same call does the rest.
    pub stopped: Option<StoppedAt>,
}

/// Where a change of many stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoppedAt {
    /// [`JobFilter::before`] of a call that goes on from there.
    pub before: JobId,
    /// What went wrong, for our log.
    pub error: String,
}

/// Why a job isn't running.
#[derive(Debug, Clone, PartialEq)]
pub struct JobExplanation {
    /// The job.
    pub id: JobId,
    /// How it stands.
    pub state: JobState,
    /// When this was so.
    pub as_of: DateTime<Utc>,
    /// The most decisive first; never empty.
    pub reasons: Vec<JobReason>,
}

/// One reason.
#[derive(Debug, Clone, PartialEq)]
pub struct JobReason {
    /// For programs; stable: `not_due`, `queue_paused`, `key_limit` and so on.
    pub code: String,
    /// For people: what it is, and what to do.
    pub text: String,
    /// What it names: jobs, workers, times. An object whose members depend on the code.
    pub facts: Value,
}
