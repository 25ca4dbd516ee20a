//! Queues and workers as the API shows them.

use chrono::{DateTime, Utc};
use domain::queue::{self, Pausable, Switched};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::author::Reason;
use crate::precondition::Versioned;
use crate::problem::{ApiError, catalogue};

/// So many jobs may start in so long.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rate {
    /// Jobs, at least 1.
    #[schema(minimum = 1)]
    jobs: i32,
    /// In so many milliseconds: at least 1, at most 24 days.
    #[schema(minimum = 1, maximum = 2_147_483_647)]
    period_ms: u64,
}

/// What a queue allows over all its workers; null for no limit.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Limits {
    /// Jobs that run at once.
    max_running: Option<i32>,
    /// Jobs of one key that run at once.
    max_running_per_key: Option<i32>,
    /// Jobs that start in a time.
    rate: Option<Rate>,
    /// Jobs of one key that start in a time.
    rate_per_key: Option<Rate>,
    /// Of all of these; hand it in with a change.
    version: String,
}

impl Versioned for Limits {
    fn version(&self) -> &str {
        &self.version
    }
}

/// What a queue is to allow; what is left out or null is no limit.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetLimits {
    /// Jobs that run at once, at least 1.
    #[schema(minimum = 1)]
    max_running: Option<i32>,
    /// Jobs of one key that run at once, at least 1.
    #[schema(minimum = 1)]
    max_running_per_key: Option<i32>,
    /// Jobs that start in a time.
    rate: Option<Rate>,
    /// Jobs of one key that start in a time.
    rate_per_key: Option<Rate>,
    /// Why, for the audit: 1 to 500 characters.
    #[schema(value_type = Option<String>)]
    reason: Option<Reason>,
}

impl SetLimits {
    pub(super) fn read(self) -> Result<(queue::Limits, Option<Reason>), ApiError> {
        let refuse = |why: &'static str| Err(catalogue::BODY_INVALID.with(why));
        let too_small = |limit: Option<i32>| limit.is_some_and(|limit| limit < 1);
        if too_small(self.max_running) || too_small(self.max_running_per_key) {
            return refuse("a limit is at least 1; to stop a queue, pause it");
        }
        let is_bad = |rate: Option<Rate>| {
            rate.is_some_and(|rate| rate.jobs < 1 || !(1..=i32::MAX as u64).contains(&rate.period_ms))
        };
        if is_bad(self.rate) || is_bad(self.rate_per_key) {
            return refuse("a rate is at least 1 job in 1 ms to 24 days");
        }
        let rate = |rate: Rate| queue::Rate {
            jobs: rate.jobs,
            period_ms: rate.period_ms,
        };
        let limits = queue::Limits {
            max_running: self.max_running,
            max_running_per_key: self.max_running_per_key,
            rate: self.rate.map(rate),
            rate_per_key: self.rate_per_key.map(rate),
        };
        Ok((limits, self.reason))
    }
}

impl From<queue::Limits> for Limits {
    fn from(limits: queue::Limits) -> Self {
        let rate = |rate: queue::Rate| Rate {
            jobs: rate.jobs,
            period_ms: rate.period_ms,
        };
        Self {
            version: limits.version().to_string(),
            max_running: limits.max_running,
            max_running_per_key: limits.max_running_per_key,
            rate: limits.rate.map(rate),
            rate_per_key: limits.rate_per_key.map(rate),
        }
    }
}

/// A queue.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct QueueLine {
    /// Its name.
    name: String,
    /// Since when it is paused.
    paused_at: Option<DateTime<Utc>>,
    /// What it allows.
    limits: Limits,
    /// Days that its jobs are kept after their end.
    keep_days: i16,
    /// Jobs ready to run.
    ready: i64,
    /// Waiting for their time.
    scheduled: i64,
    /// Waiting for other jobs.
    waiting: i64,
    /// With a worker.
    running: i64,
    /// Age of the oldest ready job, in milliseconds.
    oldest_ready_ms: Option<i64>,
    /// When they were counted.
    as_of: DateTime<Utc>,
    /// False where a sample was counted, because there are very many.
    exact: bool,
}

impl From<queue::QueueOverview> for QueueLine {
    fn from(queue: queue::QueueOverview) -> Self {
        Self {
            name: queue.name,
            paused_at: queue.paused_at,
            limits: queue.limits.into(),
            keep_days: queue.keep_days,
            ready: queue.counts.ready,
            scheduled: queue.counts.scheduled,
            waiting: queue.counts.waiting,
            running: queue.counts.running,
            oldest_ready_ms: queue.counts.oldest_ready_ms,
            as_of: queue.as_of,
            exact: queue.exact,
        }
    }
}

/// Something that is paused: a queue, a kind, or a tenant in a queue.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PauseLine {
    /// The queue.
    queue: Option<String>,
    /// The kind.
    kind: Option<String>,
    /// The tenant.
    tenant: Option<String>,
    /// Since when.
    paused_at: DateTime<Utc>,
}

fn names(what: Pausable) -> (Option<String>, Option<String>, Option<String>) {
    match what {
        Pausable::Queue(queue) => (Some(queue), None, None),
        Pausable::Kind(kind) => (None, Some(kind), None),
        Pausable::Tenant { queue, tenant } => (Some(queue), None, Some(tenant)),
    }
}

impl From<queue::Pause> for PauseLine {
    fn from(pause: queue::Pause) -> Self {
        let (queue, kind, tenant) = names(pause.what);
        Self {
            queue,
            kind,
            tenant,
            paused_at: pause.paused_at,
        }
    }
}

/// What was paused or resumed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WhatPaused {
    /// The queue.
    queue: Option<String>,
    /// The kind.
    kind: Option<String>,
    /// The tenant.
    tenant: Option<String>,
    /// Whether it is paused now.
    paused: bool,
    /// False if it was so already.
    changed: bool,
}

impl WhatPaused {
    pub(super) fn new(what: Pausable, paused: bool, switched: Switched) -> Self {
        let (queue, kind, tenant) = names(what);
        Self {
            queue,
            kind,
            tenant,
            paused,
            changed: switched == Switched::Done,
        }
    }
}

/// A worker process that has not left and has not been given up.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LiveWorker {
    /// Its number; no two ever have the same.
    id: i32,
    /// Its name, in Kubernetes its pod's.
    name: String,
    /// The queues that it works on.
    queues: Vec<String>,
    /// The kinds that it knows.
    kinds: Vec<String>,
    /// Jobs that it runs at once, over all its queues.
    concurrency: i32,
    /// Attempts that it had at its last sign of life.
    held: Option<i32>,
    /// When it started.
    started_at: DateTime<Utc>,
    /// Milliseconds since its last sign of life.
    heartbeat_age_ms: i64,
    /// Beyond its lease: about to be given up.
    is_late: bool,
    /// Since when it was asked to drain.
    draining_at: Option<DateTime<Utc>>,
}

impl From<queue::LiveWorker> for LiveWorker {
    fn from(worker: queue::LiveWorker) -> Self {
        Self {
            id: worker.id,
            name: worker.name,
            queues: worker.queues,
            kinds: worker.kinds,
            concurrency: worker.concurrency,
            held: worker.held,
            started_at: worker.started_at,
            heartbeat_age_ms: worker.heartbeat_age_ms,
            is_late: worker.is_late,
            draining_at: worker.draining_at,
        }
    }
}

/// A worker that was asked to drain.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WorkerDrained {
    /// Its name.
    pub(super) name: String,
    /// False if it was asked before.
    pub(super) changed: bool,
}
