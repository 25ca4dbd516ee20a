//! Why a job isn't running, as data.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::State;

/// A job that another one waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Awaited {
    /// Its identifier.
    pub id: i64,
    /// How it stands; `None` if it was deleted or its history has expired.
    pub state: Option<State>,
}

/// What a worker has of a queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Holding {
    /// The worker's name.
    pub worker: String,
    /// Jobs of the queue that it runs, as it last wrote down: at least that many, never fewer.
    pub running: i32,
}

/// One reason. Lists are bounded: `more` says that there may be others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
#[allow(
    missing_docs,
    reason = "the fields say what their names say; the variants are described"
)]
pub enum Reason {
    /// It has ended.
    Finished {
        state: State,
        at: Option<DateTime<Utc>>,
        why: Option<String>,
    },
    /// A worker has it. `heartbeat_age_ms` is unknown if the worker's row is gone.
    Running {
        worker: Option<String>,
        since: Option<DateTime<Utc>>,
        heartbeat_age_ms: Option<i64>,
        is_late: bool,
        is_cancel_requested: bool,
    },
    /// Its time has not come.
    NotDue { until: DateTime<Utc> },
    /// Its time has come, and no worker has put it in line yet.
    Due { since: DateTime<Utc> },
    /// Other jobs have to end first.
    WaitsFor { jobs: Vec<Awaited>, more: bool },
    /// Its queue is paused.
    QueuePaused { queue: String, since: DateTime<Utc> },
    /// Its kind is paused; `put_aside` if a worker has already taken it out of the line, where it comes back to.
    KindPaused {
        kind: String,
        since: DateTime<Utc>,
        put_aside: bool,
    },
    /// Its kind was paused and it has not been put back in line yet.
    PutAside { kind: String },
    /// Its tenant is paused in this queue.
    TenantPaused {
        tenant: String,
        queue: String,
        since: DateTime<Utc>,
    },
    /// No worker that lives serves its queue. `late`: those that do, but give no sign of life.
    NoWorkerOfQueue { queue: String, late: Vec<String> },
    /// Workers serve its queue, but none of them knows its kind.
    NoWorkerOfKind { kind: String, workers: Vec<String> },
    /// All workers that could run it drain.
    WorkersDrain { workers: Vec<String> },
    /// The queue runs as many jobs as it may.
    QueueLimit {
        queue: String,
        running: i64,
        max: i32,
        held_by: Vec<Holding>,
    },
    /// As many jobs of its key run as may.
    KeyLimit {
        key: String,
        running: i64,
        max: i32,
        jobs: Vec<i64>,
        more: bool,
    },
    /// The queue has started as many jobs as it may for now.
    QueueRate {
        queue: String,
        jobs: i32,
        period_ms: i32,
        next_at: DateTime<Utc>,
    },
    /// As many jobs of its key were started as may for now.
    KeyRate {
        key: String,
        jobs: i32,
        period_ms: i32,
        next_at: DateTime<Utc>,
    },
    /// The workers that could run it had their hands full at their last sign of life.
    WorkersBusy { running: i64, slots: i64 },
    /// Others come first: `jobs` of them, or at least that many.
    Behind {
        jobs: i64,
        at_least: bool,
        of_lane: bool,
    },
    /// Attempts at it have failed, `attempt` of `max_attempts`.
    Retrying {
        attempt: i32,
        max_attempts: i32,
        last_error: String,
    },
    /// Nothing: it is about to start, or another transaction holds its row.
    Nothing,
}
